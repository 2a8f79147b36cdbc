/** The benchmark's arithmetic, on numbers whose answers are known: it needs no module and no clock. */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {decodeFromCompressedBase64} from 'hdr-histogram-js';
import {parseTrace} from '../lib/bench/allocation_trace.js';
import {compareResults, parseResult} from '../lib/bench/compare.js';
import {acceleratorOf} from '../lib/bench/environment.js';
import {bench} from '../lib/bench/index.js';
import {fitsOf, ratiosOf} from '../lib/bench/relations.js';
import {rowId, type BenchResult, type Case, type Phase, type Row} from '../lib/bench/result.js';
import {medianOfFirst, PhaseRecorder} from '../lib/bench/samples.js';
import {discoveries, fitLine, interval, mannWhitney, medianOf, pairedRatio, quantiles, seeded} from '../lib/bench/statistics.js';

const main = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));

/** Numbers about a middle, the same each time. */
function noisy(middle: number, count: number, spread: number, seed: number): number[] {
  const random = seeded(seed);
  return Array.from({length: count}, () => middle * (1 + spread * (random() - 0.5)));
}

function phase(rounds: readonly number[]): Phase {
  const recorder = new PhaseRecorder();
  for (const ns of rounds) recorder.add(Float64Array.of(ns), 1);
  return recorder.phase();
}

function row(what: string, pages: number, rounds: readonly number[], more: Partial<Case> = {}): Row {
  const of: Case = {backing: '4k', pages, access: 'write', state: 'resident', threads: 1, ...more};
  const half = rounds.map(ns => ns / 2);
  return {id: rowId(what, of), what, ...of, calls: {pin: 'pin', unpin: 'unpin'}, phases: {pin: phase(half), unpin: phase(half), pair: phase(rounds)}};
}

function result(rows: readonly Row[]): BenchResult {
  const distribution = {count: 1, min: 1, p50: 1, p90: 1, p99: 1, p999: 1, max: 1};
  return {
    schema: 'framevec-bench', version: 1, startedAt: '2026-01-01T00:00:00.000Z', seconds: 1, command: ['bench'],
    environment: {
      kernel: '6.1.0', kernelVersion: '#1', machine: 'x86_64', cpu: 'a processor', cpus: 2, memoryBytes: 2 ** 30, accelerator: 'bare',
      acceleratorReason: 'none', onlyRatiosCount: false, clocksource: 'tsc', icount: false, pageSize: 4096, node: 'v20', framevec: '0.1.0', clock: distribution,
    },
    settings: {sizes: [1], backings: ['4k'], access: ['write'], states: ['resident'], threads: [1], durationMs: 1, warmupMs: 1, rounds: 10},
    rows, absent: [], ratios: [], fits: [], figures: [],
  };
}

test('quantiles and medians are those of the sorted numbers', t => {
  t.deepEqual(quantiles([5, 1, 4, 2, 3], 0, 0.5, 1), [1, 3, 5]);
  t.is(medianOfFirst(Float64Array.of(9, 1, 5, 0), 3), 5);
  t.is(medianOfFirst(Float64Array.of(4, 2, 0), 2), 3);
});

test('a recorder counts every call, and its curve rises from the fastest to all of them', t => {
  const recorder = new PhaseRecorder();
  recorder.add(Float64Array.from({length: 1000}, (_, i) => 1000 - i), 1000);
  recorder.add(Float64Array.of(500, 500, 50_000), 2);
  const {count, min, p50, max, rounds, cdf, hdr} = recorder.phase();
  t.is(count, 1002);
  t.is(min, 1);
  t.is(max, 1000);
  t.true(Math.abs(p50 - 500) <= 1);
  t.deepEqual(rounds, [500.5, 500]);
  t.is(cdf.at(-1)?.[1], 1);
  t.true(cdf.length < 250);
  for (const [i, [ns, share]] of cdf.entries()) {
    const [before, less] = cdf[i - 1] ?? [0, 0];
    t.true(ns > before && share > less);
  }
  t.is(decodeFromCompressedBase64(hdr).totalCount, 1002);
});

test('an interval of the median holds it, is the same each time, and is narrower the more rounds there are', t => {
  const few = medianOf(noisy(100, 10, 0.2, 1));
  const many = medianOf(noisy(100, 400, 0.2, 1));
  t.deepEqual(few, medianOf(noisy(100, 10, 0.2, 1)));
  t.true(few.low <= few.value && few.value <= few.high && few.low < 100 && few.high > 90);
  t.true(many.high - many.low < few.high - few.low);
  t.deepEqual(interval(7, () => 7), {value: 7, low: 7, high: 7, confidence: 0.95});
});

test('intervals of 95 % hold the truth in about 95 of 100 experiments', t => {
  let held = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const {low, high} = medianOf(noisy(100, 20, 0.2, seed * 7919));
    if (low <= 100 && 100 <= high) held++;
  }
  t.true(held >= 180, `${held} of 200`);
});

