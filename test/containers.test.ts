import {cpSync, mkdtempSync, symlinkSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setImmediate} from 'node:timers/promises';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {MessageChannel} from 'node:worker_threads';
import test from 'ava';
import {addon} from '../lib/addon.js';
import {canProtect, containerOf, viewOf, withoutBytes, type PinTarget} from '../lib/containers.js';
import type * as own from '../lib/containers.js';
import type * as library from '../lib/index.js';
import {FrameVector} from '../lib/index.js';
import {PACKAGE_ROOT} from '../lib/package.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

type Transfer = (this: ArrayBuffer, length?: number) => ArrayBuffer;
const transfer = (ArrayBuffer.prototype as {transfer?: Transfer}).transfer;
const WebAssemblyMemory = (
  globalThis as unknown as {WebAssembly: {Memory: new (options: object) => {buffer: ArrayBuffer; grow(delta: number): number}}}
).WebAssembly.Memory;

function look(target: PinTarget) {
  const view = viewOf(target);
  return {view, ...containerOf(view)};
}

/** A buffer that is full, so that a typed array of it is neither pooled nor on the V8 heap. */
function plain(bytes = 8192): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(bytes)).fill(7);
}

/** The ways to detach an ArrayBuffer; each answers with a view of the memory, wherever it is now. */
const waysOfDetaching: Record<string, (buffer: ArrayBuffer) => Uint8Array | Promise<Uint8Array>> = {
  'ArrayBuffer.prototype.transfer()'(buffer) {
    try {
      return new Uint8Array(transfer === undefined ? buffer : transfer.call(buffer));
    } catch {
      return new Uint8Array(buffer);
    }
  },
  'structuredClone() with a transfer list'(buffer) {
    try {
      return new Uint8Array(structuredClone(buffer, {transfer: [buffer]}));
    } catch {
      return new Uint8Array(buffer);
    }
  },
  async 'postMessage() with a transfer list'(buffer) {
    const {port1, port2} = new MessageChannel();
    try {
      port1.postMessage(buffer, [buffer]);
      return await new Promise<Uint8Array>(resolve =>
        port2.once('message', (received: ArrayBuffer) => {
          resolve(new Uint8Array(received));
        }),
      );
    } catch {
      return new Uint8Array(buffer);
    } finally {
      port1.close();
    }
  },
  async 'a read of a BYOB stream'(buffer) {
    const {byteLength} = buffer;
    const stream = new ReadableStream({
      type: 'bytes',
      pull(controller) {
        controller.byobRequest?.respond(byteLength);
      },
    });
    try {
      const {value} = await stream.getReader({mode: 'byob'}).read(new Uint8Array(buffer));
      return value as Uint8Array;
    } catch {
      return new Uint8Array(buffer);
    }
  },
};

test('owned memory, its ArrayBuffer and every view of it are of the same region', t => {
  using memory = FrameVector.alloc(3 * 4096);
  const {kind, region, view} = look(memory);
  t.is(kind, 'owned');
  t.true(region >= 0);
  t.is(view.byteLength, 3 * 4096);
  for (const target of [memory.buffer, memory.bytes.subarray(4096), new DataView(memory.buffer, 1, 5), Buffer.from(memory.buffer, 8, 9)]) {
    t.like(look(target), {kind: 'owned', region});
  }
  t.is(look(memory.bytes.subarray(4096)).view.byteOffset, 4096);
});

for (const [name, detach] of Object.entries(waysOfDetaching)) {
  test(`owned memory stays whole under ${name}`, async t => {
    const memory = FrameVector.alloc(5 * 4096);
    const {region} = look(memory);
    memory.bytes.fill(0x5a);
    const moved = await detach(memory.buffer);
    for (let i = 0; i < 3; i++) {
      gc();
      await setImmediate();
    }
    t.is(moved.length, 5 * 4096);
    t.true(moved.every(byte => byte === 0x5a));
    if (memory.buffer.byteLength === 0) t.is(addon.regionOf(moved), region, 'the same memory under another ArrayBuffer');
    memory.close();
    if (addon.regionOf(moved) === region) t.true(moved.every(byte => byte === 0), 'closed memory reads zero');
    t.is(memory.buffer.byteLength, 0);
  });

  test(`an ArrayBuffer of the heap is protected from ${name}, or strict knows better`, async t => {
    const bytes = plain();
    t.is(look(bytes).kind, 'plain');
    await detach(bytes.buffer);
    if (canProtect()) t.is(bytes.buffer.byteLength, 8192);
    else t.true([0, 8192].includes(bytes.buffer.byteLength));
  });
}

