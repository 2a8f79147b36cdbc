/**
 * Random sequences of steps, against a model of what each of them comes to (test/guest/model/world.ts). A sequence that fails is
 * made as short as it can be, and the message says how to run it again: FRAMEVEC_MODEL_SEED, _PATH and _REPLAY. FRAMEVEC_MODEL_RUNS
 * says how many sequences; FRAMEVEC_MODEL_SHRINK=0 leaves out that it is made shorter.
 */
import {setImmediate} from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import {agree, tally} from './model/agreement.js';
import {begin, commands} from './model/commands.js';
import {System} from './model/system.js';
import {World} from './model/world.js';
import {endsBalanced} from './oracles.js';

endsBalanced(test);

const {FRAMEVEC_MODEL_SEED: seed, FRAMEVEC_MODEL_PATH: path, FRAMEVEC_MODEL_REPLAY: replayPath, FRAMEVEC_MODEL_RUNS: runs, FRAMEVEC_MODEL_SHRINK: shrink} = process.env;
/** Enough for any run, and a bound for making a failure shorter. */
const LIMIT_MS = 20 * 60_000;
const numRuns = Number(runs ?? 25);

test(`${numRuns} sequences of steps at random: the vectors, pagemap, the contents, VmPin and the pin counters are what the model says`, async t => {
  t.timeout(30 * 60_000);
  const began = Date.now();
  let found: string | undefined;
  const report = await fc.check(fc.asyncProperty(
    // Without bias, which is towards few steps.
    fc.noBias(fc.commands(commands, {maxCommands: 120, size: 'max', ...(replayPath === undefined ? {} : {replayPath})})),
    async steps => {
      // The steps themselves never wait: AVA must hear in between that we are alive.
      await setImmediate();
      const world = new World();
      const system = new System();
      try {
        begin(world, system);
        fc.modelRun(() => ({model: world, real: system}), steps);
        agree(world, system);
        system.end();
      } catch (error) {
        found ??= `${tally.get('steps') ?? 0} steps and ${((Date.now() - began) / 1000).toFixed(1)} s`;
        system.abandon();
        throw error;
      }
    },
  ), {numRuns, endOnFailure: shrink === '0', interruptAfterTimeLimit: LIMIT_MS, ...(seed === undefined ? {} : {seed: Number(seed)}), ...(path === undefined ? {} : {path})});

  const came = [...tally].sort().map(([what, n]) => `${what} ${n}`).join(', ');
  t.log(`seed ${report.seed}: ${came}`);
  if (report.failed) {
    const replay = /replayPath="([^"]*)"/.exec(fc.stringify(report.counterexample?.[0]))?.[1] ?? '';
    t.fail(`FRAMEVEC_MODEL_SEED=${report.seed} FRAMEVEC_MODEL_PATH=${report.counterexamplePath ?? ''} FRAMEVEC_MODEL_REPLAY=${replay}\n`
      + `after ${report.numRuns} sequences, ${found ?? ''}; made shorter ${report.numShrinks} times:\n${fc.stringify(report.counterexample?.[0])}\n`
      + String(report.errorInstance instanceof Error ? report.errorInstance.stack : report.errorInstance));
  }
  t.false(report.failed);
  t.false(report.interrupted, `the time was up after ${report.numRuns} sequences`);
  if (path === undefined) {
    for (const what of ['pin', 'snapshot', 'PIN in part', 'PIN EFAULT', 'PIN EBUSY', 'PIN EINVAL']) t.true((tally.get(what) ?? 0) * 4 > numRuns, `${what}: ${came}`);
    const stale = [...tally].reduce((sum, [what, n]) => sum + (what.startsWith('stale by') ? n : 0), 0);
    t.true(stale * 8 > numRuns, came);
  }
});
