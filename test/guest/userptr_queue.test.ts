/** UserptrQueue beside a real videobuf2 queue (vivid), step by step; and where they differ, on purpose. */
import {inspect} from 'node:util';
import test from 'ava';
import {
  DeviceMemory, FrameVector, FrameVectorError, UserptrQueue, type BufferQueue, type DeviceWork, type FrameAccess, type PinnableMemory, type PinTarget,
} from '../../lib/index.js';
import {endsBalanced, framesPinned, pagemap} from './oracles.js';
import {PAGE, PROT, SYS, must, raw} from './raw.js';
import {capture, vivid} from './vivid.js';
import {V4l2Device} from '../../lib/index.js';

endsBalanced(test);

/** A device that writes its sequence number to every byte. */
const counting: DeviceWork = ({vectors, sequence, bytesUsed}) => {
  vectors.forEach((vector, plane) => {
    vector.write(0, new Uint8Array(bytesUsed[plane] ?? 0).fill(sequence + 1));
  });
};

/** What a call answered: its errno, or that it went well. */
function answer(call: () => unknown): string {
  try {
    call();
    return 'ok';
  } catch (error) {
    return (error as {code?: string}).code ?? String(error);
  }
}

/** One flow, right and wrong, on a queue: each step with its answer, and how many frames are pinned after it. */
async function flow(queue: BufferQueue, memory: () => PinnableMemory): Promise<string[]> {
  const steps: string[] = [];
  const step = (name: string, call: () => unknown): void => {
    steps.push(`${name}: ${answer(call)}, ${framesPinned()} frames`);
  };
  const [one, two, three] = [memory(), memory(), memory()] as const;
  const later = (name: string) => async (): Promise<number> => {
    const {index, error, bytesUsed} = await queue.next();
    steps.push(`${name}: error ${error}, ${bytesUsed.join()} bytes, ${framesPinned()} frames`);
    return index;
  };
  step('streamon() with no buffers', () => {
    queue.streamon();
  });
  step('dqbuf() with no buffers', () => queue.dqbuf());
  step('qbuf() with no buffers', () => {
    queue.qbuf(0, one);
  });
  step('reqbufs(3)', () => queue.reqbufs(3));
  step('qbuf() of one that is not there', () => {
    queue.qbuf(7, one);
  });
  step('qbuf() too short', () => {
    queue.qbuf(0, one.bytes.subarray(0, PAGE));
  });
  step('qbuf(0)', () => {
    queue.qbuf(0, one);
  });
  step('qbuf(0) again', () => {
    queue.qbuf(0, one);
  });
  step('qbuf(1)', () => {
    queue.qbuf(1, two);
  });
  step('streamon()', () => {
    queue.streamon();
  });
  step('streamon() again', () => {
    queue.streamon();
  });
  step('reqbufs() while it streams', () => queue.reqbufs(3));
  const first = await later('next()')();
  step('qbuf() with the same memory', () => {
    queue.qbuf(first, first === 0 ? one : two);
  });
  const second = await later('next()')();
  step('qbuf() with other memory', () => {
    queue.qbuf(second, three);
  });
  step('streamoff()', () => {
    queue.streamoff();
  });
  step('streamoff() again', () => {
    queue.streamoff();
  });
  step('dqbuf() after streamoff()', () => queue.dqbuf());
  step('reqbufs(0)', () => queue.reqbufs(0));
  for (const gone of [one, two, three]) gone.close();
  return steps;
}

test.serial('a right and wrong flow is answered as by videobuf2, step by step, pins and all', async t => {
  using device = capture();
  const bytes = device.planeBytes[0] ?? 0;
  const memory = (): PinnableMemory => FrameVector.alloc(bytes, {hugepages: false});
  const theirs = await flow(device, memory);
  using queue = UserptrQueue.create({planeBytes: bytes, device: counting});
  const ours = await flow(queue, memory);
  t.deepEqual(ours, theirs);
  t.true(theirs.some(step => step.startsWith('next()')), inspect(theirs));
});

