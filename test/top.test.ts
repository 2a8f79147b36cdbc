import {spawnSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {parseFdinfo} from '../lib/fdinfo.js';
import {memlockBytes, pinnedBytes, printable, summed, type ProcessView, type View} from '../lib/top/survey.js';
import {age, brief, table} from '../lib/top/table.js';

// That the numbers are the kernel's is tested in the VM (test/guest/top.test.ts).

const COMMON = 'pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1056\n';
const HELD = `${COMMON}framevec-id:\t7\nframevec-owner:\t133\nframevec-capacity:\t64\nframevec-kind:\tpages\nframevec-frames:\t16\n\
framevec-offset:\t8\nframevec-length:\t65000\nframevec-write:\t1\nframevec-got-ref:\t1\nframevec-stale:\t0\nframevec-age-ms:\t1204\n`;

test('the fdinfo of a vector that holds frames is read', t => {
  t.deepEqual(parseFdinfo(HELD), {
    id: 7, owner: 133, capacity: 64,
    holding: {kind: 'pages', frames: 16, offset: 8, bytes: 65_000, write: true, gotRef: true, stale: false, ageMs: 1204},
  });
});

test('the fdinfo of an empty vector tells no age', t => {
  const text = HELD.replace('pages', 'none').replace(/framevec-age.*\n/, '');
  t.is(parseFdinfo(text)?.holding?.kind, 'none');
  t.is(parseFdinfo(text)?.holding?.ageMs, undefined);
});

test('the fdinfo of a vector at work tells whose it is and no more', t => {
  t.deepEqual(parseFdinfo(`${COMMON}framevec-id:\t7\nframevec-owner:\t0\nframevec-capacity:\t64\nframevec-busy:\t1\n`), {
    id: 7, owner: 0, capacity: 64, holding: undefined,
  });
});

test('the fdinfo of something else is none', t => {
  t.is(parseFdinfo(`${COMMON}eventfd-count:                0\neventfd-id: 7\n`), undefined);
  t.is(parseFdinfo(''), undefined);
});

test('VmPin is read in bytes, and is 0 where there is no memory', t => {
  t.is(pinnedBytes('Name:\tnode\nVmLck:\t       4 kB\nVmPin:\t      64 kB\n'), 65_536);
  t.is(pinnedBytes('Name:\tkthreadd\n'), 0);
});

test('the memlock limit is the soft one, and none where there is none or CAP_IPC_LOCK', t => {
  const limits = (soft: string): string => `Limit  Soft Limit  Hard Limit  Units\nMax locked memory         ${soft}              9999999              bytes     \n`;
  t.is(memlockBytes(limits('8388608'), 'CapEff:\t0000000000000000\n'), 8_388_608);
  t.is(memlockBytes(limits('unlimited'), 'CapEff:\t0000000000000000\n'), null);
  t.is(memlockBytes(limits('8388608'), 'CapEff:\t0000000000004000\n'), null);
  t.is(memlockBytes(limits('8388608'), 'CapEff:\t000001ffffffbfff\n'), 8_388_608);
});

test('a name that would write to the terminal is made harmless', t => {
  t.is(printable('no\x1b[2Jde\n'), 'no?[2Jde?');
});

const vector = {fds: [21], owner: 10, busy: false, capacity: 64, kind: 'pages', frames: 16, offset: 0, bytes: 65_536, write: true, gotRef: true, stale: false, ageMs: 1500} as const;
const found = (pid: number, ...vectors: Parameters<typeof summed>[0][number]['vectors']): Parameters<typeof summed>[0][number] =>
  ({pid, name: `p${pid}`, pinnedBytes: 65_536, memlockBytes: 8_388_608, vectors});
const busy = {id: 1, fds: [4], owner: 10, busy: true, capacity: 64};
const snapshot = {...vector, id: 2, kind: 'pfns', gotRef: false, stale: true, frames: 4, bytes: 16_384} as const;

function view(...processes: Parameters<typeof summed>[0]): View {
  return {version: 1, time: '2026-01-01T00:00:00.000Z', loaded: true, ...summed(processes), unreadable: 0, vanished: 0};
}

test('a vector of two processes is counted once, and marked in both', t => {
  const {processes, totals} = summed([found(10, {...vector, id: 1}, snapshot), found(11, {...vector, id: 1, fds: [3]})]);
  t.deepEqual(totals, {vectors: 2, pages: 16, pfns: 4, bytes: 65_536 + 16_384, stale: 1, busy: 0});
  t.deepEqual(processes.map((process: ProcessView) => process.vectors.map(({shared}) => shared)), [[true, false], [true]]);
});

test('a vector that was busy at one of two looks is counted as it was at the other', t => {
  t.deepEqual(summed([found(10, busy), found(11, {...vector, id: 1})]).totals, summed([found(10, {...vector, id: 1}), found(11, busy)]).totals);
  t.like(summed([found(10, busy)]).totals, {vectors: 1, pages: 0, busy: 1});
});

test('the table has a row for each vector, in the order that is asked for', t => {
  const both = view(found(10, {...vector, id: 1}), found(9, snapshot));
  const lines = table(both, {order: 'frames', colour: false});
  t.deepEqual(lines, [
    'framevec: 2 vectors in 2 processes: 16 frames pinned, 4 noted, 80K in all, 1 stale',
    '',
    'PID  NAME  FD  ID  KIND   FRAMES  BYTES   AGE  PINNED/LIMIT  NOTES',
    ' 10  p10   21   1  pages      16    64K  1.5s        64K/8M  write',
    '  9  p9    21   2  pfns        4    16K  1.5s        64K/8M  stale, write, charged to 10',
  ]);
  t.regex(table(both, {order: 'pid', colour: false})[3] ?? '', /^ {2}9 /);
});

test('what could not be seen is said', t => {
  const lines = table({...view(), loaded: false, unreadable: 3, vanished: 1}, {order: 'pid', colour: false, asRoot: false});
  t.deepEqual(lines.slice(2), ['3 processes not readable: run as root', '1 process ended meanwhile']);
  t.notRegex(table({...view(), unreadable: 3}, {order: 'pid', colour: false, asRoot: true}).join('\n'), /run as root/);
  t.regex(lines[1] ?? '', /^the module is not loaded/);
});

test('the table is cut to the window, and says how much has no place', t => {
  const many = view(found(10, ...Array.from({length: 20}, (_, i) => ({...vector, id: i}))));
  const lines = table(many, {order: 'age', colour: false, columns: 30, rows: 10});
  t.is(lines.length, 10);
  t.true(lines.every(line => line.length <= 30));
  t.is(lines.at(-1), 'and 14 more');
  const cut = lines.filter(line => line.endsWith('…'));
  t.true(cut.length >= 2 && cut.every(line => line.length === 30), 'what is cut ends with an ellipsis');
});

test('colours are there only when asked for', t => {
  t.false(table(view(found(10, snapshot)), {order: 'age', colour: false}).some(line => line.includes('\x1b')));
  const last = table(view(found(10, snapshot)), {order: 'age', colour: true}).at(-1) ?? '';
  t.true(last.startsWith('\x1b[31m') && last.endsWith('\x1b[0m'), last);
});

test('bytes and ages are brief', t => {
  t.deepEqual([0, 1023, 4096, 1.5 * 2 ** 20, 12 * 2 ** 30, 3.9 * 2 ** 40].map(brief), ['0', '1023', '4K', '1.5M', '12G', '3.9T']);
  t.deepEqual([0, 9999, 59_999, 125_000, 3 * 3_600_000 + 7 * 60_000, 12.2 * 86_400_000].map(age), ['0.0s', '9.9s', '59s', '2m05s', '3h07m', '12d04h']);
});

test('framevec top does not need the addon, the module, or a terminal', t => {
  const main = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));
  const top = (...args: string[]): ReturnType<typeof spawnSync> => spawnSync(process.execPath, [main, 'top', ...args], {encoding: 'utf8'});
  const {status, stdout} = top();
  t.is(status, 0);
  t.regex(String(stdout), /^framevec: \d+ vectors? in /);
  // Somebody may have vectors on this machine: what they are is not for this test to say.
  const seen = JSON.parse(String(top('--json').stdout)) as View;
  t.is(seen.version, 1);
  t.true(Array.isArray(seen.processes));
  t.deepEqual(Object.keys(seen.totals).sort(), ['busy', 'bytes', 'pages', 'pfns', 'stale', 'vectors']);
  for (const bad of [['--interval', '0'], ['--interval', 'soon'], ['--sort', 'beauty']]) t.not(top(...bad).status, 0);
});
