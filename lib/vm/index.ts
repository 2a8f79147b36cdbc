/** Runs commands on real kernels: a disposable VM with a stock Debian kernel over this machine's own files. */
export {Cache, cacheDirectory} from './cache.js';
export {cleanCache, inWords} from './clean.js';
export {EXIT, VmError, fileError} from './errors.js';
export {kernelNames, rowsAsJUnit, rowsInWords, runOnKernels, worstStatus, type KernelRow} from './many.js';
export {DEFAULT_KERNEL, KERNELS, KERNEL_NAMES} from './kernels.js';
export type {Finding} from './log-scan.js';
export {DEFAULTS, type Ending, type SetupOptions, type VmOptions, type VmResult} from './options.js';
export {requireFile} from './outputs.js';
export {Progress} from './progress.js';
export {runVm} from './run.js';
export {checkModuleFor, prepareVm, type Setup} from './setup.js';
