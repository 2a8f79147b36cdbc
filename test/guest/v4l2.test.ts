/** V4l2Device against vivid, the kernel's virtual video driver, whose queues are videobuf2's own. */
import {execFileSync, spawnSync} from 'node:child_process';
import {readFileSync, rmSync, writeFileSync} from 'node:fs';
import {release} from 'node:os';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import {PNG} from 'pngjs';
import {DeviceMemory, FrameVector, FrameVectorError, V4l2Device, type PinnableMemory} from '../../lib/index.js';
import {toRgba} from '../../lib/v4l2/picture.js';
import {endsBalanced, framesPinned, pagemap, until} from './oracles.js';
import {MAP, PAGE, PROT, SYS, must, raw} from './raw.js';
import {capture, drive, vivid} from './vivid.js';

endsBalanced(test);

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** vivid's default pattern, 75 % colour bars. */
const BARS = [[191, 191, 191], [191, 191, 0], [0, 191, 191], [0, 191, 0], [191, 0, 191], [191, 0, 0], [0, 0, 191], [0, 0, 0]] as const;

/** Whether this kernel's videobuf2 pins with FOLL_FORCE. */
const [major = 0, minor = 0] = release().split('.').map(Number);
const OVERRIDES = major < 6 || (major === 6 && minor < 2);

