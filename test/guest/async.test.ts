/** What takes its time: pins on another thread, how they are given up, and snapshots that go stale. */
import {spawn} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {setTimeout} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import {DeviceMemory, FrameVector, FrameVectorError, info} from '../../lib/index.js';
import {endsBalanced, framesPinned, pagemap, statusFrames, until} from './oracles.js';

endsBalanced(test);

const {pageSize} = info();
const MEBIBYTE = 2 ** 20;
const index = new URL('../../lib/index.js', import.meta.url).href;

test.serial('pinAsync() pins what pin() would, and tells as much', async t => {
  using memory = FrameVector.alloc(64 * pageSize + 100, {hugepages: false});
  using vector = FrameVector.create(65);
  t.is(await vector.pinAsync(memory, {write: true, timing: true}), 65);
  t.like(vector, {kind: 'pages', frames: 65, offset: 0, byteLength: memory.byteLength, stopped: undefined});
  t.deepEqual([...vector.pfns()], pagemap(BigInt(vector.address), 65));
  t.true((vector.timing?.callNs ?? 0) >= (vector.timing?.gupNs ?? Infinity));
  t.is(statusFrames('VmPin'), 65);
  t.is(vector.unpin(), 65);
  t.is(await vector.pinAsync(new DataView(memory.buffer, 0, pageSize), {unaligned: true}), 1);
});

