import {setTimeout} from 'node:timers/promises';
import {inspect} from 'node:util';
import {addon, REFUSED_CLOSED, REFUSED_EMPTY, REFUSED_FOREIGN, REFUSED_LOST, REFUSED_UNALIGNED} from '../addon.js';
import {lookAt, withoutBytes, type PinTarget} from '../containers.js';
import {containerRefused, descriptorLost, invalidArgType, outOfRange, unaligned, unexpected} from '../errors.js';
import {checkOptions, enabled, type OptionNames} from '../options.js';
import {noVideoQueue, queueClosed, queueFailed, v4l2Failed, type V4l2Method} from './errors.js';
import * as native from './native.js';
import {field, setField, v4l2} from './native.js';
import {planesOf, QBUF_OPTIONS, streamOf, wholeNumber, type BufferQueue, type DequeuedBuffer, type Direction, type Frame, type QbufOptions, type StreamOptions} from './stream.js';

/** Options of {@link V4l2Device.open}. */
export interface V4l2OpenOptions {
  /** Which queue, if the device has both (a codec). Default: the one it has, else `'capture'`. */
  readonly direction?: Direction | undefined;
}

/** Options of {@link V4l2Device.qbuf}. */
export interface V4l2QbufOptions extends QbufOptions {
  /**
   * `false`: close() of PinnableMemory unmaps it although the driver has it. That is wrong on purpose, to
   * test what a driver does then: it has pinned the frames, and fills them although no one can see them;
   * and if new memory of the same address and length is queued there, it goes on filling the old frames.
   * Default: `true`: closed memory stays mapped until other memory is queued there, reqbufs() or close().
   */
  readonly hold?: boolean | undefined;
}

const OPEN_OPTIONS: OptionNames<V4l2OpenOptions> = {direction: true};
const V4L2_QBUF_OPTIONS: OptionNames<V4l2QbufOptions> = {...QBUF_OPTIONS, hold: true};
const FORMAT_FIELDS: OptionNames<V4l2FormatRequest> = {width: true, height: true, fourcc: true};

/** A format that a device can do, as {@link V4l2Device.formats} tells. */
export interface V4l2FormatDescription {
  /** Four characters, such as `'YUYV'`. */
  readonly fourcc: string;
  readonly description: string;
  /** Frames are of various sizes, as with MJPEG and H.264. */
  readonly compressed: boolean;
  /** The kernel or a library converts to it: it is not the device's own. */
  readonly emulated: boolean;
}

/** The format of a device's frames. */
export interface V4l2Format {
  /** Pixels. */
  readonly width: number;
  /** Lines. */
  readonly height: number;
  /** Four characters, such as `'YUYV'`. */
  readonly fourcc: string;
  /** `enum v4l2_field`: 1 is progressive. */
  readonly field: number;
  /** `enum v4l2_colorspace`. */
  readonly colorspace: number;
  /** One, or those of a multi-planar format. */
  readonly planes: readonly {
    /** Bytes that a buffer's plane needs. */
    readonly bytes: number;
    /** Bytes from the start of a line to that of the next. */
    readonly stride: number;
  }[];
}

/** What of a format can be asked for; what is left out stays as it is. */
export type V4l2FormatRequest = Partial<Pick<V4l2Format, 'width' | 'height' | 'fourcc'>>;

interface Waiter {
  readonly promise: Promise<number>;
  readonly resolve: (status: number) => void;
}

const CLOSED = -1;
const EBADF = -9;
const EAGAIN = -11;
const EINVAL = -22;

/**
 * A video device (/dev/videoN) whose frames go straight to and from the memory of this process:
 * V4L2 streaming with V4L2_MEMORY_USERPTR, single- and multi-planar, capture and output. Each method
 * is the ioctl of its name.
 *
 * It is a test tool: what a driver may get to see, right or wrong, it passes on, and says in words
 * what the driver answered. It belongs to the thread that made it.
 */
