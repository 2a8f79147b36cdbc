import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {release} from 'node:os';
import test from 'ava';
import {peerNamed, peers, type Peer, type PeerName, type PeerSession} from '../../lib/bench/peers.js';
import {FrameVector, V4l2Device} from '../../lib/index.js';
import {endsBalanced, framesPinned, since, until} from './oracles.js';
import {bytes, close, MAP, memfd, mmap, munmap, must, PAGE, SYS} from './raw.js';
import {vivid} from './vivid.js';

endsBalanced(test);

const PAIRS = 3;
const PAGES = 64;

/** What the Debian kernel, or the sanitizing one, is built without. */
function lacks(name: PeerName): boolean {
  const sanitizing = release().endsWith('-dbg');
  if (name === 'udmabuf') return !sanitizing && !since([6, 12]);
  return sanitizing && (name === 'af_xdp' || name === 'rdma_rxe');
}

/** What the kernel counts of a peer's taking and releasing, frames; undefined: it counts nothing of it. */
function counters({name, kind}: Peer): readonly [string, string] | undefined {
  if (kind === 'floor') return undefined;
  if (name === 'mlock') return ['unevictable_pgs_mlocked', 'unevictable_pgs_munlocked'];
  if (name === 'udmabuf' && !since([6, 12])) return undefined;
  return ['nr_foll_pin_acquired', 'nr_foll_pin_released'];
}

function vmstat(name: string): number {
  framesPinned(); // which has the counters of every CPU summed up
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? Number.NaN);
}

/** A session that there must be. */
function opened(peer: Peer, memory: Uint8Array): PeerSession {
  const session = peer.open(memory);
  if (!session.ok) throw new Error(`${peer.name}: ${session.reason}`);
  return session;
}

for (const peer of peers.filter(({name}) => !lacks(name))) {
  test.serial(`${peer.name} takes a buffer and releases it, and the kernel counts every frame`, t => {
    t.deepEqual(peer.available(), {ok: true});
    using memory = FrameVector.alloc(PAGES * PAGE, {hugepages: false});
    memory.bytes.fill(7);
    const counted = counters(peer);
    const read = (): readonly number[] => counted?.map(vmstat) ?? [0, 0];
    using session = opened(peer, memory.bytes);
    t.is(session.bytes, PAGES * PAGE);

    const before = read();
    const samples = new Float64Array(PAIRS * peer.columns.length);
    session.measure(PAIRS, samples);
    session.close();
    const after = read();
    const moved = counted === undefined ? 0 : PAIRS * PAGES;
    t.deepEqual(after.map((value, i) => value - (before[i] ?? 0)), [moved, moved]);
    t.is(framesPinned(), 0);
    if (peer.kind !== 'floor') t.true(samples.every(ns => ns > 0), 'each call has taken time');
    t.true(memory.bytes.every(byte => byte === 7), 'and the buffer is as it was');
  });

  test.serial(`${peer.name} takes a single page, and a loop of pairs`, t => {
    using memory = FrameVector.alloc(PAGE, {hugepages: false});
    using session = opened(peer, memory.bytes);
    t.true(session.loop(PAIRS) > 0);
  });
}

for (const peer of peers.filter(({name}) => lacks(name))) {
  test.serial(`${peer.name} is absent here, and says which call said no`, t => {
    const found = peer.available();
    t.false(found.ok);
    if (!found.ok) t.regex(found.reason, /^(open|socket|netlink|setsockopt)\(.*\): E[A-Z]+ \(.+\); \S/);
  });
}

test.serial('what the timing flag tells lies within the calls as C sees them', t => {
  using memory = FrameVector.alloc(PAGES * PAGE, {hugepages: false});
  const peer = peerNamed('framevec-timed');
  using session = opened(peer, memory.bytes);
  const samples = new Float64Array(peer.columns.length);
  for (let i = 0; i < 20; i++) {
    session.measure(1, samples);
    const [pin = 0, unpin = 0, pinGup = 0, pinCall = 0, unpinGup = 0, unpinCall = 0] = samples;
    t.true(0 < pinGup && pinGup <= pinCall && pinCall <= pin, samples.join(' '));
    t.true(0 < unpinGup && unpinGup <= unpinCall && unpinCall <= unpin, samples.join(' '));
  }
});

