/** The kernel's own view of a vector. */
import {addon, FIELD_CAPACITY, FIELD_FRAMES, FIELD_KIND, FIELD_LENGTH, FIELD_OFFSET, FIELD_STATE} from './addon.js';
import {FRAMEVEC_STATE_GOT_REF, FRAMEVEC_STATE_STALE, FRAMEVEC_STATE_WRITE, KINDS, type Kind} from './uapi.js';

/** What {@link FrameVector.stat} tells: the kernel's own view of the vector. */
export interface Stat {
  readonly kind: Kind;
  /** Frames it can hold. */
  readonly capacity: number;
  /** Frames it holds. */
  readonly frames: number;
  /** Bytes from the start of the first frame to the first byte. */
  readonly offset: number;
  /** Bytes it holds. */
  readonly byteLength: number;
  /** Pinned for write. */
  readonly write: boolean;
  /** unpin() has references to give back: not so of frame numbers. */
  readonly gotRef: boolean;
  /** A snapshot whose mapping has changed since: see {@link FrameVector.stale}. */
  readonly stale: boolean;
}

const {exchange} = addon;

/** Asks the kernel; the addon's negative answer if there is no vector to be had. */
export function readStat(handle: number): Stat | number {
  const answer = addon.stat(handle);
  if (answer < 0) return answer;
  const state = exchange[FIELD_STATE];
  return {
    kind: KINDS[exchange[FIELD_KIND]] ?? 'none',
    capacity: exchange[FIELD_CAPACITY],
    frames: exchange[FIELD_FRAMES],
    offset: exchange[FIELD_OFFSET],
    byteLength: exchange[FIELD_LENGTH],
    write: (state & FRAMEVEC_STATE_WRITE) !== 0,
    gotRef: (state & FRAMEVEC_STATE_GOT_REF) !== 0,
    stale: (state & FRAMEVEC_STATE_STALE) !== 0,
  };
}

/** Whether it is a snapshot whose mapping has changed. */
export function isStale(handle: number): boolean {
  return addon.stat(handle) === 0 && (exchange[FIELD_STATE] & FRAMEVEC_STATE_STALE) !== 0;
}
