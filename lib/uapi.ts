/**
 * What kmod/uapi/framevec.h says, under the same names. A test reads the header and compares every
 * one of them.
 */

/** The device file. */
export const FRAMEVEC_DEVICE = '/dev/framevec';

/** The ABI that this library speaks, and the module must. */
export const FRAMEVEC_ABI = 1;

export const FRAMEVEC_IOC_TYPE = 0xf5;
export const FRAMEVEC_IOC_INFO = 0xf500;
export const FRAMEVEC_IOC_CREATE = 0xf501;
export const FRAMEVEC_IOC_PIN = 0xf510;
export const FRAMEVEC_IOC_UNPIN = 0xf511;
export const FRAMEVEC_IOC_STAT = 0xf512;
export const FRAMEVEC_IOC_READ_PFNS = 0xf513;
export const FRAMEVEC_IOC_EXTENTS = 0xf514;
export const FRAMEVEC_IOC_TO_PAGES = 0xf515;
export const FRAMEVEC_IOC_TO_PFNS = 0xf516;

export const FRAMEVEC_KIND_NONE = 0;
export const FRAMEVEC_KIND_PAGES = 1;
export const FRAMEVEC_KIND_PFNS = 2;

export const FRAMEVEC_REASON_NONE = 0;
export const FRAMEVEC_REASON_NO_MAPPING = 1;
export const FRAMEVEC_REASON_NOT_READABLE = 2;
export const FRAMEVEC_REASON_NOT_WRITABLE = 3;
export const FRAMEVEC_REASON_KIND_CHANGES = 4;
export const FRAMEVEC_REASON_SECRET = 5;
export const FRAMEVEC_REASON_FILE = 6;
export const FRAMEVEC_REASON_DAX = 7;
export const FRAMEVEC_REASON_END_OF_FILE = 8;
export const FRAMEVEC_REASON_MEMLOCK = 9;
export const FRAMEVEC_REASON_INTERRUPTED = 10;
export const FRAMEVEC_REASON_OWNER = 11;
export const FRAMEVEC_REASON_FORCE = 12;
export const FRAMEVEC_REASON_NO_MEMORY = 13;
export const FRAMEVEC_REASON_POISON = 14;
export const FRAMEVEC_REASON_NO_PAGE = 15;
export const FRAMEVEC_REASON_REFUSED = 16;
export const FRAMEVEC_REASON_FILE_FAULT = 17;
export const FRAMEVEC_REASON_DEVICE_FAULT = 18;
export const FRAMEVEC_REASON_TOO_MANY_PINS = 19;
export const FRAMEVEC_REASON_UNKNOWN = 20;

export const FRAMEVEC_MEMLOCK_NONE = 0;
export const FRAMEVEC_MEMLOCK_PROCESS = 1;
export const FRAMEVEC_MEMLOCK_USER = 2;

export const FRAMEVEC_FEATURE_FORCE = 1 << 0;
export const FRAMEVEC_FEATURE_PFNS = 1 << 1;
export const FRAMEVEC_FEATURE_LEAVES = 1 << 2;
export const FRAMEVEC_FEATURE_UNSHARES = 1 << 3;
export const FRAMEVEC_FEATURE_COPIES = 1 << 4;

export const FRAMEVEC_PIN_WRITE = 1 << 0;
export const FRAMEVEC_PIN_FORCE = 1 << 1;
export const FRAMEVEC_PIN_PARTIAL = 1 << 2;
export const FRAMEVEC_PIN_TIMING = 1 << 3;

export const FRAMEVEC_UNPIN_TIMING = 1 << 0;

export const FRAMEVEC_STATE_WRITE = 1 << 0;
export const FRAMEVEC_STATE_GOT_REF = 1 << 1;
export const FRAMEVEC_STATE_STALE = 1 << 2;

/** `enum framevec_kind` by number. */
export const KINDS = ['none', 'pages', 'pfns'] as const;

/**
 * What a vector holds: `'none'`: nothing; `'pages'`: pinned frames; `'pfns'`: the frame numbers of
 * device memory, a snapshot and not a pin.
 */
export type Kind = (typeof KINDS)[number];

/** `enum framevec_reason` by number. */
export const REASONS = [
  'none',
  'no-mapping',
  'not-readable',
  'not-writable',
  'kind-changes',
  'secret',
  'file',
  'dax',
  'end-of-file',
  'memlock',
  'interrupted',
  'owner',
  'force',
  'no-memory',
  'poison',
  'no-page',
  'refused',
  'file-fault',
  'device-fault',
  'too-many-pins',
  'unknown',
] as const;

/** Why a pin stopped before the end of its range: the header's `enum framevec_reason`. */
export type Reason = Exclude<(typeof REASONS)[number], 'none'>;

/** `enum framevec_memlock_scope` by number. */
export const MEMLOCK_SCOPES = ['none', 'process', 'user'] as const;

/**
 * Which count has reached RLIMIT_MEMLOCK: `'process'`: the frames that this process has pinned (VmPin); `'user'`: what all
 * processes of its user have pinned, and the kernel memory of their vectors; `'none'`: the module does not tell.
 */
export type MemlockScope = (typeof MEMLOCK_SCOPES)[number];
