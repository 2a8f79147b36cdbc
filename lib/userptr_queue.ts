import {inspect} from 'node:util';
import {addon} from './addon.js';
import {lookAt, type PinTarget} from './containers.js';
import {invalidArgType, outOfRange} from './errors.js';
import {FrameAccess} from './frame_access.js';
import {FrameVector} from './frame_vector.js';
import {checkOptions, enabled, type OptionNames} from './options.js';
import {bufferTaken, queueClosed, queueFault, userptrRefused} from './v4l2/errors.js';
import {VIDEO_MAX_FRAME, VIDEO_MAX_PLANES} from './v4l2/native.js';
import {planesOf, QBUF_OPTIONS, streamOf, wholeNumber, type BufferQueue, type DequeuedBuffer, type Direction, type Frame, type QbufOptions, type StreamOptions} from './v4l2/stream.js';

/** What the device's side is given: a buffer, through the kernel's view of its frames. */
export interface DeviceFrame {
  readonly index: number;
  /** Counts the frames since streamon(). */
  readonly sequence: number;
  /**
   * The frames of each plane: `write()` to them, or `read()` them, as a device would. Not the vectors
   * themselves, which are the queue's: nobody but it can unpin them. They fail with `ECANCELED` once the
   * buffer is not the device's any more.
   */
  readonly vectors: readonly FrameAccess[];
  /** Bytes of each plane that hold the picture: what qbuf() said, or, to be set, what was written. */
  readonly bytesUsed: number[];
}

/**
 * What a device does with one buffer. If it returns a promise, the buffer is the device's until that
 * settles.
 */
export type DeviceWork = (frame: DeviceFrame) => void | PromiseLike<void>;

/** Options of {@link UserptrQueue.create}. */
export interface UserptrQueueOptions {
  /** Bytes that a buffer needs; of a multi-planar one a list, one a plane. */
  readonly planeBytes: number | readonly number[];
  /** Default: `'capture'`. */
  readonly direction?: Direction | undefined;
  /**
   * The device: next() and stream() have it work on what is queued, one buffer after the other. Without
   * one, {@link UserptrQueue.process} does.
   */
  readonly device?: DeviceWork | undefined;
}

const CREATE_OPTIONS: OptionNames<UserptrQueueOptions> = {planeBytes: true, direction: true, device: true};

interface Plane {
  readonly vector: FrameVector;
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
}

interface Slot {
  readonly index: number;
  state: 'dequeued' | 'queued' | 'working' | 'done';
  /** Counts the times that it was given to the device or taken from it: work on another time's is void. */
  generation: number;
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
export class UserptrQueue implements BufferQueue, Disposable, AsyncDisposable {
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
  readonly #works = new Set<Promise<void>>();

  /**
   * Makes a queue.
   *
   * @throws TypeError, RangeError - wrong options
   */
  static create(options: UserptrQueueOptions): UserptrQueue {
    checkOptions(options, CREATE_OPTIONS);
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

  /**
   * The frames of a buffer, as pinned by its last qbuf(): an access a plane; none if it has none. An access
   * ends when the buffer's memory is replaced or unpinned.
   */
  vectors(index: number): readonly FrameAccess[] {
    const slot = this.#slots[index];
    if (slot === undefined) return [];
    return slot.planes.flatMap((plane, i) => {
      const check = (): void => {
        if (slot.planes[i] !== plane) throw bufferTaken(index);
      };
      return plane === undefined ? [] : [new FrameAccess(plane.vector, check)];
    });
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
      generation: 0,
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
    checkOptions(options, QBUF_OPTIONS);
    this.#requireOpen();
    const unaligned = enabled(options.unaligned, 'unaligned');
    const targets = planesOf(memory);
    const views = targets.map(target => lookAt(target).view);
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
    slot.generation++;
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
   *   on; and what the device's work throws or rejects with
   */
  async next(): Promise<DequeuedBuffer> {
    while (this.#waits()) {
      // A device works on one buffer at a time, whoever waits for it.
      if (this.#device === undefined || this.#works.size > 0) {
        await new Promise<void>(resolve => this.#wake.push(resolve));
        continue;
      }
      // As with a device of its own pace, whoever else has something to do is not kept from it.
      await new Promise(resolve => setImmediate(resolve));
      if (this.#waits() && this.#works.size === 0 && !(await this.process(this.#device))) {
        throw userptrRefused('next', 'EBADF', -9, 'nothing is queued that the device could work on: qbuf() first');
      }
    }
    return this.dqbuf();
  }

  /**
   * The device's side: works on the buffer that was queued first, and waits until `work` is through. A
   * buffer that streamoff(), reqbufs() or close() takes from the device meanwhile is not handed back:
   * `work` then can't reach its frames any more.
   *
   * @param work - called at once; if it returns no promise, the buffer is handed back at once, too
   * @returns whether there was a buffer: not if the queue does not stream
   * @throws (rejects) what `work` throws or rejects with; the buffer is handed back with `error` then;
   *   `ERR_FRAMEVEC_CLOSED`
   */
  async process(work: DeviceWork): Promise<boolean> {
    this.#requireOpen();
    if (typeof work !== 'function') throw invalidArgType('work', 'of type function', work);
    if (!this.#streaming) return false;
    const slot = this.#queued.shift();
    if (slot === undefined) return false;
    const sequence = this.#sequence++;
    slot.sequence = sequence;
    slot.state = 'working';
    const generation = ++slot.generation;
    const {index, bytesUsed} = slot;
    const check = (): void => {
      if (slot.generation !== generation) throw bufferTaken(index);
    };
    let error = true;
    try {
      const pending = work({index, sequence, vectors: accessesOf(slot, check), bytesUsed});
      if (isPromise(pending)) await this.#await(pending);
      error = false;
    } finally {
      if (slot.generation === generation) this.#handBack(slot, error);
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

  /** Stops, and releases all memory. A second close() does nothing. */
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

  /** The same, and waits until what the device is working on is through. */
  async [Symbol.asyncDispose](): Promise<void> {
    const works = [...this.#works];
    this.close();
    await Promise.allSettled(works);
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
      if (same && held.vector.frames > 0 && !held.vector.stale) return;
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
    for (const slot of this.#slots) take(slot);
    this.#wakeAll();
  }

  /** Waits for the device's work, and has close() and the others know of it. */
  async #await(pending: PromiseLike<void>): Promise<void> {
    const work = (async (): Promise<void> => {
      await pending;
    })();
    this.#works.add(work);
    try {
      await work;
    } finally {
      this.#works.delete(work);
      this.#wakeAll();
    }
  }

  #handBack(slot: Slot, error: boolean): void {
    // The access of the work ends here.
    slot.generation++;
    slot.error = error;
    slot.timestampUs = Math.floor(Number(process.hrtime.bigint()) / 1000);
    slot.state = 'done';
    this.#done.push(slot);
    this.#wakeAll();
  }

  #letGo(): void {
    this.#queued = [];
    this.#slots.forEach(take);
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

/** Takes a buffer from the device: what it works on is void. */
function take(slot: Slot): void {
  slot.state = 'dequeued';
  slot.generation++;
}

function accessesOf(slot: Slot, check: () => void): FrameAccess[] {
  return slot.planes.flatMap(plane => (plane === undefined ? [] : [new FrameAccess(plane.vector, check)]));
}

function isPromise(value: unknown): value is PromiseLike<void> {
  return typeof (value as PromiseLike<void> | undefined)?.then === 'function';
}

function release(slot: Slot): void {
  slot.planes = slot.planes.map(plane => {
    plane?.vector.close();
    return undefined;
  });
}
