/** In which order memory and vectors end: none of them throws, nothing is unmapped under a pin, and nothing stays behind. */
import {spawn} from 'node:child_process';
import diagnostics from 'node:diagnostics_channel';
import {readFileSync} from 'node:fs';
import test from 'ava';
import {FrameVector, FrameVectorError, DeviceMemory} from '../../lib/index.js';
import {endsBalanced, framesPinned, pagemap, statusFrames, until} from './oracles.js';
import {PAGE, ioctl, raw} from './raw.js';

endsBalanced(test);

const MEBIBYTE = 2 ** 20;
const index = new URL('../../lib/index.js', import.meta.url).href;

/** Whether something is mapped at an address. */
function mapped(address: number): boolean {
  return readFileSync('/proc/self/maps', 'utf8').split('\n').some(line => {
    const [start = '', end = ''] = (line.split(' ')[0] ?? '').split('-');
    return Number(`0x${start}`) <= address && address < Number(`0x${end}`);
  });
}

test.serial('memory that is closed while it is pinned stays mapped until unpin(), and is unmapped then', t => {
  const memory = FrameVector.alloc(8 * PAGE, {hugepages: false});
  memory.bytes.fill(7);
  using vector = FrameVector.pin(memory, {write: true});
  const {address} = vector;
  const before = [...vector.pfns()];
  memory.close();
  t.true(memory.closed);
  t.is(memory.bytes.length, 0);
  t.throws(() => FrameVector.pin(memory), {code: 'ERR_FRAMEVEC_CLOSED'});
  t.true(mapped(address));
  t.deepEqual(pagemap(BigInt(address), 8), before);
  const into = new Uint8Array(8 * PAGE);
  vector.read(0, into);
  t.true(into.every(byte => byte === 7));
  using other = FrameVector.alloc(8 * PAGE, {hugepages: false});
  t.not(Number(raw.address(other.bytes)), address);
  t.is(vector.unpin(), 8);
  t.false(mapped(address));
});

test.serial('of two vectors that have it pinned, the last one unmaps it', t => {
  const memory = FrameVector.alloc(4 * PAGE, {hugepages: false});
  const first = FrameVector.pin(memory);
  const second = FrameVector.pin(memory.bytes.subarray(0, PAGE));
  const {address} = first;
  memory.close();
  first.close();
  t.true(mapped(address));
  second.close();
  t.false(mapped(address));
});

test.serial('frames that another holder of the descriptor has unpinned: unpin() fails with ENODATA, and the memory is free', t => {
  const memory = FrameVector.alloc(4 * PAGE, {hugepages: false});
  using vector = FrameVector.pin(memory);
  const {address} = vector;
  t.is(ioctl(vector.fd, 'UNPIN').result, 0);
  memory.close();
  t.throws(() => vector.unpin(), {instanceOf: FrameVectorError, code: 'ENODATA'});
  t.is(vector.frames, 0);
  t.false(mapped(address));
  using other = FrameVector.alloc(PAGE);
  t.is(vector.pin(other), 1);
});

/** Node 22 refuses to clone and transfer an addon's memory, but its ArrayBuffers have transfer(), which Node 20's have not. */
function transferred(buffer: ArrayBuffer): ArrayBuffer {
  const {transfer} = ArrayBuffer.prototype as {transfer?: (this: ArrayBuffer) => ArrayBuffer};
  return transfer === undefined ? structuredClone(buffer, {transfer: [buffer]}) : transfer.call(buffer);
}

test.serial('memory that was transferred before it was closed reads zero once it is unpinned', t => {
  const memory = FrameVector.alloc(2 * PAGE, {hugepages: false});
  memory.bytes.fill(9);
  using vector = FrameVector.pin(memory);
  const moved = new Uint8Array(transferred(memory.buffer));
  const sameMemory = Number(raw.address(moved)) === vector.address;
  memory.close();
  t.true(moved.every(byte => byte === 9));
  vector.close();
  if (sameMemory) t.true(moved.every(byte => byte === 0));
});

test.serial('the order of two `using` declarations makes no difference', t => {
  t.notThrows(() => {
    using vector = FrameVector.create(4);
    using memory = FrameVector.alloc(4 * PAGE);
    vector.pin(memory, {write: true});
  });
  t.notThrows(() => {
    using memory = FrameVector.alloc(4 * PAGE);
    using vector = FrameVector.create(4);
    vector.pin(memory, {write: true});
  });
  t.is(framesPinned(), 0);
});

