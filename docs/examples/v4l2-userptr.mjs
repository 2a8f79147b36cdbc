// Captures frames from a video device into memory of this process (V4L2 USERPTR).
//
//     npx framevec vm --with vivid -- node docs/examples/v4l2-userptr.mjs
//     node docs/examples/v4l2-userptr.mjs /dev/video0
//
// vivid is the kernel's virtual video driver; any capture device whose driver takes pointers of
// the user will do. The driver pins each buffer when it is queued, and fills it by itself. The
// buffers are pinned with framevec, too, so that one can see that no frame moves meanwhile.
import {FrameVector, V4l2Device} from 'framevec';

const FRAMES = 8;

const device = V4l2Device.open(process.argv[2] ?? '/dev/video0');
const format = device.setFormat({width: 320, height: 180, fourcc: 'YUYV'});
console.log(`${device.driver}: ${format.width}x${format.height} ${format.fourcc}, ${device.planeBytes[0]} bytes a frame`);

/** @type {Map<number, {memory: import('framevec').PinnableMemory, vector: FrameVector, counts: string}>} */
const buffers = new Map();

/**
 * The memory of a buffer, made when the stream asks for it.
 * @param {number} bytes
 * @param {number} index
 */
function bufferMemory(bytes, index) {
  const memory = FrameVector.alloc(bytes);
  const vector = FrameVector.pin(memory, {write: true});
  buffers.set(index, {memory, vector, counts: vector.extents({pfns: false}).counts.join()});
  return memory;
}

try {
  const sums = new Set();
  // A buffer is the loop's until it goes on: then it is queued again.
  for await (const frame of device.stream({buffers: 3, frames: FRAMES, memory: bufferMemory})) {
    let sum = 0;
    for (const byte of frame.bytes) sum = (sum * 31 + byte) % 1000003;
    sums.add(sum);
    console.log(`frame ${frame.sequence} in buffer ${frame.index}: ${frame.bytes.length} bytes, QBUF ${frame.timing.qbufNs} ns`);
  }
  console.log(`frames: ${FRAMES}; different ones: ${sums.size}`);
  for (const [index, {vector, counts}] of buffers) {
    const same = vector.extents({pfns: false}).counts.join() === counts;
    console.log(`buffer ${index}: ${vector.frames} page frames, ${same ? 'as before' : 'MOVED'}`);
  }
} finally {
  // Whatever has ended the loop, the device has no memory of this process any more.
  device.close();
  for (const {memory, vector} of buffers.values()) {
    vector.close();
    memory.close();
  }
}
