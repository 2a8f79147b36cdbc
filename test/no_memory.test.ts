/** Memory runs out in the addon: an error with the code ENOMEM, and the process goes on. */
import test from 'ava';
import {CAN_FAIL, eachAllocationFails} from './no_memory.js';

const calls: Record<string, string> = {
  'alloc() and close()': 'FrameVector.alloc(4096).close();',
  'alloc() of a memfd': 'FrameVector.alloc(4096, {memfd: true}).close();',
  'PinnableMemory.map()': "PinnableMemory.map('/etc/passwd').close();",
  'V4l2Device.open()': "try { V4l2Device.open('/dev/null').close(); } catch (error) { if (error.code !== 'ENOTTY') throw error; }",
};

for (const [name, call] of Object.entries(calls)) {
  (CAN_FAIL ? test : test.skip)(`each allocation of ${name} fails once: ENOMEM, and no C++ exception leaves the addon`, async t => {
    const {failed, codes} = await eachAllocationFails(call);
    t.true(failed > 0);
    t.deepEqual(codes, ['ENOMEM']);
  });
}
