/** `framevec bench` in a real kernel: everything asked for is measured or said to be absent. No time is asserted. */
import {spawnSync} from 'node:child_process';
import {existsSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {bench} from '../../lib/bench/index.js';
import {parseResult} from '../../lib/bench/compare.js';
import {peers} from '../../lib/bench/peers.js';
import {rowId, type BenchResult, type Phase} from '../../lib/bench/result.js';
import {FrameVector} from '../../lib/index.js';
import {endsBalanced, statusFrames} from './oracles.js';

endsBalanced(test);

const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const JSON_FILE = '/dev/shm/framevec-bench.json';
const ROUNDS = 5;
const SHORT = ['--duration', '25', '--warmup', '5', '--rounds', String(ROUNDS)];

function framevec(...args: string[]): {status: number | null; stdout: string; stderr: string} {
  return spawnSync(process.execPath, [main, 'bench', ...SHORT, ...args], {encoding: 'utf8', maxBuffer: 2 ** 26});
}

/** A run with --json FILE, and what it printed. */
function run(...args: string[]): {result: BenchResult; stdout: string} {
  const {status, stdout, stderr} = framevec('--json', JSON_FILE, ...args);
  if (status !== 0) throw new Error(`status ${status}: ${stdout}${stderr}`);
  const result = parseResult(readFileSync(JSON_FILE, 'utf8'), JSON_FILE);
  rmSync(JSON_FILE);
  return {result, stdout};
}

function isWhole({count, min, p50, p90, p99, p999, max, rounds, cdf}: Phase): boolean {
  const rising = [0, min, p50, p90, p99, p999].every((ns, i, all) => i === 0 || ns >= (all[i - 1] ?? 0) * 0.999) && max >= min;
  return count >= ROUNDS && rounds.length === ROUNDS && rounds.every(ns => ns > 0) && rising && cdf.at(-1)?.[1] === 1;
}

test.serial('every case of every backing is measured, or absent with a reason', t => {
  const sizes = [600];
  const {result, stdout} = run('--sizes', sizes.join(), '--threads', '1,2', '--filter', '^framevec/');
  const {rows, absent, settings, environment} = result;
  t.deepEqual(settings.backings, ['4k', 'thp', 'hugetlb', 'memfd', 'file', 'device']);
  t.true(environment.onlyRatiosCount === (environment.accelerator === 'tcg'));
  for (const backing of settings.backings) {
    for (const pages of sizes) {
      for (const access of settings.access) {
        for (const state of settings.states) {
          for (const threads of settings.threads) {
            const id = rowId('framevec', {backing, pages, access, state, threads});
            const row = rows.find(one => one.id === id);
            const gap = absent.find(one => one.backing === backing && (one.pages ?? pages) === pages);
            t.true(row !== undefined || (gap?.reason ?? '') !== '', id);
          }
        }
      }
    }
  }
  // Nothing here is impossible but what this kernel does not have.
  for (const {backing, reason} of absent) t.true(backing === 'thp' && reason.includes('transparent huge pages'), `${backing ?? ''}: ${reason}`);
  for (const row of rows) {
    t.true(isWhole(row.phases.pin) && isWhole(row.phases.unpin) && isWhole(row.phases.pair), row.id);
    t.is(row.phases.touch !== undefined, row.state === 'cold', row.id);
    t.is(row.split !== undefined, row.threads === 1, row.id);
    if (row.split !== undefined) t.true(row.split.pin.gup >= 0 && row.split.pin.module >= 0 && row.split.pin.count >= ROUNDS, row.id);
    if (row.split !== undefined && row.backing !== 'device') t.true(row.split.pin.gup > 0, row.id);
    t.true(stdout.includes(row.what));
  }
  t.regex(stdout, /^Where the time goes/m);
  if (environment.onlyRatiosCount) t.regex(stdout, /ONLY RATIOS WITHIN THIS RUN COUNT/);
});

test.serial('each peer has its rows, or a line that says why not; ratios are of rows that are there', t => {
  const {result: {rows, absent, ratios, fits}, stdout} = run('--sizes', '1,16,256', '--backing', '4k', '--access', 'write', '--threads', '1', '--state', 'resident');
  for (const {name, kind} of peers) {
    if (kind === 'floor' || name === 'framevec-timed') continue;
    const what = name === 'framevec' ? 'c-loop' : name;
    const gaps = absent.filter(one => one.what === what);
    t.true(rows.some(row => row.what === what) || gaps.length > 0, what);
    for (const {reason} of gaps) {
      t.true(reason.length > 10);
      t.true(stdout.includes(reason), reason);
    }
  }
  for (const what of ['c-loop', 'mlock', 'io_uring']) t.is(rows.filter(row => row.what === what).length, 3, what);
  const ids = new Set(rows.map(({id}) => id));
  t.true(ratios.length >= 9);
  for (const {over, under, rounds, low, value, high, p25, p75} of ratios) {
    t.true(ids.has(over) && ids.has(under) && rounds.length === ROUNDS);
    t.true(low <= value && value <= high && p25 <= value && value <= p75);
  }
  t.true(fits.some(({what, phase, points}) => what === 'framevec' && phase === 'pair' && points.length === 3));
});

test.serial('what can\'t be is said, and the rest is measured all the same', t => {
  const {result: {rows, absent}} = run('--sizes', '1,65536', '--backing', 'device', '--access', 'read', '--state', 'resident', '--threads', '1', '--filter', '^framevec/');
  t.deepEqual(rows.map(({pages}) => pages), [1]);
  t.is(absent.length, 1);
  t.like(absent[0], {backing: 'device', pages: 65_536});
  t.regex(absent[0]?.reason ?? '', /aperture_size=268435456/);
});

test.serial('the reserve of huge pages, the temporary file and the trace are left as they were', t => {
  t.is(readFileSync('/proc/sys/vm/nr_hugepages', 'utf8').trim(), '0');
  t.deepEqual(readdirSync('/tmp').filter(name => name.startsWith('framevec-bench-')), []);
  for (const tracing of ['/sys/kernel/tracing/instances', '/sys/kernel/debug/tracing/instances']) {
    if (existsSync(tracing)) t.deepEqual(readdirSync(tracing).filter(name => name.startsWith('framevec-bench')), []);
  }
});

test.serial('every figure is measured or says why not; nothing is allocated by a reused pin', t => {
  const {result: {figures, rows, environment}} = run('--figures', '--no-grid', '--figure-sizes', '1,256,1024,4096', '--heap-calls', '50000');
  t.deepEqual(rows, []);
  t.deepEqual(figures.map(({id}) => id), ['1a', '1b', '2', '3a', '3b', '4a', '4b', '5a', '5b']);
  for (const {id, measured, reached, reason} of figures) {
    if (measured === undefined) t.true((reason ?? '') !== '', id);
    else t.is(typeof reached, 'boolean', id);
  }
  // These two are no times, so they have to be so whatever else the machine does.
  for (const id of ['4a', '4b']) {
    const figure = figures.find(one => one.id === id);
    t.true(figure?.reached, JSON.stringify(figure));
  }
  for (const id of ['1a', '1b', '2', '3b']) t.not(figures.find(one => one.id === id)?.measured, undefined, id);
  t.regex(figures.find(({id}) => id === '5b')?.reason ?? '', /262144/);
  if (environment.onlyRatiosCount) t.regex(figures.find(({id}) => id === '3a')?.reason ?? '', /emulated/);
});

test.serial('--json without a file prints the result and nothing else', t => {
  const {status, stdout} = framevec('--sizes', '1', '--backing', '4k', '--access', 'read', '--state', 'resident', '--threads', '1', '--filter', '^framevec/', '--json');
  t.is(status, 0);
  t.is(parseResult(stdout, 'stdout').rows.length, 1);
});

test.serial('measure() and race() time a driver\'s own calls', t => {
  using memory = FrameVector.alloc(16 * 4096, {hugepages: false});
  memory.bytes.fill(1);
  using vector = FrameVector.create(16);
  const options = {durationMs: 50, warmupMs: 5, rounds: 5};
  const pin = bench.measure('pin', () => vector.pin(memory, {write: true}), {...options, after: () => vector.unpin()});
  t.true(pin.count >= 5 && pin.p50 > 0);
  t.is(vector.frames, 0);
  t.is(statusFrames('VmPin'), 0);
  const {ratios} = bench.race([
    {name: 'stat', call: () => vector.stat()},
    {name: 'pair', call: () => {
      vector.pin(memory);
      vector.unpin();
    }},
  ], options);
  t.is(ratios[0]?.rounds.length, 5);
});
