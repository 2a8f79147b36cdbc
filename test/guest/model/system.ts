/** The real thing: the arena's memory, the vectors' descriptors, and the witnesses that do not come from framevec. */
import {closeSync, openSync, readFileSync, readSync, writeFileSync} from 'node:fs';
import * as uapi from '../../../lib/uapi.js';
import {framesPinned, pageFlags, statusFrames} from '../oracles.js';
import {MAP, PAGE, SYS, type Answer, type Fields, type IoctlName, close, createVector, errnoName, ioctl, memfd, must, raw} from '../raw.js';
import {ARENA, FILE, type Source} from './world.js';

/** Far from where the kernel, malloc and V8 put anything: holes in the arena stay holes. */
const BASE = 0x1000_0000_0000n;
const MREMAP_MAYMOVE_FIXED = 3;
const SIGKILL = 9;
const KPF_ANON = 1n << 12n;
const KPF_THP = 1n << 22n;
const KPF_ZERO_PAGE = 1n << 24n;
const PRESENT = 1n << 63n;
const PFN_MASK = (1n << 55n) - 1n;

/** What pagemap says of each frame of the arena; `undefined`: absent. */
export type Seen = readonly (bigint | undefined)[];

export class System {
  readonly fds: number[] = [];
  readonly #device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  readonly #pagemap = openSync('/proc/self/pagemap', 'r');
  readonly #file = memfd('model', FILE * PAGE);
  /** Bytes go between us and the arena by way of this file: so a wrong address is EFAULT, and not the end of the test. */
  readonly #courier = memfd('courier', ARENA * PAGE);
  readonly #children: number[] = [];
  readonly #pinnedBefore = framesPinned();

  address(index: number): bigint {
    return BASE + BigInt(index * PAGE);
  }

  map(first: number, count: number, source: Source, prot: number, offset: number): void {
    const [flags, fd] = {
      anonymous: [MAP.PRIVATE | MAP.ANONYMOUS, -1],
      shared: [MAP.SHARED, this.#file],
      private: [MAP.PRIVATE, this.#file],
      aperture: [MAP.SHARED, this.#device],
    }[source] as [number, number];
    must(SYS.mmap, this.address(first), count * PAGE, prot, flags | MAP.FIXED, fd, fd < 0 ? 0 : offset * PAGE);
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
    const bytes = new Uint8Array(count * PAGE);
    const done = raw.syscall(SYS.pwrite64, this.#courier, this.address(first), bytes.length, 0);
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

  pfns(vector: number, first: number, count: number): bigint[] | string | number {
    const numbers = new BigUint64Array(count);
    const {result} = this.ioctl(vector, 'READ_PFNS', {first, count, pfns: numbers});
    return result === 0 ? [...numbers] : result;
  }

  seen(): Seen {
    const entries = new BigUint64Array(ARENA);
    readSync(this.#pagemap, entries, 0, entries.byteLength, Number(BASE / BigInt(PAGE)) * 8);
    return Array.from(entries, entry => ((entry & PRESENT) === 0n ? undefined : entry & PFN_MASK));
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
    return {system: framesPinned() - this.#pinnedBefore, charged: statusFrames('VmPin')};
  }

  end(): void {
    while (this.#children.length > 0) this.endChild();
    while (this.fds.length > 0) this.close(0);
    this.unmap(0, ARENA);
    close(this.#file);
    close(this.#courier);
    closeSync(this.#pagemap);
    closeSync(this.#device);
  }
}