test('strict knows what this Node protects: it says no exactly if one of the ways detaches', async t => {
  let protectedFromAll = true;
  for (const detach of Object.values(waysOfDetaching)) {
    const bytes = plain();
    look(bytes);
    await detach(bytes.buffer);
    protectedFromAll &&= bytes.buffer.byteLength === 8192;
  }
  t.is(canProtect(), protectedFromAll);
});

test('a SharedArrayBuffer is taken as it is, as views, and growable', t => {
  const shared = new SharedArrayBuffer(8192);
  t.like(look(shared), {kind: 'shared', region: -1});
  t.is(look(shared).view.byteLength, 8192);
  t.is(look(new DataView(shared, 8)).kind, 'shared');
  const growable = new (SharedArrayBuffer as unknown as new (length: number, options: object) => SharedArrayBuffer & {grow(length: number): void})(
    4096,
    {maxByteLength: 8192},
  );
  t.is(look(growable).view.byteLength, 4096);
  growable.grow(8192);
  t.is(look(growable).view.byteLength, 8192);
});

test('a WebAssembly.Memory is taken, also by a view, and may still grow', t => {
  const memory = new WebAssemblyMemory({initial: 1, maximum: 4});
  t.is(look(memory).kind, 'wasm');
  t.is(look(memory).view.byteLength, 65536);
  const viewed = new WebAssemblyMemory({initial: 1, maximum: 4});
  const view = new Uint8Array(viewed.buffer);
  // Node 20 can't tell, and there the mark of a plain ArrayBuffer does no harm.
  t.is(look(view).kind, transfer === undefined ? 'plain' : 'wasm');
  for (const grown of [memory, viewed]) {
    grown.grow(1);
    t.is(look(grown).kind, 'wasm');
    t.is(look(grown).view.byteLength, 2 * 65536);
  }
  t.is(view.byteLength, 0);
  t.like(withoutBytes(view), {code: 'ERR_FRAMEVEC_DETACHED'});
});

test('a shared WebAssembly.Memory is a SharedArrayBuffer', t => {
  t.is(look(new WebAssemblyMemory({initial: 1, maximum: 2, shared: true})).kind, 'shared');
});

type ViewOf = new (buffer: ArrayBuffer) => ArrayBufferView;
for (const View of [Int8Array, Uint8ClampedArray, Int16Array, Uint32Array, Float32Array, Float64Array, BigInt64Array, DataView] as ViewOf[]) {
  test(`a ${View.name} of the heap is taken, and marked once`, t => {
    const buffer = new ArrayBuffer(4096);
    const view = new View(buffer);
    t.is(look(view).kind, 'plain');
    t.is(containerOf(view), containerOf(new Uint8Array(buffer)));
  });
}

test('a typed array that lies on the V8 heap is taken', t => {
  t.is(look(new Uint8Array(16)).kind, 'plain');
});

