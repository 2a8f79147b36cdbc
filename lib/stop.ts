/** What the last pin left in the exchange of what it was asked, and of where and why it stopped. */
import {
  addon,
  FIELD_ADDRESS,
  FIELD_FAIL_ADDRESS,
  FIELD_FRAMES_ASKED,
  FIELD_LENGTH,
  FIELD_MEMLOCK_LIMIT,
  FIELD_MEMLOCK_NEED,
  FIELD_MEMLOCK_SCOPE,
  FIELD_MEMLOCK_USED,
  FIELD_REASON,
} from './addon.js';
import type {AskedRange, Memlock, Stop} from './errors.js';
import {FRAMEVEC_PIN_WRITE, MEMLOCK_SCOPES, REASONS} from './uapi.js';

const {exchange} = addon;

/** The range, as the addon saw it. */
export function askedRange(flags: number): AskedRange {
  return {
    address: exchange[FIELD_ADDRESS],
    bytes: exchange[FIELD_LENGTH],
    frames: exchange[FIELD_FRAMES_ASKED],
    write: (flags & FRAMEVEC_PIN_WRITE) !== 0,
  };
}

/** The limit that a pin or a new vector has met. */
export function memlockMet(): Memlock {
  return {
    scope: MEMLOCK_SCOPES[exchange[FIELD_MEMLOCK_SCOPE]] ?? 'none',
    need: exchange[FIELD_MEMLOCK_NEED],
    used: exchange[FIELD_MEMLOCK_USED],
    limit: exchange[FIELD_MEMLOCK_LIMIT],
  };
}

/** Where and why it stopped; undefined if it did not. */
export function stopOf(asked: AskedRange): Stop | undefined {
  const reason = REASONS[exchange[FIELD_REASON]];
  if (reason === undefined || reason === 'none') return undefined;
  const address = exchange[FIELD_FAIL_ADDRESS];
  // The first page that fails may begin before the target does.
  const stop = {reason, offset: Math.max(address - asked.address, 0), address, asked};
  return reason === 'memlock' ? {...stop, memlock: memlockMet()} : stop;
}
