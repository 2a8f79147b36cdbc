/** While frames are pinned nobody can take their memory away, by whatever way JavaScript has. */
import {MessageChannel} from 'node:worker_threads';
import test from 'ava';
import {FrameVector, type PinTarget, type WebAssemblyMemory} from '../../lib/index.js';
import {HAS_THP} from './backings.js';
import {PAGE} from './raw.js';
import {endsBalanced, pagemap, statusFrames} from './oracles.js';

endsBalanced(test);

// ES2024 and the DOM's: Node has them, the types of this project do not.
const GrowableBuffer = SharedArrayBuffer as unknown as new (bytes: number, options: {maxByteLength: number}) => SharedArrayBuffer;
const {Memory} = (globalThis as unknown as {WebAssembly: {Memory: new (options: object) => WebAssemblyMemory & {grow(pages: number): number}}}).WebAssembly;

type Transferable = ArrayBuffer & {transfer?: () => ArrayBuffer};

/** Every way to detach an ArrayBuffer that this Node has. */
const detachments: Record<string, (buffer: ArrayBuffer) => unknown> = {
  'structuredClone()': buffer => structuredClone(buffer, {transfer: [buffer]}),
  'postMessage()': buffer => {
    const {port1, port2} = new MessageChannel();
    try {
      port1.postMessage(buffer, [buffer]);
    } finally {
      port1.close();
      port2.close();
    }
  },
  'a BYOB read': buffer => {
    const stream = new ReadableStream({type: 'bytes', start: controller => {
      controller.enqueue(new Uint8Array(16));
      controller.close();
    }});
    return stream.getReader({mode: 'byob'}).read(new Uint8Array(buffer));
  },
};
if ('transfer' in ArrayBuffer.prototype) detachments['transfer()'] = buffer => (buffer as Transferable).transfer?.();

/** Tries to detach; says nothing of how it went. */
async function attempt(detach: (buffer: ArrayBuffer) => unknown, buffer: ArrayBuffer): Promise<void> {
  try {
    await detach(buffer);
  } catch {
    // Refused, as it should be.
  }
}

/** This Node detaches even what is marked as untransferable: a BYOB read on 20. */
function strictRefuses(): boolean {
  try {
    FrameVector.pin(new ArrayBuffer(PAGE), {strict: true, unaligned: true}).close();
    return false;
  } catch {
    return true;
  }
}

function frames(vector: FrameVector): bigint[] {
  return [...vector.pfns()];
}

for (const [words, detach] of Object.entries(detachments)) {
  test.serial(`an ArrayBuffer that is pinned withstands ${words}, or strict refuses it beforehand`, async t => {
    const buffer = new ArrayBuffer(8 * PAGE);
    new Uint8Array(buffer).fill(1);
    using vector = FrameVector.pin(buffer, {write: true, unaligned: true});
    const before = frames(vector);
    const page = BigInt(vector.address - vector.offset);
    await attempt(detach, buffer);
    if (buffer.byteLength === 0) {
      t.true(strictRefuses(), 'then strict has to refuse it, and unpin to warn');
      return;
    }
    t.deepEqual(pagemap(page, vector.frames), before, 'the frames are still what is behind it');
  });

  test.serial(`owned memory that is pinned stays mapped through ${words}, whoever holds it then`, async t => {
    using memory = FrameVector.alloc(8 * PAGE);
    memory.bytes.fill(1);
    const vector = FrameVector.pin(memory, {write: true});
    const before = frames(vector);
    await attempt(detach, memory.buffer);
    t.deepEqual(pagemap(BigInt(vector.address), 8), before);
    memory.close();
    t.deepEqual(pagemap(BigInt(vector.address), 8), before, 'closed, too');
    vector.close();
  });
}

test('a SharedArrayBuffer, a view of it, and a WebAssembly.Memory are pinned where they are', t => {
  const shared = new GrowableBuffer(4 * PAGE, {maxByteLength: 4 * PAGE});
  const wasm = new Memory({initial: 1, maximum: 4});
  const targets: [string, PinTarget, number][] = [
    ['SharedArrayBuffer', shared, 4],
    ['a view of it', new Uint8Array(shared, PAGE, 2 * PAGE), 2],
    ['WebAssembly.Memory', wasm, 16],
  ];
  for (const [name, target, count] of targets) {
    using vector = FrameVector.pin(target, {write: true});
    t.is(vector.frames, count, name);
    t.deepEqual(frames(vector), pagemap(BigInt(vector.address), count), name);
    t.is(statusFrames('VmPin'), count, name);
  }
});

test('a WebAssembly.Memory may grow while it is pinned: the frames stay where they are', t => {
  const wasm = new Memory({initial: 1, maximum: 4});
  using vector = FrameVector.pin(wasm, {write: true});
  const before = frames(vector);
  wasm.grow(1);
  t.deepEqual(pagemap(BigInt(vector.address), 16), before);
  using again = FrameVector.pin(wasm, {write: true});
  t.is(again.frames, 32);
  t.deepEqual(frames(again).slice(0, 16), before);
});

test('a pin keeps its memory from being collected', async t => {
  const vector = FrameVector.pin(FrameVector.alloc(64 * PAGE), {write: true});
  const before = frames(vector);
  for (let i = 0; i < 20; i++) {
    new Uint8Array(2 ** 22).fill(1);
    await new Promise(resolve => setImmediate(resolve));
  }
  t.deepEqual(pagemap(BigInt(vector.address), 64), before);
  vector.close();
});

test('every kind of huge page is what it says, or is refused with the remedy', t => {
  using thp = FrameVector.alloc(4 * 2 ** 20, {hugepages: true});
  thp.bytes.fill(1);
  using vector = FrameVector.pin(thp, {write: true});
  t.is(thp.hugepages, HAS_THP, 'whether the kernel takes the advice is told');
  const pfns = vector.pfns();
  t.is(pfns.length, 1024);
  if (!HAS_THP) return;
  t.is((pfns[0] ?? 1n) % 512n, 0n, 'it begins at a 2 MiB boundary of physical memory');
  t.is(pfns[511], (pfns[0] ?? 0n) + 511n);
});
