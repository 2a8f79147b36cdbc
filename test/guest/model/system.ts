/** The real thing: the arena's memory, the vectors' descriptors, and the witnesses that do not come from framevec. */
import {closeSync, openSync, readFileSync, readSync, writeFileSync} from 'node:fs';
import * as uapi from '../../../lib/uapi.js';
import {ivshmemMemory} from '../ivshmem.js';
import {framesPinned, pageFlags, statusFrames} from '../oracles.js';
import {
  MAP, PAGE, PROT, SYS, type Answer, type Fields, type IoctlName, bytes, close, createVector, errnoName, fieldsOf, ioctl, ioctlAt, memfd, mmap, munmap, must, raw,
  struct,
} from '../raw.js';
import {ARENA, BAR, FILE, type Source} from './world.js';

/** Far from where the kernel, malloc and V8 put anything: holes in the arena stay holes. */
const BASE = 0x1000_0000_0000n;
const MREMAP_MAYMOVE_FIXED = 3;
const SIGKILL = 9;
const KPF_ANON = 1n << 12n;
const KPF_THP = 1n << 22n;
const KPF_ZERO_PAGE = 1n << 24n;
const RLIMIT_MEMLOCK = 8;
const NOBODY = 65534;

/** What is in the way of a call to PIN, beside what the mappings are. */
export type Trouble =
  | {kind: 'none'}
  /** The struct can't be written, so the answer is lost. */
  | {kind: 'answer'}
  /** A timer's signal, every so many microseconds. */
  | {kind: 'signal'; every: number}
  /** RLIMIT_MEMLOCK allows so many frames more than are pinned. */
  | {kind: 'limit'; spare: number};

/** Device memory that the kernel has mapped into each process: pages of `[vvar]`, some of which a fault does not provide. */
export interface KernelMemory {
  address: bigint;
  /** Of each page, whether the process can read it. */
  readable: boolean[];
}

/** What pagemap says of each frame of the arena; `undefined`: absent. */
export type Seen = readonly (bigint | undefined)[];

/** The same for all sequences. */
let kernelMemory: KernelMemory | undefined;
const bar = ivshmemMemory();

export class System {
  readonly fds: number[] = [];
  readonly #device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  readonly #pagemap = openSync('/proc/self/pagemap', 'r');
  readonly #file = memfd('model', FILE * PAGE);
  /** Bytes go between us and the arena by way of this file: so a wrong address is EFAULT, and not the end of the test. */
  readonly #courier = memfd('courier', ARENA * PAGE);
  readonly #bar = openSync(bar, 'r+');
  readonly #combining = openSync(`${bar}_wc`, 'r+');
  readonly #counts = openSync('/proc/kpagecount', 'r');
  /** Where a struct lies whose answer is to be lost. */
  readonly #page = mmap(PAGE);
  readonly #children: number[] = [];
  readonly #pinnedBefore = framesPinned();
  readonly #chargedBefore = statusFrames('VmPin');

  address(index: number): bigint {
    return BASE + BigInt(index * PAGE);
  }