test.serial('the device fills the very frames that the process sees', async t => {
  using queue = UserptrQueue.create({planeBytes: [10_000, 5000], device: counting});
  const seen: number[][] = [];
  for await (const frame of queue.stream({buffers: 3, frames: 5})) {
    t.true(frame.planes.every(({bytes}) => bytes.every(byte => byte === bytes[0])));
    seen.push([frame.sequence, ...frame.planes.map(({bytes}) => bytes[0] ?? -1), ...frame.planes.map(({bytes}) => bytes.length)]);
    const vectors = queue.vectors(frame.index);
    frame.planes.forEach(({bytes}, plane) => {
      t.deepEqual([...(vectors[plane]?.pfns() ?? [])], pagemap(raw.address(bytes), Math.ceil(bytes.length / PAGE)));
    });
  }
  t.deepEqual(seen, [0, 1, 2, 3, 4].map(i => [i, i + 1, i + 1, 10_000, 5000]));
  t.is(queue.pins, 6, 'a plane of a buffer is pinned once');
  t.is(framesPinned(), 0);
});

test.serial('the device of an output queue reads what was filled in, as much of it as was said', async t => {
  const read: string[] = [];
  using queue = UserptrQueue.create({
    planeBytes: 100,
    direction: 'output',
    device({vectors, bytesUsed}) {
      const bytes = Buffer.alloc(bytesUsed[0] ?? 0);
      vectors[0]?.read(0, bytes);
      read.push(bytes.toString());
    },
  });
  for await (const frame of queue.stream({buffers: 2, frames: 4})) {
    const [plane] = frame.planes;
    if (plane !== undefined) plane.bytesUsed = Buffer.from(plane.bytes.buffer).write(`frame ${read.length}`);
  }
  t.deepEqual(read.map(text => text.slice(0, 6)), ['frame ', 'frame ', 'frame ']);
});

const APERTURE = 2 ** 17;

test.serial('device memory: V4L2 refuses it, and UserptrQueue streams to the same mapping', async t => {
  using memory = DeviceMemory.map('/dev/framevec', {length: APERTURE, write: true});
  using device = capture();
  device.reqbufs(2);
  t.regex(answer(() => {
    device.qbuf(0, memory);
  }), /^(EFAULT|EINVAL)$/);
  using queue = UserptrQueue.create({planeBytes: device.planeBytes, device: counting});
  queue.reqbufs(1);
  queue.qbuf(0, memory);
  t.is(queue.vectors(0)[0]?.kind, 'pfns');
  t.is(framesPinned(), 0, 'noted, not pinned');
  queue.streamon();
  const {bytesUsed} = await queue.next();
  t.deepEqual(bytesUsed, device.planeBytes);
  t.deepEqual([memory.bytes[0], memory.bytes[(bytesUsed[0] ?? 0) - 1]], [1, 1]);
});

test.serial('device memory whose mapping goes while it is queued: the device writes nowhere, and the buffer says error', async t => {
  const memory = DeviceMemory.map('/dev/framevec', {length: APERTURE, write: true});
  using queue = UserptrQueue.create({planeBytes: APERTURE, device: counting});
  queue.reqbufs(1);
  queue.qbuf(0, memory);
  queue.streamon();
  memory.close();
  await t.throwsAsync(queue.next(), {instanceOf: FrameVectorError, code: 'ESTALE'});
  t.true(queue.dqbuf().error);
});

test.serial('memory that can\'t be pinned is refused, and the buffer keeps nothing, of no plane', t => {
  using good = FrameVector.alloc(PAGE);
  using bad = FrameVector.alloc(PAGE);
  using queue = UserptrQueue.create({planeBytes: [PAGE, PAGE]});
  queue.reqbufs(1);
  must(SYS.mprotect, raw.address(bad.bytes), PAGE, PROT.READ);
  const refused = (targets: PinTarget[], code: string): void => {
    t.is(answer(() => {
      queue.qbuf(0, targets);
    }), code);
    t.is(framesPinned(), 0);
  };
  refused([good, bad], 'EFAULT');
  refused([good], 'EINVAL');
  refused([good, bad.bytes.subarray(1)], 'EINVAL');
  must(SYS.mprotect, raw.address(bad.bytes), PAGE, PROT.READ | PROT.WRITE);
  queue.qbuf(0, [good, bad]);
  t.is(framesPinned(), 2);
});