export class V4l2Device implements BufferQueue, Disposable {
  /** The file that was opened. */
  readonly path: string;
  /** The driver's name, such as `'vivid'`. */
  readonly driver: string;
  /** The device's name. */
  readonly card: string;
  /** Where it is, such as `'platform:vivid-000'`. */
  readonly busInfo: string;
  /** The driver's version, mostly the kernel's: `'6.1.192'`. */
  readonly driverVersion: string;
  readonly direction: Direction;
  /** Whether its formats may have more planes than one. */
  readonly multiplanar: boolean;
  #handle: number;
  readonly #type: number;
  #planeBytes: readonly number[] = [];
  #count = 0;
  /** Which buffers the device has. */
  #queued: boolean[] = [];
  /**
   * The memory of each buffer. The driver keeps its pins after dqbuf() and streamoff(), so until other
   * memory is queued there, reqbufs() or close() it is kept from being collected.
   */
  #kept: (readonly PinTarget[] | undefined)[] = [];
  #waiter: Waiter | undefined;

  /**
   * Opens a device, and asks it what it is.
   *
   * @throws TypeError - wrong arguments
   * @throws FrameVectorError `ENOENT`, `EACCES`, `EBUSY` ... - it can't be opened; `ENOTTY` - no V4L2
   *   device; `ERR_FRAMEVEC_NO_VIDEO` - it does not stream video that way
   */
  static open(path: string, options: V4l2OpenOptions = {}): V4l2Device {
    if (typeof path !== 'string') throw invalidArgType('path', 'of type string', path);
    checkOptions(options, OPEN_OPTIONS);
    const {direction} = options;
    if (direction !== undefined && !['capture', 'output'].includes(direction)) {
      throw invalidArgType('options.direction', "'capture' or 'output'", direction);
    }
    const handle = v4l2.open(path);
    if (handle < 0) throw v4l2Failed('open', handle, path);
    try {
      const answer = v4l2.queryCapabilities(handle);
      if (answer < 0) throw v4l2Failed('capabilities', answer, path);
      const type = queueType(field(native.FIELD_CAPABILITIES), direction);
      if (type === undefined) throw noVideoQueue(path, direction ?? 'capture or output');
      return new V4l2Device(path, handle, type);
    } catch (error) {
      v4l2.close(handle);
      throw error;
    }
  }

  private constructor(path: string, handle: number, type: number) {
    this.path = path;
    this.#handle = handle;
    this.#type = type;
    this.driver = v4l2.text(native.TEXT_DRIVER);
    this.card = v4l2.text(native.TEXT_CARD);
    this.busInfo = v4l2.text(native.TEXT_BUS);
    const version = field(native.FIELD_VERSION);
    this.driverVersion = [version >>> 16, (version >>> 8) & 0xff, version & 0xff].join('.');
    this.direction = isOutput(type) ? 'output' : 'capture';
    this.multiplanar = type === native.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE || type === native.V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
    this.format();
  }

  /** Bytes that each plane of a buffer needs in the present format. */
  get planeBytes(): readonly number[] {
    return this.#planeBytes;
  }

