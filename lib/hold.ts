/** What outlives a FrameVector: what is rooted while frames are held, and the warning about a vector that was lost. */
import {addon} from './addon.js';
import type {PinTarget} from './containers.js';
import {warnOfLeak} from './errors.js';

/**
 * The part of a vector that outlives its FrameVector: what is rooted while frames are held, so that
 * the memory stays and the FrameVector's collection can still be noticed.
 */
export interface Hold {
  handle: number;
  frames: number;
  target: PinTarget | undefined;
  stack: string | undefined;
}

/** In place of the handle once it is closed. */
export const CLOSED = -1;
/** In place of the handle until a pinAsync() settles, so that no call pays to be kept off meanwhile. */
export const BUSY = -2;
const SLOT_MASK = 0xf_ffff;

/** Pinned vectors by slot: a Set would cost 40 ns a pin. */
const pinned: (Hold | undefined)[] = [];

const collected = new FinalizationRegistry<Hold>(hold => {
  if (hold.handle === CLOSED) return;
  if (hold.frames > 0) {
    // Never unpinned here: a device may still write to the frames.
    warnOfLeak(hold.frames, hold.stack);
    return;
  }
  addon.close(hold.handle);
  hold.handle = CLOSED;
});

// A stack a vector is dear, so only who looks for a leak pays.
const traced =
  /(^|,)(framevec|\*)(,|$)/i.test(process.env.NODE_DEBUG ?? '') ||
  process.execArgv.includes('--trace-warnings') ||
  (process.env.NODE_OPTIONS ?? '').includes('--trace-warnings');

/** Of a vector that has just been made. */
export function newHold(owner: object, handle: number): Hold {
  const hold: Hold = {handle, frames: 0, target: undefined, stack: traced ? creationStack() : undefined};
  collected.register(owner, hold, hold);
  return hold;
}

/** Roots what is pinned. */
export function root(hold: Hold, frames: number, target: PinTarget): void {
  hold.frames = frames;
  hold.target = target;
  pinned[hold.handle & SLOT_MASK] = hold;
}

/** It holds nothing any more. */
export function unroot(hold: Hold): void {
  pinned[hold.handle & SLOT_MASK] = undefined;
  hold.target = undefined;
  hold.frames = 0;
}

/** Marks it as closed; the handle is the caller's to close. */
export function endHold(hold: Hold): void {
  hold.handle = CLOSED;
  collected.unregister(hold);
}

function creationStack(): string {
  const created: {stack?: string} = {};
  Error.captureStackTrace(created, newHold);
  return (created.stack ?? '').replace(/^[^\n]*\n/, '');
}