test.serial('who waits is woken by process(), by streamoff() and by close(); a device that fails hands the buffer back', async t => {
  const queue = UserptrQueue.create({planeBytes: PAGE});
  using memory = FrameVector.alloc(PAGE);
  queue.reqbufs(1);
  queue.streamon();
  t.false(await queue.process(counting), 'nothing is queued');
  const first = queue.next();
  queue.qbuf(0, memory);
  t.true(await queue.process(counting));
  t.is((await first).index, 0);
  t.is(memory.bytes[PAGE - 1], 1);
  queue.qbuf(0, memory);
  await t.throwsAsync(queue.process(() => {
    throw new Error('no signal');
  }), {message: 'no signal'});
  t.like(queue.dqbuf(), {error: true, sequence: 1});
  const stopped = queue.next();
  queue.streamoff();
  await t.throwsAsync(stopped, {code: 'EINVAL'});
  queue.streamon();
  const closed = queue.next();
  queue.close();
  await t.throwsAsync(closed, {code: 'ERR_FRAMEVEC_CLOSED'});
  t.is(framesPinned(), 0);
});

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

test.serial('an asynchronous device is awaited: the buffer comes back when it is through, with what it wrote', async t => {
  using memory = FrameVector.alloc(PAGE);
  using queue = UserptrQueue.create({
    planeBytes: PAGE,
    async device({vectors}) {
      await pause(30);
      vectors[0]?.write(0, Buffer.from('late'));
    },
  });
  queue.reqbufs(1);
  queue.qbuf(0, memory);
  queue.streamon();
  t.like(await queue.next(), {index: 0, error: false});
  t.is(Buffer.from(memory.bytes.subarray(0, 4)).toString(), 'late');
});

test.serial('what an asynchronous device rejects with is thrown by next(), and the buffer says error', async t => {
  using memory = FrameVector.alloc(PAGE);
  using queue = UserptrQueue.create({
    planeBytes: PAGE,
    async device() {
      await pause(10);
      throw new Error('device failed');
    },
  });
  queue.reqbufs(1);
  queue.qbuf(0, memory);
  queue.streamon();
  await t.throwsAsync(queue.next(), {message: 'device failed'});
  t.like(queue.dqbuf(), {index: 0, error: true});
});

test.serial('an asynchronous device works on one buffer at a time, whoever waits', async t => {
  const memories = [0, 1, 2].map(() => FrameVector.alloc(PAGE));
  let working = 0;
  let most = 0;
  using queue = UserptrQueue.create({
    planeBytes: PAGE,
    async device() {
      most = Math.max(most, ++working);
      await pause(10);
      working--;
    },
  });
  queue.reqbufs(3);
  memories.forEach((memory, index) => {
    queue.qbuf(index, memory);
  });
  queue.streamon();
  const done = await Promise.all([queue.next(), queue.next(), queue.next()]);
  t.deepEqual(done.map(({index}) => index).sort(), [0, 1, 2]);
  t.is(most, 1);
  queue.close();
  for (const memory of memories) memory.close();
});

test.serial('streamoff(), reqbufs() or close() within the work leave no ghost of the buffer', async t => {
  using memory = FrameVector.alloc(PAGE);
  for (const asynchronous of [false, true]) {
    using queue = UserptrQueue.create({planeBytes: PAGE});
    queue.reqbufs(2);
    const within = async (act: () => void): Promise<void> => {
      await queue.process(asynchronous
        ? async () => {
          await pause(1);
          act();
        }
        : act);
    };
    queue.qbuf(0, memory);
    queue.streamon();
    await within(() => {
      queue.streamoff();
    });
    t.notThrows(() => {
      queue.qbuf(0, memory);
    }, 'the buffer was taken back, so it can be queued');
    queue.streamon();
    t.throws(() => queue.dqbuf(), {code: 'EAGAIN'});
    await queue.process(counting);
    t.is(queue.dqbuf().index, 0);

    queue.qbuf(1, memory);
    await within(() => {
      queue.streamoff();
      queue.reqbufs(1);
    });
    queue.qbuf(0, memory);
    queue.streamon();
    t.throws(() => queue.dqbuf(), {code: 'EAGAIN'}, 'buffer 1 is gone');
    await within(() => {
      queue.close();
    });
    t.throws(() => queue.dqbuf(), {code: 'ERR_FRAMEVEC_CLOSED'});
  }
  t.is(framesPinned(), 0);
});