test.serial('a call that fails is an error with its name and errno, and the session goes on', t => {
  // Cut short, so that there is nothing behind it: not even those that force their way (V4L2 before 6.3) get at it.
  const length = PAGES * PAGE;
  const file = memfd('cut short', length);
  const address = mmap(length, {flags: MAP.SHARED, fd: file});
  const memory = bytes(address, length);
  for (const [name, syscall] of [
    ['framevec', 'ioctl(FRAMEVEC_IOC_PIN)'],
    ['io_uring', 'io_uring_register(IORING_REGISTER_BUFFERS)'],
    ['v4l2', 'ioctl(VIDIOC_QBUF)'],
  ] as const) {
    using session = opened(peerNamed(name), memory);
    must(SYS.ftruncate, file, 0);
    t.throws(() => { session.measure(1, new Float64Array(2)); }, {code: 'EFAULT', message: new RegExp(`^bench: ${name}: `)});
    t.like(t.throws(() => { session.loop(1); }), {errno: -14, syscall});
    must(SYS.ftruncate, file, length);
    session.measure(1, new Float64Array(2));
  }
  munmap(address, length);
  close(file);
});

test.serial('a video device is for one session, and the next finds another or says why not', t => {
  using memory = FrameVector.alloc(PAGE);
  const sessions = [];
  const peer = peerNamed('v4l2');
  let next = peer.open(memory.bytes);
  for (; next.ok; next = peer.open(memory.bytes)) sessions.push(next);
  t.true(sessions.length > 0);
  t.regex(next.reason, /another session|V4L2_MEMORY_USERPTR/);
  for (const session of sessions) session.measure(1, new Float64Array(2));
  for (const session of sessions) session.close();
  opened(peer, memory.bytes).close();
});

test.serial('sessions of RDMA share a link, whichever ends first', t => {
  using memory = FrameVector.alloc(PAGE);
  if (lacks('rdma_rxe')) {
    t.false(peerNamed('rdma_rxe').available().ok);
    return;
  }
  const first = opened(peerNamed('rdma_rxe'), memory.bytes);
  using second = opened(peerNamed('rdma_rxe'), memory.bytes);
  first.close();
  t.true(second.loop(PAIRS) > 0);
});

test.serial('wrong numbers, and a session that is closed, are errors', t => {
  using memory = FrameVector.alloc(PAGE);
  const session = opened(peerNamed('mlock'), memory.bytes);
  const samples = new Float64Array(4);
  for (const iterations of [0, -1, 1.5, Number.NaN, 3]) {
    t.throws(() => { session.measure(iterations, samples); }, {code: 'ERR_OUT_OF_RANGE'}, String(iterations));
  }
  t.throws(() => session.loop(2 ** 31), {code: 'ERR_OUT_OF_RANGE'});
  session.close();
  session.close();
  t.throws(() => { session.measure(1, samples); }, {code: 'ERR_FRAMEVEC_CLOSED'});
  t.throws(() => session.loop(1), {code: 'ERR_FRAMEVEC_CLOSED'});
  const refused = peerNamed('framevec').open(new Uint8Array(0));
  t.like(refused, {ok: false});
});

test.serial('the peers leave the machine as they found it', async t => {
  const format = (): unknown => {
    using device = V4l2Device.open(vivid('single', 'capture'));
    return device.format();
  };
  const before = format();
  t.deepEqual(peerNamed('v4l2').available(), {ok: true});
  {
    using memory = FrameVector.alloc(PAGE);
    using session = opened(peerNamed('v4l2'), memory.bytes);
    t.true(session.ok);
    t.notDeepEqual(format(), before, 'while it is open the picture is small');
  }
  t.deepEqual(format(), before);

  if (lacks('rdma_rxe')) return;
  const links = (): string[] => (existsSync('/sys/class/infiniband') ? readdirSync('/sys/class/infiniband') : []);
  t.deepEqual(links(), []);
  {
    using memory = FrameVector.alloc(PAGE);
    using session = opened(peerNamed('rdma_rxe'), memory.bytes);
    t.true(session.ok);
    t.is(links().length, 1);
  }
  await until('the RDMA link is gone', () => links().length === 0, 10_000);
});
