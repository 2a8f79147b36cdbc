/**
 * The model: what the arena, the vectors and the frames have to be, told by what was done to them alone. It knows the rules of
 * the header and of mm/, and asks the system for nothing but frame numbers, which nobody can predict.
 */
import * as uapi from '../../../lib/uapi.js';
import {PAGE, PROT} from '../raw.js';

/** Where everything happens: frames of address space. */
export const ARENA = 1200;
/** In the arena, where no other step comes: memory that can always be pinned. */
export const RESERVE = {first: 1150, count: 12};
/** Frames of the file that is mapped, shared and privately; its mappings may go beyond. */
export const FILE = 24;

/** Pages of the device's BAR that each caching mode has to itself: no page is ever mapped in two modes. */
export const BAR = 64;

export type Source = 'anonymous' | 'shared' | 'private' | 'aperture' | 'uncached' | 'combining';

/** A frame of the arena that is mapped. */
export interface Mapped {
  source: Source;
  prot: number;
  /** Which frame of the file, of the aperture, or of the part of the BAR that is mapped in this way. */
  offset: number;
  /** Its protection has been changed since it was mapped. */
  reprotected: boolean;
}

/** A frame that a vector holds. */
export interface Held {
  /** Its content in `World.contents`: the frame number, or, of device memory, what `deviceKey` returns. */
  key: bigint;
  pfn: bigint;
  /** Where in the arena the process must still see this very frame; nowhere after munmap, or where the kernel does not promise it. */
  at: number | undefined;
  /** The system's counters count it. */
  counted: boolean;
}

export interface Holding {
  kind: number;
  write: boolean;
  gotRef: boolean;
  stale: boolean;
  /** Its frames have a struct page, so the vector can be converted to pages. */
  hasPages: boolean;
  offset: number;
  length: number;
  /** Where it was pinned; beyond the arena for memory that is not in it. */
  first: number;
  frames: Held[];
}

export interface Vector {
  capacity: number;
  holds: Holding | undefined;
  /** Children of fork that have its descriptor, too. */
  keepers: Set<number>;
}

/** What PIN has to say. */
export interface Verdict {
  result: string | number;
  /** `'any'`: there is one, but the model does not know which. */
  reason: number | 'any';
  /** The first frame of the range's place that is not held. */
  failed: number | undefined;
  frames: number;
}

export class World {
  readonly pages: (Mapped | undefined)[] = Array.from({length: ARENA}, () => undefined);
  readonly vectors: Vector[] = [];
  /** Closed here, but not yet in the children. */
  readonly orphans = new Set<Vector>();
  /** Those of fork that are alive, the eldest first. */
  readonly children: number[] = [];
  /** The vector that a pin was last tried with: some steps choose it, so that a vector is used again after a pin that failed. */
  last: Vector | undefined;
  /** The bytes of every frame that is held, and of the device frames that were ever seen. */
  readonly contents = new Map<bigint, Uint8Array>();
  /** The numbers of device frames by their keys, as they were first told. */
  readonly devices = new Map<bigint, bigint>();
  forks = 0;

  /** How many of up to `count` frames from `first` are alike in what is asked. */
  run(first: number, count: number, alike: (page: Mapped) => boolean): number {
    let n = 0;
    for (; n < count && first + n < ARENA; n++) {
      const page = this.pages[first + n];
      if (page === undefined || !alike(page)) break;
    }
    return n;
  }

  /** The first page from there on after which something else comes, or nothing; else that page itself. */
  border(first: number): number {
    for (let i = first; i + 1 < ARENA; i++) {
      const page = this.pages[i];
      if (page !== undefined && page.source !== this.pages[i + 1]?.source) return i;
    }
    return first;
  }

  holdings(): Holding[] {
    return [...this.vectors, ...this.orphans].flatMap(({holds}) => (holds === undefined ? [] : [holds]));
  }

