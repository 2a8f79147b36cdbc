/** A mapping of device memory that changes at a bad moment: no snapshot tells what is not mapped any more. Most of it is done by test/native/stale.c. */
import {closeSync, openSync} from 'node:fs';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {MAP, PAGE, SYS, close, createVector, errnoName, ioctl, mmap, munmap, raw} from './raw.js';
import {tells} from './native.js';
import {endsBalanced} from './oracles.js';

endsBalanced(test);

const ESTALE = -116;

test.serial('a mapping that is replaced while it is noted: a snapshot that is not stale is of what is mapped now', t => {
  const told = tells('stale', ['current', 2000]);
  t.is(told.wrong, 0, JSON.stringify(told));
  t.true(Number(told.fresh) >= 10, JSON.stringify(told));
});

test.serial('CVE-2021-22543, 6647e76ab623: device memory that becomes memory of the process while it is noted is refused, or pinned as memory', t => {
  const told = tells('stale', ['into-memory', 4000]);
  t.deepEqual([told.wrong, told.charged], [0, 0], JSON.stringify(told));
  t.true(Number(told.fresh) >= 10 && Number(told.of_memory) > 0, JSON.stringify(told));
});

test.serial('a long write() through a snapshot: after munmap() has returned no byte changes', t => {
  const told = tells('stale', ['write', 20]);
  t.deepEqual(told, {in_the_middle: 20, late: 0});
});

for (const [what, name] of [['pfns', 'READ_PFNS'], ['extents', 'EXTENTS']] as const) {
  test.serial(`a mapping that goes while ${name} tells its frames: ESTALE`, t => {
    t.deepEqual(tells('stale', ['copies', what], 90_000), {result: ESTALE});
  });
}

test.serial('fdinfo does not wait for a pin that is under way: it tells that the vector is busy', t => {
  t.deepEqual(tells('stale', ['fdinfo'], 90_000), {at_once: 1, busy: 1, result: 0});
});

test.serial('who waits in poll() is woken when the mapping changes', t => {
  t.deepEqual(tells('stale', ['woken'], 120_000), {changed: 1, woken: 1});
});

test.serial('read() and write() of no bytes of a stale snapshot fail with ESTALE, too', t => {
  const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  const address = mmap(PAGE, {flags: MAP.SHARED, fd: device});
  const vector = createVector(device, 1);
  const byte = new Uint8Array(1);
  t.is(ioctl(vector, 'PIN', {addr: address, length: PAGE, flags: uapi.FRAMEVEC_PIN_WRITE}).result, 0);
  for (const call of [SYS.pread64, SYS.pwrite64]) t.is(raw.syscall(call, vector, byte, 0, 0), 0n);
  munmap(address, PAGE);
  for (const call of [SYS.pread64, SYS.pwrite64]) t.is(errnoName(raw.syscall(call, vector, byte, 0, 0)), 'ESTALE');
  close(vector);
  closeSync(device);
});