  map(first: number, count: number, source: Source, prot: number, offset: number): void {
    const [flags, fd] = {
      anonymous: [MAP.PRIVATE | MAP.ANONYMOUS, -1],
      shared: [MAP.SHARED, this.#file],
      private: [MAP.PRIVATE, this.#file],
      aperture: [MAP.SHARED, this.#device],
      uncached: [MAP.SHARED, this.#bar],
      combining: [MAP.SHARED, this.#combining],
    }[source] as [number, number];
    const from = source === 'combining' ? BAR + offset : offset;
    must(SYS.mmap, this.address(first), count * PAGE, prot, flags | MAP.FIXED, fd, fd < 0 ? 0 : from * PAGE);
  }

  unmap(first: number, count: number): void {
    must(SYS.munmap, this.address(first), count * PAGE);
  }

  protect(first: number, count: number, prot: number): void {
    must(SYS.mprotect, this.address(first), count * PAGE, prot);
  }

  move(from: number, to: number, count: number): void {
    must(SYS.mremap, this.address(from), count * PAGE, count * PAGE, MREMAP_MAYMOVE_FIXED, this.address(to));
  }

  advise(first: number, count: number, advice: number): bigint {
    return raw.syscall(SYS.madvise, this.address(first), count * PAGE, advice);
  }

  /** Frames from there to the end of the kernel's own idea of a mapping. */
  toEndOfMapping(first: number): number {
    const address = this.address(first);
    for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
      const [start = '', end = ''] = (line.split(' ')[0] ?? '').split('-').map(hex => BigInt(`0x${hex}`));
      if (typeof start === 'bigint' && typeof end === 'bigint' && start <= address && address < end) return Number(end - address) / PAGE;
    }
    return 0;
  }

  /** Writes as the process: 0 or `'EFAULT'`. */
  poke(index: number, at: number, bytes: Uint8Array): string | number {
    must(SYS.pwrite64, this.#courier, bytes, bytes.length, 0);
    const done = raw.syscall(SYS.pread64, this.#courier, this.address(index) + BigInt(at), bytes.length, 0);
    return done === BigInt(bytes.length) ? 0 : errnoName(done);
  }

  /** Reads as the process: whole frames. */
  peek(first: number, count: number): Uint8Array | string | number {
    return this.peekAt(this.address(first), count);
  }

  peekAt(address: bigint, count: number): Uint8Array | string | number {
    const bytes = new Uint8Array(count * PAGE);
    const done = raw.syscall(SYS.pwrite64, this.#courier, address, bytes.length, 0);
    if (done !== BigInt(bytes.length)) return errnoName(done);
    must(SYS.pread64, this.#courier, bytes, bytes.length, 0);
    return bytes;
  }

  fork(): void {
    this.#children.push(raw.child());
  }

  endChild(): void {
    const child = this.#children.shift() ?? 0;
    must(SYS.kill, child, SIGKILL);
    must(SYS.wait4, child, 0, 0, 0);
  }

  compact(): void {
    writeFileSync('/proc/sys/vm/compact_memory', '1');
  }

  create(capacity: number): void {
    this.fds.push(createVector(this.#device, capacity));
  }

  close(vector: number): void {
    close(this.fd(vector));
    this.fds.splice(vector, 1);
  }

  fd(vector: number): number {
    return this.fds[vector] ?? -1;
  }

  ioctl(vector: number, name: IoctlName, fields: Fields = {}): Answer {
    return ioctl(this.fd(vector), name, fields);
  }

  /** PIN with something in its way. What a lost answer says is what it said before the call. */
  pin(vector: number, fields: Fields, trouble: Trouble): Answer {
    const data = struct('PIN', fields);
    switch (trouble.kind) {
      case 'none':
        return ioctl(this.fd(vector), 'PIN', fields);
      case 'signal': {
        const result = errnoName(raw.interrupted(trouble.every, SYS.ioctl, this.fd(vector), uapi.FRAMEVEC_IOC_PIN, data));
        return {result, fields: fieldsOf('PIN', data)};
      }
      case 'answer': {
        bytes(this.#page, PAGE).set(data);
        must(SYS.mprotect, this.#page, PAGE, PROT.READ);
        const result = ioctlAt(this.fd(vector), 'PIN', this.#page);
        must(SYS.mprotect, this.#page, PAGE, PROT.READ | PROT.WRITE);
        return {result, fields: fieldsOf('PIN', data)};
      }
      case 'limit': {
        const soft = BigInt((statusFrames('VmPin') + trouble.spare) * PAGE);
        const before = new BigUint64Array(2);
        must(SYS.prlimit64, 0, RLIMIT_MEMLOCK, 0, before);
        must(SYS.prlimit64, 0, RLIMIT_MEMLOCK, before.map(limit => (limit > soft ? limit : soft)).fill(soft, 0, 1), 0);
        // Root is not limited. The real uid stays, so that this thread can be root again.
        must(SYS.setresuid, -1, NOBODY, -1);
        try {
          return ioctl(this.fd(vector), 'PIN', fields);
        } finally {
          must(SYS.setresuid, -1, 0, -1);
          must(SYS.prlimit64, 0, RLIMIT_MEMLOCK, before, 0);
        }
      }
    }
  }

  /** The first bytes of the vector's range, by read(). */
  contents(vector: number, length: number): Uint8Array | string | number {
    const bytes = new Uint8Array(length);
    const done = raw.syscall(SYS.pread64, this.fd(vector), bytes, length, 0);
    return done === BigInt(length) ? bytes : errnoName(done);
  }

  pfns(vector: number, first: number, count: number): bigint[] | string | number {
    const numbers = new BigUint64Array(count);
    const {result} = this.ioctl(vector, 'READ_PFNS', {first, count, pfns: numbers});
    return result === 0 ? [...numbers] : result;
  }

  seen(): Seen {
    return Array.from(this.frames(), pfn => (pfn === 0 ? undefined : BigInt(pfn)));
  }

  /** How often each of these frames is mapped, as /proc/kpagecount says, in their order; 0 of what it does not know. */
  counts(pfns: Float64Array): Float64Array {
    const counts = new Float64Array(pfns.length);
    for (let i = 0; i < pfns.length;) {
      const first = pfns[i] ?? 0;
      let end = i + 1;
      while (pfns[end] === first + end - i) end++;
      const halves = new Uint32Array(2 * (end - i));
      readSync(this.#counts, halves, 0, halves.byteLength, first * 8);
      for (let at = 0; i < end; i++, at += 2) counts[i] = halves[at] ?? 0;
    }
    return counts;
  }

  /** The same as `seen`, as plain numbers and 0 for what is absent: there is much to compare after each step. */
  frames(): Float64Array {
    const halves = new Uint32Array(2 * ARENA);
    readSync(this.#pagemap, halves, 0, halves.byteLength, Number(BASE / BigInt(PAGE)) * 8);
    const frames = new Float64Array(ARENA);
    for (let i = 0; i < ARENA; i++) {
      const high = halves[2 * i + 1] ?? 0;
      if (high >>> 31 !== 0) frames[i] = (high & 0x7f_ffff) * 2 ** 32 + (halves[2 * i] ?? 0);
    }
    return frames;
  }

  isAnonymous(pfn: bigint): boolean {
    return (pageFlags(pfn) & KPF_ANON) !== 0n;
  }

  /** The page of zeros, that is; the huge one is a transparent huge page, too. */
  isZeroPage(pfn: bigint): boolean {
    return (pageFlags(pfn) & (KPF_ZERO_PAGE | KPF_THP)) === KPF_ZERO_PAGE;
  }

  /** Frames that the system says are pinned, since the beginning; and that this process is charged with. */
  accounts(): {system: number; charged: number} {
    return {system: framesPinned() - this.#pinnedBefore, charged: statusFrames('VmPin') - this.#chargedBefore};
  }

  /** Pages of `[vvar]` and its like that are device memory, as far as they lie side by side. */
  get kernel(): KernelMemory {
    if (kernelMemory !== undefined) return kernelMemory;
    const memory: KernelMemory = {address: 0n, readable: []};
    // Each mapping of smaps begins with its addresses and has its flags in the last line.
    for (const [, start = '', end = '', flags = ''] of readFileSync('/proc/self/smaps', 'utf8')
      .matchAll(/^([0-9a-f]+)-([0-9a-f]+) .*\[vvar[^\]]*\]\n(?:(?!VmFlags).*\n)*VmFlags: (.*)$/gm)) {
      const [from, to] = [BigInt(`0x${start}`), BigInt(`0x${end}`)];
      if (!/\b(?:pf|io)\b/.test(flags)) continue;
      if (memory.readable.length === 0) memory.address = from;
      if (from !== memory.address + BigInt(memory.readable.length * PAGE)) break;
      for (let at = from; at < to; at += BigInt(PAGE)) memory.readable.push(typeof this.peekAt(at, 1) === 'object');
    }
    return (kernelMemory = memory);
  }

  /** After a failure: vectors that may be in a wrong state stay as they are, for their end could be the kernel's. */
  abandon(): void {
    while (this.#children.length > 0) this.endChild();
    this.unmap(0, ARENA);
    this.#close();
  }

  end(): void {
    while (this.#children.length > 0) this.endChild();
    while (this.fds.length > 0) this.close(0);
    this.unmap(0, ARENA);
    this.#close();
  }

  #close(): void {
    munmap(this.#page, PAGE);
    for (const fd of [this.#bar, this.#combining, this.#counts]) closeSync(fd);
    close(this.#file);
    close(this.#courier);
    closeSync(this.#pagemap);
    closeSync(this.#device);
  }
}
