/** Every word that this library says when something is wrong. */
import {constants} from 'node:buffer';
import {inspect} from 'node:util';
import {errnoInWords, errnoName} from './errno.js';
import {FRAMEVEC_ABI, FRAMEVEC_DEVICE, type MemlockScope, type Reason} from './uapi.js';

/** The range that a pin was asked for. */
export interface AskedRange {
  /** Address of its first byte. */
  readonly address: number;
  /** Bytes. */
  readonly bytes: number;
  /** Frames that the bytes lie in. */
  readonly frames: number;
  /** Whether the frames were to be written. */
  readonly write: boolean;
}

/** RLIMIT_MEMLOCK at the time of the call, in frames. */
export interface Memlock {
  /** Which count has reached the limit. */
  readonly scope: MemlockScope;
  /** Frames that the pin needs; of `FrameVector.create()`, pages of kernel memory that the vector needs. */
  readonly need: number;
  /** Frames, and pages of kernel memory, that were charged before. */
  readonly used: number;
  /** How much may be charged. */
  readonly limit: number;
}

/** A byte at which something stopped, and why. */
export interface Place {
  readonly reason: Reason;
  /** Byte of the target that is the first one not held. */
  readonly offset: number;
  /** The address of that byte. */
  readonly address: number;
  /** With reason `'memlock'`. */
  readonly memlock?: Memlock;
}

/** Where and why a pin stopped before the end of its range. */
export interface Stop extends Place {
  readonly asked: AskedRange;
}

/** What a {@link FrameVectorError} tells beside its message. */
export interface FrameVectorErrorDetails {
  readonly code: string;
  readonly errno?: number;
  readonly syscall?: string;
  readonly path?: string;
  readonly stop?: Stop | undefined;
  readonly memlock?: Memlock | undefined;
  readonly asked?: AskedRange | undefined;
  readonly cause?: unknown;
}

/**
 * The kernel, the device or the machine said no. The message tells what was asked, what stood in
 * the way, and what to do about it. A mistake in the call itself is a TypeError or RangeError with a
 * `code` instead.
 */
export class FrameVectorError extends Error {
  /** The name of the errno (`'ENOMEM'`), or a code of this library (`'ERR_FRAMEVEC_CLOSED'`). */
  readonly code: string;
  /** The negative errno, as in Node's own errors; without one if no syscall failed. */
  declare readonly errno?: number;
  /** The syscall that failed, for an ioctl with its name: `'ioctl(FRAMEVEC_IOC_PIN)'`. */
  declare readonly syscall?: string;
  /** The file that could not be opened. */
  declare readonly path?: string;
  /** Where and why it stopped, where the kernel tells more than the errno: as {@link FrameVector.stopped}. */
  declare readonly stop?: Stop;
  /** `stop.reason`. */
  declare readonly reason?: Reason;
  /** What a failed pin was asked for. */
  declare readonly asked?: AskedRange;
  /** `stop.offset`. */
  declare readonly failOffset?: number;
  /** `stop.address`. */
  declare readonly failAddress?: number;
  /** `stop.memlock`: the limit on pinned memory, with reason `'memlock'`; or the limit that a new vector has met. */
  declare readonly memlock?: Memlock;

  constructor(message: string, details: FrameVectorErrorDetails) {
    super(message, details.cause === undefined ? undefined : {cause: details.cause});
    this.code = details.code;
    if (details.errno !== undefined) this.errno = details.errno;
    if (details.syscall !== undefined) this.syscall = details.syscall;
    if (details.path !== undefined) this.path = details.path;
    const {stop} = details;
    if (stop !== undefined) {
      this.stop = stop;
      this.reason = stop.reason;
      this.failOffset = stop.offset;
      this.failAddress = stop.address;
    }
    const memlock = stop?.memlock ?? details.memlock;
    if (memlock !== undefined) this.memlock = memlock;
    const asked = details.asked;
    if (asked !== undefined) this.asked = asked;
  }
}
Object.defineProperty(FrameVectorError.prototype, 'name', {value: 'FrameVectorError', writable: true, configurable: true});

