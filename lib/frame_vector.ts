import {constants} from 'node:os';
import {inspect, types, type InspectOptionsStylized} from 'node:util';
import {
  addon,
  FIELD_ADDRESS,
  FIELD_CALL_NS,
  FIELD_FLAGS,
  FIELD_FRAME,
  FIELD_GUP_NS,
  FIELD_HANDLE,
  FIELD_KIND,
  FIELD_LENGTH,
  FIELD_OFFSET,
  FIELD_REASON,
  FIELD_REGION,
  REFUSED_BAD_ARGUMENT,
  REFUSED_CAPACITY_EXCEEDED,
  REFUSED_CLOSED,
  REFUSED_EMPTY,
  REFUSED_FOREIGN,
  REFUSED_LOST,
  REFUSED_UNALIGNED,
} from './addon.js';
import {bytesOf, canProtect, containerOf, lookAt, viewOf, withoutBytes, type PinTarget} from './containers.js';
import {info, openDevice} from './device.js';
import {held, pinChannel, publishPin, publishPinError, staleChannel, stalePublisher, unpinChannel, type UnpinMessage} from './diagnostics.js';
import {
  capacityExceeded,
  closed,
  containerRefused,
  createFailed,
  descriptorLost,
  invalidArgType,
  outOfRange,
  pinFailed,
  syscallOf,
  unaligned,
  unexpected,
  vectorBusy,
  vectorFailed,
  warnOfDetach,
  warnOfLost,
  type Stop,
  type VectorMethod,
} from './errors.js';
import {errnoName} from './errno.js';
import {EXTENTS_OPTIONS, readExtents, type Extents, type ExtentsOptions} from './extents.js';
import {ownFdinfo} from './fdinfo.js';
import {BUSY, CLOSED, endHold, newHold, root, unroot, type Hold} from './hold.js';
import {shown} from './inspect.js';
import {checkOptions, enabled} from './options.js';
import {PinJob} from './pin_job.js';
import {isAbortSignal, pinAsyncFlags, pinFlags, unpinFlags, type PinAsyncOptions, type PinOptions, type StaleSignal, type UnpinOptions} from './pin_options.js';
import {staleError, watchStale} from './stale.js';
import {isStale, readStat, type Stat} from './stat.js';
import {askedRange, memlockMet, stopOf} from './stop.js';
import {MappedMemory, ownContainer, type Container} from './mapped_memory.js';
import {PinnableMemory, type AllocOptions} from './pinnable_memory.js';
import {
  FRAMEVEC_KIND_PAGES,
  FRAMEVEC_KIND_PFNS,
  FRAMEVEC_PIN_TIMING,
  FRAMEVEC_PIN_WRITE,
  KINDS,
  REASONS,
  type Kind,
} from './uapi.js';

/** Nanoseconds that the kernel spent. */
export interface Timing {
  /** In pin_user_pages() or unpin_user_pages() alone. */
  readonly gupNs: number;
  /** In the whole ioctl. */
  readonly callNs: number;
}

// Hoisted: a call through a const costs 3 ns less than one through a property.
const {pin, unpin, readPfns, exchange, pageSize} = addon;
const {ENODATA} = constants.errno;

/**
 * The page frames behind a range of memory: of ordinary memory *pinned*, so that they stay the
 * process's until unpin; of device memory *noted*, by their numbers. The kernel's half is the
 * descriptor {@link fd}, which gives everything back when it is closed, by whatever end.
 *
 * It belongs to the thread that made it. Reuse one for many pins: pin() and unpin() allocate
 * nothing.
 */
export class FrameVector implements Disposable, AsyncDisposable {
  /** The most frames that it can hold. */
  readonly capacity: number;
  readonly #hold: Hold;
  #job: PinJob | undefined;
  #container: Container | undefined;
  #kind = 0;
  #flags = 0;
  #address = 0;
  #offset = 0;
  #byteLength = 0;
  #stopped: Stop | undefined;
  #staleSignal: AbortSignal | undefined;
  #gupNs = -1;
  #callNs = -1;

