/**
 * `make test-matrix`: the guest's tests of the module and the library on every kernel of the table, one row each. A row that fails does not keep the next from
 * running; the exit status is that of the worst.
 */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {KERNELS} from '../lib/vm/kernels.js';
import {type Summary, markdownTable, writeResults} from './table.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const framevec = 'dist/lib/cli/main.js';

const {values: options, positionals: only} = parseArgs({
  allowPositionals: true,
  options: {
    /** Some kernels only, with commas between. */
    kernels: {type: 'string', default: KERNELS.map(({name}) => name).join(',')},
    /** A page that the table is written to, too. */
    table: {type: 'string'},
  },
});

interface Row extends Summary {
  kernel: string;
  release: string;
  build: string;
  load: string;
  ok: boolean;
}

const directory = mkdtempSync(join(tmpdir(), 'framevec-matrix-'));

function step(args: string[], capture = false): {ok: boolean; seconds: number; stdout: string} {
  const began = performance.now();
  const {status, stdout} = spawnSync(process.execPath, args, {cwd: root, encoding: 'utf8', stdio: ['ignore', capture ? 'pipe' : 'inherit', 'inherit']});
  return {ok: status === 0, seconds: (performance.now() - began) / 1000, stdout: capture ? stdout.trim() : ''};
}

/** A step's time, or that it failed. */
const told = ({ok, seconds}: {ok: boolean; seconds: number}): string => (ok ? `${seconds.toFixed(1)} s` : 'failed');

function row(kernel: string): Row {
  const none = {kernel, release: '-', build: '-', load: '-', passed: 0, failed: 0, skipped: 0, seconds: 0, ok: false};
  const build = step([framevec, 'vm', '--kernel', kernel, '--prepare', '--install']);
  if (!build.ok) return {...none, build: told(build)};
  // The module is loaded before the command runs, and boot and end are part of the time.
  const load = step([framevec, 'vm', '--quiet', '--kernel', kernel, '--', 'uname', '-r'], true);
  if (!load.ok) return {...none, build: told(build), load: told(load)};
  const summary = join(directory, `${kernel}.json`);
  const tests = step(['dist/test/run.js', '--guest', '--kernel', kernel, '--of-the-kernel', '--summary', summary, ...only]);
  const count = JSON.parse(readFileSync(summary, 'utf8')) as Summary;
  return {kernel, release: load.stdout, build: told(build), load: told(load), ...count, ok: tests.ok};
}

function table(rows: readonly Row[]): string {
  return markdownTable([
    ['kernel', 'release', 'build', 'boot and load', 'passed', 'failed', 'skipped', 'seconds'],
    ...rows.map(({kernel, release, build, load, passed, failed, skipped, seconds}) =>
      [kernel, release, build, load, String(passed), String(failed), String(skipped), seconds.toFixed(0)]),
  ]);
}

const rows: Row[] = [];
for (const kernel of options.kernels.split(',').filter(Boolean)) {
  process.stdout.write(`\n${kernel}\n`);
  try {
    rows.push(row(kernel));
  } catch (error) {
    process.stderr.write(`${kernel}: ${error instanceof Error ? error.message : String(error)}\n`);
    rows.push({kernel, release: '-', build: '-', load: '-', passed: 0, failed: 1, skipped: 0, seconds: 0, ok: false});
  }
}
rmSync(directory, {recursive: true, force: true});
process.stdout.write(`\n${table(rows)}\n`);
if (options.table !== undefined) writeResults(options.table, 'make test-matrix', table(rows));
process.exitCode = rows.every(({ok}) => ok) ? 0 : 1;
