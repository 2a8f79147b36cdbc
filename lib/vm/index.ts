/** Runs commands on real kernels: a disposable VM with a stock Debian kernel over this machine's own files. */
export {EXIT, VmError} from './errors.js';
export {DEFAULT_KERNEL, KERNELS, KERNEL_NAMES} from './kernels.js';
export type {Finding} from './log-scan.js';
export type {Ending, SetupOptions, VmOptions, VmResult} from './options.js';
export {DEFAULTS, runVm} from './run.js';
export {checkModuleFor, prepareVm, type Setup} from './setup.js';
