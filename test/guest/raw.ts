/**
 * Raw system calls and ioctls: for what the library would never do, and as an opinion that does not
 * come from the library.
 */
import {createRequire} from 'node:module';
import {constants} from 'node:os';
import * as uapi from '../../lib/uapi.js';

type Word = number | bigint | ArrayBufferView | ArrayBuffer;

interface Raw {
  syscall(nr: number, ...args: Word[]): bigint;
  child(): number;
  interrupted(microseconds: number, nr: number, ...args: Word[]): bigint;
  inChild(calls: [number, ...Word[]][]): bigint[];
  view(address: bigint, length: number): ArrayBuffer;
  address(view: ArrayBufferView | ArrayBuffer): bigint;
}

/** The built test/native/raw.cc. */
export const raw = createRequire(import.meta.url)('../../../test/native/build/Release/raw.node') as Raw;

export const PAGE = 4096;

/** x86-64 system call numbers. */
export const SYS = {
  close: 3, poll: 7, mmap: 9, mprotect: 10, munmap: 11, ioctl: 16, pread64: 17, pwrite64: 18, mremap: 25, madvise: 28,
  socketpair: 53, sendmsg: 46, recvmsg: 47, kill: 62, ftruncate: 77, getpid: 39, prlimit64: 302, memfd_create: 319, memfd_secret: 447,
  wait4: 61, read: 0, write: 1, open: 2, lseek: 8, dup: 32, clone: 56, fcntl: 72, setresuid: 117,
} as const;

export const PROT = {NONE: 0, READ: 1, WRITE: 2} as const;
export const MAP = {SHARED: 1, PRIVATE: 2, FIXED: 0x10, ANONYMOUS: 0x20, NORESERVE: 0x4000, POPULATE: 0x8000, HUGETLB: 0x40000, HUGE_2MB: 21 << 26} as const;
export const MADV = {DONTNEED: 4, HUGEPAGE: 14, NOHUGEPAGE: 15, DONTFORK: 10, PAGEOUT: 21, POPULATE_WRITE: 23, COLLAPSE: 25, SOFT_OFFLINE: 101, HWPOISON: 100} as const;

const names = new Map(Object.entries({...constants.errno, EHWPOISON: 133}).map(([name, number]) => [-number, name]));

/** `'EFAULT'` for -14, and the number itself where it is no errno. */
export function errnoName(result: bigint | number): string | number {
  const number = Number(result);
  return number < 0 ? (names.get(number) ?? number) : number;
}

/** A system call that has to succeed. */
export function must(nr: number, ...args: Word[]): bigint {
  const result = raw.syscall(nr, ...args);
  if (result < 0n && result > -4096n) throw new Error(`syscall ${nr}: ${errnoName(result)}`);
  return result;
}

/** Maps memory; anonymous and private unless told otherwise. */
export function mmap(length: number, {prot = PROT.READ | PROT.WRITE, flags = MAP.PRIVATE | MAP.ANONYMOUS, fd = -1, offset = 0, at = 0n}: {
  prot?: number; flags?: number; fd?: number; offset?: number; at?: bigint;
} = {}): bigint {
  return must(SYS.mmap, at, length, prot, flags, fd, offset);
}

export function munmap(address: bigint, length: number): void {
  must(SYS.munmap, address, length);
}

export function memfd(name: string, length: number, flags = 0): number {
  const fd = Number(must(SYS.memfd_create, Buffer.from(`${name}\0`), flags));
  must(SYS.ftruncate, fd, length);
  return fd;
}

/** Bytes of mapped memory. */
export function bytes(address: bigint, length: number): Uint8Array {
  return new Uint8Array(raw.view(address, length));
}

/** What each struct of the header has after its size and flags, in order: name and width in bytes. */
const LAYOUTS = {
  INFO: [['abi', 4], ['page_size', 4], ['max_frames', 8], ['features', 8], ['aperture_size', 8]],
  CREATE: [['capacity', 8], ['fd', 4], ['reserved', 4], ['memlock_scope', 4], ['reserved2', 4],
    ['memlock_need', 8], ['memlock_used', 8], ['memlock_limit', 8]],
  PIN: [['addr', 8], ['length', 8], ['kind', 4], ['offset', 4], ['frames', 4], ['reason', 4], ['reserved', 8], ['fail_addr', 8],
    ['memlock_need', 8], ['memlock_used', 8], ['memlock_limit', 8], ['gup_ns', 8], ['call_ns', 8], ['memlock_scope', 4], ['reserved2', 4]],
  UNPIN: [['frames', 4], ['reserved', 4], ['gup_ns', 8], ['call_ns', 8]],
  STAT: [['kind', 4], ['state', 4], ['capacity', 4], ['frames', 4], ['offset', 4], ['reserved', 4], ['length', 8]],
  READ_PFNS: [['first', 8], ['count', 8], ['pfns', 8]],
  EXTENTS: [['first', 8], ['capacity', 8], ['pfns', 8], ['counts', 8], ['extents', 4], ['reserved', 4], ['next', 8]],
  TO_PAGES: [['reason', 4], ['reserved', 4], ['frame', 8]],
  TO_PFNS: [['reason', 4], ['reserved', 4], ['frame', 8]],
} as const;

