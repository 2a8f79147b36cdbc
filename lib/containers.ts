/**
 * What holds the bytes that shall be pinned, and whether they stay where they are. A reference to
 * an ArrayBuffer keeps the object and not its memory: once it is detached and its new owner is
 * collected, pinned pages belong to someone else. So each kind of container has its policy here.
 */
import {types} from 'node:util';
import * as workerThreads from 'node:worker_threads';
import {addon, REGION_NONE_ALIGNED} from './addon.js';
import {containerRefused, emptyTarget, invalidArgType} from './errors.js';
import type {DeviceMemory} from './device_memory.js';
import {isOfOtherCopy, MappedMemory, ownContainer, type Container} from './mapped_memory.js';
import type {PinnableMemory} from './pinnable_memory.js';

/** A `WebAssembly.Memory`, of which the pin takes all. */
export interface WebAssemblyMemory {
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
  /** Grows it by so many pages of 64 KiB; the buffer is another one after that. */
  grow(delta: number): number;
}

/**
 * What can be pinned. Of a typed array, Buffer or DataView: the bytes that it shows; of all others:
 * the whole.
 */
export type PinTarget =
  | PinnableMemory
  | DeviceMemory
  | ArrayBufferView
  | ArrayBuffer
  | SharedArrayBuffer
  | WebAssemblyMemory;

interface MaybeResizable {
  readonly resizable?: boolean;
  readonly detached?: boolean;
}
type Transfer = (this: ArrayBuffer, length?: number) => ArrayBuffer;

// Taken now, so that no later patch of the prototype is called on a user's memory. Node 20 has none.
const transfer = (ArrayBuffer.prototype as {transfer?: Transfer}).transfer;
const {markAsUntransferable} = workerThreads;
const {isMarkedAsUntransferable} = workerThreads as {isMarkedAsUntransferable?: (object: object) => boolean};

// Those that framevec has marked as untransferable, this copy of it or another one in the process.
const MARKED = Symbol.for('framevec.marked');
const shared = globalThis as Record<symbol, WeakSet<ArrayBuffer> | undefined>;
const marked = (shared[MARKED] ??= new WeakSet<ArrayBuffer>());

const containers = new WeakMap<ArrayBufferLike, Container>();

/** The view that a target stands for. */
export function viewOf(target: PinTarget): ArrayBufferView {
  if (ArrayBuffer.isView(target)) return target;
  if (target instanceof MappedMemory) return target.bytes;
  if (types.isAnyArrayBuffer(target)) return wholeOf(target);
  if (isWebAssemblyMemory(target)) {
    const {buffer} = target;
    // Node 20 can't tell that an ArrayBuffer is a WebAssembly.Memory's, so it is noted here.
    if (!types.isSharedArrayBuffer(buffer) && !containers.has(buffer)) remember(buffer, 'wasm', -1);
    return wholeOf(buffer);
  }
  if (isOfOtherCopy(target)) throw containerRefused('other copy');
  throw invalidArgType(
    'target',
    'PinnableMemory, DeviceMemory, a TypedArray, Buffer, DataView, ArrayBuffer, SharedArrayBuffer or WebAssembly.Memory',
    target,
  );
}

/**
 * The container of a view. Looked at once; after that this is one look-up.
 *
 * @throws TypeError `ERR_FRAMEVEC_POOLED`, `_RESIZABLE`, `_FOREIGN`, `_DETACHED`
 */
export function containerOf(view: ArrayBufferView): Container {
  return containers.get(view.buffer) ?? admit(view.buffer, view);
}

/**
 * A target's view and container, for those who pin it later or elsewhere: it has bytes now.
 *
 * @throws as {@link containerOf}; TypeError `ERR_FRAMEVEC_CLOSED`; RangeError `ERR_OUT_OF_RANGE`
 */
export function lookAt(target: PinTarget): {readonly view: ArrayBufferView; readonly container: Container} {
  if (target instanceof MappedMemory) {
    if (target.closed) throw containerRefused('closed');
    const container = ownContainer(target);
    if (container.whole.byteLength === 0) throw withoutBytes(container.whole);
    return {view: container.whole, container};
  }
  const view = viewOf(target);
  const container = containerOf(view);
  if (view.byteLength === 0) throw withoutBytes(view);
  return {view, container};
}

/** The bytes of a view, for a Node-API that may not know its type. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  if (view.byteLength === 0) throw withoutBytes(view);
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Whether this Node keeps an ArrayBuffer that is marked as untransferable from being detached. */
export function canProtect(): boolean {
  protects ??= probe();
  return protects;
}
let protects: boolean | undefined;

/** The error for a target that turned out to have no bytes. */
export function withoutBytes(view: ArrayBufferView): Error {
  const {buffer} = view;
  if (types.isSharedArrayBuffer(buffer)) return emptyTarget();
  return isDetached(buffer) ? containerRefused('detached') : emptyTarget();
}