/** A mistake in a call: a TypeError or RangeError with a stable code. */
export type CodedError = Error & {readonly code: string};

function coded(error: Error, code: string): CodedError {
  return Object.assign(error, {code});
}

function received(value: unknown): string {
  if (value === null || value === undefined) return `Received ${String(value)}`;
  if (typeof value === 'function') return `Received function ${value.name}`;
  if (typeof value === 'object') {
    const name = (value.constructor as {name?: string} | undefined)?.name;
    return name ? `Received an instance of ${name}` : `Received ${inspect(value, {depth: -1})}`;
  }
  return `Received type ${typeof value} (${inspect(value).slice(0, 28)})`;
}

/** In Node's words: `expected` is 'of type number', 'an instance of Foo'. */
export function invalidArgType(name: string, expected: string, value: unknown): CodedError {
  const what = name.includes('.') ? 'property' : 'argument';
  return coded(new TypeError(`The "${name}" ${what} must be ${expected}. ${received(value)}`), 'ERR_INVALID_ARG_TYPE');
}

/** Throws unless it is an object. */
export function requireObject(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw invalidArgType(name, 'of type object', value);
}

/** An option that does not exist. `name` has its path: 'options.wirte'. */
export function unknownOption(name: string, closest: string, known: readonly string[]): CodedError {
  const others = known.length === 1 ? 'the only option' : `the options are ${known.join(', ')}`;
  return coded(new TypeError(`"${name}" is not an option. Did you mean "${closest}"? (${others})`), 'ERR_FRAMEVEC_UNKNOWN_OPTION');
}

/** In Node's words: `range` is 'an integer', '>= 1 && <= 7'. */
export function outOfRange(name: string, range: string, value: unknown): CodedError {
  const shown = typeof value === 'number' ? grouped(value) : inspect(value);
  return coded(
    new RangeError(`The value of "${name}" is out of range. It must be ${range}. Received ${shown}`),
    'ERR_OUT_OF_RANGE',
  );
}

