import {inspect} from 'node:util';
import {addon} from './addon.js';
import {viewOf, type PinTarget} from './containers.js';
import {invalidArgType, outOfRange, requireObject} from './errors.js';
import {FrameVector} from './frame_vector.js';
import {enabled} from './pin_options.js';
import {queueClosed, queueFault, userptrRefused} from './v4l2/errors.js';
import {VIDEO_MAX_FRAME, VIDEO_MAX_PLANES} from './v4l2/native.js';
import {planesOf, streamOf, wholeNumber, type BufferQueue, type DequeuedBuffer, type Direction, type Frame, type QbufOptions, type StreamOptions} from './v4l2/stream.js';

/** What the device's side is given: a buffer, through the kernel's view of its frames. */
export interface DeviceFrame {
  readonly index: number;
  /** Counts the frames since streamon(). */
  readonly sequence: number;
  /** The frames of each plane: `write()` to them, or `read()` them, as a device would. */
  readonly vectors: readonly FrameVector[];
  /** Bytes of each plane that hold the picture: what qbuf() said, or, to be set, what was written. */
  readonly bytesUsed: number[];
}

/** What a device does with one buffer. */
export type DeviceWork = (frame: DeviceFrame) => void;

/** Options of {@link UserptrQueue.create}. */
export interface UserptrQueueOptions {
  /** Bytes that a buffer needs; of a multi-planar one a list, one a plane. */
  readonly planeBytes: number | readonly number[];
  /** Default: `'capture'`. */
  readonly direction?: Direction | undefined;
  /** The device: next() and stream() have it work on what is queued. Without one, {@link UserptrQueue.process} does. */
  readonly device?: DeviceWork | undefined;
}

interface Plane {
  readonly vector: FrameVector;
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
}

interface Slot {
  readonly index: number;
  state: 'dequeued' | 'queued' | 'done';
  planes: (Plane | undefined)[];
  bytesUsed: number[];
  sequence: number;
  timestampUs: number;
  error: boolean;
}

/**
 * A queue of buffers that behaves as videobuf2's does with V4L2_MEMORY_USERPTR, over framevec and with
 * no video hardware. qbuf() pins the memory; a device of one's own fills it through the kernel's view
 * of the frames; dqbuf() hands it back. A buffer that is queued again with the same address and
 * length keeps its pin. It takes device memory too ({@link DeviceMemory}), which V4L2 does not since
 * December 2022, and notices when its mapping changes.
 *
 * The methods, and the errnos with which they refuse, are those of {@link V4l2Device}, so that the two
 * can be compared step by step.
 */
export class UserptrQueue implements BufferQueue, Disposable {
  readonly direction: Direction;
  readonly planeBytes: readonly number[];
  readonly #device: DeviceWork | undefined;
  #slots: Slot[] = [];
  #queued: Slot[] = [];
  #done: Slot[] = [];
  #streaming = false;
  #closed = false;
  #sequence = 0;
  #pins = 0;
  #wake: (() => void)[] = [];

  /**
   * Makes a queue.
   *
   * @throws TypeError, RangeError - wrong options
   */
  static create(options: UserptrQueueOptions): UserptrQueue {
    requireObject('options', options);
    const {planeBytes, direction = 'capture', device} = options;
    const sizes = typeof planeBytes === 'number' ? [planeBytes] : planeBytes;
    if (!Array.isArray(sizes)) throw invalidArgType('options.planeBytes', 'a number or a list of numbers', planeBytes);
    if (sizes.length < 1 || sizes.length > VIDEO_MAX_PLANES) {
      throw outOfRange('options.planeBytes.length', `>= 1 && <= ${VIDEO_MAX_PLANES}`, sizes.length);
    }
    sizes.forEach(bytes => wholeNumber('options.planeBytes', bytes, 2 ** 32 - 1));
    if (!['capture', 'output'].includes(direction)) throw invalidArgType('options.direction', "'capture' or 'output'", direction);
    if (device !== undefined && typeof device !== 'function') throw invalidArgType('options.device', 'of type function', device);
    return new UserptrQueue([...(sizes as readonly number[])], direction, device);
  }

  private constructor(planeBytes: readonly number[], direction: Direction, device: DeviceWork | undefined) {
    this.planeBytes = planeBytes;
    this.direction = direction;
    this.#device = device;
  }

