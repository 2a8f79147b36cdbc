/** Every word that is said when a video device, or a queue like one, refuses. */
import {errnoInWords, errnoName, type ErrnoWords} from '../errno.js';
import {bytesInWords, FrameVectorError} from '../errors.js';

/** What can be asked of a device, and the kernel's name for it. */
const SYSCALLS = {
  open: 'open',
  capabilities: 'ioctl(VIDIOC_QUERYCAP)',
  formats: 'ioctl(VIDIOC_ENUM_FMT)',
  format: 'ioctl(VIDIOC_G_FMT)',
  setFormat: 'ioctl(VIDIOC_S_FMT)',
  setFrameRate: 'ioctl(VIDIOC_S_PARM)',
  reqbufs: 'ioctl(VIDIOC_REQBUFS)',
  qbuf: 'ioctl(VIDIOC_QBUF)',
  dqbuf: 'ioctl(VIDIOC_DQBUF)',
  streamon: 'ioctl(VIDIOC_STREAMON)',
  streamoff: 'ioctl(VIDIOC_STREAMOFF)',
  poll: 'poll',
} as const;
export type V4l2Method = keyof typeof SYSCALLS;

const NOT_VIDEO = 'it is no video device (V4L2): `v4l2-ctl --list-devices` names those that there are';
const GONE = 'the device is gone: it was unplugged, or its driver unbound; close() it';

const REASONS: Partial<Record<V4l2Method, ErrnoWords>> = {
  open: {
    ENOENT: 'there is no such file: load the driver (`modprobe vivid` for a virtual one; `framevec vm --with vivid`)',
    EACCES: 'this user may not open it: be in the group video, or root',
    EPERM: 'this user may not open it: be in the group video, or root',
    EISDIR: NOT_VIDEO,
    ENXIO: 'the file is there, but no device behind it: load its driver',
    ENODEV: 'the file is there, but no device behind it: load its driver',
    EBUSY: 'another program has it for itself',
  },
  capabilities: {ENOTTY: NOT_VIDEO, EINVAL: NOT_VIDEO},
  setFormat: {
    EBUSY: 'the format stays as long as there are buffers, here or in another program: reqbufs(0) first',
    EINVAL: 'the driver has no such format: formats() lists those it has',
  },
  setFrameRate: {ENOTTY: 'the driver has but one frame rate', EINVAL: 'the driver has but one frame rate'},
  reqbufs: {
    EINVAL: 'the driver takes no pointers of the user (V4L2_MEMORY_USERPTR): its buffers are MMAP or DMABUF only',
    EBUSY: 'another program streams from it, or it streams here: streamoff() first',
    ENOMEM: 'the kernel has no memory for so many',
  },
  dqbuf: {
    EINVAL: 'the queue does not stream: streamon() first',
    EAGAIN: 'the device has done with no buffer yet: next() waits for one',
    EIO: 'the device failed, and its frame is lost',
    EPIPE: 'the last buffer has been handed back already',
  },
  streamon: {
    EINVAL: 'there are no buffers: reqbufs() and qbuf() first',
    EPIPE: 'the pipeline before the device is not set up as the format needs it',
    ENOBUFS: 'the driver needs more buffers queued before it starts',
  },
  poll: {EBADF: 'the device has nothing to wait for: no buffer is queued, or the queue does not stream'},
};

/** A call on a device failed. */
export function v4l2Failed(method: V4l2Method, errno: number, path: string, why?: string): FrameVectorError {
  const code = errnoName(errno);
  const words = code === 'ENODEV' && method !== 'open' ? GONE : (why ?? errnoInWords(errno, REASONS[method]));
  return new FrameVectorError(`${method}: ${path}: ${words}`, {code, errno, syscall: SYSCALLS[method], path});
}