function wholeOf(buffer: ArrayBufferLike): Uint8Array {
  const known = containers.get(buffer);
  if (known !== undefined) return known.whole;
  if (!types.isSharedArrayBuffer(buffer) && isDetached(buffer)) throw containerRefused('detached');
  return admit(buffer, new Uint8Array(buffer)).whole;
}

function remember(buffer: ArrayBufferLike, kind: Container['kind'], region: number): Container {
  const container: Container = {kind, region, whole: new Uint8Array(buffer)};
  containers.set(buffer, container);
  return container;
}

function admit(buffer: ArrayBufferLike, view: ArrayBufferView): Container {
  if (types.isSharedArrayBuffer(buffer)) return remember(buffer, 'shared', -1);
  if (!types.isArrayBuffer(buffer)) throw invalidArgType('target', 'a view of an ArrayBuffer', view);
  if (isDetached(buffer)) throw containerRefused('detached');
  if (buffer.byteLength === 0) throw emptyTarget();
  const region = addon.regionOf(new Uint8Array(buffer));
  if (region >= 0) return remember(buffer, 'owned', region);
  if ((buffer as MaybeResizable).resizable === true) throw containerRefused('resizable');
  if (marked.has(buffer)) return remember(buffer, 'plain', -1);
  // Node marks every ArrayBuffer over an addon's memory, and Buffer's pools. A second mark would make
  // Node 24.21 abort.
  const startsPage = region === REGION_NONE_ALIGNED;
  if (isMarked(buffer, startsPage)) throw containerRefused(isPool(buffer) ? 'pooled' : 'foreign');
  if (isUndetachable(buffer, startsPage)) return remember(buffer, 'wasm', -1);
  markAsUntransferable(buffer);
  marked.add(buffer);
  return remember(buffer, 'plain', -1);
}

function isDetached(buffer: ArrayBuffer): boolean {
  if (buffer.byteLength > 0) return false;
  const {detached} = buffer as MaybeResizable;
  if (detached !== undefined) return detached;
  try {
    return new Uint8Array(buffer).length !== 0;
  } catch {
    return true;
  }
}

// Buffer marks each of its pools. Which of the marked ones are pools shows by their length.
function isPool(buffer: ArrayBuffer): boolean {
  const pool = Buffer.allocUnsafe(1).buffer;
  return buffer === pool || buffer.byteLength === pool.byteLength || buffer.byteLength === Buffer.poolSize;
}

const WASM_PAGE = 65_536;

// Node 20 can't be asked, but it passes over what is marked in a list of what to transfer, and refuses a
// list that has anything else twice, before it detaches anything. It passes over a WebAssembly.Memory's,
// too, so what may be one is not asked of.
function isMarked(buffer: ArrayBuffer, startsPage: boolean): boolean {
  if (isMarkedAsUntransferable !== undefined) return isMarkedAsUntransferable(buffer);
  if (startsPage && buffer.byteLength % WASM_PAGE === 0) return false;
  try {
    structuredClone(null, {transfer: [buffer, buffer]});
    return true;
  } catch {
    return false;
  }
}

// A WebAssembly.Memory's must not be marked: grow() would abort Node 24.21. transfer() tells them
// apart without doing anything: it refuses them with a TypeError before it fails to allocate as much
// as is asked for here. That failure costs 20 ms of garbage collection, so only what starts a page,
// which WebAssembly's always do and others of the heap hardly ever, is asked.
function isUndetachable(buffer: ArrayBuffer, startsPage: boolean): boolean {
  if (transfer === undefined || !startsPage) return false;
  try {
    transfer.call(buffer, Number.MAX_SAFE_INTEGER);
  } catch (error) {
    return !(error instanceof RangeError);
  }
  return false;
}

function isWebAssemblyMemory(target: unknown): target is WebAssemblyMemory {
  return Object.prototype.toString.call(target) === '[object WebAssembly.Memory]';
}

function probe(): boolean {
  const ways: ((buffer: ArrayBuffer) => void)[] = [
    buffer => transfer?.call(buffer),
    buffer => structuredClone(buffer, {transfer: [buffer]}),
    buffer => {
      let stream: {enqueue(chunk: Uint8Array): void} | undefined;
      new ReadableStream({
        type: 'bytes',
        start(controller) {
          stream = controller;
        },
      });
      stream?.enqueue(new Uint8Array(buffer));
    },
  ];
  return ways.every(detach => {
    const buffer = new ArrayBuffer(1);
    markAsUntransferable(buffer);
    try {
      detach(buffer);
    } catch {
      // Refused, as it should be.
    }
    return buffer.byteLength === 1;
  });
}
