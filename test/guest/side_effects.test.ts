/** What others see of a pin: no write where none was asked for, one fault for a page that is missing, and none for a reason. */
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {tells} from './native.js';
import {endsBalanced, since} from './oracles.js';

endsBalanced(test);

const EFAULT = -14;
const EHWPOISON = -133;
const PAGES = 64;

test.serial('a pin for read of private file memory leaves its soft-dirty bits as they are', t => {
  const told = tells('side_effects', ['soft-dirty']);
  t.like(told, {result: 0, before: 0, after: 0});
  t.true(Number(told.written) >= 1, JSON.stringify(told));
});

test.serial('a pin for read of private file memory is no write for userfaultfd', t => {
  const told = tells('side_effects', ['write-protect']);
  if (since([5, 19])) t.deepEqual(told, {able: 1, result: 0, events: 0, after: 1});
  else t.deepEqual(told, {able: 0});
});

for (const access of ['read', 'write'] as const) {
  test.serial(`memory whose missing pages userfaultfd serves is pinned for ${access}: each page is asked for once, and is the one that was served`, t => {
    t.deepEqual(tells('side_effects', ['missing', access], 60_000), {result: 0, frames: PAGES, reason: 0, events: PAGES, most: 1, wrong: 0});
  });
}

const OBSTACLES = {
  'end-of-file': [EFAULT, uapi.FRAMEVEC_REASON_END_OF_FILE],
  hole: [EFAULT, uapi.FRAMEVEC_REASON_NO_MAPPING],
  poison: [EHWPOISON, uapi.FRAMEVEC_REASON_POISON],
} as const;

for (const [what, [result, reason]] of Object.entries(OBSTACLES)) {
  test.serial(`${what}, and behind it pages that nobody serves: the reason is told without waiting`, t => {
    t.deepEqual(tells('side_effects', ['reason', what], 90_000), {result, reason, failed: 4, held: 4});
  });
}
