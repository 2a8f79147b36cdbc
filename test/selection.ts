/** Parts of the names of test files: which of them are run where, when it is not all of them. */

/** About the library: the rest is about the module, whatever Node asks it. Of the host and of the guest. */
export const LIBRARY = [
  'addon', 'async', 'containers', 'device_memory', 'diagnostics', 'errors', 'frame_vector', 'inspect', 'lifetimes', 'lost_descriptor', 'memlock', 'no_memory', 'options',
  'pinnable_memory', 'uapi', 'userptr_queue', 'v4l2',
];

/** About the documentation and the benchmark's arithmetic, which one kernel answers for all. */
export const ONE_KERNEL = ['docs', 'examples', 'bench'];

/**
 * The ABI, memory of every kind, device memory, lives and deaths of a descriptor, the same vector again after a hold that failed;
 * and where allocations can fail, that they do.
 */
export const SHORT = ['abi', 'compat', 'descriptor', 'extents', 'fail_nth', 'frame_vector', 'reuse', 'snapshot'];

/** Whatever several threads or processes do to one vector at the same time: for the kernel that finds data races. */
export const CONCURRENT = ['races', 'fuzz', 'snapshot', 'async', 'descriptor'];