  /** Pins taken so far: a buffer that is queued again where it was takes none. */
  get pins(): number {
    return this.#pins;
  }

  /** Whether it streams. */
  get streaming(): boolean {
    return this.#streaming;
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The frames of a buffer, as pinned by its last qbuf(): a vector a plane; none if it has none. */
  vectors(index: number): readonly FrameVector[] {
    return (this.#slots[index]?.planes ?? []).flatMap(plane => plane?.vector ?? []);
  }

  /**
   * Makes so many buffers, after letting go of all that there were.
   *
   * @returns how many: as many as were asked for
   * @throws RangeError - not 0 to 32
   * @throws FrameVectorError `EBUSY` - it streams; `ERR_FRAMEVEC_CLOSED`
   */
  reqbufs(count: number): number {
    wholeNumber('count', count, VIDEO_MAX_FRAME, 0);
    this.#requireOpen();
    if (this.#streaming) throw userptrRefused('reqbufs', 'EBUSY', -16, 'it streams: streamoff() first');
    this.#letGo();
    this.#slots = Array.from({length: count}, (_, index) => ({
      index,
      state: 'dequeued',
      planes: this.planeBytes.map(() => undefined),
      bytesUsed: [],
      sequence: 0,
      timestampUs: 0,
      error: false,
    }));
    return count;
  }

  /**
   * Gives the device a buffer: pins its memory, for writing if the direction is `'capture'`, unless it
   * is where it was. A snapshot of device memory that has gone stale is taken anew.
   *
   * @throws TypeError, RangeError - as {@link FrameVector.pin}
   * @throws FrameVectorError `EINVAL` - too short, queued already, no such buffer;
   *   `ERR_FRAMEVEC_CLOSED`; and as {@link FrameVector.pin}. The device has not got it then, and
   *   nothing of it stays pinned.
   */
  qbuf(index: number, memory: PinTarget | readonly PinTarget[], options: QbufOptions = {}): void {
    wholeNumber('index', index, 2 ** 32 - 1, 0);
    requireObject('options', options);
    this.#requireOpen();
    const unaligned = enabled(options.unaligned, 'unaligned');
    const targets = planesOf(memory);
    const views = targets.map(viewOf);
    const given = views.map(view => view.byteLength);
    const slot = this.#slots[index];
    const fault = queueFault({
      index,
      count: this.#slots.length,
      queued: slot !== undefined && slot.state !== 'dequeued',
      direction: this.direction,
      needed: this.planeBytes,
      given,
      addresses: [],
    });
    if (fault !== undefined || slot === undefined) throw userptrRefused('qbuf', 'EINVAL', -22, `buffer ${index}: ${fault ?? ''}`);
    const bytesUsed = given.map((bytes, plane) => {
      if (this.direction === 'capture') return this.planeBytes[plane] ?? 0;
      return wholeNumber(`options.bytesUsed[${plane}]`, options.bytesUsed?.[plane] ?? bytes, bytes, 0);
    });
    try {
      views.forEach((view, plane) => {
        this.#hold(slot, plane, targets[plane] ?? view, view, unaligned);
      });
    } catch (error) {
      release(slot);
      throw error;
    }
    slot.bytesUsed = bytesUsed;
    slot.state = 'queued';
    this.#queued.push(slot);
    this.#wakeAll();
  }

