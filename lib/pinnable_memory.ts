import {constants} from 'node:buffer';
import {inspect} from 'node:util';
import {
  addon,
  FIELD_HUGE_ADVICE,
  FIELD_REGION,
  HUGE_1G,
  HUGE_2M,
  HUGE_ADVISE,
  HUGE_LEAVE,
  HUGE_NEVER,
  REFUSED_NO_ARRAYBUFFER,
  REFUSED_NO_EXTERNAL,
} from './addon.js';
import {allocFailed, invalidArgType, memoryPinned, noExternalBuffers, outOfRange, requireObject, unexpected} from './errors.js';

/** Options of {@link PinnableMemory.alloc}. */
export interface AllocOptions {
  /**
   * `true`: aligned to 2 MiB, and transparent huge pages asked for with MADV_HUGEPAGE, which makes
   * pinning many times faster; it is advice, see {@link PinnableMemory.hugepages} for what came of
   * it. `false`: 4 KiB pages always (MADV_NOHUGEPAGE). `'2M'`, `'1G'`: of the reserved ones
   * (MAP_HUGETLB), or an error. Default: `true` from 2 MiB on.
   */
  hugepages?: boolean | '2M' | '1G' | undefined;
}

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
export let ownContainer: (memory: PinnableMemory) => Container;

interface Region {
  handle: number;
}

const {allocate, closeRegion, detach, disownRegion, exchange} = addon;
const MEBIBYTE_2 = 2 ** 21;

// Of the ArrayBuffer this needs no more than transfer(0), by whatever name another realm has it.
const transfer = (ArrayBuffer.prototype as {transfer?: (this: ArrayBuffer, length: number) => ArrayBuffer}).transfer;

// The memory of one that was dropped stays as long as its bytes can be reached.
const dropped = new FinalizationRegistry<Region>(region => {
  if (region.handle >= 0) disownRegion(region.handle);
});

/**
 * Memory that may be pinned without a second thought: page-aligned, of pages that it shares with
 * nothing, and still sound if its ArrayBuffer is transferred. Made by {@link FrameVector.alloc}.
 *
 * close() gives it back; without, it goes when neither this object nor the ArrayBuffer can be
 * reached any more.
 */
export class PinnableMemory implements Disposable {
  /** The memory; zero at first. Detached by {@link close}. */
  readonly buffer: ArrayBuffer;
  /** All of the memory as bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The huge pages that it was given: `true` if the kernel has taken the advice. */
  readonly hugepages: boolean | '2M' | '1G';
  readonly #region: Region;
  readonly #container: Container;
  readonly #byteLength: number;

  static {
    ownContainer = memory => memory.#container;
  }

  /**
   * Allocates memory.
   *
   * @param bytes - how many, at least 1. The last page is the memory's own, even if it is not full.
   * @throws TypeError, RangeError - wrong arguments
   * @throws FrameVectorError `ENOMEM` - no memory, or too few huge pages reserved;
   *   `ERR_FRAMEVEC_NO_EXTERNAL_BUFFERS` - Electron
   */
  static alloc(bytes: number, options: AllocOptions = {}): PinnableMemory {
    if (typeof bytes !== 'number') throw invalidArgType('bytes', 'of type number', bytes);
    if (!Number.isSafeInteger(bytes) || bytes < 1 || bytes > constants.MAX_LENGTH) {
      throw outOfRange('bytes', `an integer >= 1 && <= ${constants.MAX_LENGTH}`, bytes);
    }
    requireObject('options', options);
    return new PinnableMemory(bytes, options.hugepages);
  }

  private constructor(bytes: number, hugepages: AllocOptions['hugepages']) {
    const buffer = allocate(bytes, hugeMode(bytes, hugepages));
    if (typeof buffer === 'number') throw allocError(buffer, bytes, hugepages);
    this.buffer = buffer;
    this.bytes = new Uint8Array(buffer);
    this.#byteLength = bytes;
    this.#region = {handle: exchange[FIELD_REGION]};
    this.hugepages = hugepages === '2M' || hugepages === '1G' ? hugepages : exchange[FIELD_HUGE_ADVICE] === 1;
    this.#container = {kind: 'owned', region: this.#region.handle, whole: this.bytes};
    dropped.register(this, this.#region, this.#region);
  }

  /** Bytes, as asked for; 0 once closed. */
  get byteLength(): number {
    return this.closed ? 0 : this.#byteLength;
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#region.handle < 0;
  }

  /**
   * Gives the memory back at once. The ArrayBuffer is detached; if it had been transferred, what it
   * was transferred to reads zero from now on. A second close() does nothing.
   *
   * @throws FrameVectorError `EBUSY` - a vector holds frames of it
   */
  close(): void {
    const {handle} = this.#region;
    if (handle < 0) return;
    const answer = closeRegion(handle);
    if (answer === -16) throw memoryPinned();
    if (answer < 0) throw unexpected('close', answer);
    this.#region.handle = -1;
    dropped.unregister(this.#region);
    // Not napi_detach_arraybuffer where there is another way: on a marked one that aborts Node 24.21.
    if (this.buffer.byteLength === 0) return;
    if (transfer === undefined) detach(this.buffer);
    else transfer.call(this.buffer, 0);
  }

  /** The same as {@link close}: `using memory = FrameVector.alloc(4096)`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  [inspect.custom](_depth: number, options: object): string {
    if (this.closed) return 'PinnableMemory {closed}';
    return `PinnableMemory ${inspect({byteLength: this.byteLength, hugepages: this.hugepages}, options)}`;
  }
}

function hugeMode(bytes: number, hugepages: unknown): number {
  switch (hugepages) {
    case undefined:
      return bytes >= MEBIBYTE_2 ? HUGE_ADVISE : HUGE_LEAVE;
    case false:
      return HUGE_NEVER;
    case true:
      return HUGE_ADVISE;
    case '2M':
      return HUGE_2M;
    case '1G':
      return HUGE_1G;
    default:
      throw invalidArgType('options.hugepages', "true, false, '2M' or '1G'", hugepages);
  }
}

function allocError(answer: number, bytes: number, hugepages: AllocOptions['hugepages']): Error {
  if (answer === REFUSED_NO_EXTERNAL) return noExternalBuffers();
  if (answer === REFUSED_NO_ARRAYBUFFER) return allocFailed(-12, bytes, undefined);
  return answer > -4096 ? allocFailed(answer, bytes, hugepages) : unexpected('alloc', answer);
}