test("a slice of Buffer's pool is refused, with the remedy", t => {
  const error = t.throws(() => look(Buffer.from('hello')), {instanceOf: TypeError, code: 'ERR_FRAMEVEC_POOLED'});
  t.regex(error.message, /Buffer's pool.*FrameVector\.alloc\(\)/);
  const slice = Buffer.from('hello');
  t.throws(() => look(new Uint8Array(slice.buffer, slice.byteOffset, 5)), {code: 'ERR_FRAMEVEC_POOLED'});
  t.throws(() => look(slice.buffer), {code: 'ERR_FRAMEVEC_POOLED'});
});

test("a slice of a pool that Buffer has retired is refused, by whatever view", t => {
  const slice = Buffer.allocUnsafe(100);
  const pool = slice.buffer;
  while (Buffer.allocUnsafe(2000).buffer === pool);
  for (const target of [slice, new Uint8Array(pool, slice.byteOffset, 100), new DataView(pool), pool]) {
    t.throws(() => look(target as PinTarget), {instanceOf: TypeError, code: 'ERR_FRAMEVEC_POOLED'});
  }
});

test("a Buffer over a part of an ArrayBuffer of one's own is taken, as long as a pool though it is", t => {
  t.is(look(Buffer.from(new ArrayBuffer(Buffer.poolSize), 0, 4096)).kind, 'plain');
  t.is(look(Buffer.from(new ArrayBuffer(8192), 0, 4096)).kind, 'plain');
});

test('memory of another copy of the package is refused by what it is; what that copy has marked is taken', async t => {
  const root = mkdtempSync(join(tmpdir(), 'framevec-copy-'));
  for (const part of ['package.json', 'dist/lib', 'build/Release/framevec.node']) {
    cpSync(join(PACKAGE_ROOT, part), join(root, part), {recursive: true});
  }
  symlinkSync(join(PACKAGE_ROOT, 'node_modules'), join(root, 'node_modules'));
  const other = await import(join(root, 'dist/lib/index.js')) as typeof library;
  const containers = await import(join(root, 'dist/lib/containers.js')) as typeof own;
  t.not(other.FrameVector, FrameVector);
  using memory = other.FrameVector.alloc(4096);
  t.throws(() => look(memory as unknown as PinTarget), {
    instanceOf: TypeError,
    code: 'ERR_FRAMEVEC_OTHER_COPY',
    message: /memory of another copy of the package framevec .*npm dedupe/,
  });
  t.throws(() => look(memory.bytes), {code: 'ERR_FRAMEVEC_FOREIGN', message: /another copy of framevec/});
  const bytes = plain();
  t.is(containers.containerOf(bytes).kind, 'plain');
  t.is(look(bytes).kind, 'plain', 'marked by framevec is marked');
});

test('a Buffer with an ArrayBuffer of its own is taken', t => {
  t.is(look(Buffer.alloc(10_000)).kind, 'plain');
  t.is(look(Buffer.alloc(Buffer.poolSize)).kind, 'plain');
});

test('a resizable ArrayBuffer is refused, also by a view', t => {
  const buffer = new (ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer)(4096, {maxByteLength: 8192});
  t.throws(() => look(buffer), {instanceOf: TypeError, code: 'ERR_FRAMEVEC_RESIZABLE'});
  t.throws(() => look(new Uint8Array(buffer, 0, 10)), {code: 'ERR_FRAMEVEC_RESIZABLE'});
});

test('a detached ArrayBuffer is refused, and an empty one is another matter', t => {
  const bytes = new Uint8Array(4096);
  const {buffer} = bytes;
  structuredClone(buffer, {transfer: [buffer]});
  t.throws(() => look(bytes), {instanceOf: TypeError, code: 'ERR_FRAMEVEC_DETACHED'});
  t.throws(() => look(buffer), {code: 'ERR_FRAMEVEC_DETACHED'});
  t.throws(() => look(new ArrayBuffer(0)), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'});
  t.like(withoutBytes(new Uint8Array(plain().buffer, 5, 0)), {code: 'ERR_OUT_OF_RANGE'});
  t.like(withoutBytes(new Uint8Array(new SharedArrayBuffer(0))), {code: 'ERR_OUT_OF_RANGE'});
});

(transfer === undefined ? test.skip : test)('an ArrayBuffer that another has marked as untransferable is refused', async t => {
  const {markAsUntransferable} = await import('node:worker_threads');
  const bytes = plain(12_288);
  markAsUntransferable(bytes.buffer);
  t.throws(() => look(bytes), {instanceOf: TypeError, code: 'ERR_FRAMEVEC_FOREIGN'});
});

for (const target of [undefined, null, 5, 5n, 'text', {}, [], {buffer: new ArrayBuffer(8), byteLength: 8}, () => 0, Symbol('s')]) {
  test(`${typeof target} ${typeof target === 'object' ? JSON.stringify(target) : String(target)} is no target`, t => {
    t.throws(() => look(target as unknown as PinTarget), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
  });
}