test.serial('a vector that is disposed of while pinAsync() is under way releases the frames as soon as that ends', async t => {
  const memory = FrameVector.alloc(64 * MEBIBYTE, {hugepages: false});
  const vector = FrameVector.create((64 * MEBIBYTE) / PAGE);
  const pinning = vector.pinAsync(memory, {write: true});
  vector[Symbol.dispose]();
  memory.close();
  t.true(vector.closed);
  t.throws(() => vector.stat(), {code: 'ERR_FRAMEVEC_CLOSED'});
  await t.throwsAsync(pinning, {instanceOf: FrameVectorError, code: 'ERR_FRAMEVEC_CLOSED'});
  t.is(vector.frames, 0);
  t.is(framesPinned(), 0);
  t.is(statusFrames('VmPin'), 0);
});

test.serial('`await using` waits until the pin that is under way has ended', async t => {
  using memory = FrameVector.alloc(64 * MEBIBYTE, {hugepages: false});
  let pinning: Promise<number> | undefined;
  {
    await using vector = FrameVector.create((64 * MEBIBYTE) / PAGE);
    pinning = vector.pinAsync(memory, {write: true});
    pinning.catch(() => undefined);
  }
  t.is(framesPinned(), 0, 'the frames are released when the scope ends');
  await t.throwsAsync(pinning, {code: 'ERR_FRAMEVEC_CLOSED'});
});

test.serial('a vector that is closed while its pin waits for its turn never pins', async t => {
  using memory = FrameVector.alloc(64 * MEBIBYTE, {hugepages: false});
  const vectors = Array.from({length: 3}, () => FrameVector.create(memory.byteLength / PAGE));
  const settled: string[] = [];
  const pins = vectors.map(async (vector, i) => {
    try {
      await vector.pinAsync(memory);
      settled.push(`${i} pinned`);
    } catch (error) {
      settled.push(`${i} ${(error as FrameVectorError).code}`);
    }
  });
  vectors[2]?.close();
  await pins[2];
  t.deepEqual(settled, ['2 ERR_FRAMEVEC_CLOSED']);
  await Promise.all(pins);
  for (const vector of vectors) vector.close();
});

test.serial('pinAsync() takes a signal of another realm, and anything that behaves like one', async t => {
  using memory = FrameVector.alloc(PAGE);
  using vector = FrameVector.create(1);
  const listeners = new Set<() => void>();
  const duck = {
    aborted: false,
    reason: undefined as unknown,
    addEventListener: (_type: 'abort', listener: () => void) => void listeners.add(listener),
    removeEventListener: (_type: 'abort', listener: () => void) => void listeners.delete(listener),
  };
  t.is(await vector.pinAsync(memory, {signal: duck}), 1);
  t.is(listeners.size, 0, 'the listener is removed');
  vector.unpin();
  const pinning = vector.pinAsync(memory, {signal: duck});
  duck.aborted = true;
  duck.reason = new Error('given up');
  for (const listener of listeners) listener();
  t.is(await t.throwsAsync(pinning), duck.reason as Error);
  t.is(vector.frames, 0);
  duck.aborted = false;
  duck.addEventListener = () => {
    throw new Error('no listeners');
  };
  await t.throwsAsync(vector.pinAsync(memory, {signal: duck}), {message: 'no listeners'});
  t.is(vector.pin(memory), 1, 'the vector is not busy after that');
});

test.serial('pinAsync() of closed, detached and empty memory rejects with the same errors as pin()', async t => {
  const memory = FrameVector.alloc(2 * PAGE);
  const {bytes} = memory;
  using vector = FrameVector.create(4);
  memory.close();
  const detached = new Uint8Array(PAGE);
  structuredClone(detached.buffer, {transfer: [detached.buffer]});
  for (const target of [memory, bytes, detached, new ArrayBuffer(0), new Uint8Array(new SharedArrayBuffer(0))]) {
    const thrown = t.throws<Error & {code: string}>(() => vector.pin(target));
    t.regex(thrown.code, /^ERR_/);
    await t.throwsAsync(vector.pinAsync(target), {message: thrown.message, code: thrown.code});
  }
});