/** The second opinion. */
function v4l2ctl(...args: string[]): string {
  return execFileSync('v4l2-ctl', args, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']});
}

test.serial('a device tells what it is, as v4l2-ctl has it', t => {
  for (const instance of ['single', 'multi'] as const) {
    for (const direction of ['capture', 'output'] as const) {
      const path = vivid(instance, direction);
      using device = V4l2Device.open(path);
      t.is(device.direction, direction);
      t.is(device.multiplanar, instance === 'multi');
      const told = v4l2ctl('-d', path, '--info', direction === 'capture' ? '--get-fmt-video' : '--get-fmt-video-out', direction === 'capture' ? '--list-formats' : '--list-formats-out');
      const said = (name: string): string[] => [...told.matchAll(new RegExp(`^\\s*${name}\\s*: (.*)$`, 'gm'))].map(([, value = '']) => value.trim());
      t.deepEqual([said('Driver name')[0], said('Card type')[0], said('Bus info')[0], said('Driver version')[0]],
        [device.driver, device.card, device.busInfo, device.driverVersion]);
      const format = device.format();
      t.is(said('Width/Height')[0], `${format.width}/${format.height}`);
      t.regex(said('Pixel Format')[0] ?? '', new RegExp(`^'${format.fourcc}'`));
      t.deepEqual(said('Size Image').map(Number), format.planes.map(({bytes}) => bytes));
      t.deepEqual(said('Bytes per Line').map(Number), format.planes.map(({stride}) => stride));
      t.deepEqual(device.formats().map(({fourcc}) => fourcc), [...told.matchAll(/^\s*\[\d+\]: '(.{4}(?:-BE)?)'/gm)].map(([, fourcc = '']) => fourcc));
    }
  }
});

test.serial('a captured frame shows the colour bars, and their bytes are those that v4l2-ctl captures', async t => {
  using device = capture();
  const format = device.format();
  const stride = format.planes[0]?.stride ?? 0;
  let bottom = Buffer.alloc(0);
  const sequences: number[] = [];
  for await (const frame of device.stream({buffers: 4, frames: 8})) {
    t.is(frame.bytes.length, format.planes[0]?.bytes ?? -1);
    t.false(frame.error);
    sequences.push(frame.sequence);
    bottom = Buffer.from(frame.bytes.subarray(stride * (format.height - 1)));
    const rgba = toRgba(format, frame.bytes);
    BARS.forEach((bar, i) => {
      const at = ((format.height - 1) * format.width + Math.floor((i + 0.5) * (format.width / BARS.length))) * 4;
      bar.forEach((value, colour) => {
        t.true(Math.abs((rgba[at + colour] ?? -1) - value) <= 12, `bar ${i}: ${[...rgba.subarray(at, at + 3)].join()}`);
      });
    });
  }
  t.is(sequences.length, 8);
  t.true(sequences.every((sequence, i) => i === 0 || sequence > (sequences[i - 1] ?? 0)), sequences.join());
  device.close();
  v4l2ctl('-d', device.path, '--stream-mmap=3', '--stream-count=1', '--stream-to=/run/frame.raw');
  const theirs = readFileSync('/run/frame.raw');
  t.true(theirs.subarray(stride * (format.height - 1)).equals(bottom));
  rmSync('/run/frame.raw');
});

test.serial('the planes of a multi-planar frame are filled apart', async t => {
  using device = V4l2Device.open(vivid('multi', 'capture'));
  const format = device.setFormat({width: 320, height: 180, fourcc: 'NM12'});
  device.setFrameRate(30);
  t.deepEqual(format.planes.map(({bytes}) => bytes), [320 * 180, (320 * 180) / 2]);
  for await (const frame of device.stream({buffers: 3, frames: 3})) {
    t.deepEqual(frame.planes.map(({bytes}) => bytes.length), [320 * 180, (320 * 180) / 2]);
    const [luma, chroma] = frame.planes.map(({bytes}) => bytes);
    // The last line: luma falls from bar to bar; white and black have no colour, the sixth is red.
    const bar = (i: number): number => Math.floor((i + 0.5) * 40);
    const line = luma?.subarray(320 * 179) ?? new Uint8Array();
    const levels = BARS.map((_, i) => line[bar(i)] ?? 0);
    t.deepEqual(levels, [...levels].sort((a, b) => b - a));
    const colours = chroma?.subarray(320 * 89) ?? new Uint8Array();
    t.true(Math.abs((colours[bar(0) & ~1] ?? 0) - 128) < 3);
    t.true((colours[(bar(5) & ~1) + 1] ?? 0) > 180);
  }
  device.setFormat({fourcc: 'YUYV'});
});

for (const instance of ['single', 'multi'] as const) {
  test.serial(`an output device reads what was filled in (${instance}-planar)`, async t => {
    using device = V4l2Device.open(vivid(instance, 'output'));
    let frames = 0;
    for await (const frame of device.stream({buffers: 4, frames: 7})) {
      t.is(frame.bytes.length, device.planeBytes[0] ?? -1);
      frame.bytes.fill(16 * frames++);
    }
    t.is(frames, 7);
  });
}

test.serial('queued memory is pinned by the driver: compaction moves none of it', async t => {
  using device = capture();
  const bytes = device.planeBytes[0] ?? 0;
  const memories = Array.from({length: 4}, () => FrameVector.alloc(bytes, {hugepages: false}));
  const pages = Math.ceil(bytes / PAGE);
  const where = (): bigint[] => memories.flatMap(memory => pagemap(raw.address(memory.bytes), pages));
  device.reqbufs(4);
  memories.forEach((memory, i) => {
    device.qbuf(i, memory);
  });
  t.is(framesPinned(), 4 * pages);
  const before = where();
  device.streamon();
  for (let round = 0; round < 12; round++) {
    if (round % 3 === 0) writeFileSync('/proc/sys/vm/compact_memory', '1');
    const {index} = await device.next();
    t.deepEqual(where(), before);
    device.qbuf(index, memories[index] ?? []);
  }
  device.streamoff();
  device.reqbufs(0);
  t.is(framesPinned(), 0);
  for (const memory of memories) memory.close();
});

test.serial('a slow loop slows the device down: it never has a buffer that the loop holds', async t => {
  using device = capture();
  for await (const frame of device.stream({buffers: 3, frames: 4})) {
    const copy = Buffer.from(frame.bytes);
    await new Promise(resolve => setTimeout(resolve, 300));
    t.true(copy.equals(frame.bytes));
  }
});

test.serial('however a loop ends, nothing is queued or pinned after it', async t => {
  using device = capture();
  for await (const frame of device.stream()) if (frame.bytes.length > 0) break;
  t.is(framesPinned(), 0);
  await t.throwsAsync(async () => {
    for await (const frame of device.stream()) throw new Error(`at frame ${frame.sequence}`);
  }, {message: /at frame/});
  t.is(framesPinned(), 0);
  await t.throwsAsync(async () => {
    for await (const frame of device.stream()) {
      t.truthy(frame);
      device.close();
    }
  }, {code: 'ERR_FRAMEVEC_CLOSED'});
  t.is(framesPinned(), 0);
});

test.serial('close() wakes who waits, and a worker that ends while it waits leaves nothing pinned', async t => {
  const device = capture();
  device.setFrameRate(1);
  const bytes = device.planeBytes[0] ?? 0;
  // Two: vivid of 5.10 begins when it has two, and keeps the last.
  using memory = FrameVector.alloc(bytes);
  using other = FrameVector.alloc(bytes);
  device.reqbufs(2);
  device.qbuf(0, memory);
  device.qbuf(1, other);
  device.streamon();
  // The first frame comes at once, the second after a second.
  device.qbuf((await device.next()).index, memory);
  const waiting = device.next();
  device.close();
  await t.throwsAsync(waiting, {code: 'ERR_FRAMEVEC_CLOSED'});
  const script = `
    import {parentPort} from 'node:worker_threads';
    import {V4l2Device, FrameVector} from ${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)};
    const device = V4l2Device.open(${JSON.stringify(device.path)});
    device.reqbufs(2);
    const memory = FrameVector.alloc(${bytes});
    device.qbuf(0, memory);
    device.streamon();
    parentPort.postMessage('waits');
    for (;;) device.qbuf((await device.next()).index, memory);
  `;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  t.true(framesPinned() > 0);
  await worker.terminate();
  await until('the pins are gone', () => framesPinned() === 0);
  t.pass();
});

test.serial('what is wrong on purpose is refused in words, and the buffer is not queued', t => {
  using device = capture();
  const bytes = device.planeBytes[0] ?? 0;
  using memory = FrameVector.alloc(bytes + PAGE, {hugepages: false});
  t.throws(() => {
    device.streamon();
  }, {code: 'EINVAL', message: /no buffers/});
  t.throws(() => device.dqbuf(), {code: 'EINVAL', message: /streamon\(\) first/});
  const refused = (index: number, target: Parameters<V4l2Device['qbuf']>[1], code: string, message: RegExp): void => {
    const error = t.throws(() => {
      device.qbuf(index, target);
    }, {code, message});
    t.is(framesPinned(), 0, error.message);
  };
  refused(0, memory, 'EINVAL', /reqbufs\(\) first/);
  const count = device.reqbufs(2);
  refused(count, memory, 'EINVAL', new RegExp(`there are ${count} buffers, 0 to ${count - 1}`));
  refused(0, memory.bytes.subarray(0, PAGE), 'EINVAL', /the memory has 4 KiB, and the format needs /);
  refused(0, memory.bytes.subarray(1, bytes + 1), 'ERR_FRAMEVEC_UNALIGNED', /starts 1 byte into a page/);
  refused(0, Buffer.from('abc'), 'ERR_FRAMEVEC_POOLED', /pool/);
  t.throws(() => device.setFormat({width: 640}), {code: 'EBUSY', message: /reqbufs\(0\) first/});

  // Read-only memory, and the driver is to write to it: a file's page of the program itself.
  using program = DeviceMemory.map('/proc/self/exe', {length: 2 ** 17});
  refused(0, program, 'EFAULT', /mapped without that permission/);

  // Private memory that is protected: until Linux 6.2 videobuf2 overrode that (FOLL_FORCE).
  const address = raw.address(memory.bytes);
  for (const protection of [PROT.READ, PROT.NONE]) {
    must(SYS.mprotect, address, memory.byteLength, protection);
    if (OVERRIDES) device.qbuf(0, memory);
    else refused(0, memory, 'EFAULT', /mapped without that permission/);
    device.streamoff();
    device.reqbufs(0);
    device.reqbufs(2);
    must(SYS.mprotect, address, memory.byteLength, PROT.READ | PROT.WRITE);
  }

  // Unaligned is all the same to a driver whose device has page tables of its own, if it is wanted.
  device.qbuf(0, memory.bytes.subarray(1, bytes + 1), {unaligned: true});
  t.throws(() => {
    device.qbuf(0, memory);
  }, {code: 'EINVAL', message: /the device's already/});
  device.close();
});

test.serial('device memory, which V4L2 once took, it refuses since 2022', t => {
  using device = capture();
  using memory = DeviceMemory.map('/dev/framevec', {length: 2 ** 17, write: true});
  device.reqbufs(2);
  const error = t.throws(() => {
    device.qbuf(0, memory);
  }, {instanceOf: FrameVectorError, message: /December 2022.*UserptrQueue/});
  t.true(['EFAULT', 'EINVAL'].includes((error).code));
  t.is(framesPinned(), 0);
});

test.serial('a buffer that comes back with the same pointer keeps its pin, with another it does not', async t => {
  using device = capture();
  const bytes = device.planeBytes[0] ?? 0;
  const pages = Math.ceil(bytes / PAGE);
  using one = FrameVector.alloc(bytes, {hugepages: false});
  using two = FrameVector.alloc(bytes, {hugepages: false});
  using other = FrameVector.alloc(bytes, {hugepages: false});
  const acquired = (): number => {
    framesPinned();
    return Number(/^nr_foll_pin_acquired (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1]);
  };
  device.reqbufs(2);
  device.qbuf(0, one);
  device.qbuf(1, two);
  device.streamon();
  const first = await device.next();
  const before = acquired();
  device.qbuf(first.index, first.index === 0 ? one : two);
  t.is(acquired() - before, 0);
  const second = await device.next();
  device.qbuf(second.index, other);
  t.is(acquired() - before, pages);
  t.is(framesPinned(), 2 * pages);
  device.streamoff();
  t.is(framesPinned(), 2 * pages, 'streamoff() lets no pin go');
  device.reqbufs(0);
});

test.serial('memory that is unmapped while it is queued: the driver fills the frames it has pinned, and nobody sees them', async t => {
  using device = capture();
  const bytes = device.planeBytes[0] ?? 0;
  const memories = [0, 1].map(() => FrameVector.alloc(bytes, {hugepages: false}));
  device.reqbufs(2);
  memories.forEach((memory, i) => {
    memory.bytes.fill(0);
    device.qbuf(i, memory, {hold: false});
  });
  const pages = 2 * Math.ceil(bytes / PAGE);
  // New memory in the place of the old: what is seen there now are other frames.
  for (const {bytes: {byteLength}, bytes: view} of memories) {
    must(SYS.mmap, raw.address(view), byteLength, PROT.READ | PROT.WRITE, MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED, -1, 0);
  }
  t.is(framesPinned(), pages);
  device.streamon();
  const {index, bytesUsed} = await device.next();
  t.deepEqual(bytesUsed, [bytes]);
  t.true(memories[index]?.bytes.every(byte => byte === 0));
  // The library's own end of memory is no harm either.
  for (const memory of memories) memory.close();
  await device.next();
  device.close();
  t.is(framesPinned(), 0);
});

/** Whether something is mapped at an address. */
function mapped(address: bigint): boolean {
  return [...readFileSync('/proc/self/maps', 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) /gm)].some(([, start = '', end = '']) =>
    BigInt(`0x${start}`) <= address && address < BigInt(`0x${end}`));
}

const later = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve));
};

