/** What every queue of buffers has in common, be it a video device's or framevec's own, and the loop over its frames. */
import {bytesOf, lookAt, type PinTarget} from '../containers.js';
import {invalidArgType, outOfRange} from '../errors.js';
import {checkOptions, type OptionNames} from '../options.js';
import {PinnableMemory} from '../pinnable_memory.js';
import {VIDEO_MAX_FRAME} from './native.js';

/** Which way the pictures go: `'capture'`: the device writes to the memory; `'output'`: it reads. */
export type Direction = 'capture' | 'output';

/** Options of qbuf(). */
export interface QbufOptions {
  /** With `'output'`: bytes of each plane that hold the picture. Default: all of them. */
  readonly bytesUsed?: readonly number[] | undefined;
  /** The memory may share its first and last page with other memory, which the device would see. */
  readonly unaligned?: boolean | undefined;
}

/** The names of {@link QbufOptions}. */
export const QBUF_OPTIONS: OptionNames<QbufOptions> = {bytesUsed: true, unaligned: true};

/** A buffer that the device has done with. */
export interface DequeuedBuffer {
  readonly index: number;
  /** Counts the device's frames; those that found no buffer count too. */
  readonly sequence: number;
  /** When the device had done with it, microseconds of the system's monotonic clock. */
  readonly timestampUs: number;
  /** The device says that the picture is not to be trusted (V4L2_BUF_FLAG_ERROR). */
  readonly error: boolean;
  /** Bytes of each plane that hold the picture. */
  readonly bytesUsed: readonly number[];
}

/**
 * A queue of buffers, in the manner of V4L2's: reqbufs() makes so many, qbuf() gives one to the
 * device, dqbuf() takes it back. {@link V4l2Device} is a real device's, {@link UserptrQueue} is
 * framevec's own.
 */
export interface BufferQueue {
  readonly direction: Direction;
  /** Bytes that each plane of a buffer needs. */
  readonly planeBytes: readonly number[];
  /** Makes so many buffers, after letting go of all that there were; says how many. */
  reqbufs(count: number): number;
  /** Gives the device a buffer, whose memory is pinned. */
  qbuf(index: number, memory: PinTarget | readonly PinTarget[], options?: QbufOptions): void;
  /** Takes back a buffer that the device has done with, without waiting. */
  dqbuf(): DequeuedBuffer;
  /** Waits until the device has done with a buffer, and takes it back. */
  next(): Promise<DequeuedBuffer>;
  /** Starts the device. */
  streamon(): void;
  /** Stops the device, and takes every buffer back. */
  streamoff(): void;
  /** Stops, and lets all memory go. */
  close(): void;
}

/** Options of stream(). */
export interface StreamOptions extends Omit<QbufOptions, 'bytesUsed'> {
  /** How many; the device may want more or less. Default: 4. */
  readonly buffers?: number | undefined;
  /** Ends by itself after so many frames; with `'output'` when the device has come to the last one. Default: never. */
  readonly frames?: number | undefined;
  /**
   * The memory of a plane of a buffer. It stays the caller's. Default: {@link FrameVector.alloc}, given
   * back at the end.
   */
  readonly memory?: ((bytes: number, index: number, plane: number) => PinTarget) | undefined;
}

const STREAM_OPTIONS: OptionNames<StreamOptions> = {buffers: true, frames: true, memory: true, unaligned: true};

/** A plane of a frame. */
export interface FramePlane {
  /** With `'capture'` the picture's bytes; with `'output'` all of the memory, to be filled. */
  readonly bytes: Uint8Array;
  /** With `'output'`: how many of them hold the picture; all if it is left alone. */
  bytesUsed: number;
}

/**
 * A frame of a stream. Until the loop goes on it is the caller's, memory and all; then the buffer is
 * the device's again.
 */
export interface Frame extends Omit<DequeuedBuffer, 'bytesUsed'> {
  readonly planes: readonly FramePlane[];
  /** The bytes of the first plane. */
  readonly bytes: Uint8Array;
  /** Nanoseconds that the steps took before the frame was there. */
  readonly timing: {
    /** QBUF of the buffer before this frame. */
    readonly qbufNs: number;
    /** From asking for a frame to having it: the wait and DQBUF. 0 for an output buffer that was never queued. */
    readonly dequeueNs: number;
  };
}