function grouped(value: number): string {
  if (!Number.isInteger(value)) return String(value);
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

function count(frames: number): string {
  return `${grouped(frames)} ${frames === 1 ? 'frame' : 'frames'}`;
}

/** In the largest unit that keeps it whole. */
export function bytesInWords(bytes: number): string {
  if (!Number.isFinite(bytes)) return 'no limit';
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && value % 1024 === 0 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${grouped(value)} ${unit === 0 && value === 1 ? 'byte' : units[unit]}`;
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}

const USE_ALLOC = 'use the memory of FrameVector.alloc()';

interface ContainerRefusal {
  readonly code: string;
  readonly message: string;
}

/** Why a container's memory can't be pinned: what it is, what is wrong with that, the remedy. */
export const CONTAINER_REFUSALS = {
  pooled: {
    code: 'ERR_FRAMEVEC_POOLED',
    message:
      "a slice of Buffer's pool: its page holds unrelated Buffers, which a device would see and overwrite; " +
      `${USE_ALLOC}, or Buffer.alloc(), which has an ArrayBuffer of its own`,
  },
  resizable: {
    code: 'ERR_FRAMEVEC_RESIZABLE',
    message:
      'a resizable ArrayBuffer: shrinking it gives pages back while they are pinned; ' +
      `${USE_ALLOC}, or an ArrayBuffer without maxByteLength`,
  },
  foreign: {
    code: 'ERR_FRAMEVEC_FOREIGN',
    message:
      'an ArrayBuffer over memory of another addon (or of another copy of framevec), or marked as untransferable by other code: framevec can ' +
      `neither keep that memory in place nor tell when it is freed; ${USE_ALLOC} and copy`,
  },
  detached: {
    code: 'ERR_FRAMEVEC_DETACHED',
    message:
      'detached: its memory was transferred, or its WebAssembly.Memory has grown; ' +
      'pin a view of the new ArrayBuffer',
  },
  unprotected: {
    code: 'ERR_FRAMEVEC_UNPROTECTED',
    message:
      `an ArrayBuffer of the JavaScript heap, and {strict: true}: Node ${process.version} cannot keep it from being ` +
      'detached (by transfer() or a BYOB stream), after which its pinned memory would be given to others; ' +
      `${USE_ALLOC} or a SharedArrayBuffer`,
  },
  'other copy': {
    code: 'ERR_FRAMEVEC_OTHER_COPY',
    message:
      'memory of another copy of the package framevec in this process, which this copy can neither pin nor keep from being unmapped: ' +
      'install it once (`npm ls framevec` shows the copies, `npm dedupe` merges them)',
  },
  closed: {
    code: 'ERR_FRAMEVEC_CLOSED',
    message: 'PinnableMemory or DeviceMemory that is closed; allocate or map it anew',
  },
} as const satisfies Record<string, ContainerRefusal>;

/** A container that may not be pinned. */
export function containerRefused(kind: keyof typeof CONTAINER_REFUSALS): CodedError {
  const {code, message} = CONTAINER_REFUSALS[kind];
  return coded(new TypeError(`pin: the target is ${message}`), code);
}

/** The target has no bytes. */
export function emptyTarget(): CodedError {
  return coded(new RangeError('pin: the target has no bytes, so there is no frame to pin'), 'ERR_OUT_OF_RANGE');
}

/** A range that shares its first or last page with others. */
export function unaligned(asked: AskedRange, pageSize: number): CodedError {
  const before = asked.address % pageSize;
  const end = (asked.address + asked.bytes) % pageSize;
  const faults = [];
  if (before !== 0) faults.push(`starts ${bytesInWords(before)} into a page`);
  if (end !== 0) faults.push(`ends ${bytesInWords(pageSize - end)} before the end of one`);
  return coded(
    new RangeError(
      `pin: the target (${bytesInWords(asked.bytes)}) ${faults.join(' and ')}, so a device would see and write what lies ` +
        `beside it: ${USE_ALLOC}, which is page-aligned, or accept that with {unaligned: true}`,
    ),
    'ERR_FRAMEVEC_UNALIGNED',
  );
}

/** More frames than the vector was made for. */
export function capacityExceeded(asked: AskedRange, capacity: number): CodedError {
  return coded(
    new RangeError(
      `pin: ${count(asked.frames)} (${bytesInWords(asked.bytes)}) asked, but the vector's capacity is ${grouped(capacity)}: ` +
        `FrameVector.create(${asked.frames})`,
    ),
    'ERR_OUT_OF_RANGE',
  );
}

/** A vector or memory that is closed. */
export function closed(what: 'FrameVector' | 'DeviceMemory'): FrameVectorError {
  return new FrameVectorError(`the ${what} is closed`, {code: 'ERR_FRAMEVEC_CLOSED'});
}

/** A vector whose pinAsync() has not settled. */
export function vectorBusy(): FrameVectorError {
  return new FrameVectorError('a pinAsync() of this vector has not settled: await it first, or use another vector', {
    code: 'EBUSY',
    errno: -16,
  });
}

/** Where the machine is the matter and not the call: who looks at the rest of it, too. */
const DOCTOR = '. `npx framevec doctor` looks at the whole machine';

/** No framevec.node, or one that does not load. */
export function addonMissing(root: string, cause: unknown): FrameVectorError {
  const tries = (cause as {tries?: unknown} | null)?.tries;
  const here = `${process.platform}-${process.arch}`;
  const why = Array.isArray(tries)
    ? `framevec.node is not built, and the package has none that was built for ${here}. Looked for:\n${tries.map(path => `  ${String(path)}`).join('\n')}\n`
    : `framevec.node does not load: ${cause instanceof Error ? cause.message : String(cause)}\nThe one in the package is for glibc. `;
  return new FrameVectorError(`${why}Build it with python3, make and g++: \`npx node-gyp rebuild -C ${root}\``, {
    code: 'ERR_FRAMEVEC_ADDON',
    cause,
  });
}