test.serial('memory that is closed after dqbuf() keeps its address until other memory is queued there, which then gets the frame', async t => {
  using device = capture();
  const bytes = device.planeBytes[0] ?? 0;
  const alloc = (): PinnableMemory => FrameVector.alloc(bytes, {hugepages: false});
  const memories = [alloc(), alloc(), alloc()];
  const old = raw.address(memories[0]?.bytes ?? new Uint8Array(1));
  device.reqbufs(3);
  memories.forEach((memory, index) => {
    device.qbuf(index, memory);
  });
  device.streamon();
  const untilFirst = async (): Promise<void> => {
    for (let {index} = await device.next(); index !== 0; {index} = await device.next()) device.qbuf(index, memories[index] ?? []);
  };
  await untilFirst();
  memories[0]?.close();
  await later();
  t.true(mapped(old), 'the driver has its frames');
  // Without that, one of these would get the address.
  const more = Array.from({length: 20}, alloc);
  t.false(more.some(memory => raw.address(memory.bytes) === old));
  const [fresh = alloc()] = more;
  memories[0] = fresh;
  device.qbuf(0, fresh);
  t.false(mapped(old), 'the driver has let go of them');
  await untilFirst();
  t.true(fresh.bytes.some(byte => byte !== 0));
  for (const memory of [...memories, ...more]) memory.close();
});

