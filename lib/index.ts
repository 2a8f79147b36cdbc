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
export {info, type ModuleInfo} from './device.js';
export {type Extents, type ExtentsOptions} from './extents.js';
export {FrameVector, type Stat, type Timing} from './frame_vector.js';
export {type PinOptions, type UnpinOptions} from './pin_options.js';
export {PinnableMemory, type AllocOptions} from './pinnable_memory.js';
export {type Kind, type Reason} from './uapi.js';