/** This code was copied into another file, without the addon, the module's sources and the command that belong beside it. */
export function packageBundled(file: string): FrameVectorError {
  return new FrameVectorError(
    `framevec was bundled into ${file}, and its addon is not beside that. Mark it external, and keep it in node_modules: ` +
      '`esbuild --external:framevec`, `external: ["framevec"]` in Rollup and Vite (`build.rollupOptions`, `ssr.external`), ' +
      '`externals: {framevec: "node-commonjs framevec"}` in webpack',
    {code: 'ERR_FRAMEVEC_BUNDLED'},
  );
}

/** open() of the device failed. ENOENT and ENXIO say ENODEV too: all of them mean no module. */
export function deviceUnavailable(errno: number): FrameVectorError {
  const name = errnoName(errno);
  const details = {syscall: 'open', path: FRAMEVEC_DEVICE};
  if (name === 'ENOENT' || name === 'ENXIO' || name === 'ENODEV') {
    return new FrameVectorError(
      `no ${FRAMEVEC_DEVICE}: the kernel module is not loaded here. Install it with \`sudo npx framevec module install\`, ` +
        `or run the program in a VM that has it: \`npx framevec vm -- COMMAND\`${DOCTOR}`,
      {code: 'ENODEV', errno: -19, ...details},
    );
  }
  if (name === 'EACCES' || name === 'EPERM') {
    return new FrameVectorError(
      `${FRAMEVEC_DEVICE} may not be opened by this user: it belongs to root, or to the group framevec where the udev ` +
        `rule is installed. Join that group (\`usermod -aG framevec USER\`, then log in again), or run as root${DOCTOR}`,
      {code: name, errno, ...details},
    );
  }
  return new FrameVectorError(`${FRAMEVEC_DEVICE} can't be opened: ${errnoInWords(errno)}${DOCTOR}`, {code: name, errno, ...details});
}

/** The module speaks another ABI; `abi` is undefined if the device is not framevec's at all. */
export function abiMismatch(abi: number | undefined): FrameVectorError {
  const found = abi === undefined ? `${FRAMEVEC_DEVICE} is not framevec's device` : `the loaded module speaks ABI ${abi}`;
  return new FrameVectorError(
    `${found}, and this package speaks ABI ${FRAMEVEC_ABI}: install the module of this package ` +
      `(\`sudo npx framevec module install\`), or run in its VM (\`npx framevec vm -- COMMAND\`)${DOCTOR}`,
    {code: 'ERR_FRAMEVEC_ABI', syscall: 'ioctl(FRAMEVEC_IOC_INFO)'},
  );
}

/** INFO failed. */
export function infoFailed(errno: number): FrameVectorError {
  const code = errnoName(errno);
  return new FrameVectorError(`info: ${errnoInWords(errno)}`, {code, errno, syscall: 'ioctl(FRAMEVEC_IOC_INFO)'});
}

const TOO_MANY_FILES = 'too many open files: each vector is one. close() those that are not needed, or raise `ulimit -n`';

/** What RLIMIT_MEMLOCK allows, what counts against it, and how to raise it. */
function memlockInWords({scope, used, limit}: Memlock, pageSize: number): string {
  const kib = (frames: number): string => `${grouped((frames * pageSize) / 1024)} KiB`;
  const counted = scope === 'user' ? 'of the user (pinned memory and vectors of all its processes) are in use' : 'are pinned already';
  return (
    `RLIMIT_MEMLOCK allows ${kib(limit)} and ${kib(used)} ${counted}: raise it with ` +
    `\`ulimit -l\`, in systemd LimitMEMLOCK=, or give the process CAP_IPC_LOCK${DOCTOR}`
  );
}

