/** The addon: finds it, and says what it offers. Its numbers are those of native/exchange.h. */
import bindings from 'bindings';
import {addonMissing} from './errors.js';
import {PACKAGE_ROOT} from './package.js';

/** Indices into {@link Addon.exchange}; a test compares them with native/exchange.h. */
export const FIELD_HANDLE = 0;
export const FIELD_FLAGS = 1;
export const FIELD_REGION = 2;
export const FIELD_ABI = 3;
export const FIELD_PAGE_SIZE = 4;
export const FIELD_MAX_FRAMES = 5;
export const FIELD_FEATURES = 6;
export const FIELD_KIND = 7;
export const FIELD_STATE = 8;
export const FIELD_CAPACITY = 9;
export const FIELD_FRAMES = 10;
export const FIELD_OFFSET = 11;
export const FIELD_LENGTH = 12;
export const FIELD_REASON = 13;
export const FIELD_GUP_NS = 14;
export const FIELD_CALL_NS = 15;
export const FIELD_ADDRESS = 16;
export const FIELD_FRAMES_ASKED = 17;
export const FIELD_FAIL_ADDRESS = 18;
export const FIELD_MEMLOCK_NEED = 19;
export const FIELD_MEMLOCK_USED = 20;
export const FIELD_MEMLOCK_LIMIT = 21;
export const FIELD_HUGE_ADVICE = 22;
export const FIELD_APERTURE_SIZE = 23;
export const FIELD_FRAME = 24;
export const FIELD_VALUE_LOW = 25;
export const FIELD_VALUE_HIGH = 26;
export const FIELD_MEMLOCK_SCOPE = 27;

/** A Float64Array in truth; this type knows that each of the fields is there. */
export type Exchange = Record<Field, number>;
type Field =
  | typeof FIELD_HANDLE
  | typeof FIELD_FLAGS
  | typeof FIELD_REGION
  | typeof FIELD_ABI
  | typeof FIELD_PAGE_SIZE
  | typeof FIELD_MAX_FRAMES
  | typeof FIELD_FEATURES
  | typeof FIELD_KIND
  | typeof FIELD_STATE
  | typeof FIELD_CAPACITY
  | typeof FIELD_FRAMES
  | typeof FIELD_OFFSET
  | typeof FIELD_LENGTH
  | typeof FIELD_REASON
  | typeof FIELD_GUP_NS
  | typeof FIELD_CALL_NS
  | typeof FIELD_ADDRESS
  | typeof FIELD_FRAMES_ASKED
  | typeof FIELD_FAIL_ADDRESS
  | typeof FIELD_MEMLOCK_NEED
  | typeof FIELD_MEMLOCK_USED
  | typeof FIELD_MEMLOCK_LIMIT
  | typeof FIELD_HUGE_ADVICE
  | typeof FIELD_APERTURE_SIZE
  | typeof FIELD_FRAME
  | typeof FIELD_VALUE_LOW
  | typeof FIELD_VALUE_HIGH
  | typeof FIELD_MEMLOCK_SCOPE;

/** Answers of the addon that are its own; those from -1 to -4095 are the kernel's -errno. */
export const REFUSED_BAD_ARGUMENT = -4999;
export const REFUSED_CLOSED = -4998;
export const REFUSED_EMPTY = -4997;
export const REFUSED_UNALIGNED = -4996;
export const REFUSED_CAPACITY_EXCEEDED = -4995;
export const REFUSED_FOREIGN = -4994;
export const REFUSED_NO_EXTERNAL = -4993;
export const REFUSED_NO_ARRAYBUFFER = -4992;
export const REFUSED_NOT_THE_DEVICE = -4991;
export const REFUSED_READ_ONLY = -4990;
export const REFUSED_LOST = -4989;

/** A flag of pin() that stays in the addon: the range may share pages with others. */
export const PIN_UNALIGNED = 0x4000_0000;

/** An answer of `regionOf`: not of a region, and at the start of a page. */
export const REGION_NONE_ALIGNED = -2;

/** `HugePages` of native/region.h. */
export const HUGE_LEAVE = 0;
export const HUGE_NEVER = 1;
export const HUGE_ADVISE = 2;
export const HUGE_2M = 3;
export const HUGE_1G = 4;

