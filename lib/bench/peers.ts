/**
 * What else one could use to hold a buffer's frames, measured in C beside our own ioctls: each a real
 * user of the kernel's get_user_pages() or mlock(). The loops are native/peers/, an addon of its own
 * that does not ship built.
 */
import bindings from 'bindings';
import {fileURLToPath} from 'node:url';
import {outOfRange} from '../errors.js';
import {PinnableMemory} from '../pinnable_memory.js';
import {peerAbsence, peerClosed, peerFailed, peersNotBuilt} from './peer_errors.js';

/**
 * What a pair of calls yields, ns: `in` and `out` are the calls as C sees them, the clock read just
 * before and after. Of framevec with the timing flag also what the module says of itself: time in
 * get_user_pages() or unpin_user_pages() alone, and in the whole ioctl.
 */
export type PeerColumn = 'in' | 'out' | 'inGup' | 'inCall' | 'outGup' | 'outCall';

export interface PeerAbsence {
  readonly ok: false;
  /** The call that said no, its errno in words, and what would help. */
  readonly reason: string;
}

export interface PeerOptions {
  /** Whether framevec pins for write, as most of the others always do. Default: `true`. */
  readonly write?: boolean | undefined;
}

/** A peer that is set up on some memory. Close it: it holds descriptors, though no frame between two pairs. */
export interface PeerSession extends Disposable {
  readonly ok: true;
  /** Bytes that each pair holds. */
  readonly bytes: number;
  /**
   * Takes and releases the memory `iterations` times. The samples of iteration `i` are those from
   * `i * columns.length` on, in the order of {@link Peer.columns}, ns.
   *
   * @throws FrameVectorError - the errno of the call that failed
   */
  measure(iterations: number, samples: Float64Array): void;
  /**
   * The same with the clock read before the first pair and after the last only: ns in all. What a
   * peer prepares between two pairs (a socket, a buffer slot) counts here, and not in {@link measure}.
   *
   * @throws FrameVectorError - likewise
   */
  loop(iterations: number): number;
  close(): void;
}

/** Names that stay; the order is that of a table. */
export type PeerName = 'clock' | 'getppid' | 'empty' | 'bad-descriptor' | 'framevec' | 'framevec-timed' | 'mlock' | 'io_uring' | 'v4l2' | 'af_xdp' | 'rdma_rxe' | 'udmabuf';

export interface Peer {
  readonly name: PeerName;
  /** `'floor'`: does nothing, so it is what measuring and calling cost. `'framevec'`: our ioctls. `'peer'`: the others. */
  readonly kind: 'floor' | 'framevec' | 'peer';
  /** In a line, for people. */
  readonly what: string;
  /** The call that takes the memory. */
  readonly acquire: string;
  /** The call that releases it. */
  readonly release: string;
  readonly columns: readonly PeerColumn[];
  /** What of its figures is not as with the others; a table should say it. */
  readonly remark?: string | undefined;
  /**
   * Whether a part of a mapping can't be taken without cutting the mapping in two, and a huge page that
   * lies across the cut into small ones, for all that come after. So: not on part of a huge page.
   */
  readonly splits?: boolean | undefined;
  /** Whether this kernel has it: found out by doing it once with a little memory. */
  available(): {readonly ok: true} | PeerAbsence;
  /**
   * Sets it up on memory, whole pages of it. Not every peer takes every size: then an absence, too.
   *
   * @param memory - stays where it is until the session is closed
   */
  open(memory: ArrayBufferView, options?: PeerOptions): PeerSession | PeerAbsence;
}

/** peers.node. A negative answer is -errno of the call that `step` names. */
interface NativePeers {
  readonly open: (name: string, memory: ArrayBufferView, write: 0 | 1) => number;
  readonly measure: (handle: number, iterations: number, samples: Float64Array) => number;
  /** A negative answer is -errno here, too: no loop takes less than a nanosecond. */
  readonly loop: (handle: number, iterations: number) => number;
  readonly close: (handle: number) => number;
  readonly step: () => string;
}

let loaded: NativePeers | PeerAbsence | undefined;

/** dist/lib/bench/peers.js lies three below the package. */
function load(): NativePeers | PeerAbsence {
  const root = fileURLToPath(new URL('../../../native/peers/', import.meta.url));
  try {
    return bindings({bindings: 'peers', module_root: root, try: [['module_root', 'build', 'Release', 'bindings']]}) as NativePeers;
  } catch (error) {
    return {ok: false, reason: peersNotBuilt(error)};
  }
}

class Session implements PeerSession {
  readonly ok = true;
  readonly bytes: number;
  readonly #native: NativePeers;
  readonly #peer: Peer;
  #handle: number;
  /** Rooted as long as the peer may touch it. */
  #memory: ArrayBufferView | undefined;

  constructor(native: NativePeers, peer: Peer, handle: number, memory: ArrayBufferView) {
    this.#native = native;
    this.#peer = peer;
    this.#handle = handle;
    this.#memory = memory;
    this.bytes = memory.byteLength;
  }