export type IoctlName = keyof typeof LAYOUTS;
/** A view stands for its address: so who holds the fields holds the memory that the kernel writes to. */
export type Fields = Record<string, bigint | number | ArrayBufferView>;

function numberOf(name: IoctlName): number {
  return uapi[`FRAMEVEC_IOC_${name}`];
}

/** The struct of an ioctl, with the fields that are given; size is right unless it is given too. */
export function struct(name: IoctlName, fields: Fields = {}): Uint8Array {
  const layout = [['size', 4], ['flags', 4], ...LAYOUTS[name]] as const;
  const length = layout.reduce((sum, [, width]) => sum + width, 0);
  const data = new DataView(new ArrayBuffer(length));
  const known = new Set<string>(layout.map(([field]) => field));
  for (const field of Object.keys(fields)) if (!known.has(field)) throw new Error(`${name} has no ${field}`);
  let at = 0;
  for (const [field, width] of layout) {
    const given = fields[field] ?? (field === 'size' ? length : 0);
    const value = typeof given === 'object' ? raw.address(given) : BigInt(given);
    if (width === 4) data.setUint32(at, Number(BigInt.asUintN(32, value)), true);
    else data.setBigUint64(at, BigInt.asUintN(64, value), true);
    at += width;
  }
  return new Uint8Array(data.buffer);
}

/** The fields of a struct after a call. */
export function fieldsOf(name: IoctlName, data: Uint8Array): Record<string, number> {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const out: Record<string, number> = {};
  let at = 0;
  for (const [field, width] of [['size', 4], ['flags', 4], ...LAYOUTS[name]] as const) {
    out[field] = width === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
    at += width;
  }
  return out;
}

export interface Answer {
  /** `0` or more, or an errno's name. */
  result: string | number;
  fields: Record<string, number>;
}

/** An ioctl with a struct of its own. */
export function ioctl(fd: number, name: IoctlName, fields: Fields = {}): Answer {
  const data = struct(name, fields);
  const result = errnoName(raw.syscall(SYS.ioctl, fd, numberOf(name), data));
  return {result, fields: fieldsOf(name, data)};
}

/** An ioctl with whatever pointer. */
export function ioctlAt(fd: number, name: IoctlName, pointer: Word): string | number {
  return errnoName(raw.syscall(SYS.ioctl, fd, numberOf(name), pointer));
}

/** A vector's descriptor. */
export function createVector(device: number, capacity: number): number {
  const {result, fields} = ioctl(device, 'CREATE', {capacity});
  if (result !== 0) throw new Error(`CREATE: ${result}`);
  return fields.fd ?? -1;
}

/** Closes what a raw call has opened: Node minds its own descriptors only. */
export function close(fd: number): void {
  must(SYS.close, fd);
}

/** The header of a message of one byte, with room for one descriptor (SCM_RIGHTS), and what it points to. */
function messageOf(control: Uint8Array): {header: BigUint64Array; data: Uint8Array; iov: BigUint64Array} {
  const data = new Uint8Array(1);
  const iov = new BigUint64Array([raw.address(data), 1n]);
  const header = new BigUint64Array([0n, 0n, raw.address(iov), 1n, raw.address(control), BigInt(control.byteLength), 0n]);
  return {header, data, iov};
}

/** Sends a descriptor over a UNIX socket. */
export function send(socket: number, fd: number): void {
  const control = new Uint8Array(24);
  const view = new DataView(control.buffer);
  view.setBigUint64(0, 20n, true); // cmsg_len
  view.setInt32(8, 1, true); // SOL_SOCKET
  view.setInt32(12, 1, true); // SCM_RIGHTS
  view.setInt32(16, fd, true);
  const {header, data, iov} = messageOf(control);
  must(SYS.sendmsg, socket, header, 0, data, iov);
}

/** Receives one; waits for it. */
export function receive(socket: number): number {
  const control = new Uint8Array(24);
  const {header, data, iov} = messageOf(control);
  must(SYS.recvmsg, socket, header, 0, data, iov);
  return new DataView(control.buffer).getInt32(16, true);
}

/** The user without capabilities that the kernel keeps for those who are nobody. */
export const NOBODY = 65534;

/** Runs as nobody, this thread only (AVA's worker is one). The real uid stays, so that root can come back. */
export function asNobody<T>(use: () => T): T {
  must(SYS.setresuid, -1, NOBODY, -1);
  try {
    return use();
  } finally {
    must(SYS.setresuid, -1, 0, -1);
  }
}