test('ratios pair by pair are free of a drift that both share', t => {
  const drift = Array.from({length: 20}, (_, i) => 1 + i);
  const {value, low, high, p25, p75, rounds} = pairedRatio(drift.map(x => 3 * x), drift.map(x => 2 * x));
  for (const ratio of [value, low, high, p25, p75]) t.is(ratio, 1.5);
  t.is(rounds.length, 20);
});

test('a line through exact points is found, and a bent one is told by its distance', t => {
  const exact = fitLine([1, 16, 256, 4096].map(pages => [pages, 500 + 60 * pages]));
  t.true(Math.abs(exact.fixed - 500) < 1e-6 && Math.abs(exact.perPage - 60) < 1e-9 && exact.worst < 1e-9);
  t.true(fitLine([1, 16, 256, 4096].map(pages => [pages, 500 + 60 * pages + (pages === 256 ? 8000 : 0)])).worst > 0.1);
});

test('Mann and Whitney: the published example, ties, and no difference', t => {
  const apart = mannWhitney([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  // z = 49.5 / sqrt(175)
  t.true(Math.abs(apart - 1.83e-4) < 2e-6, String(apart));
  t.is(mannWhitney([1, 1, 1], [1, 1, 1]), 1);
  t.true(mannWhitney([1, 3, 5, 7, 9], [2, 4, 6, 8, 10]) > 0.5);
});

test('of many findings those are believed that Benjamini and Hochberg would', t => {
  t.deepEqual(discoveries([0.6, 0.01, 0.039, 0.005, 0.02], 0.05), [false, true, true, true, true]);
  t.deepEqual(discoveries([0.06, 0.7], 0.05), [false, false]);
  t.deepEqual(discoveries([], 0.05), []);
});

test('rows become ratios, C below JavaScript and above peers, and fits where there are three sizes', t => {
  const rows = [row('framevec', 1, [22, 33]), row('c-loop', 1, [20, 30]), row('mlock', 1, [40, 60]), row('mlock', 2, [40, 60])];
  t.deepEqual(ratiosOf(rows).map(({over, under, value}) => [over, under, value]), [
    ['framevec/4k/1/write/resident/1t', 'c-loop/4k/1/write/resident/1t', 1.1],
    ['c-loop/4k/1/write/resident/1t', 'mlock/4k/1/write/resident/1t', 0.5],
  ]);
  t.deepEqual(fitsOf(rows), []);
  const fits = fitsOf([1, 16, 256].map(pages => row('framevec', pages, new Array<number>(6).fill(1000 + 10 * pages))));
  t.deepEqual(fits.map(({phase: name}) => name), ['pin', 'unpin', 'pair']);
  t.true(Math.abs((fits[2]?.fixed.value ?? 0) - 1000) < 1e-6 && Math.abs((fits[2]?.perPage.value ?? 0) - 10) < 1e-9);
});

test('a comparison tells what is slower and what is faster, and nothing of what only looks so', t => {
  const before = result([row('framevec', 1, noisy(1000, 10, 0.02, 1)), row('framevec', 16, noisy(2000, 10, 0.02, 2)), row('c-loop', 1, noisy(900, 10, 0.02, 3)), row('mlock', 1, [1, 2, 3])]);
  const after = result([row('framevec', 1, noisy(1200, 10, 0.02, 4)), row('framevec', 16, noisy(1500, 10, 0.02, 5)), row('c-loop', 1, noisy(900, 10, 0.02, 6)), row('mlock', 1, [9, 9, 9]), row('mlock', 16, [9])]);
  const {rows, onlyBefore, onlyAfter, warnings} = compareResults(before, after);
  const verdicts = Object.fromEntries(rows.filter(({phase: name}) => name === 'pair').map(({id, verdict}) => [id.split('/').slice(0, 3).join('/'), verdict]));
  t.deepEqual(verdicts, {'framevec/4k/1': 'slower', 'framevec/4k/16': 'faster', 'c-loop/4k/1': 'no difference shown', 'mlock/4k/1': 'too few rounds'});
  for (const {verdict, ratio, p} of rows.filter(({verdict: told}) => told === 'slower')) {
    t.is(verdict, 'slower');
    t.true(ratio.low > 1 && p < 0.05);
  }
  t.deepEqual(onlyBefore, []);
  t.deepEqual(onlyAfter, ['mlock/4k/16/write/resident/1t']);
  t.deepEqual(warnings, []);
});

test('of a hundred rows that do not differ hardly any has a verdict', t => {
  const some = (seed: number): BenchResult => result(Array.from({length: 100}, (_, i) => row('framevec', i + 1, noisy(1000, 10, 0.1, seed + i))));
  const called = compareResults(some(1000), some(5000)).rows.filter(({verdict}) => verdict !== 'no difference shown');
  t.true(called.length <= 6, `${called.length} of 300`);
});

test('what is not a result of this version is refused', t => {
  t.throws(() => parseResult('no', 'x.json'), {instanceOf: RangeError, message: 'x.json is not JSON'});
  t.throws(() => parseResult('null', 'x.json'), {message: /is not a result of/});
  t.throws(() => parseResult(JSON.stringify({...result([]), version: 99}), 'x.json'), {message: /of version 99, and this framevec reads version 1/});
  t.is(parseResult(JSON.stringify(result([])), 'x.json').version, 1);
});

test('--compare prints its verdicts, and ends with 1 where something is slower', t => {
  const folder = mkdtempSync(join(tmpdir(), 'framevec-compare-'));
  try {
    const [a, b] = [join(folder, 'a.json'), join(folder, 'b.json')];
    writeFileSync(a, JSON.stringify(result([row('framevec', 1, noisy(1000, 10, 0.02, 1))])));
    writeFileSync(b, JSON.stringify(result([row('framevec', 1, noisy(1200, 10, 0.02, 2))])));
    const compare = (...args: string[]): ReturnType<typeof spawnSync> & {stdout: string} => spawnSync(process.execPath, [main, 'bench', '--compare', ...args], {encoding: 'utf8'});
    const slower = compare(a, b);
    t.is(slower.status, 1);
    t.regex(slower.stdout, /^slower: framevec\/4k\/1\/write\/resident\/1t pair: .* 1\.\d+x \(/m);
    t.is(compare(b, a).status, 0);
    t.is(compare(a, a).status, 0);
    t.is((JSON.parse(compare('--json', '--', a, b).stdout) as {rows: unknown[]}).rows.length, 3);
    t.is(compare(a).status, 2);
  } finally {
    rmSync(folder, {recursive: true});
  }
});

test('how a machine is run is told by its own files', t => {
  const cpu = (model: string, flags: string): string => `model name\t: ${model}\nflags\t\t: ${flags}\n`;
  const told = (cpuinfo: string, vendor: string | undefined, clocksource: string): string => acceleratorOf({cpuinfo, vendor, clocksource}).accelerator;
  t.is(told(cpu('AMD EPYC', 'fpu svm'), 'Dell', 'tsc'), 'bare');
  t.is(told(cpu('QEMU TCG CPU version 2.5+', 'fpu hypervisor'), undefined, 'tsc'), 'tcg');
  t.is(told(cpu('AMD EPYC', 'fpu hypervisor'), 'QEMU', 'kvm-clock'), 'kvm');
  t.is(told(cpu('AMD EPYC', 'fpu hypervisor'), 'QEMU', 'tsc'), 'kvm');
  t.is(told(cpu('AMD EPYC', 'fpu hypervisor'), 'VMware, Inc.', 'tsc'), 'other hypervisor');
});

test('a trace with stacks is told apart into what framevec allocated and the rest', t => {
  const event = (name: string): string => `            node-812     [001] .....   101.5: ${name}: call_site=__kmalloc+0x1/0x2 ptr=1 bytes_req=8\n`;
  const text = `# tracer: nop\n#\n${event('kmalloc')}            node-812     [001] .....   101.5: <stack trace>\n => __kmalloc\n => framevec_create\n => __x64_sys_ioctl\n`
    + `${event('kmem_cache_alloc')}            node-812     [001] .....   101.6: <stack trace>\n => kmem_cache_alloc\n => do_sys_open\n${event('mm_page_alloc')}`;
  t.deepEqual(parseTrace(text), {framevec: 1, others: 2, where: ['framevec_create 1x'], lost: 0});
  t.deepEqual(parseTrace('# tracer: nop\n'), {framevec: 0, others: 0, where: [], lost: 0});
});

test('measure() times every call, undoes each, and says how sure it is', t => {
  let calls = 0;
  let undone = 0;
  const measured = bench.measure('count', () => calls++, {durationMs: 20, warmupMs: 1, rounds: 5, after: () => undone++});
  t.is(measured.name, 'count');
  t.is(calls, undone);
  t.true(measured.count > 0 && measured.count < calls);
  t.is(measured.rounds.length, 5);
  t.true(measured.median.low <= measured.median.value && measured.median.value <= measured.median.high);
});

test('race() compares each with the first; what a call throws comes through', t => {
  const {measurements, ratios} = bench.race([{name: 'one', call: () => 1}, {name: 'two', call: () => 2}, {name: 'three', call: () => 3}], {durationMs: 15, warmupMs: 1, rounds: 5});
  t.deepEqual(measurements.map(({name}) => name), ['one', 'two', 'three']);
  t.deepEqual(ratios.map(({over, under}) => [over, under]), [['two', 'one'], ['three', 'one']]);
  t.throws(() => bench.measure('bad', () => {
    throw new Error('no');
  }), {message: 'no'});
});

test('a wrong argument of measure() is told by its name', t => {
  t.throws(() => bench.measure('x', 5 as never), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE', message: /"call"/});
  t.throws(() => bench.measure(5 as never, () => 1), {instanceOf: TypeError, message: /"name"/});
  t.throws(() => bench.measure('x', () => 1, {rounds: 4}), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE', message: /"options.rounds"/});
  t.throws(() => bench.measure('x', () => 1, {durationMs: -1}), {instanceOf: RangeError, message: /"options.durationMs"/});
  t.throws(() => bench.measure('x', () => 1, {after: 1 as never}), {instanceOf: TypeError, message: /"after"/});
  t.throws(() => bench.race([]), {instanceOf: RangeError});
  t.throws(() => bench.race('x' as never), {instanceOf: TypeError, message: /"entrants"/});
});
