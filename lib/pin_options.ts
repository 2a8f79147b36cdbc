/** What pin() and unpin() may be told, and how that goes to the kernel. */
import {PIN_UNALIGNED} from './addon.js';
import {checkOptions, enabled, type OptionNames} from './options.js';
import {
  FRAMEVEC_PIN_FORCE,
  FRAMEVEC_PIN_PARTIAL,
  FRAMEVEC_PIN_TIMING,
  FRAMEVEC_PIN_WRITE,
  FRAMEVEC_UNPIN_TIMING,
} from './uapi.js';

/** Options of {@link FrameVector.pin}. All are off by default. */
export interface PinOptions {
  /**
   * The frames will be written to: each page gets a frame of its own now, and is marked dirty at
   * unpin. A pin for reading may keep an old frame once the process writes, on Linux 5.10 and 6.1.
   */
  write?: boolean | undefined;
  /** Overrides the mapping's protection (FOLL_FORCE). Needs the module parameter allow_force=1. You do not want this. */
  force?: boolean | undefined;
  /** Fewer frames than asked for will do; {@link FrameVector.stopped} tells where and why it stopped. */
  partial?: boolean | undefined;
  /** The range may share its first and last page with other memory, which a device would see. */
  unaligned?: boolean | undefined;
  /** Measure: see {@link FrameVector.timing}. */
  timing?: boolean | undefined;
  /** Refuse an ArrayBuffer of the JavaScript heap that this Node can't keep from being detached. */
  strict?: boolean | undefined;
}

/** An AbortSignal, of whatever realm or library: what is used of one. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
  /** Has the listener called when it is aborted. */
  addEventListener(type: 'abort', listener: () => void, options?: {once?: boolean}): void;
  /** Takes it back. */
  removeEventListener(type: 'abort', listener: () => void): void;
}

/**
 * The AbortSignal of {@link FrameVector.staleSignal}: the global type, where the types of Node or of the
 * DOM are there to declare it.
 */
export type StaleSignal = typeof globalThis extends {AbortSignal: {prototype: infer Signal}} ? Signal : AbortSignalLike;

/** Options of {@link FrameVector.pinAsync}. */
export interface PinAsyncOptions extends PinOptions {
  /**
   * Gives up: a pin that waits for its turn is not made; one that is being made is undone when it is
   * through, for the kernel can't be stopped in it. Then the promise is rejected with the signal's
   * reason.
   */
  signal?: AbortSignalLike | undefined;
}

/** Options of {@link FrameVector.unpin}. */
export interface UnpinOptions {
  /** Measure: see {@link FrameVector.timing}. */
  timing?: boolean | undefined;
}

const PIN_OPTIONS: OptionNames<PinOptions> = {write: true, force: true, partial: true, unaligned: true, timing: true, strict: true};
const PIN_ASYNC_OPTIONS: OptionNames<PinAsyncOptions> = {...PIN_OPTIONS, signal: true};
const UNPIN_OPTIONS: OptionNames<UnpinOptions> = {timing: true};

/** The flags of a pin, of the kernel and of the addon. */
export function pinFlags(options: PinOptions): number {
  checkOptions(options, PIN_OPTIONS);
  return flagsOf(options);
}

/** The same of pinAsync(). */
export function pinAsyncFlags(options: PinAsyncOptions): number {
  checkOptions(options, PIN_ASYNC_OPTIONS);
  return flagsOf(options);
}

function flagsOf(options: PinOptions): number {
  let flags = 0;
  if (enabled(options.write, 'write')) flags |= FRAMEVEC_PIN_WRITE;
  if (enabled(options.force, 'force')) flags |= FRAMEVEC_PIN_FORCE;
  if (enabled(options.partial, 'partial')) flags |= FRAMEVEC_PIN_PARTIAL;
  if (enabled(options.timing, 'timing')) flags |= FRAMEVEC_PIN_TIMING;
  enabled(options.strict, 'strict');
  if (enabled(options.unaligned, 'unaligned')) flags |= PIN_UNALIGNED;
  return flags;
}

/** Whether a value can be used as an AbortSignal: one of another realm is no instance of this realm's class. */
export function isAbortSignal(value: unknown): value is AbortSignalLike {
  const {aborted, addEventListener, removeEventListener} = (value ?? {}) as Partial<AbortSignalLike>;
  return typeof aborted === 'boolean' && typeof addEventListener === 'function' && typeof removeEventListener === 'function';
}

/** The flags of an unpin. */
export function unpinFlags(options: UnpinOptions): number {
  checkOptions(options, UNPIN_OPTIONS);
  return enabled(options.timing, 'timing') ? FRAMEVEC_UNPIN_TIMING : 0;
}