/** CREATE failed; with `limit` because of that. */
export function createFailed(errno: number, capacity: number, limit?: {memlock: Memlock; pageSize: number}): FrameVectorError {
  const code = errnoName(errno);
  const why = {
    EMFILE: TOO_MANY_FILES,
    ENFILE: TOO_MANY_FILES,
    ENOMEM: 'the kernel has no memory for so large a vector, or the memory cgroup allows none',
  };
  const words = limit === undefined
    ? errnoInWords(errno, why)
    : `its kernel memory (${bytesInWords(limit.memlock.need * limit.pageSize)}) is charged to the user: ${memlockInWords(limit.memlock, limit.pageSize)}`;
  return new FrameVectorError(`create: a vector of ${count(capacity)} asked; ${words}`, {
    code,
    errno,
    syscall: 'ioctl(FRAMEVEC_IOC_CREATE)',
    memlock: limit?.memlock,
  });
}

/** Why a pin stopped, and what helps. */
export function stopInWords(stop: Place, pageSize: number): string {
  const at = `byte ${grouped(stop.offset)} of the target (address ${hex(stop.address)})`;
  switch (stop.reason) {
    case 'no-mapping':
      return `nothing is mapped at ${at}: the memory has been unmapped; that of FrameVector.alloc() stays until close()`;
    case 'not-readable':
      return `${at} is mapped without PROT_READ: map or mprotect() it as readable`;
    case 'not-writable':
      return `${at} is mapped read-only: pin without {write: true}, or map it for writing`;
    case 'kind-changes':
      return `at ${at} ordinary memory ends and device memory begins, or the reverse: pin each with a vector of its own`;
    case 'secret':
      return `${at} is memfd_secret() memory, which no one else may see: copy what the device needs elsewhere`;
    case 'file':
      return (
        `${at} is a shared mapping of a file whose writes its file system tracks, and a device's would escape it: ` +
        'map it with MAP_PRIVATE, keep the file in tmpfs or hugetlbfs, or pin without {write: true}'
      );
    case 'dax':
      return `${at} is a file system's storage itself (DAX), whose blocks may not be held: use a device DAX, or ordinary memory`;
    case 'end-of-file':
      return `${at} is mapped beyond the end of its file: make the file longer, or the range shorter`;
    case 'memlock':
      return memlockInWords(stop.memlock ?? {scope: 'none', need: 0, used: 0, limit: 0}, pageSize);
    case 'interrupted':
      return 'the process was being killed';
    case 'owner':
      return 'another process created the vector, and only that one may pin with it: create one here';
    case 'force':
      return (
        '{force: true} overrides the protection of mappings, which the administrator has to allow: load the module with ' +
        'allow_force=1, or better, pin without it'
      );
    case 'no-memory':
      return `the kernel found no frame for ${at}, or none that may stay where it is: free memory, or pin less`;
    case 'poison':
      return `the memory behind ${at} has failed in hardware (see the kernel's log): use other memory`;
    case 'no-page':
      return `the kernel has no struct page for the frame at ${at}: a device's own memory has none, so use its frame numbers`;
    case 'refused':
      return `${at} is memory that the kernel does not pin for long: copy what the device needs to ${USE_ALLOC.replace('use ', '')}`;
    case 'file-fault':
      return (
        `the file system could not provide the page of its file at ${at}: it is full, or reading from the disk failed ` +
        '(`df`, and the kernel\'s log): free space, or choose another file system'
      );
    case 'device-fault':
      return (
        `the driver of the device mapping provides no frame for ${at}: it has taken that part of its memory back, or never ` +
        'mapped it. Map the device anew, or end the range before it'
      );
    case 'too-many-pins':
      return `the frame at ${at} has been pinned so often that its reference count is nearly full: unpin() vectors that hold it`;
    case 'unknown':
      return (
        `the kernel gives no frame for ${at}, and does not tell why (unknown): an access by the process itself would ` +
        'raise SIGSEGV or SIGBUS there, as in a guard region (MADV_GUARD_INSTALL). End the range before it'
      );
  }
}

