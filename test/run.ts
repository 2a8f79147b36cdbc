/**
 * `make test`: runs the test files, on the host and then in the VM, says each
 * test as it ends, and closes with a line `N passed, N failed`. With --also, a
 * short selection on further kernels follows.
 */
import {spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {basename, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {Parser, type Result} from 'tap-parser';
import {DEBUG_KERNEL, KCSAN_KERNEL} from '../lib/vm/kernels.js';
import {DEVICES, PEERS, VIDEO} from './devices.js';
import {coverageOf, coverageTable, filesBelow} from './gcov.js';
import {markdownTable, writeResults} from './table.js';
import {CONCURRENT, ONE_KERNEL, SHORT} from './selection.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const ava = 'dist/node_modules/ava/entrypoints/cli.js';
const framevec = 'dist/lib/cli/main.js';

const {values: options, positionals: only} = parseArgs({
  allowPositionals: true,
  options: {
    kernel: {type: 'string', default: '6.1'},
    /** Further kernels, for the short selection. */
    also: {type: 'string', multiple: true, default: []},
    /** Seconds after which none of them is begun any more. */
    within: {type: 'string', default: 'Infinity'},
    memory: {type: 'string', default: '2G'},
    host: {type: 'boolean', default: false},
    guest: {type: 'boolean', default: false},
    summary: {type: 'string'},
    /** A page that the results of a sanitizing kernel are written to. */
    table: {type: 'string'},
    /** Leave out what one kernel answers for all. */
    'of-the-kernel': {type: 'boolean', default: false},
    /** A part of the names of files to leave out. */
    without: {type: 'string', multiple: true, default: []},
    /** NAME=VALUE for the tests' processes, on the host and in the guest. */
    env: {type: 'string', multiple: true, default: []},
    /** A directory that the guest sees as $FRAMEVEC_RUN. */
    out: {type: 'string'},
  },
});

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/**
 * The sanitizing kernel has two more questions at the end. What did the module, which is gone then, leave behind? (An object is suspected
 * only when it is some seconds old.) And which of its lines did the tests come by?
 */
const LAST_QUESTIONS = `"$@"; status=$?; rmmod framevec || exit 1; sleep 6
  for scan in 1 2; do echo scan >/sys/kernel/debug/kmemleak || exit 1; done
  cp "$FRAMEVEC_KMOD"/*.gcno "$FRAMEVEC_RUN"
  find /sys/kernel/debug/gcov -name '*.gcda' | while read file; do cat "$file" >"$FRAMEVEC_RUN/\${file##*/}"; done
  exit $status`;

const began = Date.now();

/** Told at the end: how many accesses KCSAN has watched. */
const WATCHED = `"$@"; status=$?; grep -E '^(setup_watchpoints|data_races|no_capture): ' /sys/kernel/debug/kcsan >&2; exit $status`;

/** What the sanitizing kernel counted: which lines and branches of the module were executed. */
let moduleCoverage = '';

/** What failed is said once more at the end: of a long run often only the end is kept. */
const failures: string[] = [];

function seconds(): string {
  return ((Date.now() - began) / 1000).toFixed(1).padStart(6);
}

function say(where: string, mark: string, text: string): void {
  process.stdout.write(`${seconds()} s  ${where}  ${mark}  ${text}\n`);
}

if (options.kernel === KCSAN_KERNEL && only.length === 0) only.push(...CONCURRENT);
const without = [...options.without, ...(options['of-the-kernel'] && only.length === 0 ? ONE_KERNEL : [])];

/**
 * AVA is given what tsc has made: that it could translate the names itself costs every test file a quarter of its start.
 * A file that is not there it would pass over.
 */
function compiled(files: readonly string[]): string[] {
  const paths = files.map(file => `dist/${file.replace(/\.ts$/, '.js')}`);
  const missing = paths.filter(path => !existsSync(`${root}${path}`));
  if (missing.length > 0) throw new Error(`\`make build\` has not made ${missing.join(', ')}`);
  return paths;
}

/** The test files of a folder, or those of them that were asked for by a part of their name. */
function filesIn(folder: string): string[] {
  return readdirSync(`${root}${folder}`)
    .filter(name => name.endsWith('.test.ts'))
    .map(name => `${folder}/${name}`)
    .filter(file => (only.length === 0 || only.some(part => file.includes(part))) && !without.some(part => file.includes(part)))
    .sort();
}

function fail(where: string, text: string): void {
  failures.push(`${where}  ✘  ${text}`);
  say(where, '✘', text);
}

function explain(result: Result): string {
  const diag = JSON.stringify(result.diag ?? {}, null, 2);
  return diag === '{}' ? '' : `\n${diag.replaceAll('\\n', '\n')}`;
}

/** Runs `node ARGUMENTS`, which prints TAP, and counts. A run that ends badly is a failure too. */
async function count(where: string, args: string[], env: Record<string, string> = {}): Promise<Tally> {
  const tally = {passed: 0, failed: 0, skipped: 0};
  const parser = new Parser();
  parser.on('assert', (result: Result) => {
    if (result.skip || result.todo) {
      tally.skipped += 1;
      say(where, '-', `${result.name} (skipped)`);
    } else if (result.ok) {
      tally.passed += 1;
      say(where, '✔', result.name);
    } else {
      tally.failed += 1;
      fail(where, `${result.name}${explain(result)}`);
    }
  });

  const child = spawn(process.execPath, args, {cwd: root, env: {...process.env, ...env}, stdio: ['ignore', 'pipe', 'inherit']});
  child.stdout.pipe(parser);
  const status = await new Promise<number | null>(resolve => child.once('close', resolve));

  const ran = tally.passed + tally.failed;
  if (ran === 0 || (status !== 0 && tally.failed === 0)) {
    tally.failed += 1;
    fail(where, ran === 0 ? 'no test ran' : `every test passed, but the run ended with status ${status}`);
  }
  return tally;
}

async function guest(kernel: string, files: readonly string[]): Promise<Tally> {
  const debug = kernel === DEBUG_KERNEL;
  const kcsan = kernel === KCSAN_KERNEL;
  const last = debug ? LAST_QUESTIONS : kcsan ? WATCHED : undefined;
  const counts = debug ? mkdtempSync(join(tmpdir(), 'framevec-module-')) : undefined;
  const out = options.out ?? counts;
  const tally = await count(kernel, [
    framevec, 'vm', '--kernel', kernel, '--memory', options.memory, '--module', 'test/native/kmod',
    // Tests take three times as long on a sanitizing kernel.
    '--timeout', last === undefined ? '3600' : '14400', ...DEVICES, ...(kcsan ? [] : VIDEO), ...(last === undefined ? PEERS : []),
    ...options.env.flatMap(line => ['--env', line]), ...(out === undefined ? [] : ['--out', out]),
    '--', ...(last === undefined ? [] : ['sh', '-c', last, 'sh']),
    // One file after the other: each ends by looking whether the whole system's pin counters balance.
    process.execPath, ava, '--tap', '--concurrency=1', ...(last === undefined ? [] : ['--timeout=50m']), ...compiled(files),
  ]);
  if (debug && out !== undefined) {
    const module = coverageOf(filesBelow(out, '.gcno'), filesBelow(out, '.gcda'), file => (/\.part\/[^/]+\.[ch]$/.test(file) ? `kmod/${basename(file)}` : undefined));
    moduleCoverage = coverageTable(module, {branches: true});
    process.stdout.write(`\nThe module\n\n${moduleCoverage}\n\n`);
  }
  if (counts !== undefined) rmSync(counts, {recursive: true});
  return tally;
}

const tallies: Tally[] = [];
const hostFiles = [...filesIn('test'), ...filesIn('test/browser')];
const guestFiles = filesIn('test/guest');

if (!options.guest && hostFiles.length > 0) {
  tallies.push(await count('host', [ava, '--tap', ...compiled(hostFiles)], Object.fromEntries(options.env.map(line => line.split(/=(.*)/s, 2)) as [string, string][])));
}
if (!options.host && guestFiles.length > 0) tallies.push(await guest(options.kernel, guestFiles));
for (const kernel of options.also) {
  if (Date.now() - began < Number(options.within) * 1000) {
    tallies.push(await guest(kernel, SHORT.map(name => `test/guest/${name}.test.ts`)));
  } else {
    say(kernel, '-', `the selection (skipped: ${options.within} s were over)`);
    tallies.push({passed: 0, failed: 0, skipped: 1});
  }
}

const sum = (key: keyof Tally): number => tallies.reduce((total, tally) => total + tally[key], 0);
const skipped = sum('skipped');
if (failures.length > 0) process.stdout.write(`\nFailed:\n\n${failures.join('\n')}\n`);
process.stdout.write(`\n${sum('passed')} passed, ${sum('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
if (options.table !== undefined) {
  const counts = markdownTable([
    ['kernel', 'passed', 'failed', 'skipped', 'seconds'],
    [options.kernel, ...[sum('passed'), sum('failed'), skipped, Math.round((Date.now() - began) / 1000)].map(String)],
  ]);
  writeResults(options.table, `make test-debug${options.kernel === KCSAN_KERNEL ? ' SANITIZER=kcsan' : ''}`, `${counts}\n\n${moduleCoverage}`);
}
if (options.summary !== undefined) {
  writeFileSync(options.summary, JSON.stringify({passed: sum('passed'), failed: sum('failed'), skipped, seconds: (Date.now() - began) / 1000}));
}
process.exitCode = tallies.length > 0 && sum('failed') === 0 ? 0 : 1;