  /** Frames that are pinned, each as often as it is. */
  pinned(): Held[] {
    return this.holdings().flatMap(({gotRef, frames}) => (gotRef ? frames : []));
  }

  /** May the process read, or write, there? */
  accessible(index: number, prot: number): boolean {
    const page = this.pages[index];
    return page !== undefined && (page.prot & prot) !== 0 && !beyondFile(page);
  }

  /** Where the content of a frame of the arena is kept, if it is; `pfn` is what pagemap says. */
  keyAt(index: number, pfn: bigint): bigint {
    const page = this.pages[index];
    return page !== undefined && isDevice(page) ? deviceKey(page.source, page.offset) : pfn;
  }

  /** The mappings of a range have changed: snapshots of it are stale. */
  invalidate(first: number, count: number): void {
    for (const holding of this.holdings()) {
      if (!holding.gotRef && holding.first < first + count && first < holding.first + holding.frames.length) holding.stale = true;
    }
  }

  /** The process sees other frames there from now on, or none. */
  forget(first: number, count: number): void {
    eachHeld(this, first, count, held => {
      held.at = undefined;
    });
  }

  /** Something new is mapped, or nothing. */
  map(first: number, count: number, page?: (i: number) => Mapped): void {
    if (this.pages.slice(first, first + count).some(Boolean)) this.invalidate(first, count);
    this.forget(first, count);
    for (let i = 0; i < count; i++) this.pages[first + i] = page?.(i);
  }

  protect(first: number, count: number, prot: number): void {
    for (let i = 0; i < count; i++) {
      const page = this.pages[first + i];
      if (page === undefined || page.prot === prot) continue;
      this.invalidate(first + i, 1);
      page.prot = prot;
      page.reprotected = true;
    }
  }

  move(from: number, to: number, count: number): void {
    const moved = this.pages.slice(from, from + count);
    this.invalidate(from, count);
    this.map(to, count, i => moved[i] ?? {source: 'anonymous', prot: 0, offset: 0, reprotected: false});
    eachHeld(this, from, count, held => {
      held.at = (held.at ?? 0) - from + to;
    });
    this.pages.fill(undefined, from, from + count);
  }

  /**
   * A write by the process, or a fault for one. Before 5.19 a page that was write-protected is copied when somebody else has a
   * reference to it, such as a pin; from then on an exclusive anonymous page is not.
   */
  written(index: number, copiesProtected: boolean): void {
    const page = this.pages[index];
    if (page === undefined || page.source === 'shared' || isDevice(page)) return;
    if (!copiesProtected) return;
    for (const holding of this.holdings()) {
      if (holding.write && !page.reprotected) continue;
      for (const held of holding.frames) if (held.at === index) held.at = undefined;
    }
  }

