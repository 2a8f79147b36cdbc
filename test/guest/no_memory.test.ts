/** Memory runs out in the addon while it deals with the kernel: ENOMEM, nothing pinned, no descriptor left. */
import test from 'ava';
import {CAN_FAIL, eachAllocationFails} from '../no_memory.js';
import {endsBalanced, framesPinned} from './oracles.js';
import {vivid} from './vivid.js';

endsBalanced(test);

const calls: Record<string, [call: string, before?: string]> = {
  'create()': ['FrameVector.create(1).close();'],
  'pinAsync()': [
    'try { await vector.pinAsync(memory); vector.unpin(); } finally { if (vector.frames > 0) vector.unpin(); }',
    'const memory = FrameVector.alloc(4096); const vector = FrameVector.create(1);',
  ],
  'staleSignal': [
    'try { vector.pin(memory); vector.staleSignal.aborted; } finally { if (vector.frames > 0) vector.unpin(); }',
    "const memory = DeviceMemory.map('/dev/framevec', {length: 4096}); const vector = FrameVector.create(1);",
  ],
  'a video device that streams': [
    `const device = V4l2Device.open(${JSON.stringify(vivid('single', 'capture'))});
     try { for await (const frame of device.stream({buffers: 3, frames: 2})) frame.bytes[0]; } finally { device.close(); }`,
  ],
};

for (const [name, [call, before]] of Object.entries(calls)) {
  (CAN_FAIL ? test.serial : test.serial.skip)(`each allocation of ${name} fails once: ENOMEM, and nothing stays pinned`, async t => {
    const {failed, codes} = await eachAllocationFails(call, before);
    t.true(failed > 0);
    t.deepEqual(codes, ['ENOMEM']);
    t.is(framesPinned(), 0);
  });
}