test.serial('what pin() throws, pinAsync() rejects with, and the vector is free again', async t => {
  using memory = FrameVector.alloc(4 * pageSize);
  using vector = FrameVector.create(2);
  await t.throwsAsync(vector.pinAsync(memory), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE', message: /4 frames .* capacity is 2/});
  await t.throwsAsync(vector.pinAsync(memory.bytes.subarray(1, 2)), {instanceOf: RangeError, code: 'ERR_FRAMEVEC_UNALIGNED'});
  await t.throwsAsync(vector.pinAsync('text' as unknown as Uint8Array), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
  await t.throwsAsync(vector.pinAsync(memory, {signal: {} as AbortSignal}), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
  const forced = await t.throwsAsync(vector.pinAsync(memory.bytes.subarray(0, pageSize), {force: true}), {instanceOf: FrameVectorError, code: 'EPERM'});
  t.like(forced, {reason: 'force', asked: {bytes: pageSize, frames: 1, write: false}});
  t.is(vector.pin(memory.bytes.subarray(0, pageSize)), 1);
  await t.throwsAsync(vector.pinAsync(memory.bytes.subarray(0, pageSize)), {instanceOf: FrameVectorError, code: 'EBUSY', message: /holds 1 frame already/});
  t.is(vector.frames, 1, 'it holds what it held');
  vector.close();
  await t.throwsAsync(vector.pinAsync(memory), {code: 'ERR_FRAMEVEC_CLOSED'});
});

test.serial('until it settles, every call on the vector but close() fails with EBUSY, and its memory stays mapped', async t => {
  using memory = FrameVector.alloc(64 * MEBIBYTE, {hugepages: false});
  using vector = FrameVector.create(64 * MEBIBYTE / pageSize);
  const pinning = vector.pinAsync(memory, {write: true});
  const calls = [
    () => vector.pin(memory),
    () => vector.unpin(),
    () => vector.stat(),
    () => vector.pfns(),
    () => vector.extents(),
    () => vector.read(0, new Uint8Array(1)),
    () => vector.staleSignal,
    () => vector.fd,
    () => {
      vector.toPfns();
    },
  ];
  for (const call of calls) t.throws(call, {instanceOf: FrameVectorError, code: 'EBUSY', message: /pinAsync\(\) of this vector has not settled/}, String(call));
  await t.throwsAsync(vector.pinAsync(memory), {code: 'EBUSY'});
  memory.close();
  t.false(vector.closed);
  t.is(await pinning, vector.capacity);
  t.is(vector.unpin(), vector.capacity);
});

test.serial('ten at once are all pinned, each its own memory', async t => {
  const jobs = Array.from({length: 10}, (_, i) => {
    const memory = FrameVector.alloc((i + 1) * 16 * pageSize, {hugepages: false});
    return {memory, vector: FrameVector.create((i + 1) * 16)};
  });
  const frames = await Promise.all(jobs.map(({memory, vector}) => vector.pinAsync(memory, {write: true})));
  t.deepEqual(frames, jobs.map(({vector}) => vector.capacity));
  for (const {memory, vector} of jobs) {
    t.deepEqual([...vector.pfns()], pagemap(BigInt(vector.address), vector.frames));
    vector.close();
    memory.close();
  }
});

test.serial('one that waits for its turn is given up without pinning, at once', async t => {
  using memory = FrameVector.alloc(64 * MEBIBYTE, {hugepages: false});
  const vectors = Array.from({length: 3}, () => FrameVector.create(memory.byteLength / pageSize));
  const [first, second, third] = vectors as [FrameVector, FrameVector, FrameVector];
  const controller = new AbortController();
  const settled: string[] = [];
  const running = [first, second].map(vector => vector.pinAsync(memory).then(() => settled.push('pinned')));
  const waiting = vectors[2]?.pinAsync(memory, {signal: controller.signal}).catch((error: unknown) => {
    settled.push((error as Error).name);
  });
  controller.abort();
  await waiting;
  t.deepEqual(settled, ['AbortError'], 'it is given up before those that are being made are through');
  t.is(third.frames, 0);
  t.is(third.stat().frames, 0);
  await Promise.all(running);
  t.is(third.pin(memory), third.capacity, 'it is free again');
  for (const vector of vectors) vector.close();
});

test.serial('one that is being made is undone, and rejects with the signal\'s reason', async t => {
  using memory = FrameVector.alloc(64 * MEBIBYTE, {hugepages: false});
  using vector = FrameVector.create(memory.byteLength / pageSize);
  const controller = new AbortController();
  const pinning = vector.pinAsync(memory, {signal: controller.signal});
  const reason = new Error('not needed any more');
  controller.abort(reason);
  t.is(await t.throwsAsync(pinning), reason);
  t.is(vector.frames, 0);
  t.is(vector.stat().frames, 0);
  t.is(statusFrames('VmPin'), 0);
  // A DOMException, which AVA does not take for an error.
  const usual = await t.throwsAsync(vector.pinAsync(memory, {signal: AbortSignal.abort()}), {any: true});
  t.is((usual as Error).name, 'AbortError');
  t.is(await vector.pinAsync(memory, {signal: new AbortController().signal}), vector.capacity);
});

test.serial('a worker that is terminated while it pins gives back every frame', async t => {
  const script = `
    import {parentPort} from 'node:worker_threads';
    import {FrameVector} from ${JSON.stringify(index)};
    const memory = FrameVector.alloc(${64 * MEBIBYTE}, {hugepages: false});
    const jobs = Array.from({length: 4}, () => FrameVector.create(${64 * MEBIBYTE / 4096}).pinAsync(memory));
    parentPort.postMessage('pinning');
    await Promise.all(jobs);
  `;
  const before = framesPinned();
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await worker.terminate();
  }
  await until('every frame is given back', () => framesPinned() === before);
  t.is(statusFrames('VmPin'), 0);
});

test.serial('staleSignal is aborted when the mapping goes, with ESTALE as its reason', async t => {
  const memory = DeviceMemory.map('/dev/framevec', {length: 4 * pageSize});
  using vector = FrameVector.pin(memory);
  const signal = vector.staleSignal;
  t.is(vector.staleSignal, signal);
  await setTimeout(50);
  t.false(signal.aborted);
  const aborted = new Promise(resolve => {
    signal.addEventListener('abort', resolve);
  });
  memory.close();
  t.false(signal.aborted, 'it comes from the event loop');
  // A signal does not keep the process alive, so the test does.
  const alive = setInterval(() => undefined, 1000);
  await aborted;
  clearInterval(alive);
  t.true(signal.aborted);
  t.true(signal.reason instanceof FrameVectorError);
  t.like(signal.reason, {code: 'ESTALE', errno: -116});
  t.true(vector.stale);
});

test.serial('whatever takes a signal ends when the snapshot goes stale', async t => {
  const memory = DeviceMemory.map('/dev/framevec', {length: pageSize});
  using vector = FrameVector.pin(memory);
  const waiting = setTimeout(600_000, undefined, {signal: vector.staleSignal});
  memory.close();
  const error = await t.throwsAsync(waiting, {name: 'AbortError'});
  t.like(error.cause, {code: 'ESTALE'});
});

test.serial('a signal is of one pin: unpin() ends it, the next has another, and one of a stale snapshot is aborted', async t => {
  using vector = FrameVector.create(1);
  t.throws(() => vector.staleSignal, {instanceOf: FrameVectorError, code: 'ENODATA'});
  const memory = DeviceMemory.map('/dev/framevec', {length: pageSize});
  vector.pin(memory);
  const first = vector.staleSignal;
  vector.unpin();
  vector.pin(memory);
  const second = vector.staleSignal;
  t.not(first, second);
  memory.close();
  await until('the second is aborted', () => second.aborted);
  t.false(first.aborted);
  vector.unpin();
  const other = DeviceMemory.map('/dev/framevec', {length: pageSize});
  vector.pin(other);
  other.close();
  t.true(vector.staleSignal.aborted, 'known at once to who asks late');
  t.like(vector.staleSignal.reason, {code: 'ESTALE'});
});

test.serial('pinned memory has a signal that is never aborted', async t => {
  const memory = FrameVector.alloc(pageSize);
  const vector = FrameVector.pin(memory);
  const signal = vector.staleSignal;
  vector.close();
  memory.close();
  await setTimeout(50);
  t.false(signal.aborted);
});

test.serial('watched vectors leave no descriptor behind, and let the process and its workers end', async t => {
  const program = `
    import {DeviceMemory, FrameVector} from ${JSON.stringify(index)};
    globalThis.kept = Array.from({length: 8}, () => {
      const vector = FrameVector.pin(DeviceMemory.map('/dev/framevec', {length: 4096}));
      return [vector, vector.staleSignal];
    });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {stdio: 'inherit'});
  t.is(await new Promise(resolve => child.once('exit', resolve)), 0);
  const url = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
  t.is(await new Promise((resolve, reject) => new Worker(url).once('exit', resolve).once('error', reject)), 0);
  const memory = DeviceMemory.map('/dev/framevec', {length: pageSize});
  using first = FrameVector.create(1);
  for (let i = 0; i < 100; i++) {
    using vector = FrameVector.pin(memory);
    t.false(vector.staleSignal.aborted);
  }
  using last = FrameVector.create(1);
  t.true(last.fd <= first.fd + 4, 'descriptors are used again');
  memory.close();
  t.notRegex(readFileSync('/proc/self/maps', 'utf8'), /\/dev\/framevec/);
});