test.serial('a pin whose announcement fails throws, and nothing is pinned', t => {
  using vector = FrameVector.create(1);
  const subscriber = (): void => undefined;
  // The snapshot is watched for those who listen here; without descriptors for it, that fails.
  diagnostics.subscribe('framevec:stale', subscriber);
  const {AbortController: Original} = globalThis;
  globalThis.AbortController = function Failing() {
    throw new Error('no controller');
  } as unknown as typeof AbortController;
  try {
    using memory = DeviceMemory.map('/dev/framevec', {length: PAGE});
    t.throws(() => vector.pin(memory), {message: 'no controller'});
    t.is(vector.frames, 0);
    t.is(vector.kind, 'none');
    t.is(vector.stat().frames, 0);
  } finally {
    globalThis.AbortController = Original;
    diagnostics.unsubscribe('framevec:stale', subscriber);
  }
  using memory = FrameVector.alloc(PAGE);
  t.is(vector.pin(memory), 1);
});

for (const [what, loop] of [
  ['create() and close()', 'FrameVector.create(1).close();'],
  ['create(), alloc(), pin() and both closes', 'const v = FrameVector.create(1); const m = FrameVector.alloc(4096); v.pin(m); m.close(); v.close();'],
] as const) {
  test.serial(`${what} work in a synchronous loop, and leave no descriptor and no mapping behind`, async t => {
    t.timeout(1_200_000);
    const program = `
      import {FrameVector} from ${JSON.stringify(index)};
      import {readFileSync, readdirSync} from 'node:fs';
      const count = () => [readFileSync('/proc/self/maps', 'utf8').split('\\n').length, readdirSync('/proc/self/fd').length];
      for (let i = 0; i < 100; i++) { ${loop} }
      const before = count();
      for (let i = 0; i < Number(process.env.FRAMEVEC_LOOPS ?? 20_000); i++) { ${loop} }
      const after = count();
      // V8's own heap comes and goes by some dozens of mappings; a leak would be one for each turn of the loop.
      console.log(Math.abs(after[0] - before[0]) < 1000 || after[0] - before[0], after[1] - before[1]);
    `;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {stdio: ['ignore', 'pipe', 'inherit']});
    let out = '';
    child.stdout.on('data', data => (out += String(data)));
    t.is(await new Promise(resolve => child.once('close', resolve)), 0);
    t.is(out.trim(), 'true 0');
    await until('nothing is pinned', () => framesPinned() === 0);
  });
}

test.serial('an unknown option of pin(), pinAsync(), unpin() and extents() is refused, and nothing is pinned or unpinned', async t => {
  using memory = FrameVector.alloc(PAGE);
  using vector = FrameVector.create(1);
  const error = t.throws(() => vector.pin(memory, {wirte: true} as never), {instanceOf: TypeError, code: 'ERR_FRAMEVEC_UNKNOWN_OPTION'});
  t.regex(error.message, /"options\.wirte" is not an option\. Did you mean "write"\?/);
  t.throws(() => vector.pin(memory, {signal: AbortSignal.timeout(10)} as never), {code: 'ERR_FRAMEVEC_UNKNOWN_OPTION'});
  t.throws(() => FrameVector.pin(memory, {unalign: true} as never), {code: 'ERR_FRAMEVEC_UNKNOWN_OPTION', message: /"unaligned"/});
  await t.throwsAsync(vector.pinAsync(memory, {signl: undefined} as never), {code: 'ERR_FRAMEVEC_UNKNOWN_OPTION', message: /"signal"/});
  t.is(vector.stat().frames, 0);
  vector.pin(memory);
  t.throws(() => vector.unpin({time: true} as never), {code: 'ERR_FRAMEVEC_UNKNOWN_OPTION', message: /"timing"/});
  t.throws(() => vector.extents({pfn: false} as never), {code: 'ERR_FRAMEVEC_UNKNOWN_OPTION', message: /"pfns"/});
  t.is(vector.frames, 1);
});

test.serial('what a failed pin tells has the shape that a partial pin tells: error.stop is vector.stopped', t => {
  using memory = FrameVector.alloc(4 * PAGE, {hugepages: false});
  raw.syscall(10 /* mprotect */, raw.address(memory.bytes) + BigInt(2 * PAGE), PAGE, 1);
  using vector = FrameVector.create(4);
  const error = t.throws(() => vector.pin(memory, {write: true}), {instanceOf: FrameVectorError, code: 'EFAULT'});
  t.is(vector.pin(memory, {write: true, partial: true}), 2);
  t.deepEqual(error.stop, vector.stopped);
  t.like(error.stop, {reason: 'not-writable', offset: 2 * PAGE, asked: {frames: 4, bytes: 4 * PAGE, write: true}});
  t.is(error.reason, error.stop?.reason);
});