/** PIN failed. */
export function pinFailed(
  errno: number,
  asked: AskedRange,
  stop: Stop | undefined,
  held: number,
  pageSize: number,
): FrameVectorError {
  const code = errnoName(errno);
  const why = {
    EBUSY: `the vector holds ${count(held)} already: unpin() first, or use another vector`,
    EINTR: 'a signal came while another call on this vector was under way: pin again',
    ENOMEM: 'the kernel has no memory for it: free some, or pin less',
  };
  const words = stop === undefined ? errnoInWords(errno, why) : stopInWords(stop, pageSize);
  return new FrameVectorError(`pin: ${count(asked.frames)} (${bytesInWords(asked.bytes)}) asked; ${words}`, {
    code,
    errno,
    syscall: 'ioctl(FRAMEVEC_IOC_PIN)',
    stop,
    asked,
  });
}

/** Methods of a vector that the kernel may refuse, and its name for each. */
const SYSCALLS = {
  unpin: 'ioctl(FRAMEVEC_IOC_UNPIN)',
  stat: 'ioctl(FRAMEVEC_IOC_STAT)',
  pfns: 'ioctl(FRAMEVEC_IOC_READ_PFNS)',
  extents: 'ioctl(FRAMEVEC_IOC_EXTENTS)',
  toPages: 'ioctl(FRAMEVEC_IOC_TO_PAGES)',
  toPfns: 'ioctl(FRAMEVEC_IOC_TO_PFNS)',
  read: 'pread',
  write: 'pwrite',
  poll: 'poll',
  pin: 'ioctl(FRAMEVEC_IOC_PIN)',
} as const;
export type VectorMethod = keyof typeof SYSCALLS;

const STALE =
  'the mapping of this device memory has changed since it was noted (unmapped, moved, reprotected, mapped over, or ' +
  'taken back by its driver), so the frame numbers are no longer its own: unpin(), then pin() what is mapped now';

/** A call on a vector failed; `stop` is given if the kernel tells where and why. */
export function vectorFailed(method: VectorMethod, errno: number, stop?: Stop): FrameVectorError {
  const code = errnoName(errno);
  const why = {
    ENODATA: 'the vector holds no frames: pin() first',
    EPERM:
      'frame numbers are told only to CAP_SYS_ADMIN, as in /proc/PID/pagemap: run as root. ' +
      `Everything else works without${method === 'extents' ? ', {pfns: false} too' : ''}${DOCTOR}`,
    ESTALE: STALE,
    ...(method === 'write' && {EBADF: 'the frames are pinned for reading: pin with {write: true}'}),
    ...(method === 'poll' && {EMFILE: TOO_MANY_FILES, ENFILE: TOO_MANY_FILES}),
    EINTR: 'a signal interrupted it: try again',
    ENOSPC: 'the offset is at the end of the range that is held, or beyond it: its byteLength tells where that is',
    EHWPOISON: "the memory behind a frame has failed in hardware (see the kernel's log): use other memory",
  };
  const words = stop === undefined ? errnoInWords(errno, why) : stopInWords(stop, 0);
  return new FrameVectorError(`${method}: ${words}`, {code, errno, syscall: SYSCALLS[method], stop});
}

/** The descriptor's number does not stand for the vector or device any more. */
export function descriptorLost(method: string, what: 'FrameVector' | 'V4l2Device', syscall?: string): FrameVectorError {
  return new FrameVectorError(
    `${method}: other code in this process has closed the descriptor of the ${what}, so it is lost; its number may stand for another ` +
      `file by now, which was not touched. Find who closes descriptors that it has not opened (\`strace -e close\`), and close() the ${what}`,
    {code: 'ERR_FRAMEVEC_LOST', ...(syscall !== undefined && {syscall})},
  );
}

/** The kernel's name for a method of a vector. */
export function syscallOf(method: VectorMethod): string {
  return SYSCALLS[method];
}

