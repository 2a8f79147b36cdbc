/**
 * The model: what the arena, the vectors and the frames have to be, told by what was done to them alone. It knows the rules of
 * the header and of mm/, and asks the system for nothing but frame numbers, which nobody can predict.
 */
import * as uapi from '../../../lib/uapi.js';
import {PAGE, PROT} from '../raw.js';

/** Where everything happens: frames of address space. */
export const ARENA = 1200;
/** Frames of the file that is mapped, shared and privately; its mappings may go beyond. */
export const FILE = 24;

export type Source = 'anonymous' | 'shared' | 'private' | 'aperture';

/** A frame of the arena that is mapped. */
export interface Mapped {
  source: Source;
  prot: number;
  /** Which frame of the file or of the aperture. */
  offset: number;
  /** Its protection has been changed since it was mapped. */
  reprotected: boolean;
}

/** A frame that a vector holds. */
export interface Held {
  /** Its content in `World.contents`: the frame number, or, of the aperture, minus the offset and one. */
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
  offset: number;
  length: number;
  /** Where it was pinned. */
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
  reason: number;
  /** The first frame of the arena that is not held. */
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
  /** The bytes of every frame that is held, and of the aperture's that were ever seen. */
  readonly contents = new Map<bigint, Uint8Array>();
  /** The aperture's frame numbers, as they were first told. */
  readonly aperture = new Map<number, bigint>();
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
    return page?.source === 'aperture' ? apertureKey(page.offset) : pfn;
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
    if (page === undefined || page.source === 'shared' || page.source === 'aperture') return;
    if (!copiesProtected) return;
    for (const holding of this.holdings()) {
      if (holding.write && !page.reprotected) continue;
      for (const held of holding.frames) if (held.at === index) held.at = undefined;
    }
  }

  /** What PIN says of bytes [addr, addr + length) of the arena. */
  verdict(vector: Vector, addr: number, length: number, write: boolean, partial: boolean): Verdict {
    const first = Math.floor(addr / PAGE);
    const asked = Math.floor((addr + length - 1) / PAGE) - first + 1;
    const refusal = (result: string, reason: number = uapi.FRAMEVEC_REASON_NONE, failed?: number): Verdict => ({result, reason, failed, frames: 0});
    if (asked > vector.capacity) return refusal('EINVAL');
    if (vector.holds !== undefined) return refusal('EBUSY');

    const kinds = (page: Mapped): boolean => page.source === 'aperture';
    let reason: number = uapi.FRAMEVEC_REASON_NONE;
    let frames = 0;
    for (; frames < asked; frames++) {
      const page = this.pages[first + frames];
      const before = frames > 0 ? this.pages[first + frames - 1] : undefined;
      if (page === undefined) reason = uapi.FRAMEVEC_REASON_NO_MAPPING;
      else if (before !== undefined && kinds(before) !== kinds(page)) reason = uapi.FRAMEVEC_REASON_KIND_CHANGES;
      else if (write && (page.prot & PROT.WRITE) === 0) reason = uapi.FRAMEVEC_REASON_NOT_WRITABLE;
      else if (!write && (page.prot & PROT.READ) === 0) reason = uapi.FRAMEVEC_REASON_NOT_READABLE;
      if (reason !== uapi.FRAMEVEC_REASON_NONE) break;
    }
    // That much the mappings tell; the rest only the attempt.
    if (reason === uapi.FRAMEVEC_REASON_NONE || (partial && frames > 0)) {
      const reachable = this.run(first, frames, page => !beyondFile(page));
      if (reachable < frames) {
        frames = reachable;
        reason = uapi.FRAMEVEC_REASON_END_OF_FILE;
      }
    }
    if (reason === uapi.FRAMEVEC_REASON_NONE) return {result: 0, reason, failed: undefined, frames};
    if (!partial || frames === 0) return refusal('EFAULT', reason, first + frames);
    return {result: 0, reason, failed: first + frames, frames};
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


export function apertureKey(offset: number): bigint {
  return -BigInt(offset) - 1n;
}

export function beyondFile(page: Mapped): boolean {
  return (page.source === 'shared' || page.source === 'private') && page.offset >= FILE;
}
