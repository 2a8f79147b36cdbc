/** `framevec pin`, as it is called: what it prints, and how it ends. */
import {spawnSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {PinReport} from '../../lib/pin_report.js';
import {HAS_THP} from './backings.js';
import {PAGE} from './raw.js';
import {endsBalanced, since} from './oracles.js';

endsBalanced(test);

const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const MEBIBYTE = 2 ** 20;

function framevec(...args: string[]): {status: number | null; stdout: string; stderr: string} {
  return spawnSync(process.execPath, [main, 'pin', ...args], {encoding: 'utf8'});
}

function report(...args: string[]): PinReport {
  const {status, stdout, stderr} = framevec('--json', ...args);
  if (status !== 0 || stdout.split('\n').length !== 2) throw new Error(`status ${status}: ${stdout}${stderr}`);
  return JSON.parse(stdout) as PinReport;
}

test.serial('by default a mebibyte is pinned, and every number is told', t => {
  const told = report();
  t.like(told, {backing: 'anon', kind: 'pages', frames: MEBIBYTE / PAGE, offset: 0, bytes: MEBIBYTE, write: false});
  t.is(told.first.length, Math.min(told.extents, 8));
  for (const {pfn} of told.first) t.regex(pfn ?? '', /^0x[0-9a-f]+$/);
  t.true(told.pin.gupNs > 0 && told.pin.gupNs <= told.pin.callNs);
  t.true(told.unpin.gupNs > 0 && told.unpin.gupNs <= told.unpin.callNs);
  t.false('stopped' in told);
});

test.serial('memory that was never written is the shared zero page until Linux 6.2, and the report says so', t => {
  const all = /\n +All 16 entries are the kernel's shared zero page: the memory was never written\.\n/;
  const {stdout} = framevec('--size', '64K');
  if (since([6, 2])) t.notRegex(stdout, all);
  else t.regex(stdout, all);
  t.is(report('--size', '64K').zeroPage, since([6, 2]) ? undefined : true);
  t.is(report('--size', '64K', '--write').zeroPage, undefined);
});

test.serial('each backing is what it says', t => {
  writeFileSync('/proc/sys/vm/nr_hugepages', '4');
  writeFileSync('/dev/shm/some-file', new Uint8Array(5 * PAGE + 1));
  t.like(report('--backing', 'thp', '--size', '2M', '--write'), {kind: 'pages', frames: 512, write: true, ...(HAS_THP ? {extents: 1} : {})});
  t.like(report('--backing', 'hugetlb', '--size', '2M'), {kind: 'pages', frames: 512, extents: 1});
  t.like(report('--backing', 'memfd', '--size', '64K', '--write'), {kind: 'pages', frames: 16});
  t.like(report('--backing', 'file:/dev/shm/some-file'), {kind: 'pages', frames: 6, bytes: 5 * PAGE + 1});
  t.like(report('--backing', 'device:/dev/framevec', '--size', '1M'), {kind: 'pfns', frames: 256});
});

test.serial('an offset may be within a page, of a device too', t => {
  t.like(report('--offset', '5000', '--size', '4K'), {frames: 2, offset: 5000 - PAGE, bytes: PAGE});
  t.like(report('--backing', 'device:/dev/framevec', '--offset', '8200', '--size', '10'), {frames: 1, offset: 8, bytes: 10});
});

test.serial('for a reader it says the same in lines, and that a snapshot is not a pin', t => {
  const {status, stdout} = framevec('--backing', 'device:/dev/framevec', '--size', '64K', '--write');
  t.is(status, 0);
  t.regex(stdout, /^backing {3}device:\/dev\/framevec, 64 KiB, for writing\nkind {6}pfns: .* a snapshot and not a pin\nframes {4}16\n/);
  t.regex(stdout, /\npin {7}\d+\.\d µs in the kernel, \d+\.\d µs of them/);
});

test.serial('what the kernel refuses is said on stderr, and the status is 1', t => {
  const missing = framevec('--backing', 'file:/no/such/file');
  t.is(missing.status, 1);
  t.is(missing.stdout, '');
  t.is(missing.stderr, 'framevec: map: /no/such/file: there is no such file (ENOENT)\n');
  const beyond = framevec('--backing', 'device:/dev/framevec', '--offset', '1G', '--json');
  t.is(beyond.status, 2);
  t.regex(beyond.stderr, /^error: The value of --offset is out of range/);
  const large = framevec('--size', '600000G');
  t.is(large.status, 2);
  t.is(large.stdout, '');
  t.regex(large.stderr, /^error: The value of --size is out of range\. It must be an integer >= 1 && <= \d+\. /);
});

test.serial('wrong arguments are a wrong use, and say what is right', t => {
  for (const args of [['--size', 'much'], ['--backing', 'paper'], ['--backing', 'file:'], ['--nonsense']]) {
    const {status, stderr, stdout} = framevec(...args);
    t.not(status, 0);
    t.is(stdout, '');
    t.regex(stderr, /^error: /);
  }
});

test.serial('without CAP_SYS_ADMIN the frames are counted, and their numbers left out', t => {
  const {status, stdout, stderr} = spawnSync('setpriv', ['--bounding-set=-sys_admin', '--inh-caps=-sys_admin', process.execPath, main, 'pin', '--json', '--size', '64K'], {encoding: 'utf8'});
  t.is(status, 0, stderr);
  const told = JSON.parse(stdout) as PinReport;
  t.is(told.frames, 16);
  t.is(told.first.length, Math.min(told.extents, 8));
  const shown = told.first.reduce((sum, {frames}) => sum + frames, 0);
  if (told.extents <= 8) t.is(shown, 16);
  else t.true(shown >= 8 && shown < 16, `${shown} frames in the first 8 of ${told.extents} runs`);
  t.false(told.first.some(run => 'pfn' in run));
});
