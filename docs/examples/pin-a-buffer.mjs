// Pins a buffer, and shows that its frames stay where they are.
//
//     npx framevec vm -- node docs/examples/pin-a-buffer.mjs
//
// 4 MiB are pinned for writing, as for a device that shall fill them. Three things can be seen:
// the frame numbers, which are those of /proc/self/pagemap; VmPin, the pinned memory that the
// kernel charges to this process, in kB; and a write by the device's side, which is in the buffer.
// Frame numbers need CAP_SYS_ADMIN, as in pagemap; everything else works without.
import {readFileSync} from 'node:fs';
import {FrameVector, FrameVectorError} from 'framevec';

const BYTES = 4 * 2 ** 20;

function vmPinKib() {
  return Number(/^VmPin:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

// Page-aligned, and of huge pages if the kernel has any. Any other buffer would do, too.
const memory = FrameVector.alloc(BYTES);
// Room for so many frames. One vector does for many pins, one after the other.
const vector = FrameVector.create(BYTES / 4096);

try {
  console.log(`VmPin before: ${vmPinKib()} kB`);
  const frames = vector.pin(memory, {write: true});
  console.log(`pinned: ${frames} frames, ${vector.byteLength} bytes, kind ${vector.kind}`);
  console.log(`VmPin during: ${vmPinKib()} kB`);

  // What follows each other in physical memory is one run, and one segment of a scatter list.
  const {counts} = vector.extents({pfns: false});
  console.log(`runs of frames that follow each other: ${counts.length}`);
  try {
    console.log(`first frame: 0x${vector.pfns()[0]?.toString(16)}`);
  } catch (error) {
    if (!(error instanceof FrameVectorError && error.code === 'EPERM')) throw error;
    console.log(error.message);
  }

  // The device's side: through the kernel's own view of the frames, not through this mapping.
  vector.write(1000, Buffer.from('written by the device'));
  console.log(`in the buffer: ${Buffer.from(memory.bytes.subarray(1000, 1021)).toString()}`);

  // Memory that is closed while it is pinned stays mapped until it is unpinned.
  memory.close();
  console.log(`closed, and still ${vmPinKib()} kB pinned`);
  vector.unpin();
  console.log(`VmPin after: ${vmPinKib()} kB`);
} finally {
  // Gives back what is still held. With Node 24 or TypeScript, `using` does it.
  vector.close();
  memory.close();
}
