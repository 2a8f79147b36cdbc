/** Pins 64 MiB of 4K pages three times, for a test that has the process profiled; prints the frames of each. */
import {FrameVector} from '../../lib/index.js';

const MIB = 64;
using memory = FrameVector.alloc(MIB * 2 ** 20, {hugepages: false});
memory.bytes.fill(1);
using vector = FrameVector.create(MIB * 256);
const frames = [1, 2, 3].map(() => {
  const held = vector.pin(memory, {write: true});
  vector.unpin();
  return held;
});
process.stdout.write(JSON.stringify(frames));