interface StreamBuffer {
  readonly targets: readonly PinTarget[];
  readonly bytes: readonly Uint8Array[];
  qbufNs: number;
}

const now = (): bigint => process.hrtime.bigint();

/**
 * The loop of {@link V4l2Device.stream} and {@link UserptrQueue.stream}. A buffer goes back to the
 * device when the next frame is asked for, so a slow loop slows the device down: back pressure.
 */
export async function* streamOf(queue: BufferQueue, options: StreamOptions = {}): AsyncGenerator<Frame, void, undefined> {
  checkOptions(options, STREAM_OPTIONS);
  const {unaligned, memory} = options;
  const wanted = wholeNumber('options.buffers', options.buffers ?? 4, VIDEO_MAX_FRAME);
  const frames = options.frames === undefined ? Infinity : wholeNumber('options.frames', options.frames, Number.MAX_SAFE_INTEGER);
  if (memory !== undefined && typeof memory !== 'function') throw invalidArgType('options.memory', 'of type function', memory);
  const output = queue.direction === 'output';
  const owned: PinnableMemory[] = [];
  const buffers: StreamBuffer[] = [];

  const give = (index: number, bytesUsed?: readonly number[]): void => {
    const buffer = at(buffers, index);
    const before = now();
    queue.qbuf(index, buffer.targets, {unaligned, bytesUsed});
    buffer.qbufNs = Number(now() - before);
  };

  let failed = false;
  try {
    const count = queue.reqbufs(wanted);
    for (let index = 0; index < count; index++) {
      const targets = queue.planeBytes.map((bytes, plane) => {
        if (memory !== undefined) return memory(bytes, index, plane);
        const own = PinnableMemory.alloc(bytes);
        owned.push(own);
        return own;
      });
      buffers.push({targets, bytes: targets.map(target => bytesOf(lookAt(target).view)), qbufNs: 0});
      if (!output) give(index);
    }
    if (!output) queue.streamon();

    for (let shown = 0; shown < frames; shown++) {
      const fresh = output && shown < count;
      const before = now();
      const done = fresh ? blank(shown) : await queue.next();
      const dequeueNs = fresh ? 0 : Number(now() - before);
      const {index, sequence, timestampUs, error} = done;
      const buffer = at(buffers, index);
      const planes = buffer.bytes.map((bytes, plane): FramePlane => {
        const bytesUsed = output ? bytes.length : (done.bytesUsed[plane] ?? 0);
        return {bytes: bytes.subarray(0, bytesUsed), bytesUsed};
      });
      yield {index, sequence, timestampUs, error, planes, bytes: at(planes, 0).bytes, timing: {qbufNs: buffer.qbufNs, dequeueNs}};
      if (output) give(index, planes.map(({bytesUsed}) => bytesUsed));
      else if (shown + 1 < frames) give(index);
      if (output && shown + 1 === Math.min(count, frames)) queue.streamon();
    }
    // The device may still be reading. It shows the last one until there is another, so that one it keeps.
    for (let left = output ? Math.min(count, frames) : 0; left > 1; left--) await queue.next();
  } catch (error) {
    failed = true;
    throw error;
  } finally {
    release(queue, owned, failed);
  }
}

/** Takes the memory from the device. What went wrong before says more than what goes wrong here. */
function release(queue: BufferQueue, owned: readonly PinnableMemory[], failed: boolean): void {
  try {
    queue.streamoff();
    queue.reqbufs(0);
  } catch (error) {
    // A device that is gone lets go at its end.
    queue.close();
    if (!failed) throw error;
  } finally {
    for (const memory of owned) memory.close();
  }
}

/** The planes of a buffer: one target stands for a list of one. */
export function planesOf(memory: PinTarget | readonly PinTarget[]): readonly PinTarget[] {
  return Array.isArray(memory) ? (memory as readonly PinTarget[]) : [memory as PinTarget];
}

/** Checks a count of at least 1. */
export function wholeNumber(name: string, value: unknown, most: number, least = 1): number {
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw outOfRange(name, `an integer >= ${least} && <= ${most}`, value);
  }
  return value;
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new RangeError(`the device handed back buffer ${index}, which it was never given`);
  return found;
}

function blank(index: number): DequeuedBuffer {
  return {index, sequence: index, timestampUs: 0, error: false, bytesUsed: []};
}
