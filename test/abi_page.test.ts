/** docs/abi.md and the man page against kmod/uapi/framevec.h: what the header has, they have. */
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {PACKAGE_ROOT, VERSION} from '../lib/package.js';
import * as uapi from '../lib/uapi.js';
import {header, headerStructs} from './header.js';

const page = readFileSync(join(PACKAGE_ROOT, 'docs/abi.md'), 'utf8');
const man = readFileSync(join(PACKAGE_ROOT, 'docs/man/framevec.4'), 'utf8');

/** What stands below a heading of the second level. */
function section(heading: string): string {
  return new RegExp(`^## ${heading}\\n((?:(?!## ).*\\n)*)`, 'm').exec(page)?.[1] ?? '';
}

const ioctls = [...header.matchAll(/^#define (FRAMEVEC_IOC_\w+)\s+_IO\(FRAMEVEC_IOC_TYPE, (0x[0-9a-f]+)\)/gm)].map(([, name = '', number = '']) => ({name, number}));
const ofAll = [...header.slice(header.indexOf('Errnos, the same for every ioctl')).matchAll(/^ \* {2}(E[A-Z0-9]+)\t/gm)].map(([, name = '']) => name);

test('every ioctl has a section with its number, its struct, and since when there is one', t => {
  t.true(ioctls.length >= 9);
  for (const {name, number} of ioctls) {
    const text = section(name);
    t.true(text.includes(`number ${number}`), name);
    t.regex(text, /since\s\d+\.\d+\.\d+/, name);
  }
  t.true(page.includes(`since ${VERSION}`), 'or the page says since when what is new is there');
});

test('each section has every field of its struct, who writes it, and its size', t => {
  for (const [struct, {fields, ioctls: takers}] of headerStructs()) {
    t.true(takers.length > 0, struct);
    takers.forEach((ioctl, nth) => {
      const text = section(ioctl);
      t.true(text.includes(`\`struct ${struct}\``), ioctl);
      for (const {name, out} of fields) {
        // Where two ioctls take one struct, its table stands with the first.
        if (nth === 0) t.regex(text, new RegExp(`^\\| \`${name}\` \\| ${out ? 'out' : 'in'} \\|`, 'm'), `${ioctl}: ${name}`);
        else t.true(text.includes(`\`${name}\``), `${ioctl}: ${name}`);
      }
      const bytes = fields.reduce((sum, field) => sum + field.bytes, 0);
      if (nth === 0) t.true(text.includes(`\`sizeof(struct ${struct})\`, ${bytes} bytes`), `${struct}: ${bytes} bytes`);
    });
  }
});

test('each section has the errnos of its ioctl, and the page those of all', t => {
  for (const {ioctls: takers, errnos} of headerStructs().values()) {
    for (const ioctl of takers) for (const errno of errnos) t.true(section(ioctl).includes(`\`${errno}\``), `${ioctl}: ${errno}`);
  }
  t.true(ofAll.length >= 12, ofAll.join());
  for (const errno of ofAll) t.true(section('Errnos').includes(`| \`${errno}\` |`), errno);
});

test('every constant of the header is on the page; a reason with its number and its word', t => {
  for (const name of Object.keys(uapi).filter(one => one.startsWith('FRAMEVEC_'))) t.true(page.includes(name), name);
  uapi.REASONS.forEach((word, number) => {
    const constant = `FRAMEVEC_REASON_${word.toUpperCase().replaceAll('-', '_')}`;
    t.regex(section('Reasons'), new RegExp(`^\\| \`${constant}\` \\| ${number} \\|.*${number === 0 ? '' : `\`${word}\` \\|`}`, 'm'));
  });
});

test('the man page has every ioctl, flag and errno', t => {
  for (const {name} of ioctls) t.true(man.includes(name), name);
  for (const name of Object.keys(uapi).filter(one => /^FRAMEVEC_(PIN|UNPIN|STATE|FEATURE|KIND)_/.test(one))) t.true(man.includes(name), name);
  const errnos = new Set([...ofAll, ...[...headerStructs().values()].flatMap(struct => struct.errnos)]);
  for (const errno of errnos) t.regex(man, new RegExp(`^\\.It Bq Er ${errno}$`, 'm'), errno);
  for (const {fields} of headerStructs().values()) for (const {name} of fields) if (!['size', 'reserved'].includes(name)) t.true(man.includes(name), name);
});