  measure(iterations: number, samples: Float64Array): void {
    const most = Math.floor(samples.length / this.#peer.columns.length);
    this.#check(iterations, most);
    const answer = this.#native.measure(this.#handle, iterations, samples);
    if (answer < 0) throw peerFailed(this.#peer.name, this.#native.step(), answer);
  }

  loop(iterations: number): number {
    this.#check(iterations, 2 ** 31 - 1);
    const answer = this.#native.loop(this.#handle, iterations);
    if (answer < 0) throw peerFailed(this.#peer.name, this.#native.step(), answer);
    return answer;
  }

  #check(iterations: number, most: number): void {
    if (this.#memory === undefined) throw peerClosed(this.#peer.name);
    if (!Number.isInteger(iterations) || iterations < 1 || iterations > most) {
      throw outOfRange('iterations', `an integer >= 1 && <= ${most}`, iterations);
    }
  }

  close(): void {
    if (this.#memory === undefined) return;
    this.#memory = undefined;
    this.#native.close(this.#handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What a peer is, but for how it is set up. */
type Description = Omit<Peer, 'available' | 'open' | 'columns'> & {
  readonly columns?: Peer['columns'];
  /** What to do where it is not there. */
  readonly remedy?: string;
};

/** Enough for the smallest picture of a video device. */
const PROBE_BYTES = 64 * 4096;

function peerOf({remedy, columns = ['in', 'out'], ...description}: Description): Peer {
  let found: {readonly ok: true} | PeerAbsence | undefined;
  const probe = (): {readonly ok: true} | PeerAbsence => {
    using memory = PinnableMemory.alloc(PROBE_BYTES, {hugepages: false});
    const session = peer.open(memory.bytes);
    if (!session.ok) return session;
    session.close();
    return {ok: true};
  };
  const peer: Peer = {
    ...description,
    columns,
    available: () => (found ??= probe()),
    open(memory, {write = true} = {}) {
      const native = (loaded ??= load());
      if ('ok' in native) return native;
      const handle = native.open(description.name, memory, write ? 1 : 0);
      if (handle < 0) return {ok: false, reason: peerAbsence(native.step(), handle, remedy)};
      return new Session(native, peer, handle, memory);
    },
  };
  return peer;
}

const MODULE = 'load the module (`make load`), or run in a VM that has it: `framevec vm`';

/** All that there are, whether this kernel has them or not. */
export const peers: readonly Peer[] = [
  peerOf({
    name: 'clock', kind: 'floor', what: 'the clock read twice: in every other figure',
    acquire: 'nothing', release: 'nothing',
  }),
  peerOf({
    name: 'getppid', kind: 'floor', what: 'the least of system calls, twice',
    acquire: 'getppid()', release: 'getppid()',
  }),
  peerOf({
    name: 'empty', kind: 'floor', what: 'an ioctl of ours that does nothing, twice',
    acquire: 'ioctl(FRAMEVEC_IOC_INFO)', release: 'ioctl(FRAMEVEC_IOC_INFO)', remedy: MODULE,
  }),
  peerOf({
    name: 'bad-descriptor', kind: 'floor', what: 'an ioctl on no descriptor, twice: as much of the way as there is without the module',
    acquire: 'ioctl(-1)', release: 'ioctl(-1)',
  }),
  peerOf({
    name: 'framevec', kind: 'framevec', what: 'our ioctls from C, on a vector that is reused',
    acquire: 'ioctl(FRAMEVEC_IOC_PIN)', release: 'ioctl(FRAMEVEC_IOC_UNPIN)', remedy: MODULE,
  }),
  peerOf({
    name: 'framevec-timed', kind: 'framevec', what: 'the same with the timing flag, and what the module says of itself',
    acquire: 'ioctl(FRAMEVEC_IOC_PIN)', release: 'ioctl(FRAMEVEC_IOC_UNPIN)', remedy: MODULE,
    columns: ['in', 'out', 'inGup', 'inCall', 'outGup', 'outCall'],
  }),
  peerOf({
    name: 'mlock', kind: 'peer', what: 'locked in memory, yet free to move: no device may use it',
    acquire: 'mlock()', release: 'munlock()', splits: true,
  }),
  peerOf({
    name: 'io_uring', kind: 'peer', what: 'fixed buffers of an io_uring',
    acquire: 'io_uring_register(IORING_REGISTER_BUFFERS)', release: 'io_uring_register(IORING_UNREGISTER_BUFFERS)',
    remedy: 'a kernel with io_uring, and /proc/sys/kernel/io_uring_disabled 0',
  }),
  peerOf({
    name: 'v4l2', kind: 'peer', what: 'a video device that takes pointers of the user (vivid)',
    acquire: 'ioctl(VIDIOC_QBUF)', release: 'ioctl(VIDIOC_REQBUFS, 0)',
    remark: 'STREAMOFF lets no frame go, so the release is REQBUFS(0); beside pinning, the driver maps the buffer for itself',
    remedy: '`modprobe vivid`, in a VM `framevec vm --with vivid`',
  }),
  peerOf({
    name: 'af_xdp', kind: 'peer', what: 'the packet memory (umem) of an AF_XDP socket',
    acquire: 'setsockopt(SOL_XDP, XDP_UMEM_REG)', release: 'close()',
    remark: 'the kernel unpins later, in a worker: the release is not in these figures',
    remedy: 'a kernel with XDP_SOCKETS',
  }),
  peerOf({
    name: 'rdma_rxe', kind: 'peer', what: 'a memory region of software RDMA over Ethernet',
    acquire: 'write(IB_USER_VERBS_CMD_REG_MR)', release: 'write(IB_USER_VERBS_CMD_DEREG_MR)',
    remedy: '`modprobe -a rdma_rxe ib_uverbs`, in a VM `framevec vm --with rdma_rxe --with ib_uverbs`',
  }),
  peerOf({
    name: 'udmabuf', kind: 'peer', what: 'a dma-buf of a memfd',
    acquire: 'ioctl(UDMABUF_CREATE)', release: 'close()',
    remark: 'of a memfd of its own, as large as the memory, for it takes no other',
    remedy: 'a kernel with UDMABUF (it pins since 6.12)',
  }),
];

/** The peer of a name. */
export function peerNamed(name: PeerName): Peer {
  const found = peers.find(peer => peer.name === name);
  if (found === undefined) throw outOfRange('name', peers.map(peer => peer.name).join(' | '), name);
  return found;
}