  /**
   * The formats that it can do (VIDIOC_ENUM_FMT).
   *
   * @throws FrameVectorError `ENODEV` - the device is gone; `ERR_FRAMEVEC_CLOSED`
   */
  formats(): V4l2FormatDescription[] {
    const formats: V4l2FormatDescription[] = [];
    for (;;) {
      const answer = v4l2.enumFormat(this.#handle, this.#type, formats.length);
      if (answer === EINVAL) return formats;
      if (answer < 0) throw this.#failed('formats', answer);
      const flags = field(native.FIELD_FLAGS);
      formats.push({
        fourcc: fourccOf(field(native.FIELD_FOURCC)),
        description: v4l2.text(native.TEXT_DESCRIPTION),
        compressed: (flags & native.V4L2_FMT_FLAG_COMPRESSED) !== 0,
        emulated: (flags & native.V4L2_FMT_FLAG_EMULATED) !== 0,
      });
    }
  }

  /**
   * The format that it has (VIDIOC_G_FMT).
   *
   * @throws FrameVectorError `ENODEV`; `ERR_FRAMEVEC_CLOSED`
   */
  format(): V4l2Format {
    const answer = v4l2.getFormat(this.#handle, this.#type);
    if (answer < 0) throw this.#failed('format', answer);
    return this.#readFormat();
  }

  /**
   * Asks for a format (VIDIOC_S_FMT).
   *
   * @returns what the driver made of it: the nearest that it can do
   * @throws TypeError, RangeError - wrong arguments
   * @throws FrameVectorError `EBUSY` - there are buffers; `EINVAL`; `ENODEV`; `ERR_FRAMEVEC_CLOSED`
   */
  setFormat(wanted: V4l2FormatRequest): V4l2Format {
    checkOptions(wanted, FORMAT_FIELDS, 'wanted');
    const present = this.format();
    setField(native.FIELD_WIDTH, wholeNumber('wanted.width', wanted.width ?? present.width, 2 ** 31));
    setField(native.FIELD_HEIGHT, wholeNumber('wanted.height', wanted.height ?? present.height, 2 ** 31));
    setField(native.FIELD_FOURCC, fourccNumber(wanted.fourcc ?? present.fourcc));
    setField(native.FIELD_FIELD_ORDER, native.V4L2_FIELD_ANY);
    const answer = v4l2.setFormat(this.#handle, this.#type);
    if (answer < 0) throw this.#failed('setFormat', answer);
    return this.#readFormat();
  }

  /**
   * Asks for so many frames a second (VIDIOC_S_PARM).
   *
   * @returns what the driver made of it
   * @throws FrameVectorError `ENOTTY`, `EINVAL` - it has one rate only; `ENODEV`; `ERR_FRAMEVEC_CLOSED`
   */
  setFrameRate(framesPerSecond: number): number {
    if (typeof framesPerSecond !== 'number') throw invalidArgType('framesPerSecond', 'of type number', framesPerSecond);
    if (!(framesPerSecond > 0 && framesPerSecond <= 1e6)) throw outOfRange('framesPerSecond', '> 0 && <= 1,000,000', framesPerSecond);
    setField(native.FIELD_NUMERATOR, 1000);
    setField(native.FIELD_DENOMINATOR, Math.round(framesPerSecond * 1000));
    const answer = v4l2.setInterval(this.#handle, this.#type);
    if (answer < 0) throw this.#failed('setFrameRate', answer);
    return field(native.FIELD_DENOMINATOR) / field(native.FIELD_NUMERATOR);
  }

  /**
   * Makes so many buffers (VIDIOC_REQBUFS with V4L2_MEMORY_USERPTR), after taking all that there were
   * from the device. 0 lets the driver unpin everything.
   *
   * @returns how many there are now: the driver may want more or less
   * @throws RangeError - not 0 to 32
   * @throws FrameVectorError `EINVAL` - the driver takes no pointers of the user; `EBUSY` - it streams,
   *   here or elsewhere; `ENODEV`; `ERR_FRAMEVEC_CLOSED`
   */
  reqbufs(count: number): number {
    wholeNumber('count', count, native.VIDEO_MAX_FRAME, 0);
    const made = v4l2.requestBuffers(this.#handle, this.#type, count);
    if (made < 0) throw this.#failed('reqbufs', made);
    this.#count = made;
    this.#queued = [];
    this.#kept = [];
    try {
      this.format();
    } catch (error) {
      // What they need is unknown, so there shall be none.
      v4l2.requestBuffers(this.#handle, this.#type, 0);
      this.#count = 0;
      throw error;
    }
    return made;
  }

  /**
   * Gives the device a buffer (VIDIOC_QBUF): it pins the memory, unless the buffer had the same
   * address and length the last time. The memory is kept mapped, closed or not, until other memory is
   * queued there, reqbufs() or close(): until then the driver uses its frames.
   *
   * @param memory - of a multi-planar format a list: one a plane
   * @throws TypeError, RangeError - a container that may not be pinned, as {@link FrameVector.pin} says;
   *   `ERR_FRAMEVEC_UNALIGNED`
   * @throws FrameVectorError `EINVAL` - too short, queued already, no such buffer; `EFAULT` - memory
   *   that can't be pinned; `ENODEV`; `ERR_FRAMEVEC_CLOSED`. The device has not got it then.
   */
  qbuf(index: number, memory: PinTarget | readonly PinTarget[], options: V4l2QbufOptions = {}): void {
    wholeNumber('index', index, 2 ** 32 - 1, 0);
    checkOptions(options, V4L2_QBUF_OPTIONS);
    const targets = planesOf(memory);
    if (targets.length < 1 || targets.length > native.VIDEO_MAX_PLANES) {
      throw outOfRange('memory.length', `>= 1 && <= ${native.VIDEO_MAX_PLANES}`, targets.length);
    }
    let flags = enabled(options.unaligned, 'unaligned') ? native.QUEUE_UNALIGNED : 0;
    if (options.hold !== undefined && !enabled(options.hold, 'hold')) flags |= native.QUEUE_LOOSE;
    const views = targets.map((target, plane) => {
      const {view, container} = lookAt(target);
      setField(native.FIELD_PLANE_REGION, container.region, plane);
      setField(native.FIELD_PLANE_BYTES_USED, bytesUsed(options, this.direction, view, plane), plane);
      return view;
    });
    const answer = v4l2.queue(this.#handle, this.#type, index, flags, ...views);
    if (answer >= 0 || field(native.FIELD_TAKEN) === 1) this.#kept[index] = targets;
    if (answer < 0) throw this.#queueFailed(answer, index, views);
    this.#queued[index] = true;
  }

  /**
   * Takes back a buffer that the device has done with (VIDIOC_DQBUF), without waiting.
   *
   * @throws FrameVectorError `EAGAIN` - there is none yet; `EINVAL` - it does not stream; `EIO`;
   *   `ENODEV`; `ERR_FRAMEVEC_CLOSED`
   */
  dqbuf(): DequeuedBuffer {
    const answer = v4l2.dequeue(this.#handle, this.#type);
    if (answer < 0) throw this.#failed('dqbuf', answer);
    return this.#dequeued(answer);
  }

  /**
   * Waits in the event loop until the device has done with a buffer, and takes it back.
   *
   * @throws FrameVectorError as {@link dqbuf}; `EBADF` - nothing is queued that could be waited for;
   *   `ERR_FRAMEVEC_CLOSED` - closed, maybe while it waited
   */
  async next(): Promise<DequeuedBuffer> {
    for (let rounds = 0, faults = 0; ; rounds++) {
      const answer = v4l2.dequeue(this.#handle, this.#type);
      if (answer >= 0) return this.#dequeued(answer);
      if (answer !== EAGAIN) throw this.#failed('dqbuf', answer);
      // Once it has had a buffer, poll() would wait for the next one for ever.
      if (!this.#queued.includes(true)) throw this.#failed('poll', EBADF);
      // To poll() an output device is ready as long as one of its buffers is not queued.
      if (rounds > 0) await setTimeout(1);
      const status = await this.#ready();
      // With an error the device may still have a buffer, or say what is wrong: it is asked once more.
      if (status < 0 && ++faults > 1) throw this.#failed('poll', status);
    }
  }

  /**
   * Starts the device (VIDIOC_STREAMON).
   *
   * @throws FrameVectorError `EINVAL` - there are no buffers; `ENODEV`; `ERR_FRAMEVEC_CLOSED`
   */
  streamon(): void {
    const answer = v4l2.stream(this.#handle, this.#type, 1);
    if (answer < 0) throw this.#failed('streamon', answer);
  }

  /**
   * Stops the device, and takes every buffer back (VIDIOC_STREAMOFF). The driver keeps its pins until
   * reqbufs() or close().
   *
   * @throws FrameVectorError `ENODEV`; `ERR_FRAMEVEC_CLOSED`
   */
  streamoff(): void {
    const answer = v4l2.stream(this.#handle, this.#type, 0);
    if (answer < 0) throw this.#failed('streamoff', answer);
    this.#queued = [];
  }

  /**
   * Makes buffers, queues them, starts the device, and yields frame after frame. However the loop
   * ends, the device is stopped and has no memory of this process after it. An output device yields
   * frames to be filled.
   *
   * @example
   * for await (const frame of device.stream({buffers: 4})) if (interesting(frame.bytes)) break;
   *
   * @throws as {@link reqbufs}, {@link qbuf}, {@link streamon}, {@link next}
   */
  stream(options?: StreamOptions): AsyncGenerator<Frame, void, undefined> {
    return streamOf(this, options);
  }

  /**
   * Closes the device: it stops, and lets all memory go. Whoever waits in next() gets
   * `ERR_FRAMEVEC_CLOSED`. A second close() does nothing.
   */
  close(): void {
    if (this.#handle === CLOSED) return;
    const answer = v4l2.close(this.#handle);
    this.#handle = CLOSED;
    this.#queued = [];
    this.#kept = [];
    this.#count = 0;
    this.#waiter?.resolve(0);
    if (answer === REFUSED_LOST) throw descriptorLost('close', 'V4l2Device');
    if (answer < 0) throw unexpected('close', answer);
  }

  /** The same as {@link close}: `using device = V4l2Device.open('/dev/video0')`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#handle === CLOSED;
  }

  /** @internal */
  [inspect.custom](_depth: number, options: object): string {
    if (this.closed) return 'V4l2Device {closed}';
    const {path, driver, card, direction, multiplanar, planeBytes} = this;
    return `V4l2Device ${inspect({path, driver, card, direction, multiplanar, planeBytes}, options)}`;
  }

  #readFormat(): V4l2Format {
    const planes = Array.from({length: field(native.FIELD_PLANES)}, (_, plane) => ({
      bytes: field(native.FIELD_PLANE_BYTES, plane),
      stride: field(native.FIELD_PLANE_STRIDE, plane),
    }));
    this.#planeBytes = planes.map(({bytes}) => bytes);
    return {
      width: field(native.FIELD_WIDTH),
      height: field(native.FIELD_HEIGHT),
      fourcc: fourccOf(field(native.FIELD_FOURCC)),
      field: field(native.FIELD_FIELD_ORDER),
      colorspace: field(native.FIELD_COLORSPACE),
      planes,
    };
  }

  #dequeued(index: number): DequeuedBuffer {
    this.#queued[index] = false;
    return {
      index,
      sequence: field(native.FIELD_SEQUENCE),
      timestampUs: field(native.FIELD_TIMESTAMP_US),
      error: (field(native.FIELD_FLAGS) & native.V4L2_BUF_FLAG_ERROR) !== 0,
      bytesUsed: Array.from({length: field(native.FIELD_PLANES)}, (_, plane) => field(native.FIELD_PLANE_BYTES_USED, plane)),
    };
  }

  /** Resolves when the device has something to say. */
  #ready(): Promise<number> {
    if (this.#waiter !== undefined) return this.#waiter.promise;
    let settle: (status: number) => void = () => undefined;
    const promise = new Promise<number>(resolve => (settle = resolve));
    const resolve = (status: number): void => {
      this.#waiter = undefined;
      settle(status);
    };
    const answer = v4l2.wait(this.#handle, isOutput(this.#type) ? 1 : 0, resolve);
    if (answer < 0) throw this.#failed('poll', answer);
    this.#waiter = {promise, resolve};
    return promise;
  }

  #failed(method: V4l2Method, answer: number): Error {
    if (answer === REFUSED_CLOSED) return queueClosed('V4l2Device');
    if (answer === REFUSED_LOST) return descriptorLost(method, 'V4l2Device');
    return answer < -4095 ? unexpected(method, answer) : v4l2Failed(method, answer, this.path);
  }

  #queueFailed(answer: number, index: number, views: readonly ArrayBufferView[]): Error {
    const {pageSize} = addon;
    const given = views.map(view => view.byteLength);
    switch (answer) {
      case REFUSED_CLOSED:
        return this.closed ? queueClosed('V4l2Device') : containerRefused('closed');
      case REFUSED_LOST:
        return descriptorLost('qbuf', 'V4l2Device');
      case REFUSED_EMPTY:
        return withoutBytes(views.find(view => view.byteLength === 0) ?? new Uint8Array());
      case REFUSED_FOREIGN:
        return containerRefused('foreign');
      case REFUSED_UNALIGNED: {
        const at = views.findIndex((view, plane) => (field(native.FIELD_PLANE_ADDRESS, plane) | view.byteLength) % pageSize !== 0);
        const address = field(native.FIELD_PLANE_ADDRESS, at);
        const bytes = given[at] ?? 0;
        return unaligned({address, bytes, frames: Math.ceil(bytes / pageSize), write: this.direction === 'capture'}, pageSize);
      }
    }
    if (answer < -4095) return unexpected('qbuf', answer);
    return queueFailed(answer, this.path, {
      index,
      count: this.#count,
      queued: this.#queued[index] === true,
      direction: this.direction,
      needed: this.#planeBytes,
      given,
      addresses: views.map((_, plane) => field(native.FIELD_PLANE_ADDRESS, plane)),
    });
  }
}

function isOutput(type: number): boolean {
  return type === native.V4L2_BUF_TYPE_VIDEO_OUTPUT || type === native.V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
}

/** The buffer type to speak of, of those that a device has. */
function queueType(capabilities: number, direction: Direction | undefined): number | undefined {
  const has = (...flags: number[]): boolean => flags.some(flag => (capabilities & flag) !== 0);
  if (!has(native.V4L2_CAP_STREAMING)) return undefined;
  if (direction !== 'output') {
    if (has(native.V4L2_CAP_VIDEO_CAPTURE, native.V4L2_CAP_VIDEO_M2M)) return native.V4L2_BUF_TYPE_VIDEO_CAPTURE;
    if (has(native.V4L2_CAP_VIDEO_CAPTURE_MPLANE, native.V4L2_CAP_VIDEO_M2M_MPLANE)) return native.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
  }
  if (direction !== 'capture') {
    if (has(native.V4L2_CAP_VIDEO_OUTPUT, native.V4L2_CAP_VIDEO_M2M)) return native.V4L2_BUF_TYPE_VIDEO_OUTPUT;
    if (has(native.V4L2_CAP_VIDEO_OUTPUT_MPLANE, native.V4L2_CAP_VIDEO_M2M_MPLANE)) return native.V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
  }
  return undefined;
}

function bytesUsed(options: QbufOptions, direction: Direction, view: ArrayBufferView, plane: number): number {
  if (options.bytesUsed === undefined) return direction === 'output' ? view.byteLength : 0;
  return wholeNumber(`options.bytesUsed[${plane}]`, options.bytesUsed[plane], 2 ** 32 - 1, 0);
}

const BIG_ENDIAN = 2 ** 31;

/** `'YUYV'` for 0x56595559; `'-BE'` follows where the highest bit says big-endian, as in v4l2-ctl. */
function fourccOf(number: number): string {
  const bytes = [0, 8, 16, 24].map(shift => (number >>> shift) & (shift === 24 ? 0x7f : 0xff));
  return String.fromCharCode(...bytes) + (number >= BIG_ENDIAN ? '-BE' : '');
}

function fourccNumber(fourcc: unknown): number {
  if (typeof fourcc !== 'string') throw invalidArgType('wanted.fourcc', 'of type string', fourcc);
  const [, characters, bigEndian] = /^([ -~]{4})(-BE)?$/.exec(fourcc) ?? [];
  if (characters === undefined) throw outOfRange('wanted.fourcc', "four characters such as 'YUYV'", fourcc);
  const number = [0, 1, 2, 3].reduce((sum, i) => sum + characters.charCodeAt(i) * 2 ** (8 * i), 0);
  return number + (bigEndian === undefined ? 0 : BIG_ENDIAN);
}
