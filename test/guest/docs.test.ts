/** Every block of code of the README and of docs/, run, and its output held against the one that stands below it. */
import {spawnSync, type SpawnSyncReturns} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import ts from 'typescript';
import {PACKAGE_ROOT} from '../../lib/package.js';
import {inGuest} from '../docs/commands.js';
import {blocksIn, programOf, type Block} from '../docs/pages.js';
import {endsBalanced, framesPinned, until} from './oracles.js';
import {vivid} from './vivid.js';

endsBalanced(test);

/** Within the package, so that `framevec` is found by its name. */
const directory = mkdtempSync(join(PACKAGE_ROOT, 'build/docs-'));
test.after.always(() => {
  rmSync(directory, {recursive: true, force: true});
});

const BUS = '/sys/bus/pci/devices';

/** Where this machine has what the documentation has elsewhere: the PCI device of the examples, and vivid's first camera. */
function here(text: string): string {
  const read = (name: string, file: string): string => readFileSync(`${BUS}/${name}/${file}`, 'utf8').trim();
  const ivshmem = readdirSync(BUS).sort().find(name => `${read(name, 'vendor')}:${read(name, 'device')}` === '0x1af4:0x1110');
  if (ivshmem === undefined) throw new Error('the VM has no ivshmem-plain');
  writeFileSync(`${BUS}/${ivshmem}/enable`, '1');
  return text.replaceAll('0000:00:04.0', ivshmem).replaceAll('/dev/video0', vivid('single', 'capture'));
}

/** Words and order; numbers only where the page does not say that they vary. */
function substance(text: string, {numbersVary}: Block): string {
  const words = text.replaceAll(/\s+/g, ' ').trim();
  return numbersVary ? words.replaceAll(/0x[0-9a-f]+|\d[\d,.]*/g, '#') : words;
}

function run(block: Block): SpawnSyncReturns<string> {
  const options = {cwd: PACKAGE_ROOT, encoding: 'utf8', timeout: 240_000, env: {...process.env, PATH: `${PACKAGE_ROOT}node_modules/.bin:${process.env.PATH ?? ''}`}} as const;
  if (block.language === 'sh') return spawnSync('bash', ['-euo', 'pipefail', '-c', here(inGuest(block.text))], options);
  const name = join(directory, block.place.replaceAll(/[/:]/g, '-'));
  if (block.language === 'c') {
    writeFileSync(`${name}.c`, block.text);
    const compiled = spawnSync('gcc', ['-std=gnu17', '-Wall', '-Wextra', '-Werror', '-I', 'kmod', '-o', name, `${name}.c`], options);
    return compiled.status === 0 ? spawnSync(name, options) : compiled;
  }
  const {outputText} = ts.transpileModule(here(programOf(block, 'dist/test/docs/setup')), {
    compilerOptions: {target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext},
  });
  writeFileSync(`${name}.mjs`, outputText);
  return spawnSync(process.execPath, [`${name}.mjs`], options);
}

test('the camera that the blocks mean is there', t => {
  t.true(existsSync(vivid('single', 'capture')));
});

for (const block of blocksIn('ts', 'js', 'sh', 'c').filter(({norun}) => norun === undefined)) {
  test.serial(`${block.place} runs${block.output === undefined ? '' : ', and prints what stands below it'}`, async t => {
    t.timeout(300_000);
    const before = framesPinned();
    const {status, stdout, stderr} = run(block);
    t.is(status, 0, `${stdout}${stderr}`);
    if (block.output !== undefined) t.is(substance(stdout, block.output), substance(here(block.output.text), block.output));
    await until('the frames are back', () => framesPinned() === before);
  });
}
