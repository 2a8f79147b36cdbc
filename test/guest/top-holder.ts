/** What test/guest/top.test.ts looks at: `node top-holder.js WHAT...` holds vectors until it is killed, and says when it does. */
import {spawn} from 'node:child_process';
import {DeviceMemory, FrameVector} from '../../lib/index.js';
import {PAGE} from './raw.js';

const held: unknown[] = [];

function pages(): FrameVector {
  const memory = FrameVector.alloc(16 * PAGE);
  const vector = FrameVector.create(64);
  vector.pin(memory.bytes.subarray(100, 100 + 9 * PAGE + 1), {write: true, unaligned: true});
  held.push(memory, vector);
  return vector;
}

for (const what of process.argv.slice(2)) {
  switch (what) {
    case 'pages':
      pages();
      break;
    case 'device': {
      // Goes stale at once.
      const memory = DeviceMemory.map('/dev/framevec', {length: 4 * PAGE});
      held.push(FrameVector.pin(memory));
      memory.close();
      break;
    }
    case 'empty':
      held.push(FrameVector.create(3));
      break;
    case 'inherited':
      spawn('sleep', ['infinity'], {stdio: ['ignore', 'ignore', 'ignore', pages().fd], detached: true});
      break;
    default:
      throw new Error(`what is ${what}?`);
  }
}
process.stdout.write('holding\n');
setInterval(() => held, 1000);
