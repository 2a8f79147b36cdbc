/** Runs of frames that follow each other: what a scatter list has as segments. */
import {addon, FIELD_FRAME} from './addon.js';
import type {OptionNames} from './options.js';

/** What {@link FrameVector.extents} tells: entry i of each array is of run i. */
export interface Extents {
  /** The first frame number of each run. */
  readonly pfns: BigUint64Array;
  /** The frames of each run. */
  readonly counts: Uint32Array;
}

/** Options of {@link FrameVector.extents}. */
export interface ExtentsOptions {
  /** `false`: the counts alone, which need no privilege. Default: `true`. */
  pfns?: boolean | undefined;
}

/** The names of {@link ExtentsOptions}. */
export const EXTENTS_OPTIONS: OptionNames<ExtentsOptions> = {pfns: true};

// Most vectors have fewer runs, and the kernel is asked again for more.
const FIRST_ROOM = 128;

/** Asks for runs until the kernel has told all: the number of them, or the answer that was none. */
export function readExtents(handle: number, frames: number, numbers: boolean): Partial<Extents> & {answer: number} {
  let room = Math.min(frames, FIRST_ROOM);
  let counts = new Uint32Array(room);
  let pfns = numbers ? new BigUint64Array(room) : undefined;
  let runs = 0;
  for (let next = 0; next < frames; next = addon.exchange[FIELD_FRAME]) {
    if (runs === room) {
      room = Math.min(room * 4, room + frames - next);
      counts = enlarged(counts, new Uint32Array(room));
      pfns &&= enlarged(pfns, new BigUint64Array(room));
    }
    const answer = addon.extents(handle, pfns?.subarray(runs), counts.subarray(runs), next);
    if (answer < 0) return {answer};
    runs += answer;
  }
  return {answer: runs, counts: counts.slice(0, runs), ...(pfns && {pfns: pfns.slice(0, runs)})};
}

function enlarged<T extends {set(from: T): void}>(from: T, into: T): T {
  into.set(from);
  return into;
}