for (const [words, end] of Object.entries({
  'reqbufs()': (device: V4l2Device): void => {
    device.reqbufs(0);
  },
  'close()': (device: V4l2Device): void => {
    device.close();
  },
})) {
  test.serial(`closed memory that the driver has stays mapped through streamoff(), until ${words}`, t => {
    using device = capture();
    const memory = FrameVector.alloc(device.planeBytes[0] ?? 0, {hugepages: false});
    const address = raw.address(memory.bytes);
    device.reqbufs(2);
    device.qbuf(0, memory);
    memory.close();
    t.true(mapped(address));
    device.streamoff();
    t.true(mapped(address));
    t.true(framesPinned() > 0);
    end(device);
    t.false(mapped(address));
    t.is(framesPinned(), 0);
  });
}

test.serial('memory of the JavaScript heap is kept from being collected as long as the driver has it', async t => {
  using device = capture();
  const bytes = device.planeBytes[0] ?? 0;
  const memories = [0, 1].map(() => new SharedArrayBuffer(Math.ceil(bytes / PAGE) * PAGE));
  const references = memories.map(memory => new WeakRef(memory));
  device.reqbufs(2);
  memories.forEach((memory, index) => {
    device.qbuf(index, memory, {unaligned: true});
  });
  memories.length = 0;
  device.streamon();
  await device.next();
  device.streamoff();
  const collect = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      gc();
      await later();
    }
  };
  await collect();
  t.true(references.every(reference => reference.deref() !== undefined));
  device.reqbufs(0);
  await collect();
  t.true(references.every(reference => reference.deref() === undefined), 'and no longer');
});

