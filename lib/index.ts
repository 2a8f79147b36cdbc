/** framevec: the page frames behind a buffer, from TypeScript. */
export {type PinTarget, type WebAssemblyMemory} from './containers.js';
export {
  FrameVectorError,
  type AskedRange,
  type CodedError,
  type FrameVectorErrorDetails,
  type Memlock,
  type Stop,
} from './errors.js';
export {
  FrameVector,
  info,
  type ModuleInfo,
  type PinOptions,
  type Stat,
  type Timing,
  type UnpinOptions,
} from './frame_vector.js';
export {PinnableMemory, type AllocOptions} from './pinnable_memory.js';
export {type Kind, type Reason} from './uapi.js';
