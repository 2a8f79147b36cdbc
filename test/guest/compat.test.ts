/** A program of 32 bits gets the same answers as one of 64: test/native/compat.c is both. */
import {spawnSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {endsBalanced} from './oracles.js';

endsBalanced(test);

function walk(bits: 32 | 64): string {
  const program = fileURLToPath(new URL(`../../../test/native/build/compat${bits}`, import.meta.url));
  const {status, stdout, stderr} = spawnSync(program, {encoding: 'utf8'});
  if (status !== 0 || stderr !== `${bits} bits\n`) throw new Error(`compat${bits}: status ${status}: ${stderr}`);
  return stdout;
}

test('32-bit and 64-bit callers get the same answers, all through the ABI', t => {
  t.deepEqual(walk(32).split('\n'), walk(64).split('\n'));
});

test('what a 32-bit caller gets is right', t => {
  const told = walk(32);
  t.notRegex(told, /NO$/m);
  t.is(told.match(/ 9 of 9 are pagemap's$/mg)?.length, 2, 'as pages, and as frame numbers');
  for (const line of [
    'PIN: 0\n  kind 1 offset 100 frames 9 reason 0 fail at -1 timed yes',
    'VmPin 36 kB',
    'PIN again: EBUSY',
    '  5 of 5 are a run',
    '  9 frames, next 9',
    'pread: 16 from the process',
    'pread beyond the end: 0',
    'pwrite beyond the end: -1 ENOSPC',
    'UNPIN: 0\n  frames 9 timed yes',
    'VmPin 0 kB',
    'PIN of a hole: EFAULT\n  kind 0 offset 0 frames 0 reason 1 fail at 16384 timed no',
    'PIN up to a hole: 0\n  kind 1 offset 0 frames 4 reason 1 fail at 16384 timed no',
    'PIN beyond 4 GiB: EFAULT\n  kind 0 offset 0 frames 0 reason 1 fail at 0',
    'PIN of more than 4 GiB: EINVAL',
    'PIN with force: EPERM',
    'PIN with an unknown flag: EINVAL',
    'PIN of the aperture: 0\n  kind 2 offset 100 frames 5 reason 0',
    'poll: 1, POLLPRI yes',
    'a size too small: EINVAL',
    'a size too large: E2BIG',
    'a capacity too large: EINVAL',
    'an ioctl that does not exist: ENOTTY',
    'the ioctl of a vector: ENOTTY',
    'no struct: EFAULT',
    'a struct at the end of the address space: EFAULT',
  ]) {
    t.true(told.includes(line), line);
  }
});