/** No memory from alloc(). */
export function allocFailed(errno: number, bytes: number, hugePages: string | boolean | undefined): FrameVectorError {
  const code = errnoName(errno);
  let why = errnoInWords(errno);
  if (hugePages === '2M' || hugePages === '1G') {
    const [kb, unit] = hugePages === '2M' ? [2048, 2 ** 21] : [1048576, 2 ** 30];
    const file = `/sys/kernel/mm/hugepages/hugepages-${kb}kB/nr_hugepages`;
    why =
      code === 'ENOMEM'
        ? `the kernel has too few ${hugePages} pages reserved: \`echo ${Math.ceil(bytes / unit)} > ${file}\` (as root)${DOCTOR}`
        : `this machine has no ${hugePages} pages (${code})`;
  } else if (code === 'ENOMEM') {
    why = 'the process may not map so much more (`ulimit -v`, vm.overcommit_memory, vm.max_map_count)';
  }
  return new FrameVectorError(`alloc: ${bytesInWords(bytes)} asked; ${why}`, {code, errno, syscall: 'mmap'});
}

/** An offset into a file that is not a page's: of hugetlbfs, a huge page's. */
export function offsetUnaligned(offset: number, pageSize: number): CodedError {
  const page = offset - (offset % pageSize);
  return outOfRange(
    'options.offset',
    `a multiple of the page size, ${grouped(pageSize)}: map from ${grouped(page)}, and what is wanted is ` +
      `${bytesInWords(offset - page)} further on`,
    offset,
  );
}

/** A file without bytes. */
export function emptyFile(source: string | number): CodedError {
  return coded(
    new RangeError(`map: ${fileName(source)} has no bytes to map: it is empty, or of a file system without sizes (such as /proc), whose files can't be mapped`),
    'ERR_OUT_OF_RANGE',
  );
}

/** What is neither a file nor a device. */
export function notMappable(source: string | number, kind: string): FrameVectorError {
  return new FrameVectorError(`map: ${fileName(source)} is ${kind}, which can't be mapped: name a file or a device`, {
    code: 'ENODEV',
    errno: -19,
    ...(typeof source === 'string' && {path: source}),
  });
}

/** Node itself did not open the file: its own error goes through, and says what to do about the permission model. */
export function openRefused(error: Error & {code?: string}, write: boolean): Error {
  if (error.code === 'ERR_ACCESS_DENIED' && !error.message.includes('--allow-fs-read')) {
    error.message += `. Node's permission model is on: start Node with --allow-fs-read=PATH${write ? ' and --allow-fs-write=PATH' : ''}`;
  }
  return error;
}

