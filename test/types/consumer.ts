/** What a user's code is compiled as: here against the sources, and by test/package.test.ts against the packed package. */
import {FrameVector, FrameVectorError, info, UserptrQueue, type Extents, type FrameAccess, type Kind, type ModuleInfo, type PinTarget, type Reason, type Stop} from 'framevec';
import {bench} from 'framevec/bench';

type Same<A, B> = [A, B] extends [B, A] ? true : false;

export const same: [
  Same<FrameVector['kind'], Kind>,
  Same<Kind, 'none' | 'pages' | 'pfns'>,
  Same<FrameVector['stopped'], Stop | undefined>,
  Same<ReturnType<FrameVector['pfns']>, BigUint64Array>,
  Same<ReturnType<FrameVector['pin']>, number>,
] = [true, true, true, true, true];

export function pinned(target: PinTarget): Extents {
  using vector = FrameVector.create(16);
  vector.pin(target, {write: true, partial: true});
  return vector.extents();
}

export function allocated(): Uint8Array {
  using memory = FrameVector.alloc(2 ** 21, {hugepages: true});
  pinned(memory);
  pinned(memory.bytes.subarray(4096));
  pinned(new SharedArrayBuffer(4096));
  return memory.bytes;
}

export function whyNot(error: unknown): Reason | undefined {
  return error instanceof FrameVectorError ? error.reason : undefined;
}

export const told = (): ModuleInfo => info();

// What the types refuse.
// @ts-expect-error - a capacity is a number of frames
export const wrongCapacity = (): FrameVector => FrameVector.create('16');
// @ts-expect-error - text is not memory
export const wrongTarget = (): FrameVector => FrameVector.pin('bytes');
// @ts-expect-error - there is no such option
export const wrongOption = (target: PinTarget): FrameVector => FrameVector.pin(target, {writable: true});
// @ts-expect-error - what a vector holds is told, not set
export const wrongWrite = (vector: FrameVector): void => { vector.frames = 1; };

// Options, stops and ends, as they are for users.
export async function disposed(memory: PinTarget): Promise<Stop | undefined> {
  await using vector = FrameVector.create(1);
  vector.staleSignal.addEventListener('abort', () => undefined);
  try {
    await vector.pinAsync(memory, {write: true});
  } catch (error) {
    if (error instanceof FrameVectorError) return error.stop;
  }
  return vector.stopped;
}

export const timed = (): number => bench.measure('nothing', () => undefined, {rounds: 5}).p50;

export const queue = (): UserptrQueue => UserptrQueue.create({
  planeBytes: 4096,
  device: async ({vectors}) => { await Promise.resolve(vectors[0]?.write(0, new Uint8Array(1))); },
});
// @ts-expect-error - the device's side can't unpin
export const wrongAccess = (access: FrameAccess): void => { access.frames = access.unpin as number; };