  /**
   * Makes an empty vector (the seed's pfns_vector_create()).
   *
   * @param capacity - the most frames that it shall hold, 1 to what {@link info} tells as `maxFrames`
   * @throws TypeError, RangeError - wrong capacity
   * @throws FrameVectorError as {@link info}; `ENOMEM` - no kernel memory, or with `error.memlock` the user's RLIMIT_MEMLOCK,
   *   which the vector's kernel memory (8 bytes a frame) is charged to; `EMFILE`, `ENFILE` - too many descriptors
   */
  static create(capacity: number): FrameVector {
    if (typeof capacity !== 'number') throw invalidArgType('capacity', 'of type number', capacity);
    if (!Number.isSafeInteger(capacity)) throw outOfRange('capacity', 'an integer', capacity);
    if (capacity < 1) throw outOfRange('capacity', '>= 1', capacity);
    openDevice();
    const handle = addon.create(capacity);
    if (handle >= 0) return FrameVector.#adopt(capacity, handle);
    if (errnoName(handle) === 'EINVAL') throw outOfRange('capacity', `>= 1 && <= ${info().maxFrames}`, capacity);
    const memlock = memlockMet();
    throw createFailed(handle, capacity, memlock.scope === 'none' ? undefined : {memlock, pageSize});
  }

  /**
   * Makes a vector as large as the target needs, and pins: for those who want no reuse.
   *
   * @throws as {@link create} and {@link FrameVector.prototype.pin}
   */
  static pin(target: PinTarget, options?: PinOptions): FrameVector {
    const {byteLength} = viewOf(target);
    // One more than the bytes need if they may start within a page.
    const frames = Math.ceil(byteLength / pageSize) + (options?.unaligned === true ? 1 : 0);
    const vector = FrameVector.create(Math.max(frames, 1));
    try {
      vector.pin(target, options);
    } catch (error) {
      vector.close();
      throw error;
    }
    return vector;
  }

  /**
   * Allocates page-aligned memory, the best there is to pin.
   *
   * @throws as {@link PinnableMemory.alloc}
   */
  static alloc(bytes: number, options?: AllocOptions): PinnableMemory {
    return PinnableMemory.alloc(bytes, options);
  }

