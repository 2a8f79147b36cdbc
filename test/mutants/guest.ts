/**
 * The guest's side of `make test-mutants`: loads one module after the other, and runs its tests. The guest is given up after a trial
 * that may have left something behind: then the host boots another one for the rest.
 */
import {execFileSync, spawn, spawnSync} from 'node:child_process';
import {appendFileSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {headline, scanLog} from '../../lib/vm/log-scan.js';
import {framesPinned} from '../guest/oracles.js';
import type {Ended} from './ava.js';
import {JOB_FILE, REBOOT, TOLD_FILE, type Told, type Trial, type Verdict} from './job.js';

/** Of the guest's own file system: what is below it is AVA for the test files, and only in this guest. */
const AVA = 'dist/test/guest/node_modules/ava';

/** What a file's tests came to, line by line. */
const ENDED = '/run/framevec-ended';

/** How long a process that was killed, or that the kernel complained of, may take to end. */
const END_MS = 20_000;

/** How often the kernel log is looked at. */
const LOOK_MS = 3000;

const out = process.env.FRAMEVEC_RUN ?? '';

function tell(line: Told): void {
  appendFileSync(join(out, TOLD_FILE), `${JSON.stringify(line)}\n`);
}

interface Counts {
  passed: number;
  failed: string[];
  troubles: string[];
}

const complaint = (): string | undefined => headline(scanLog(execFileSync('dmesg', {encoding: 'utf8'})))?.text;

async function runFile({modules, failFast, limit}: Trial, file: string, matches: readonly string[], counts: Counts): Promise<void> {
  writeFileSync(ENDED, '');
  const child = spawn(process.execPath, [
    'dist/test/mutants/file.js', `dist/test/guest/${file}.test.js`, ENDED, JSON.stringify(matches), ...(failFast ? ['fail-fast'] : []),
  ], {env: {...process.env, FRAMEVEC_KMOD: modules}, stdio: ['ignore', 'ignore', 'inherit'], detached: true});
  const closed = new Promise<'ended'>(resolve => child.once('close', (status, signal) => {
    if (status !== 0) counts.troubles.push(`the process of ${file} ended with ${signal ?? `status ${status ?? ''}`}`);
    resolve('ended');
  }));
  const began = Date.now();
  let first: 'ended' | undefined;
  while (first === undefined && Date.now() - began < limit * 1000 && complaint() === undefined) {
    first = await Promise.race([closed, sleep(LOOK_MS, undefined)]);
  }
  // A thread that has met its end in the kernel may keep the others waiting for ever.
  first ??= await Promise.race([closed, sleep(END_MS, undefined)]);
  if (first === undefined) {
    counts.troubles.push(complaint() ?? `no end after ${limit} s`);
    // With all that the tests have started.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    await Promise.race([closed, sleep(END_MS, undefined, {ref: false})]);
  }
  for (const line of readFileSync(ENDED, 'utf8').split('\n').filter(Boolean)) {
    const {title, error} = JSON.parse(line) as Ended;
    if (error === undefined) counts.passed += 1;
    else counts.failed.push(`${file}: ${title}`);
  }
}

async function runFiles(trial: Trial, counts: Counts): Promise<void> {
  for (const {files, matches} of trial.runs) {
    for (const file of files) {
      await runFile(trial, file, matches, counts);
      if (trial.failFast && counts.failed.length + counts.troubles.length > 0) return;
    }
  }
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
  else await runFiles(trial, counts);

  const held = unload();
  if (held !== undefined) counts.troubles.push(held);
  const complained = complaint();
  if (complained !== undefined) counts.troubles.push(complained);
  const pinned = framesPinned();
  if (pinned !== 0) counts.troubles.push(`${pinned} frames are still pinned`);
  return {name: trial.name, ...counts, seconds: (Date.now() - began) / 1000};
}

mkdirSync(AVA, {recursive: true});
writeFileSync(join(AVA, 'package.json'), '{"type": "module", "exports": "./index.js"}');
writeFileSync(join(AVA, 'index.js'), "export {default} from '../../../mutants/ava.js';\n");

const trials = JSON.parse(readFileSync(join(out, JOB_FILE), 'utf8')) as Trial[];
unload();
for (const trial of trials) {
  tell({begun: trial.name});
  const verdict = await tryOut(trial);
  tell({ended: verdict});
  if (verdict.troubles.length > 0 && trial !== trials.at(-1)) process.exit(REBOOT);
}
process.exit(0);