  /**
   * What PIN says of bytes [addr, addr + length) of the arena, if that many frames may still be charged. More than one answer: of two
   * obstacles in the range, the one that the mappings show may be told before the one that only the attempt meets.
   */
  verdicts(vector: Vector, addr: number, length: number, write: boolean, partial: boolean, spare = Infinity): Verdict[] {
    const first = Math.floor(addr / PAGE);
    const asked = Math.floor((addr + length - 1) / PAGE) - first + 1;
    if (asked > vector.capacity) return [refusal('EINVAL')];
    if (vector.holds !== undefined) return [refusal('EBUSY')];

    let reason: number = uapi.FRAMEVEC_REASON_NONE;
    let frames = 0;
    for (; frames < asked; frames++) {
      const page = this.pages[first + frames];
      const before = frames > 0 ? this.pages[first + frames - 1] : undefined;
      if (page === undefined) reason = uapi.FRAMEVEC_REASON_NO_MAPPING;
      else if (before !== undefined && isDevice(before) !== isDevice(page)) reason = uapi.FRAMEVEC_REASON_KIND_CHANGES;
      else if (write && (page.prot & PROT.WRITE) === 0) reason = uapi.FRAMEVEC_REASON_NOT_WRITABLE;
      else if (!write && (page.prot & PROT.READ) === 0) reason = uapi.FRAMEVEC_REASON_NOT_READABLE;
      if (reason !== uapi.FRAMEVEC_REASON_NONE) break;
    }
    // That much the mappings tell; the rest only the attempt.
    const start = this.pages[first];
    const charged = start === undefined || isDevice(start) ? frames : Math.min(frames, spare);
    const reachable = this.run(first, charged, page => !beyondFile(page) && cachingOf(page) === cachingOf(start));
    const obstacle = this.pages[first + reachable];
    const met = obstacle !== undefined && beyondFile(obstacle) ? uapi.FRAMEVEC_REASON_END_OF_FILE : uapi.FRAMEVEC_REASON_KIND_CHANGES;
    if (partial) {
      if (charged < frames) reason = uapi.FRAMEVEC_REASON_MEMLOCK;
      if (reachable < charged) reason = met;
      if (frames > 0 && charged === 0) return [refusal('ENOMEM', reason, first)];
      if (reachable === 0) return [refusal('EFAULT', reason, first)];
      return [{result: 0, reason, failed: reason === uapi.FRAMEVEC_REASON_NONE ? undefined : first + reachable, frames: reachable}];
    }
    const refusals: Verdict[] = [];
    if (reason !== uapi.FRAMEVEC_REASON_NONE) refusals.push(refusal('EFAULT', reason, first + frames));
    if (charged < frames) refusals.push(refusal('ENOMEM', uapi.FRAMEVEC_REASON_MEMLOCK, first));
    else if (reachable < charged) refusals.push(refusal('EFAULT', met, first + reachable));
    if (refusals.length > 0) return charged < frames ? refusals.slice(0, 1) : refusals;
    return [{result: 0, reason, failed: undefined, frames}];
  }

  fork(): void {
    const child = this.forks++;
    this.children.push(child);
    for (const {keepers} of this.vectors) keepers.add(child);
  }

  endChild(): void {
    const child = this.children.shift() ?? -1;
    for (const {keepers} of [...this.vectors, ...this.orphans]) keepers.delete(child);
    for (const orphan of this.orphans) if (orphan.keepers.size === 0) this.orphans.delete(orphan);
    this.release();
  }

  close(index: number): void {
    for (const vector of this.vectors.splice(index, 1)) if (vector.keepers.size > 0) this.orphans.add(vector);
    this.release();
  }

  /** Contents of frames that nobody holds any more are anybody's; the aperture's stay. */
  release(): void {
    const keys = new Set(this.holdings().flatMap(({frames}) => frames.map(({key}) => key)));
    for (const key of this.contents.keys()) if (key > 0n && !keys.has(key)) this.contents.delete(key);
  }
}

function eachHeld(world: World, first: number, count: number, use: (held: Held) => void): void {
  for (const {frames} of world.holdings()) {
    for (const held of frames) if (held.at !== undefined && held.at >= first && held.at < first + count) use(held);
  }
}

export function refusal(result: string, reason: Verdict['reason'] = uapi.FRAMEVEC_REASON_NONE, failed?: number): Verdict {
  return {result, reason, failed, frames: 0};
}

export function isDevice(page: Mapped): boolean {
  return page.source === 'aperture' || page.source === 'uncached' || page.source === 'combining';
}

/** Device memory of one caching mode only can be in a vector; the aperture is cached like all memory. */
function cachingOf(page: Mapped | undefined): string {
  return page?.source === 'uncached' || page?.source === 'combining' ? page.source : 'cached';
}

/** Never a frame number. */
export function deviceKey(source: Source | 'kernel', offset: number): bigint {
  const kind = ['aperture', 'uncached', 'combining', 'kernel'].indexOf(source) + 1;
  return -BigInt(kind * 100_000 + offset);
}

export function beyondFile(page: Mapped): boolean {
  return (page.source === 'shared' || page.source === 'private') && page.offset >= FILE;
}