test.serial('a buffer that the driver refuses after it has pinned it keeps no memory', t => {
  using device = capture();
  const memory = FrameVector.alloc(device.planeBytes[0] ?? 0, {hugepages: false});
  const address = raw.address(memory.bytes);
  device.reqbufs(2);
  v4l2ctl('-d', device.path, '--set-ctrl', 'inject_vidioc_qbuf_error=1');
  t.throws(() => {
    device.qbuf(0, memory);
  }, {code: 'EINVAL'});
  t.is(framesPinned(), 0);
  memory.close();
  t.false(mapped(address));
});

test.serial('a device that takes no pointers, and one that is busy, say so', t => {
  using contiguous = V4l2Device.open(vivid('contiguous', 'capture'));
  t.throws(() => contiguous.reqbufs(2), {code: 'EINVAL', message: /takes no pointers of the user/});
  using first = capture();
  first.reqbufs(2);
  using second = V4l2Device.open(first.path);
  t.throws(() => second.reqbufs(2), {code: 'EBUSY', message: /another program streams from it/});
  const {stderr} = spawnSync('v4l2-ctl', ['-d', first.path, '--stream-user=3', '--stream-count=1'], {encoding: 'utf8'});
  t.regex(stderr, /VIDIOC_REQBUFS.*busy/, 'v4l2-ctl is told the same');
  first.reqbufs(0);
  t.true(second.reqbufs(2) >= 2);
});

