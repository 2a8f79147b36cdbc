/** What an unprivileged user can have pinned and allocated, in however many processes; and how often one page can be pinned. */
import {release} from 'node:os';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {tells} from './native.js';
import {endsBalanced, framesPinned, since, until} from './oracles.js';

endsBalanced(test);

const ENOMEM = -12;
const EOVERFLOW = -75;
const LIMIT = 256;

test.afterEach.always('nothing stays pinned', async () => {
  await until('every frame is back', () => framesPinned() === 0, 20_000);
});

test.serial('processes that pass their pins on and end: all together hold what the user may, and the rest is told that it is the user\'s limit', t => {
  const told = tells('limits', ['escape', 20, LIMIT]);
  t.deepEqual(told, {held: 1, by_user: 19, others: 0, meanwhile: ENOMEM, after: LIMIT});
});

test.serial('vectors that hold nothing are charged: large ones', t => {
  const told = tells('limits', ['empty', 131_072, 200, 2048]);
  t.like(told, {result: ENOMEM, scope: uapi.FRAMEVEC_MEMLOCK_USER, after: 2048});
  t.true(Number(told.count) > 0 && Number(told.count) <= 8, JSON.stringify(told));
});

test.serial('vectors that hold nothing are charged: many small ones', t => {
  for (const capacity of [1, 400]) {
    const told = tells('limits', ['empty', capacity, 3000, 2048]);
    t.like(told, {result: ENOMEM, scope: uapi.FRAMEVEC_MEMLOCK_USER, after: 2048});
    t.true(Number(told.count) > 100 && Number(told.count) <= 2048, JSON.stringify(told));
  }
});

for (const how of ['unpin', 'close', 'exec', 'kill', 'passed'] as const) {
  test.serial(`a user's charge lasts as long as the pin, and ends with it: ${how}`, t => {
    t.deepEqual(tells('limits', ['refund', how, LIMIT]), {meanwhile: ENOMEM, after: LIMIT});
  });
}

test.serial('a vector made by one user and pinned by another: each pays for what is his', t => {
  t.deepEqual(tells('limits', ['setuid', LIMIT]), {
    result: 0, frames: LIMIT, creator_all: ENOMEM, creator_half: LIMIT / 2, pinner_one: ENOMEM, creator_after: LIMIT, pinner_after: LIMIT,
  });
});

test.serial('threads at the limit, each of which wants more than half of it: one at a time has it', t => {
  const told = tells('limits', ['threads', LIMIT, 4000]);
  t.deepEqual([told.over, told.others, told.charged, told.after], [0, 0, 0, LIMIT], JSON.stringify(told));
  t.true(Number(told.pinned) > 0 && Number(told.refused) > 0, JSON.stringify(told));
});

test.serial('a pin by CAP_IPC_LOCK is counted in VmPin, and charged to no user', t => {
  t.deepEqual(tells('limits', ['privileged', LIMIT]), {result: 0, frames: 4 * LIMIT, vmpin_kb: 4 * LIMIT * 4, without: LIMIT});
});

// Two million pins of one page take minutes, and on the sanitizing kernel hours: it sees each of the calls elsewhere.
const SANITIZING = release().endsWith('-dbg');

if (!SANITIZING) test.serial('one page can be pinned more than a million times, and is refused with a reason before its count overflows (c8070b787519, 6b3a70773630)', t => {
  const told = tells('limits', ['wear', 32_000, 80], 900_000);
  t.like(told, {result: EOVERFLOW, reason: uapi.FRAMEVEC_REASON_TOO_MANY_PINS});
  t.true(Number(told.pins) > 2 ** 20 && Number(told.pins) < 2 ** 21, JSON.stringify(told));
});

// From 6.2 on such a pin has pages of its own, 9 GiB of them.
if (!since([6, 2]) && !SANITIZING) test.serial('9 GiB of memory that nobody has touched, for read: the page of zeros is pinned so often only where that is not counted', t => {
  const told = tells('limits', ['zero', 9000], 900_000);
  if (since([6, 1])) t.deepEqual(told, {frames: 9000 * 256, result: 0, reason: 0});
  else t.deepEqual(told, {frames: 0, result: EOVERFLOW, reason: uapi.FRAMEVEC_REASON_TOO_MANY_PINS});
});