/** What a qbuf() had to go on, to tell why it was refused: the kernel says no more than its errno. */
export interface QueueAttempt {
  readonly index: number;
  /** Buffers that there are. */
  readonly count: number;
  /** Whether the buffer is the device's already. */
  readonly queued: boolean;
  readonly direction: 'capture' | 'output';
  /** Bytes that each plane needs. */
  readonly needed: readonly number[];
  /** Bytes that each plane was given. */
  readonly given: readonly number[];
  /** The addresses of the planes. */
  readonly addresses: readonly number[];
}

/** Why a buffer can't be queued, as far as it shows; undefined if it does not. */
export function queueFault({index, count, queued, needed, given}: QueueAttempt): string | undefined {
  if (count === 0) return 'there are no buffers: reqbufs() first';
  if (index >= count) return `there are ${count} buffers, 0 to ${count - 1}`;
  if (queued) return 'the buffer is the device\'s already: dqbuf() it first';
  if (given.length !== needed.length) return `the format has ${planes(needed.length)}, and it was given ${given.length}`;
  const short = needed.findIndex((bytes, plane) => (given[plane] ?? 0) < bytes);
  if (short < 0) return undefined;
  const which = needed.length === 1 ? 'the memory' : `the memory of plane ${short}`;
  return `${which} has ${bytesInWords(given[short] ?? 0)}, and the format needs ${bytesInWords(needed[short] ?? 0)}`;
}

/** QBUF failed. */
export function queueFailed(errno: number, path: string, attempt: QueueAttempt): FrameVectorError {
  const where = attempt.addresses.map(address => `0x${address.toString(16)}`).join(', ');
  const access = attempt.direction === 'capture' ? 'for writing' : 'for reading';
  const pinned =
    `the driver could not pin the memory at ${where} ${access}: it is not mapped (any more), it is mapped without that ` +
    'permission, or it is device memory (VM_IO, VM_PFNMAP), which V4L2 takes no more since December 2022 (commit ' +
    '6647e76ab623); UserptrQueue does';
  const why = {
    EFAULT: pinned,
    EINVAL: queueFault(attempt) ?? `refused; if index and length are right, ${pinned}`,
    ENOMEM: 'the kernel has no memory to note the frames',
  };
  return v4l2Failed('qbuf', errno, `${path}, buffer ${attempt.index}`, errnoInWords(errno, why));
}

/** The device has no queue that this library speaks to. */
export function noVideoQueue(path: string, direction: string): FrameVectorError {
  return new FrameVectorError(
    `open: ${path}: the device does not stream video (${direction}): it is of another kind (radio, VBI, metadata), or can ` +
      'only read() and write()',
    {code: 'ERR_FRAMEVEC_NO_VIDEO', path},
  );
}

/** A device or queue that is closed. */
export function queueClosed(what: 'V4l2Device' | 'UserptrQueue'): FrameVectorError {
  return new FrameVectorError(`the ${what} is closed`, {code: 'ERR_FRAMEVEC_CLOSED'});
}

/** The frames of a buffer are used after their time. */
export function bufferTaken(index: number): FrameVectorError {
  return new FrameVectorError(
    `the access to the frames of buffer ${index} has ended: the device is done with the buffer, its memory was replaced, or streamoff(), ` +
      'reqbufs() or close() took it back',
    {code: 'ECANCELED', errno: -125},
  );
}

/** A queue of framevec's own refuses, with the errno that V4L2 has for it. */
export function userptrRefused(method: 'reqbufs' | 'qbuf' | 'dqbuf' | 'streamon' | 'next', code: string, errno: number, why?: string): FrameVectorError {
  const words = why ?? (method === 'next' ? undefined : REASONS[method]?.[code]) ?? errnoInWords(errno);
  return new FrameVectorError(`${method}: ${words}`, {code, errno});
}

/** A format that has no picture of RGB here. */
export function noPicture(fourcc: string, known: readonly string[]): FrameVectorError {
  return new FrameVectorError(`a frame of format ${fourcc} can't be made a picture; these can: ${known.join(', ')}`, {
    code: 'ERR_FRAMEVEC_NO_PICTURE',
  });
}

function planes(count: number): string {
  return count === 1 ? '1 plane' : `${count} planes`;
}