test.serial('a wait for nothing ends with an error', async t => {
  using device = capture();
  using region = FrameVector.alloc(2 ** 18);
  const memory = region.bytes;
  device.reqbufs(2);
  device.streamon();
  await t.throwsAsync(device.next(), {code: 'EBADF', message: /no buffer is queued/});
  // vivid begins when it has two, on 5.10.
  device.qbuf(0, memory.subarray(0, 2 ** 17));
  device.qbuf(1, memory.subarray(2 ** 17));
  await device.next();
  await device.next();
  await t.throwsAsync(device.next(), {code: 'EBADF', message: /no buffer is queued/});
  t.throws(() => device.dqbuf(), {code: 'EAGAIN', message: /next\(\) waits/});
  device.streamoff();
  await t.throwsAsync(device.next(), {code: 'EINVAL'});
  t.is(region.bytes.length, 2 ** 18);
});

test.serial('framevec v4l2 streams, holds the buffers, and saves a picture; what it can\'t do it says in a line', t => {
  const framevec = (...args: string[]): string =>
    execFileSync(process.execPath, ['dist/lib/cli/main.js', 'v4l2', ...args], {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']});
  const path = vivid('single', 'capture');
  for (const backing of ['thp', 'memfd']) {
    const told = JSON.parse(framevec(path, '--frames', '11', '--fps', '30', '--backing', backing, '--hold', '--save', '/run/frame.png', '--json')) as {
      frames: number; changed: number; hold: {frames: number; moved: number; compactions: number};
    };
    t.like(told, {frames: 11, backing, errors: 0, hold: {moved: 0, compactions: 1}});
    t.true(told.changed > 1 && told.hold.frames > 0);
    const png = PNG.sync.read(readFileSync('/run/frame.png'));
    t.deepEqual([png.width, png.height], [320, 180]);
    rmSync('/run/frame.png');
  }
  t.regex(framevec(path, '--frames', '3', '--hold'), /3 frames at .*\n\n[^]*QBUF[^]*no frame moved\.\n$/);
  for (const [args, words] of [
    [['/dev/null'], /^framevec: capabilities: \/dev\/null: it is no video device.*\n$/],
    [[path, '--backing', 'device:/dev/framevec'], /^framevec: qbuf: .* December 2022 .*\n$/],
    [[vivid('contiguous', 'capture')], /^framevec: reqbufs: .* takes no pointers of the user.*\n$/],
  ] as const) {
    const error = t.throws<Error & {status: number; stderr: string}>(() => framevec(...args));
    t.is(error.status, 1);
    t.regex(error.stderr, words);
  }
  t.is(framesPinned(), 0);
});

test.serial('a device that disappears while it streams is an error, and nothing stays pinned', async t => {
  const device = capture();
  try {
    let frames = 0;
    const error = await t.throwsAsync(async () => {
      for await (const frame of device.stream({buffers: 4})) {
        t.false(frame.error);
        if (++frames === 3) drive('unbind');
      }
    }, {instanceOf: FrameVectorError});
    t.is((error).code, 'ENODEV', error.message);
    t.true(device.closed);
    t.is(framesPinned(), 0);
  } finally {
    device.close();
    drive('bind');
  }
  using again = capture();
  for await (const frame of again.stream({frames: 2})) t.true(frame.bytes.length > 0);
});
