/** Memory that the addon has mapped: its life, from the mapping to close(). */
import {inspect, type InspectOptionsStylized} from 'node:util';
import {addon, FIELD_REGION} from './addon.js';
import {unexpected} from './errors.js';
import {shown} from './inspect.js';

/**
 * What holds bytes that may be pinned. `'owned'`: mapped by the addon, sound whatever becomes of the
 * ArrayBuffer. `'shared'`, `'wasm'`: can't be detached under a pin. `'plain'`: of the JavaScript heap,
 * marked as untransferable, which is as much as Node can do.
 */
export interface Container {
  readonly kind: 'owned' | 'shared' | 'wasm' | 'plain';
  /** The addon's handle of owned memory, -1 of all other. */
  readonly region: number;
  /** All of it: what is pinned if the target is no view itself. */
  readonly whole: Uint8Array;
}

/** The container that memory is: of the most common target, without a look-up. */
export let ownContainer: (memory: MappedMemory) => Container;

/** Whether it is memory of another copy of this package: its class is another one, but has the same mark. */
export function isOfOtherCopy(target: unknown): boolean {
  return typeof target === 'object' && target !== null && BRAND in target && !(target instanceof MappedMemory);
}

const BRAND = Symbol.for('framevec.MappedMemory');

interface Region {
  handle: number;
}

const {closeRegion, detach, disownRegion, exchange} = addon;

// Of the ArrayBuffer this needs no more than transfer(0), by whatever name another realm has it.
const transfer = (ArrayBuffer.prototype as {transfer?: (this: ArrayBuffer, length: number) => ArrayBuffer}).transfer;

// The memory of one that was dropped stays as long as its bytes can be reached.
const dropped = new FinalizationRegistry<Region>(region => {
  if (region.handle >= 0) disownRegion(region.handle);
});

/**
 * Memory that begins at a page and shares none with anything else, still sound if its ArrayBuffer
 * is transferred. close() releases it; without, it is released when neither this object nor the
 * ArrayBuffer can be reached any more.
 */
export abstract class MappedMemory implements Disposable {
  /** The memory. Detached by {@link close}. */
  readonly buffer: ArrayBuffer;
  /** All of the memory as bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #region: Region;
  readonly #container: Container;
  readonly #byteLength: number;

  static {
    ownContainer = memory => memory.#container;
    Object.defineProperty(this.prototype, BRAND, {value: true});
  }

  /** @internal Makes the object of a region that the addon has just made, or closes the region. */
  static adopt<T>(buffer: ArrayBuffer, make: (buffer: ArrayBuffer) => T): T {
    const region = exchange[FIELD_REGION];
    try {
      return make(buffer);
    } catch (error) {
      closeRegion(region, 0);
      throw error;
    }
  }

  /** @internal Of the region that the addon has just made. */
  protected constructor(buffer: ArrayBuffer) {
    this.buffer = buffer;
    this.bytes = new Uint8Array(buffer);
    this.#byteLength = buffer.byteLength;
    this.#region = {handle: exchange[FIELD_REGION]};
    this.#container = {kind: 'owned', region: this.#region.handle, whole: this.bytes};
    dropped.register(this, this.#region, this.#region);
  }

  /** Bytes; 0 once closed. */
  get byteLength(): number {
    return this.closed ? 0 : this.#byteLength;
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#region.handle < 0;
  }

  /**
   * Unmaps the memory at once. The ArrayBuffer is detached; if it had been transferred, the memory stays
   * mapped for its new owner, who reads zero from now on. A snapshot of it goes stale.
   *
   * While a vector has frames of it pinned, or a video device has it, the unmap is deferred: the object
   * is closed and its ArrayBuffer detached, and the memory is unmapped when the last of them is
   * released. So the order in which memory and vectors are closed makes no difference.
   *
   * Await asynchronous calls of Node that use the bytes (such as `fs.read`) first. A second close() does
   * nothing.
   */
  close(): void {
    const {handle} = this.#region;
    if (handle < 0) return;
    this.#region.handle = -1;
    dropped.unregister(this.#region);
    const answer = closeRegion(handle, detached(this.buffer) ? 1 : 0);
    if (answer < 0) throw unexpected('close', answer);
  }

  /** The same as {@link close}: `using memory = FrameVector.alloc(4096)`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptionsStylized): string {
    return shown(this.constructor.name, this.closed ? 'closed' : this.shown(), depth, options);
  }

  /** @internal What inspect() shows. */
  protected abstract shown(): object;
}

/** Detaches it: whether that was the last ArrayBuffer of its memory. It is not if it was transferred before. */
function detached(buffer: ArrayBuffer): boolean {
  if (buffer.byteLength === 0) return false;
  try {
    // Not napi_detach_arraybuffer where there is another way: on a marked one that aborts Node 24.21.
    if (transfer === undefined) detach(buffer);
    else transfer.call(buffer, 0);
  } catch {
    // Views of it stay, then: the memory is not unmapped, but replaced.
  }
  return buffer.byteLength === 0;
}
