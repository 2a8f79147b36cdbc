/** Who is measured: framevec from JavaScript here; peers.ts has what is measured in C. All of them by slices. */
import {FrameVector} from '../frame_vector.js';
import type {PinOptions, UnpinOptions} from '../pin_options.js';
import {touch, type Backing, type Region} from './backing.js';
import {now, SLICE_CALLS, type Samples} from './samples.js';

/** One that can be measured on a case. */
export interface Contestant {
  readonly what: string;
  readonly calls: {readonly pin: string; readonly unpin: string};
  /** Whether there are times of touching, too. */
  readonly touches: boolean;
  /** Whether {@link Samples} gets what the kernel says of itself, if asked. */
  readonly times: boolean;
  /** Pins and unpins until so many ns have gone by, or the samples are full: once at least. */
  slice(samples: Samples, ns: number, timed: boolean): void | Promise<void>;
  close(): void | Promise<void>;
}

export const FRAMEVEC = 'framevec';
const CALLS = {pin: 'vector.pin()', unpin: 'vector.unpin()'};
const TIMING: UnpinOptions = {timing: true};

/** A reused vector on memory that is there: the hot path, which allocates nothing. */
export class ResidentPins implements Contestant {
  readonly what = FRAMEVEC;
  readonly calls = CALLS;
  readonly touches = false;
  readonly times = true;
  readonly #vector: FrameVector;
  readonly #target: Uint8Array;
  readonly #plain: PinOptions;
  readonly #timed: PinOptions;

  constructor(target: Uint8Array, pages: number, write: boolean) {
    this.#vector = FrameVector.create(pages);
    this.#target = target;
    this.#plain = {write};
    this.#timed = {write, timing: true};
  }

  slice(samples: Samples, ns: number, timed: boolean): void {
    if (timed) this.#sliceTimed(samples, ns);
    else this.#slice(samples, ns);
  }

  /** The runs of frames that the target has. */
  extents(): number {
    this.#vector.pin(this.#target, this.#plain);
    const {counts} = this.#vector.extents({pfns: false});
    this.#vector.unpin();
    return counts.length;
  }

  #slice(samples: Samples, ns: number): void {
    const vector = this.#vector;
    const target = this.#target;
    const options = this.#plain;
    const {pin, unpin} = samples;
    const end = now() + ns;
    let count = 0;
    for (let after = 0; count < SLICE_CALLS && after < end; count++) {
      const before = now();
      vector.pin(target, options);
      const between = now();
      vector.unpin();
      after = now();
      pin[count] = between - before;
      unpin[count] = after - between;
    }
    samples.count = count;
  }

  #sliceTimed(samples: Samples, ns: number): void {
    const vector = this.#vector;
    const {pin, unpin, pinGup, pinCall, unpinGup, unpinCall} = samples;
    const end = now() + ns;
    let count = 0;
    for (let after = 0; count < SLICE_CALLS && after < end; count++) {
      const before = now();
      vector.pin(this.#target, this.#timed);
      const between = now();
      const pinned = vector.timing;
      const again = now();
      vector.unpin(TIMING);
      after = now();
      const unpinned = vector.timing;
      pin[count] = between - before;
      unpin[count] = after - again;
      pinGup[count] = pinned?.gupNs ?? 0;
      pinCall[count] = pinned?.callNs ?? 0;
      unpinGup[count] = unpinned?.gupNs ?? 0;
      unpinCall[count] = unpinned?.callNs ?? 0;
    }
    samples.count = count;
  }

  close(): void {
    this.#vector.close();
  }
}

/** Memory that is new each time: pinned untouched, so with its faults; and, apart, another touched and not pinned. */
export class ColdPins implements Contestant {
  readonly what = FRAMEVEC;
  readonly calls = CALLS;
  readonly touches = true;
  readonly times = true;
  readonly #vector: FrameVector;
  readonly #backing: Backing;
  readonly #bytes: number;
  readonly #pageSize: number;
  readonly #write: boolean;

  constructor(backing: Backing, pages: number, write: boolean, pageSize: number) {
    this.#vector = FrameVector.create(pages);
    this.#backing = backing;
    this.#bytes = pages * pageSize;
    this.#pageSize = pageSize;
    this.#write = write;
  }

  slice(samples: Samples, ns: number, timed: boolean): void {
    const vector = this.#vector;
    const options: PinOptions = {write: this.#write, timing: timed};
    const end = now() + ns;
    let count = 0;
    for (let after = 0; count < SLICE_CALLS && after < end; count++) {
      {
        using region: Region = this.#backing.cold(this.#bytes);
        const before = now();
        vector.pin(region.bytes, options);
        const between = now();
        if (timed) {
          samples.pinGup[count] = vector.timing?.gupNs ?? 0;
          samples.pinCall[count] = vector.timing?.callNs ?? 0;
        }
        const again = now();
        vector.unpin(timed ? TIMING : undefined);
        after = now();
        samples.pin[count] = between - before;
        samples.unpin[count] = after - again;
        if (timed) {
          samples.unpinGup[count] = vector.timing?.gupNs ?? 0;
          samples.unpinCall[count] = vector.timing?.callNs ?? 0;
        }
      }
      if (!timed) {
        using region: Region = this.#backing.cold(this.#bytes);
        const before = now();
        touch(region.bytes, this.#write && this.#backing.writable, this.#pageSize);
        after = now();
        samples.touch[count] = after - before;
      }
    }
    samples.count = count;
  }

  close(): void {
    this.#vector.close();
  }
}