  /** Of the vector that the addon has just made, which is closed if that fails. */
  static #adopt(capacity: number, handle: number): FrameVector {
    try {
      return new FrameVector(capacity, handle);
    } catch (error) {
      addon.close(handle);
      throw error;
    }
  }

  private constructor(capacity: number, handle: number) {
    this.capacity = capacity;
    this.#hold = newHold(this, handle);
  }

  /**
   * Holds the frames behind the target's bytes (the seed's get_vaddr_pfns(); pin_user_pages_fast()
   * with FOLL_LONGTERM, or a walk of a VM_IO | VM_PFNMAP mapping). The target is kept from being
   * collected until unpin.
   *
   * @returns the frames held; with `partial` maybe fewer than asked for, see {@link stopped}
   * @throws TypeError `ERR_INVALID_ARG_TYPE`; `ERR_FRAMEVEC_POOLED`, `_RESIZABLE`, `_FOREIGN`,
   *   `_DETACHED`, `_UNPROTECTED`, `_CLOSED` - a container that may not be pinned
   * @throws RangeError `ERR_FRAMEVEC_UNALIGNED`; `ERR_OUT_OF_RANGE` - no bytes, or more frames than
   *   the capacity
   * @throws FrameVectorError `EBUSY` - it holds frames already; `EFAULT`, `ENOMEM`, `EPERM`, `EINTR`,
   *   `EOPNOTSUPP`, `EHWPOISON` with a `reason` and a `stop`; `ERR_FRAMEVEC_CLOSED`;
   *   `ERR_FRAMEVEC_LOST` - other code has closed the vector's descriptor. Nothing is pinned then.
   */
  pin(target: PinTarget, options?: PinOptions): number {
    const hold = this.#hold;
    const flags = options === undefined ? 0 : pinFlags(options);
    let view: ArrayBufferView;
    let container: Container;
    if (target instanceof MappedMemory) {
      container = ownContainer(target);
      view = container.whole;
    } else {
      view = viewOf(target);
      container = containerOf(view);
    }
    if (container.kind === 'plain' && options?.strict === true && !canProtect()) throw containerRefused('unprotected');
    exchange[FIELD_HANDLE] = hold.handle;
    exchange[FIELD_FLAGS] = flags;
    exchange[FIELD_REGION] = container.region;
    let frames = pin(view);
    if (frames < 0) frames = this.#pinAgain(frames, target, view, flags);
    this.#took(frames, target, container, flags);
    return frames;
  }

  /**
   * The same as {@link pin} on another thread, for large ranges: this one goes on. At most two at a
   * time run in a thread of JavaScript, the others wait for their turn. Until the promise settles,
   * every other call on the vector but close() fails with `EBUSY`.
   *
   * @throws (rejects) as {@link pin}; the reason of `signal`, which by default is an `AbortError`;
   *   `ERR_FRAMEVEC_CLOSED` if the vector is closed meanwhile
   */
  async pinAsync(target: PinTarget, options: PinAsyncOptions = {}): Promise<number> {
    const flags = pinAsyncFlags(options);
    const {signal} = options;
    if (signal !== undefined && !isAbortSignal(signal)) throw invalidArgType('options.signal', 'an AbortSignal', signal);
    const {view, container} = lookAt(target);
    if (container.kind === 'plain' && options.strict === true && !canProtect()) throw containerRefused('unprotected');
    const hold = this.#hold;
    const {handle} = hold;
    if (handle < 0) throw this.#gone();
    if (signal?.aborted === true) throw signal.reason;

    const begin = (done: (answer: number) => void): number => {
      exchange[FIELD_HANDLE] = handle;
      exchange[FIELD_FLAGS] = flags;
      exchange[FIELD_REGION] = container.region;
      const answer = addon.pinAsync(view, done);
      // Node-API may not know the type of the array.
      return answer === REFUSED_BAD_ARGUMENT ? addon.pinAsync(bytesOf(view), done) : answer;
    };
    const end = (answer: number | undefined): number => {
      hold.handle = handle;
      this.#job = undefined;
      if (job.closing) {
        this.close();
        throw closed('FrameVector');
      }
      if (answer === undefined) throw signal?.reason;
      if (answer < 0) this.#pinFailed(answer, target, view, flags);
      this.#took(answer, target, container, flags);
      if (signal?.aborted === true) {
        this.unpin();
        throw signal.reason;
      }
      return answer;
    };
    const job = new PinJob(signal, {begin, end});
    this.#job = job;
    hold.handle = BUSY;
    return job.run();
  }

  #took(frames: number, target: PinTarget, container: Container, flags: number): void {
    root(this.#hold, frames, target);
    this.#container = container;
    this.#kind = exchange[FIELD_KIND];
    this.#address = exchange[FIELD_ADDRESS];
    this.#offset = exchange[FIELD_OFFSET];
    if (exchange[FIELD_REASON] === 0) {
      this.#byteLength = exchange[FIELD_LENGTH];
      this.#stopped = undefined;
    } else {
      this.#byteLength = frames * pageSize - this.#offset;
      this.#stopped = stopOf(askedRange(flags));
    }
    const timed = (flags & FRAMEVEC_PIN_TIMING) !== 0;
    if (timed) this.#measured();
    this.#flags = flags;
    if (staleChannel.hasSubscribers || pinChannel.hasSubscribers) this.#publishPin(flags, timed);
  }

  /** For those who listen. If that fails, nothing stays pinned. */
  #publishPin(flags: number, timed: boolean): void {
    try {
      if (this.#kind === FRAMEVEC_KIND_PFNS && staleChannel.hasSubscribers) this.#watch();
      if (pinChannel.hasSubscribers) publishPin(this, flags, timed);
    } catch (error) {
      exchange[FIELD_HANDLE] = this.#hold.handle;
      exchange[FIELD_FLAGS] = 0;
      unpin();
      this.#forget();
      throw error;
    }
  }

  /**
   * Lets the frames go (the seed's put_vaddr_pfns(); unpin_user_pages_dirty_lock()). The vector is
   * empty then, and ready for the next pin.
   *
   * @returns the frames that were held
   * @throws FrameVectorError `ENODATA` - it holds none; `ERR_FRAMEVEC_CLOSED`
   */
  unpin(options?: UnpinOptions): number {
    const hold = this.#hold;
    const flags = options === undefined ? 0 : unpinFlags(options);
    const message = hold.frames > 0 && unpinChannel.hasSubscribers ? this.#unpinMessage(false) : undefined;
    exchange[FIELD_HANDLE] = hold.handle;
    exchange[FIELD_FLAGS] = flags;
    const frames = unpin();
    if (frames < 0) {
      const error = this.#failed('unpin', frames);
      // Another holder of the descriptor has unpinned them.
      if (frames === -ENODATA) this.#forget();
      throw error;
    }
    if (flags !== 0) this.#measured();
    this.#forget();
    if (message !== undefined) unpinChannel.publish(message);
    return frames;
  }

  /**
   * Reads frame numbers, as in /proc/PID/pagemap. The kernel writes them straight into the array.
   *
   * @param into - where to; by default a new array for all of them
   * @param first - index of the first frame to read
   * @returns `into`, or the part of it that has been filled
   * @throws FrameVectorError `EPERM` - only CAP_SYS_ADMIN may; `ENODATA`; `ERR_FRAMEVEC_CLOSED`
   */
  pfns(into?: BigUint64Array, first = 0): BigUint64Array {
    const {handle, frames} = this.#hold;
    if (into !== undefined && !types.isBigUint64Array(into)) {
      throw invalidArgType('into', 'an instance of BigUint64Array', into);
    }
    if (typeof first !== 'number') throw invalidArgType('first', 'of type number', first);
    if (handle < 0) throw this.#gone();
    if (frames === 0) throw vectorFailed('pfns', -ENODATA);
    if (!Number.isInteger(first) || first < 0 || first >= frames) {
      throw outOfRange('first', `an integer >= 0 && < ${frames}`, first);
    }
    const wanted = into ?? new BigUint64Array(frames - first);
    const count = Math.min(wanted.length, frames - first);
    if (count === 0) throw outOfRange('into.length', '>= 1', 0);
    const answer = readPfns(handle, wanted, first, count);
    if (answer < 0) throw this.#failed('pfns', answer);
    return count === wanted.length ? wanted : wanted.subarray(0, count);
  }

  /**
   * Reads the runs of frames that follow each other, which are the segments that a device's scatter
   * list would have: as many steps as there are huge pages, or runs of a device mapping.
   *
   * @returns the first frame number and the length of each run
   * @throws FrameVectorError `EPERM` - only CAP_SYS_ADMIN may have the numbers; with `{pfns: false}`
   *   the counts alone are told to everyone. `ENODATA`; `ESTALE`; `ERR_FRAMEVEC_CLOSED`
   */
  extents(options: ExtentsOptions & {pfns: false}): Pick<Extents, 'counts'>;
  extents(options?: ExtentsOptions & {pfns?: true}): Extents;
  extents(options: ExtentsOptions = {}): Partial<Extents> {
    checkOptions(options, EXTENTS_OPTIONS);
    const numbers = options.pfns === undefined || enabled(options.pfns, 'pfns');
    const {handle, frames} = this.#hold;
    if (handle < 0) throw this.#gone();
    if (frames === 0) throw vectorFailed('extents', -ENODATA);
    const {answer, ...extents} = readExtents(handle, frames, numbers);
    if (answer < 0) throw this.#failed('extents', answer);
    return extents;
  }

  /**
   * Turns frame numbers into pages (the seed's pfns_vector_to_pages()), for what needs a struct page
   * of each. It takes no reference: a snapshot stays one, and still goes stale.
   *
   * @throws FrameVectorError `EINVAL` with the reason `'no-page'` - a frame has no struct page, as a
   *   device's own memory has none; the vector is unchanged. `ENODATA`; `ESTALE`;
   *   `ERR_FRAMEVEC_CLOSED`
   */
  toPages(): void {
    this.#converted('toPages', addon.toPages(this.#hold.handle), FRAMEVEC_KIND_PAGES);
  }

  /**
   * Turns pages into frame numbers (the seed's pfns_vector_to_pfns()). It puts no reference: what was
   * pinned stays pinned until unpin.
   *
   * @throws FrameVectorError `ENODATA`; `ESTALE`; `ERR_FRAMEVEC_CLOSED`
   */
  toPfns(): void {
    this.#converted('toPfns', addon.toPfns(this.#hold.handle), FRAMEVEC_KIND_PFNS);
  }

  /**
   * Reads through the kernel's own view of the frames: what a device would see. Of device memory 1,
   * 2, 4 or 8 bytes at an offset that is a multiple of as much are one access of that width.
   *
   * @param offset - from the first byte of what was pinned, not of its page
   * @param into - where to, as many bytes as it has
   * @returns bytes read, fewer than asked for where the range ends, 0 at its end
   * @throws FrameVectorError `ENODATA`; `ESTALE`; `EHWPOISON`; `ERR_FRAMEVEC_CLOSED`
   */
  read(offset: number, into: ArrayBufferView): number {
    return this.#transfer('read', offset, 'into', into);
  }

  /**
   * Writes through the kernel's own view of the frames: what a device would do. For the widths see
   * {@link read}.
   *
   * @param offset - from the first byte of what was pinned, not of its page
   * @param from - what to write
   * @returns bytes written, fewer than asked for where the range ends
   * @throws FrameVectorError `EBADF` - not pinned with `{write: true}`; `ENOSPC` - it starts at the
   *   end of the range or beyond; `ENODATA`; `ESTALE`; `EHWPOISON`; `ERR_FRAMEVEC_CLOSED`
   */
  write(offset: number, from: ArrayBufferView): number {
    return this.#transfer('write', offset, 'from', from);
  }

  /**
   * Asks the kernel what the vector holds. The getters tell the same from memory.
   *
   * @throws FrameVectorError `ERR_FRAMEVEC_CLOSED`
   */
  stat(): Stat {
    const stat = readStat(this.#hold.handle);
    if (typeof stat === 'number') throw this.#failed('stat', stat);
    return stat;
  }

  /**
   * Releases the frames and closes the descriptor (the seed's pfns_vector_destroy()). While a
   * {@link pinAsync} is under way, the vector is closed as soon as that has ended; its promise rejects
   * with `ERR_FRAMEVEC_CLOSED`. A second close() does nothing.
   */
  close(): void {
    const hold = this.#hold;
    const {handle} = hold;
    if (handle === CLOSED) return;
    if (handle === BUSY) {
      this.#job?.close();
      return;
    }
    const message = this.#lastMessage();
    const answer = addon.close(handle);
    try {
      this.#forget();
    } finally {
      endHold(hold);
    }
    if (answer === REFUSED_LOST) warnOfLost();
    else if (answer < 0) throw unexpected('close', answer);
    if (message !== undefined) unpinChannel.publish(message);
  }

  /** The same as {@link close}: `using vector = FrameVector.create(16)`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * The same, and waits until a {@link pinAsync} that is under way has ended and its frames are released:
   * `await using vector = FrameVector.create(16)`.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const job = this.#job;
    this.close();
    await job?.over();
  }

  /** What it holds. */
  get kind(): Kind {
    return KINDS[this.#kind] ?? 'none';
  }

  /**
   * Whether it is a snapshot of device memory whose mapping has changed since (unmapped, moved,
   * reprotected, mapped over, or taken back by the driver). It stays so until unpin(), and every use
   * but unpin(), stat() and close() says ESTALE. Asks the kernel; pinned memory never goes stale.
   */
  get stale(): boolean {
    return this.#kind !== 0 && isStale(this.#hold.handle);
  }

  /**
   * Aborted when what it holds goes {@link stale}, with the `ESTALE` error as its reason; for
   * `addEventListener('abort')` and whatever takes an AbortSignal. The kernel wakes the event loop:
   * nobody polls. It is of what is held now: after unpin() it is never aborted, and the next pin has
   * another. It does not keep the process alive.
   *
   * @throws FrameVectorError `ENODATA` - it holds nothing; `ERR_FRAMEVEC_CLOSED`
   */
  get staleSignal(): StaleSignal {
    const {handle, frames} = this.#hold;
    if (handle < 0) throw this.#gone();
    if (frames === 0) throw vectorFailed('poll', -ENODATA);
    return (this.#staleSignal ??= this.stale ? AbortSignal.abort(staleError()) : this.#watch());
  }

  /** How many frames it holds. */
  get frames(): number {
    return this.#hold.frames;
  }

  /** Bytes from the start of the first frame to the first byte of the target. */
  get offset(): number {
    return this.#offset;
  }

  /** The address of the first byte that it holds, for /proc/self/pagemap and maps; 0 if it holds none. */
  get address(): number {
    return this.#address;
  }

  /** Bytes of the target that it holds. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Where and why a pin with `partial` stopped early; undefined if it holds all that was asked for. */
  get stopped(): Stop | undefined {
    return this.#stopped;
  }

  /** Of the last pin() or unpin() that was called with `timing`. */
  get timing(): Timing | undefined {
    return this.#callNs < 0 ? undefined : {gupNs: this.#gupNs, callNs: this.#callNs};
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#hold.handle === CLOSED || this.#job?.closing === true;
  }

  /**
   * The descriptor, for /proc/self/fdinfo and strace. It stays the vector's: never close it.
   *
   * @throws FrameVectorError `ERR_FRAMEVEC_CLOSED`; `ERR_FRAMEVEC_LOST` - other code has closed it
   */
  get fd(): number {
    const answer = addon.descriptor(this.#hold.handle);
    if (answer === REFUSED_LOST) throw descriptorLost('fd', 'FrameVector');
    if (answer < 0) throw this.#gone();
    return answer;
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptionsStylized): string {
    const stat = readStat(this.#hold.handle);
    if (typeof stat === 'number') {
      const state = this.closed ? 'closed' : stat === REFUSED_LOST ? 'lost' : 'busy';
      return shown('FrameVector', state, depth, options);
    }
    const {fd, stopped, timing} = this;
    const {kind, frames, capacity, byteLength, offset, write, gotRef, stale} = stat;
    const info = ownFdinfo(fd);
    return shown(
      'FrameVector',
      {
        fd,
        ...(info && {id: info.id}),
        kind,
        frames,
        capacity,
        ...(kind !== 'none' && {byteLength, offset, write, longterm: gotRef}),
        // Of pinned frames there is nothing to say.
        ...(kind !== 'none' && !gotRef && {stale}),
        ...(info?.holding?.ageMs !== undefined && {heldMs: info.holding.ageMs}),
        ...(stopped && {stopped: stopped.reason}),
        ...(timing && {timing}),
      },
      depth,
      options,
    );
  }

  #lastMessage(): UnpinMessage | undefined {
    if (this.#hold.frames === 0 || !unpinChannel.hasSubscribers) return undefined;
    try {
      return this.#unpinMessage(true);
    } catch {
      // Its descriptor is lost: there is nothing to tell, and it must be closed all the same.
      return undefined;
    }
  }

  #watch(): AbortSignal {
    return (this.#staleSignal ??= watchStale(this.#hold.handle, stalePublisher(this)));
  }

  #unpinMessage(closed: boolean): UnpinMessage {
    return {vector: this, ...held(this), closed};
  }

  #measured(): void {
    this.#gupNs = exchange[FIELD_GUP_NS];
    this.#callNs = exchange[FIELD_CALL_NS];
  }

  #forget(): void {
    const hold = this.#hold;
    const {frames} = hold;
    const target = this.#container;
    unroot(hold);
    this.#container = undefined;
    this.#kind = 0;
    this.#address = 0;
    this.#offset = 0;
    this.#byteLength = 0;
    this.#stopped = undefined;
    this.#staleSignal = undefined;
    if (target?.kind === 'plain' && target.whole.byteLength === 0) warnOfDetach(frames);
  }

  /** The rare half of pin(): an error, or a typed array that is newer than the addon's Node-API. */
  #pinAgain(answer: number, target: PinTarget, view: ArrayBufferView, flags: number): number {
    if (answer !== REFUSED_BAD_ARGUMENT || view instanceof Uint8Array) return this.#pinFailed(answer, target, view, flags);
    const bytes = bytesOf(view);
    const again = pin(bytes);
    return again >= 0 ? again : this.#pinFailed(again, target, bytes, flags);
  }

  #pinFailed(answer: number, target: PinTarget, view: ArrayBufferView, flags: number): never {
    const asked = askedRange(flags);
    switch (answer) {
      case REFUSED_CLOSED:
        throw this.#hold.handle < 0 ? this.#gone() : containerRefused('closed');
      case REFUSED_EMPTY:
        throw target instanceof MappedMemory && target.closed ? containerRefused('closed') : withoutBytes(view);
      case REFUSED_UNALIGNED:
        throw unaligned(asked, pageSize);
      case REFUSED_CAPACITY_EXCEEDED:
        throw capacityExceeded(asked, this.capacity);
      case REFUSED_FOREIGN:
        throw containerRefused('foreign');
      case REFUSED_LOST:
        throw descriptorLost('pin', 'FrameVector', syscallOf('pin'));
    }
    const error = answer < -4095 ? unexpected('pin', answer) : pinFailed(answer, asked, stopOf(asked), this.#hold.frames, pageSize);
    if (pinChannel.hasSubscribers) publishPinError(this, error);
    throw error;
  }

  /** Why there is no vector to be had. */
  #gone(): Error {
    return this.closed ? closed('FrameVector') : vectorBusy();
  }

  #converted(method: 'toPages' | 'toPfns', answer: number, kind: number): void {
    if (answer < 0) {
      const reason = REASONS[exchange[FIELD_REASON]];
      if (answer > -4096 && reason !== undefined && reason !== 'none') {
        const offset = Math.max(exchange[FIELD_FRAME] * pageSize - this.#offset, 0);
        const asked = {
          address: this.#address,
          bytes: this.#byteLength,
          frames: this.#hold.frames,
          write: (this.#flags & FRAMEVEC_PIN_WRITE) !== 0,
        };
        throw vectorFailed(method, answer, {reason, offset, address: this.#address + offset, asked});
      }
      throw this.#failed(method, answer);
    }
    this.#kind = kind;
  }

  #transfer(method: 'read' | 'write', offset: number, name: string, bytes: ArrayBufferView): number {
    if (typeof offset !== 'number') throw invalidArgType('offset', 'of type number', offset);
    if (!Number.isSafeInteger(offset) || offset < 0) throw outOfRange('offset', 'an integer >= 0', offset);
    if (!ArrayBuffer.isView(bytes)) throw invalidArgType(name, 'an instance of Buffer, TypedArray or DataView', bytes);
    const {handle} = this.#hold;
    let answer = addon[method](handle, bytes, offset);
    if (answer === REFUSED_BAD_ARGUMENT && bytes.byteLength > 0) {
      // A typed array that is newer than the addon's Node-API.
      answer = addon[method](handle, bytesOf(bytes), offset);
    }
    if (answer < 0) throw this.#failed(method, answer);
    return exchange[FIELD_LENGTH];
  }

  #failed(method: VectorMethod, answer: number): Error {
    if (answer === REFUSED_CLOSED) return this.#gone();
    if (answer === REFUSED_LOST) return descriptorLost(method, 'FrameVector', syscallOf(method));
    return answer < -4095 ? unexpected(method, answer) : vectorFailed(method, answer);
  }
}
