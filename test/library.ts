/** The files, on the host and in the guest, that are about the library: the rest is about the module, whatever Node asks it. */
export const LIBRARY = [
  'addon', 'async', 'containers', 'device_memory', 'diagnostics', 'errors', 'frame_vector', 'inspect', 'memlock', 'pinnable_memory', 'uapi', 'userptr_queue', 'v4l2',
];
