/**
 * Calls that nobody would make, at random, from several threads of several processes on shared vectors: test/native/fuzz.c.
 * FRAMEVEC_FUZZ says how many; FRAMEVEC_FUZZ_SEED repeats a run, as far as threads allow.
 */
import {spawnSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {ivshmemMemory} from './ivshmem.js';
import {endsBalanced, framesPinned, until} from './oracles.js';

endsBalanced(test);

const PROGRAM = fileURLToPath(new URL('../../../test/native/build/fuzz', import.meta.url));
const wanted = Number(process.env.FRAMEVEC_FUZZ ?? 30_000);
const seed = process.env.FRAMEVEC_FUZZ_SEED;

interface Outcome {
  calls: number;
  ioctls: number;
  succeeded: number;
  pages: number;
  pfns: number;
  errnos: Record<string, number>;
  /** Calls of the process that checks every answer; and by what was in the way of its pins how many it tried, and how many failed. */
  checked: number;
  tries: [number, number][];
}

test(`${wanted} ioctls and more calls at random, from nine threads of three processes: nobody dies, nothing stays pinned, the log is clean`, async t => {
  t.timeout(45 * 60_000);
  const before = framesPinned();
  const {status, signal, stdout, stderr} = spawnSync(PROGRAM, [ivshmemMemory(), String(wanted), ...(seed === undefined ? [] : [seed])], {encoding: 'utf8'});
  const [first = '', last = ''] = stdout.trim().split('\n');
  t.log(first);
  t.is(status, 0, `${first}: ${signal ?? ''} ${stderr}`);
  const outcome = JSON.parse(last) as Outcome;
  t.log(last);
  t.true(outcome.ioctls >= wanted, `the time was up after ${outcome.ioctls} ioctls`);
  // A fuzzer whose calls all fail at the door finds nothing.
  t.true(outcome.pages > wanted / 200 && outcome.pfns > wanted / 1000 && outcome.succeeded > wanted / 10, last);
  for (const errno of ['EFAULT', 'EINVAL', 'EBUSY', 'ENODATA', 'ESTALE', 'EPERM', 'ENOTTY', 'E2BIG', 'EBADF', 'ENOSPC']) {
    t.true((outcome.errnos[errno] ?? 0) > 0, `${errno}: ${last}`);
  }
  t.true(outcome.checked >= Math.min(wanted / 3, 10_000), last);
  // Pins with nothing in their way, with an answer that is lost, a signal, and a limit: each kind has failed. (A signal need not matter.)
  for (const [i, [tries, failed]] of outcome.tries.entries()) t.true(tries > 0 && (failed > 0 || i === 2), last);
  await until('every frame is back', () => framesPinned() === before);
});