  /**
   * Takes back a buffer that the device has done with. Its pin stays until it is queued elsewhere,
   * or until reqbufs() or close().
   *
   * @throws FrameVectorError `EAGAIN` - there is none yet; `EINVAL` - it does not stream;
   *   `ERR_FRAMEVEC_CLOSED`
   */
  dqbuf(): DequeuedBuffer {
    this.#requireOpen();
    if (!this.#streaming) throw userptrRefused('dqbuf', 'EINVAL', -22);
    const slot = this.#done.shift();
    if (slot === undefined) throw userptrRefused('dqbuf', 'EAGAIN', -11);
    slot.state = 'dequeued';
    const {index, sequence, timestampUs, error, bytesUsed} = slot;
    return {index, sequence, timestampUs, error, bytesUsed};
  }

  /**
   * Has the device work on a buffer, or waits until it has, and takes it back.
   *
   * @throws FrameVectorError as {@link dqbuf}; `EBADF` - nothing is queued that the device could work
   *   on; and what the device's work throws
   */
  async next(): Promise<DequeuedBuffer> {
    while (this.#waits()) {
      if (this.#device === undefined) {
        await new Promise<void>(resolve => this.#wake.push(resolve));
        continue;
      }
      // As with a device of its own pace, whoever else has something to do is not kept from it.
      await new Promise(resolve => setImmediate(resolve));
      if (this.#waits() && !this.process(this.#device)) {
        throw userptrRefused('next', 'EBADF', -9, 'nothing is queued that the device could work on: qbuf() first');
      }
    }
    return this.dqbuf();
  }

  /**
   * The device's side: works on the buffer that was queued first.
   *
   * @returns whether there was one: not if it does not stream
   * @throws what `work` throws; the buffer is handed back with `error` then
   */
  process(work: DeviceWork): boolean {
    this.#requireOpen();
    if (!this.#streaming) return false;
    const slot = this.#queued.shift();
    if (slot === undefined) return false;
    slot.sequence = this.#sequence++;
    slot.error = true;
    try {
      work({index: slot.index, sequence: slot.sequence, vectors: this.vectors(slot.index), bytesUsed: slot.bytesUsed});
      slot.error = false;
    } finally {
      slot.timestampUs = Math.floor(Number(process.hrtime.bigint()) / 1000);
      slot.state = 'done';
      this.#done.push(slot);
      this.#wakeAll();
    }
    return true;
  }

  /**
   * Starts the device.
   *
   * @throws FrameVectorError `EINVAL` - there are no buffers; `ERR_FRAMEVEC_CLOSED`
   */
  streamon(): void {
    this.#requireOpen();
    if (this.#slots.length === 0) throw userptrRefused('streamon', 'EINVAL', -22);
    if (!this.#streaming) this.#sequence = 0;
    this.#streaming = true;
  }

  /**
   * Stops the device, and takes every buffer back. The pins stay until reqbufs() or close().
   *
   * @throws FrameVectorError `ERR_FRAMEVEC_CLOSED`
   */
  streamoff(): void {
    this.#requireOpen();
    this.#stop();
  }

  /** As {@link V4l2Device.stream}. */
  stream(options?: StreamOptions): AsyncGenerator<Frame, void, undefined> {
    return streamOf(this, options);
  }

  /** Stops, and lets all memory go. A second close() does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#stop();
    this.#letGo();
    this.#closed = true;
  }

  /** The same as {@link close}: `using queue = UserptrQueue.create({planeBytes: 4096})`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  [inspect.custom](_depth: number, options: object): string {
    if (this.#closed) return 'UserptrQueue {closed}';
    const {direction, planeBytes, streaming, pins} = this;
    const buffers = this.#slots.map(({state}) => state);
    return `UserptrQueue ${inspect({direction, planeBytes, streaming, buffers, pins}, options)}`;
  }

  #hold(slot: Slot, plane: number, target: PinTarget, view: ArrayBufferView, unaligned: boolean): void {
    const {buffer, byteOffset, byteLength} = view;
    const held = slot.planes[plane];
    if (held !== undefined) {
      const same = held.buffer === buffer && held.byteOffset === byteOffset && held.byteLength === byteLength;
      if (same && !held.vector.stale) return;
      held.vector.close();
      slot.planes[plane] = undefined;
    }
    const vector = FrameVector.create(Math.ceil(byteLength / addon.pageSize) + 1);
    try {
      vector.pin(target, {write: this.direction === 'capture', unaligned});
    } catch (error) {
      vector.close();
      throw error;
    }
    this.#pins++;
    slot.planes[plane] = {vector, buffer, byteOffset, byteLength};
  }

  /** Whether a buffer that is done may still come. */
  #waits(): boolean {
    return this.#streaming && this.#done.length === 0;
  }

  #stop(): void {
    this.#streaming = false;
    this.#queued = [];
    this.#done = [];
    for (const slot of this.#slots) slot.state = 'dequeued';
    this.#wakeAll();
  }

  #letGo(): void {
    this.#queued = [];
    this.#slots.forEach(release);
    this.#slots = [];
  }

  #wakeAll(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const resolve of waiting) resolve();
  }

  #requireOpen(): void {
    if (this.#closed) throw queueClosed('UserptrQueue');
  }
}

function release(slot: Slot): void {
  slot.planes = slot.planes.map(plane => {
    plane?.vector.close();
    return undefined;
  });
}