test.serial('a buffer that is taken back and queued again while the old work goes on is not handed back by that', async t => {
  using one = FrameVector.alloc(PAGE);
  using two = FrameVector.alloc(PAGE);
  using queue = UserptrQueue.create({planeBytes: PAGE});
  queue.reqbufs(1);
  queue.qbuf(0, one);
  queue.streamon();
  let go: () => void = () => undefined;
  const gate = new Promise<void>(resolve => (go = resolve));
  const old = queue.process(async ({vectors}) => {
    await gate;
    vectors[0]?.write(0, Buffer.from('too late'));
  });
  queue.streamoff();
  queue.qbuf(0, two);
  queue.streamon();
  go();
  await t.throwsAsync(old, {instanceOf: FrameVectorError, code: 'ECANCELED', message: /buffer 0 has ended/});
  t.throws(() => queue.dqbuf(), {code: 'EAGAIN'});
  t.true([one, two].every(memory => memory.bytes.every(byte => byte === 0)));
  await queue.process(counting);
  t.like(queue.dqbuf(), {index: 0, error: false});
  t.is(two.bytes[0], 1);
});

test.serial('the work has access to the frames and not to the vector, and only as long as the buffer is the device\'s', async t => {
  using memory = FrameVector.alloc(PAGE);
  using queue = UserptrQueue.create({planeBytes: PAGE});
  queue.reqbufs(1);
  queue.qbuf(0, memory);
  queue.streamon();
  let kept: FrameAccess | undefined;
  await queue.process(({vectors: [vector]}) => {
    kept = vector;
    t.like(vector, {kind: 'pages', frames: 1, offset: 0, byteLength: PAGE, stale: false});
    t.deepEqual([...(vector?.extents({pfns: false}).counts ?? [])], [1]);
    for (const name of ['pin', 'pinAsync', 'unpin', 'close', 'toPfns', 'fd', Symbol.dispose]) t.false(name in (vector ?? {}), String(name));
    vector?.write(0, Buffer.from('in time'));
  });
  t.throws(() => kept?.write(0, Buffer.from('too late')), {code: 'ECANCELED'});
  t.is(Buffer.from(memory.bytes.subarray(0, 7)).toString(), 'in time');
  t.is(queue.dqbuf().index, 0);
  queue.qbuf(0, memory);
  t.is(queue.vectors(0)[0]?.kind, 'pages');
  t.is(queue.pins, 1);
});

test.serial('memory that is closed while the queue has it stays mapped, and `await using` waits for the device', async t => {
  const memory = FrameVector.alloc(PAGE);
  let through = false;
  let work: Promise<boolean> | undefined;
  {
    await using queue = UserptrQueue.create({planeBytes: PAGE});
    queue.reqbufs(1);
    queue.qbuf(0, memory);
    queue.streamon();
    memory.close();
    work = queue.process(async ({vectors}) => {
      t.is(vectors[0]?.write(0, Uint8Array.of(1)), 1);
      await pause(20);
      through = true;
    });
  }
  t.true(through);
  t.true(await work);
  t.is(framesPinned(), 0);
});

test.serial('a loop over either queue is the same code', async t => {
  using real = V4l2Device.open(vivid('single', 'capture'));
  using own = UserptrQueue.create({planeBytes: real.planeBytes, device: counting});
  for (const queue of [real, own]) {
    let frames = 0;
    for await (const frame of queue.stream({buffers: 2, frames: 3})) {
      t.deepEqual(frame.planes.map(({bytes}) => bytes.length), [...real.planeBytes]);
      frames++;
    }
    t.is(frames, 3);
    t.is(framesPinned(), 0);
  }
});
