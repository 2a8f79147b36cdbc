/** /dev/framevec itself: opened when it is first needed, and asked what it is. */
import {
  addon,
  FIELD_ABI,
  FIELD_APERTURE_SIZE,
  FIELD_FEATURES,
  FIELD_MAX_FRAMES,
  FIELD_PAGE_SIZE,
  REFUSED_NOT_THE_DEVICE,
} from './addon.js';
import {abiMismatch, deviceUnavailable, infoFailed} from './errors.js';
import {FRAMEVEC_ABI, FRAMEVEC_FEATURE_COPIES, FRAMEVEC_FEATURE_FORCE, FRAMEVEC_FEATURE_LEAVES, FRAMEVEC_FEATURE_PFNS, FRAMEVEC_FEATURE_UNSHARES} from './uapi.js';

/** What {@link info} tells of the loaded module. */
export interface ModuleInfo {
  /** Always the one that this package speaks: another is an error. */
  readonly abi: number;
  /** Bytes in a frame. */
  readonly pageSize: number;
  /** The largest capacity of a vector, frames. */
  readonly maxFrames: number;
  /** Bytes of /dev/framevec that can be mapped as device memory; 0: none. */
  readonly apertureSize: number;
  readonly features: {
    /** The module was loaded with allow_force=1. */
    readonly force: boolean;
    /** This process may read frame numbers. */
    readonly pfns: boolean;
    /** Noting device memory that is mapped by huge entries costs one step an entry, not one a frame. */
    readonly leaves: boolean;
    /** A pin for read of private file memory pins a copy of the process's own, so a later write is visible through the pin. Since Linux 6.2. */
    readonly unshares: boolean;
    /** Where the page cache has a huge page, the module makes that copy by a write fault: this kernel's own fault would never end. */
    readonly copies: boolean;
  };
}

const {exchange} = addon;
let opened = false;

/**
 * Opens the device, if this environment has not yet, and asks the module what it is.
 *
 * @throws FrameVectorError `ENODEV` - the module is not loaded; `EACCES` - this user may not;
 *   `ERR_FRAMEVEC_ABI` - the module is of another version
 */
export function info(): ModuleInfo {
  openDevice();
  const answer = addon.info();
  if (answer < 0) throw infoFailed(answer);
  const features = exchange[FIELD_FEATURES];
  return {
    abi: exchange[FIELD_ABI],
    pageSize: exchange[FIELD_PAGE_SIZE],
    maxFrames: exchange[FIELD_MAX_FRAMES],
    apertureSize: exchange[FIELD_APERTURE_SIZE],
    features: {
      force: (features & FRAMEVEC_FEATURE_FORCE) !== 0,
      pfns: (features & FRAMEVEC_FEATURE_PFNS) !== 0,
      leaves: (features & FRAMEVEC_FEATURE_LEAVES) !== 0,
      unshares: (features & FRAMEVEC_FEATURE_UNSHARES) !== 0,
      copies: (features & FRAMEVEC_FEATURE_COPIES) !== 0,
    },
  };
}

/**
 * Opens the device once an environment.
 *
 * @throws FrameVectorError as {@link info}
 */
export function openDevice(): void {
  if (opened) return;
  const answer = addon.openDevice();
  if (answer < 0) throw deviceUnavailable(answer);
  const told = addon.info();
  if (told === 0 && exchange[FIELD_ABI] === FRAMEVEC_ABI) {
    opened = true;
    return;
  }
  addon.closeDevice();
  if (told === 0) throw abiMismatch(exchange[FIELD_ABI]);
  throw told === REFUSED_NOT_THE_DEVICE ? abiMismatch(undefined) : infoFailed(told);
}