/** mmap() of a PCI BAR that a driver has claimed. */
export function barClaimed(source: string | number, driver: string | undefined): FrameVectorError {
  const who = driver === undefined ? 'a driver' : `the driver ${driver}`;
  const device = typeof source === 'string' ? /[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/.exec(source)?.[0] : undefined;
  const unbind = driver === undefined ? 'unbind it' : `unbind it (\`echo ${device ?? 'ADDRESS'} > /sys/bus/pci/drivers/${driver}/unbind\`)`;
  return new FrameVectorError(
    `map: ${fileName(source)}: ${who} has claimed this BAR, and the kernel keeps it from everyone else: ${unbind}, or boot with iomem=relaxed`,
    {code: 'EINVAL', errno: -22, syscall: 'mmap', ...(typeof source === 'string' && {path: source})},
  );
}

/** open() or mmap() of a file or device failed. */
export function mapFailed(
  syscall: 'open' | 'mmap',
  errno: number,
  source: string | number,
  range: {offset: number; length: number | undefined},
): FrameVectorError {
  const code = errnoName(errno);
  const why = {
    EACCES: 'this user, or the mode of the descriptor, does not allow it: device files are mostly root\'s',
    EPERM: 'the kernel keeps it to itself (/dev/mem with CONFIG_STRICT_DEVMEM, lockdown, a sealed memfd)',
    ENODEV: 'it can\'t be mapped: of PCI devices, only memory BARs can',
    ENXIO: syscall === 'open' ? 'it is a socket, or there is no device behind the file' : 'that is not a range of this device',
    EINVAL: 'that is not a range of this device, or it can\'t be mapped like this',
    EBUSY: 'a driver has it, and shares it with no one',
    ...(syscall === 'mmap' && {ENOMEM: 'the process may not map so much more (`ulimit -v`, vm.max_map_count)'}),
  };
  const part = range.length === undefined ? '' : `${bytesInWords(range.length)} from byte ${grouped(range.offset)} asked; `;
  return new FrameVectorError(`map: ${fileName(source)}: ${part}${errnoInWords(errno, why)}`, {
    code,
    errno,
    syscall,
    ...(typeof source === 'string' && {path: source}),
  });
}

function fileName(source: string | number): string {
  return typeof source === 'number' ? `descriptor ${source}` : source;
}

/** The runtime can't make an ArrayBuffer of so many bytes. */
export function arrayBufferTooLong(what: 'alloc' | 'map', bytes: number): FrameVectorError {
  return new FrameVectorError(
    `${what}: ${bytesInWords(bytes)} asked; Node ${process.version} can't make an ArrayBuffer of so many bytes (it allows ` +
      `${bytesInWords(constants.MAX_LENGTH)} at most): ${what === 'map' ? 'map a part with {offset, length}' : 'allocate several'}, or use a newer Node`,
    {code: 'ERR_FRAMEVEC_ARRAYBUFFER_LENGTH'},
  );
}

/** An access that would be two. */
export function registerUnaligned(offset: number, width: number): CodedError {
  return outOfRange('offset', `a multiple of ${width}, as a register of ${width * 8} bits is one aligned access`, offset);
}

/** A write to memory that was mapped for reading. */
export function readOnly(): FrameVectorError {
  return new FrameVectorError('write: the memory is mapped for reading: DeviceMemory.map(path, {write: true})', {
    code: 'ERR_FRAMEVEC_READ_ONLY',
  });
}

/** A runtime without external ArrayBuffers. */
export function noExternalBuffers(): FrameVectorError {
  return new FrameVectorError(
    'alloc: this runtime (Electron?) has no ArrayBuffers over memory of an addon; pin a SharedArrayBuffer instead',
    {code: 'ERR_FRAMEVEC_NO_EXTERNAL_BUFFERS'},
  );
}

/** Something that can't be: an answer that no one foresaw. */
export function unexpected(what: string, answer: number): FrameVectorError {
  return new FrameVectorError(`${what}: unexpected answer ${answer} of the addon; please report it`, {
    code: 'ERR_FRAMEVEC_INTERNAL',
  });
}

/** Warns of a vector that was dropped while it held frames. */
export function warnOfLeak(frames: number, stack: string | undefined): void {
  process.emitWarning(
    `A FrameVector was garbage collected while it held ${count(frames)}. They stay pinned until the process ends, as a ` +
      'device may still write to them: call unpin() or close(), or declare it with `using`.',
    {
      type: 'FrameVectorWarning',
      code: 'FRAMEVEC_LEAK',
      detail: stack ?? 'NODE_DEBUG=framevec shows where it was created.',
    },
  );
}

/** Warns of a vector whose descriptor was closed by other code, when it is closed itself. */
export function warnOfLost(): void {
  process.emitWarning(
    'A FrameVector was closed whose descriptor other code had closed before: its frames were unpinned then. The number of the descriptor ' +
      'may stand for another file by now, and was left alone.',
    {type: 'FrameVectorWarning', code: 'FRAMEVEC_LOST'},
  );
}

/** Warns of an ArrayBuffer that was detached while it was pinned. */
export function warnOfDetach(frames: number): void {
  process.emitWarning(
    `An ArrayBuffer was detached while ${count(frames)} of it were pinned. A device may have written to memory that ` +
      `has another owner by now: ${USE_ALLOC}, or pin with {strict: true}.`,
    {type: 'FrameVectorWarning', code: 'FRAMEVEC_DETACHED'},
  );
}
