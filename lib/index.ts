/// <reference lib="esnext.disposable" preserve="true" />
/** framevec: the page frames behind a buffer, from TypeScript. */
export {type PinTarget, type WebAssemblyMemory} from './containers.js';
export {
  FrameVectorError,
  type AskedRange,
  type CodedError,
  type FrameVectorErrorDetails,
  type Memlock,
  type Place,
  type Stop,
} from './errors.js';
export {DeviceMemory, type DeviceMapOptions} from './device_memory.js';
export {info, type ModuleInfo} from './device.js';
export {type HeldMessage, type PinErrorMessage, type PinMessage, type StaleMessage, type UnpinMessage} from './diagnostics.js';
export {type Extents, type ExtentsOptions} from './extents.js';
export {FrameVector, type Timing} from './frame_vector.js';
export {type FrameAccess} from './frame_access.js';
export {type AbortSignalLike, type StaleSignal, type PinAsyncOptions, type PinOptions, type UnpinOptions} from './pin_options.js';
export {type MapRange, type MapSource} from './map_file.js';
export {type MappedMemory} from './mapped_memory.js';
export {PinnableMemory, type AllocOptions, type FileMapOptions} from './pinnable_memory.js';
export {type Stat} from './stat.js';
export {type Kind, type MemlockScope, type Reason} from './uapi.js';
export {UserptrQueue, type DeviceFrame, type DeviceWork, type UserptrQueueOptions} from './userptr_queue.js';
export {
  V4l2Device,
  type V4l2Format,
  type V4l2FormatDescription,
  type V4l2FormatRequest,
  type V4l2OpenOptions,
  type V4l2QbufOptions,
} from './v4l2/device.js';
export {
  type BufferQueue,
  type DequeuedBuffer,
  type Direction,
  type Frame,
  type FramePlane,
  type QbufOptions,
  type StreamOptions,
} from './v4l2/stream.js';
