/** What test/guest/trace.test.ts has traced from outside: pins of 1, 2 and 3 frames, and a snapshot of 4 that goes stale. */
import {DeviceMemory, FrameVector} from '../../lib/index.js';
import {PAGE} from './raw.js';

for (const frames of [1, 2, 3]) {
  using memory = FrameVector.alloc(frames * PAGE);
  using vector = FrameVector.pin(memory, {write: true});
  vector.unpin();
}
const memory = DeviceMemory.map('/dev/framevec', {length: 4 * PAGE});
using vector = FrameVector.pin(memory);
memory.close();
vector.unpin();