/** `MapMode` of native/region.h. */
export const MAP_READ = 0;
export const MAP_READ_WRITE = 1;
export const MAP_COPY = 2;

/**
 * The functions of framevec.node. All but `allocate` and `map` answer with a number: zero or more is success,
 * less is -errno or one of `REFUSED_`. What else there is to tell is in `exchange`.
 */
export interface Addon {
  readonly exchange: Exchange;
  readonly pageSize: number;
  readonly fields: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
  /** Where the file is; set by `bindings`. */
  readonly path?: string;
  readonly openDevice: () => number;
  readonly closeDevice: () => number;
  readonly info: () => number;
  readonly create: (capacity: number) => number;
  /** Takes HANDLE, FLAGS and REGION from `exchange`. */
  readonly pin: (view: ArrayBufferView) => number;
  /** Takes the same; calls back with the answer that `pin` would give. */
  readonly pinAsync: (view: ArrayBufferView, done: (answer: number) => void) => number;
  /** Takes HANDLE and FLAGS from `exchange`. */
  readonly unpin: () => number;
  readonly stat: (handle: number) => number;
  readonly readPfns: (handle: number, into: BigUint64Array, first: number, count: number) => number;
  /** The number of runs written to `counts`, and to `pfns` if there is one; FRAME is where to go on. */
  readonly extents: (handle: number, pfns: BigUint64Array | undefined, counts: Uint32Array, first: number) => number;
  /** If it fails, REASON and FRAME tell why and where; so too `toPfns`. */
  readonly toPages: (handle: number) => number;
  readonly toPfns: (handle: number) => number;
  /** LENGTH is how many bytes were copied; so too `write`. */
  readonly read: (handle: number, into: ArrayBufferView, position: number) => number;
  readonly write: (handle: number, from: ArrayBufferView, position: number) => number;
  /** Calls back once the vector's snapshot is stale, with 0 or -errno of libuv. */
  readonly watch: (handle: number, stale: (status: number) => void) => number;
  /** `REFUSED_LOST` if other code had closed the descriptor: the handle is gone all the same. */
  readonly close: (handle: number) => number;
  readonly descriptor: (handle: number) => number;
  /** Leaves the handle of the new region in REGION; so too `map`. */
  readonly allocate: (bytes: number, hugePages: number, memfd: number) => ArrayBuffer | number;
  readonly map: (fd: number, offset: number, length: number, mode: number) => ArrayBuffer | number;
  /** The value is in VALUE_LOW and VALUE_HIGH; so too for `writeRegister`. */
  readonly readRegister: (region: number, offset: number, width: number) => number;
  readonly writeRegister: (region: number, offset: number, width: number) => number;
  /** `unseen`: no ArrayBuffer shows it any more. */
  readonly closeRegion: (region: number, unseen: 0 | 1) => number;
  readonly disownRegion: (region: number) => number;
  /** The region that a view lies in, -1, or {@link REGION_NONE_ALIGNED}. */
  readonly regionOf: (view: ArrayBufferView) => number;
  readonly detach: (buffer: ArrayBuffer) => number;
}

/** The folder of `make prebuild` that is for a machine like this; with another C library than glibc it does not load. */
const PREBUILT = `${process.platform}-${process.arch}-glibc`;

/**
 * Loads framevec.node of the package at `root`: the one that was built there, else the prebuilt one.
 *
 * @throws FrameVectorError `ERR_FRAMEVEC_ADDON`: there is none, or it can't be loaded.
 */
export function loadAddon(root: string): Addon {
  const options = {
    bindings: 'framevec',
    module_root: root,
    prebuilt: PREBUILT,
    try: [
      ['module_root', 'build', 'Release', 'bindings'],
      ['module_root', 'build', 'Debug', 'bindings'],
      ['module_root', 'dist', 'prebuilds', 'prebuilt', 'bindings'],
    ],
  };
  try {
    return bindings(options) as Addon;
  } catch (error) {
    throw addonMissing(root, error);
  }
}

export const addon = loadAddon(PACKAGE_ROOT);
