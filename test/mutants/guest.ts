/**
 * The guest's side of `make test-mutants`: loads one module after the other, and runs its tests. The guest is given up after a trial
 * that may have left something behind: then the host boots another one for the rest.
 */
import {execFileSync, spawn, spawnSync} from 'node:child_process';
import {appendFileSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {Parser, type Result} from 'tap-parser';
import {headline, scanLog} from '../../lib/vm/log-scan.js';
import {framesPinned} from '../guest/oracles.js';
import {JOB_FILE, REBOOT, TOLD_FILE, type Told, type Trial, type Verdict} from './job.js';

const AVA = 'dist/node_modules/ava/entrypoints/cli.js';

/** How long a process that was killed may take to end: it may be in the kernel. */
const END_MS = 20_000;

/** How long AVA waits for a next test to end. */
const IDLE = '5m';

const out = process.env.FRAMEVEC_RUN ?? '';

function tell(line: Told): void {
  appendFileSync(join(out, TOLD_FILE), `${JSON.stringify(line)}\n`);
}

interface Counts {
  passed: number;
  failed: string[];
  troubles: string[];
}

async function runAva({modules, failFast, limit}: Trial, {files, matches}: Trial['runs'][number], counts: Counts): Promise<void> {
  const parser = new Parser();
  parser.on('assert', (result: Result) => {
    if (result.skip || result.todo) return;
    if (result.ok) counts.passed += 1;
    else counts.failed.push(result.name);
  });
  const child = spawn(process.execPath, [
    AVA, '--tap', '--concurrency=1', `--timeout=${IDLE}`, ...(failFast ? ['--fail-fast'] : []), ...matches.map(match => `--match=${match}`),
    ...files.map(file => `dist/test/guest/${file}.test.js`),
  ], {env: {...process.env, FRAMEVEC_KMOD: modules}, stdio: ['ignore', 'pipe', 'inherit'], detached: true});
  child.stdout.pipe(parser);
  const closed = new Promise<'ended'>(resolve => child.once('close', status => {
    if (status !== 0 && counts.failed.length === 0) counts.troubles.push(`the run ended with status ${status ?? 'of a signal'}`);
    resolve('ended');
  }));
  const limits = new AbortController();
  const first = await Promise.race([closed, sleep(limit * 1000, undefined, {signal: limits.signal}).catch(() => undefined)]);
  if (first === undefined) {
    counts.troubles.push(`no end after ${limit} s`);
    // With all that the tests have started.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    await Promise.race([closed, sleep(END_MS, undefined, {ref: false})]);
  }
  limits.abort();
}

/** A test may have left a driver of its own, or have unloaded the module. */
function unload(): string | undefined {
  for (const name of ['framevec_odd', 'framevec_sample', 'framevec']) {
    const loaded = new RegExp(`^${name} `, 'm').test(readFileSync('/proc/modules', 'utf8'));
    if (!loaded) continue;
    const {status, stderr} = spawnSync('rmmod', [name], {encoding: 'utf8', timeout: END_MS});
    if (status !== 0) return `rmmod ${name}: ${stderr.trim() || 'no end'}`;
  }
  return undefined;
}

async function tryOut(trial: Trial): Promise<Verdict> {
  const began = Date.now();
  const counts: Counts = {passed: 0, failed: [], troubles: []};
  execFileSync('dmesg', ['-C']);
  const {status, stderr} = spawnSync('insmod', [join(trial.modules, 'framevec.ko')], {encoding: 'utf8'});
  if (status !== 0) counts.troubles.push(`insmod: ${stderr.trim()}`);
  else for (const run of trial.runs) await runAva(trial, run, counts);

  const held = unload();
  if (held !== undefined) counts.troubles.push(held);
  const complaint = headline(scanLog(execFileSync('dmesg', {encoding: 'utf8'})));
  if (complaint !== undefined) counts.troubles.push(complaint.text);
  const pinned = framesPinned();
  if (pinned !== 0) counts.troubles.push(`${pinned} frames are still pinned`);
  return {name: trial.name, ...counts, seconds: (Date.now() - began) / 1000};
}

const trials = JSON.parse(readFileSync(join(out, JOB_FILE), 'utf8')) as Trial[];
unload();
for (const trial of trials) {
  tell({begun: trial.name});
  const verdict = await tryOut(trial);
  tell({ended: verdict});
  if (verdict.troubles.length > 0 && trial !== trials.at(-1)) process.exit(REBOOT);
}
process.exit(0);
