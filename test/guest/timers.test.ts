/** Signals that have a handler end no call, however many there are; a fatal one ends it at once. */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {ivshmemMemory} from './ivshmem.js';
import {tells} from './native.js';
import {endsBalanced, framesPinned, until} from './oracles.js';

endsBalanced(test);

/** What a call does, and of how many MiB: as much as takes many periods of the timers. */
const CALLS = {pin: 256, snapshot: 16, read: 64, write: 64} as const;
const LIMIT_MS = 120_000;

for (const [what, mib] of Object.entries(CALLS)) {
  for (const period of [10_000, 4_000, 1_000]) {
    for (const mode of ['restart', 'plain'] as const) {
      test.serial(`${what} of ${mib} MiB under a timer of ${period / 1000} ms, ${mode === 'restart' ? 'with' : 'without'} SA_RESTART, does all of it`, t => {
        const told = tells('timers', [what, period, mib, mode], LIMIT_MS);
        t.deepEqual([told.result, told.right], [told.frames, 1], JSON.stringify(told));
      });
    }
  }
}

test.serial('the first snapshot of a process, for which the kernel takes locks that it gives up for any signal', t => {
  for (let round = 0; round < 30; round++) {
    const told = tells('timers', ['snapshot', 400 + 17 * round, 1, round % 2 === 0 ? 'plain' : 'restart'], LIMIT_MS);
    t.is(told.result, told.frames, JSON.stringify(told));
  }
});

test.serial('a timer that expires after a part of a pin does not end it, and its signal is handled', t => {
  let signals = 0;
  // A busy machine may have been slow at the pin that the period was measured with.
  for (let round = 0; round < 20 && signals === 0; round++) {
    const told = tells('timers', ['pin', 0, 256, 'restart'], LIMIT_MS);
    t.is(told.result, told.frames, JSON.stringify(told));
    // The next signal is sent when the last one has been handled, which is when the call returns.
    signals += Number(told.signals);
  }
  t.true(signals >= 1);
});

for (const [what, mib] of Object.entries(CALLS)) {
  test.serial(`SIGKILL in the middle of ${what}: the process ends, and nothing stays pinned`, async t => {
    const told = tells('timers', ['kill', what, Math.min(mib, 128)], LIMIT_MS);
    t.true(Number(told.worst_us) < 20e6, JSON.stringify(told));
    await until('every frame is back', () => framesPinned() === 0, 20_000);
  });
}

test.serial('SIGKILL in the middle of a long read() of device memory ends it at once', t => {
  const told = tells('timers', ['kill-read', ivshmemMemory('first'), 16], LIMIT_MS);
  t.true(Number(told.least) < Number(told.bytes), JSON.stringify(told));
});

test.serial('under node --cpu-prof, which sends SIGPROF again and again, pins return', t => {
  const profiles = mkdtempSync(join(tmpdir(), 'framevec-profile-'));
  const script = fileURLToPath(new URL('profiled-pin.js', import.meta.url));
  const out = execFileSync(process.execPath, ['--cpu-prof', '--cpu-prof-interval', '1000', '--cpu-prof-dir', profiles, script], {encoding: 'utf8', timeout: 240_000, killSignal: 'SIGKILL'});
  t.deepEqual(JSON.parse(out), [16_384, 16_384, 16_384]);
  rmSync(profiles, {recursive: true});
});
