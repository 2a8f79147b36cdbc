/** What may be done with a vector's frames by those to whom the vector does not belong. */
import type {Extents, ExtentsOptions} from './extents.js';
import type {FrameVector} from './frame_vector.js';
import {shown} from './inspect.js';
import {inspect, type InspectOptionsStylized} from 'node:util';
import type {Kind} from './uapi.js';

/**
 * The frames of a buffer without the vector that holds them: they can be read and written as a device
 * would, and looked at, but not unpinned. {@link UserptrQueue} hands it to the device's side.
 */
export class FrameAccess {
  readonly #vector: FrameVector;
  readonly #check: () => void;

  /** @internal `check` throws once the access has ended. */
  constructor(vector: FrameVector, check: () => void) {
    this.#vector = vector;
    this.#check = check;
  }

  /** As {@link FrameVector.kind}. */
  get kind(): Kind {
    return this.#get().kind;
  }

  /** How many frames there are. */
  get frames(): number {
    return this.#get().frames;
  }

  /** Bytes from the start of the first frame to the first byte of the buffer. */
  get offset(): number {
    return this.#get().offset;
  }

  /** Bytes of the buffer. */
  get byteLength(): number {
    return this.#get().byteLength;
  }

  /** As {@link FrameVector.stale}. */
  get stale(): boolean {
    return this.#get().stale;
  }

  /** As {@link FrameVector.read}; `ECANCELED` once the buffer is not the device's any more. */
  read(offset: number, into: ArrayBufferView): number {
    return this.#get().read(offset, into);
  }

  /** As {@link FrameVector.write}; `ECANCELED` once the buffer is not the device's any more. */
  write(offset: number, from: ArrayBufferView): number {
    return this.#get().write(offset, from);
  }

  /** As {@link FrameVector.pfns}. */
  pfns(into?: BigUint64Array, first?: number): BigUint64Array {
    return this.#get().pfns(into, first);
  }

  /** As {@link FrameVector.extents}. */
  extents(options: ExtentsOptions & {pfns: false}): Pick<Extents, 'counts'>;
  extents(options?: ExtentsOptions & {pfns?: true}): Extents;
  extents(options?: ExtentsOptions): Partial<Extents> {
    return this.#get().extents(options as ExtentsOptions & {pfns: false});
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptionsStylized): string {
    try {
      const {kind, frames, offset, byteLength} = this;
      return shown('FrameAccess', {kind, frames, offset, byteLength}, depth, options);
    } catch {
      return shown('FrameAccess', 'ended', depth, options);
    }
  }

  #get(): FrameVector {
    this.#check();
    return this.#vector;
  }
}
