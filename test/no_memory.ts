/** Has memory run out in the addon: every allocation of a call fails once, in a process of its own. */
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';

const index = new URL('../lib/index.js', import.meta.url).href;
const PRELOADED = fileURLToPath(new URL('../../test/native/build/Release/new_fails.node', import.meta.url));

/** An instrumented addon has an operator new of its own before this one. */
export const CAN_FAIL = existsSync(PRELOADED) && !(process.env.LD_PRELOAD ?? '').includes('asan');

/** What came of it: how many allocations failed, and the codes of what was thrown then. */
export interface Outcome {
  readonly failed: number;
  readonly codes: readonly string[];
}

/**
 * Runs `call`, the body of an asynchronous function, until it comes through: with the first allocation failing, the second, ...
 *
 * @throws if the process ends by a signal, which is what a C++ exception that leaves the addon does
 */
export async function eachAllocationFails(call: string, before = ''): Promise<Outcome> {
  const program = `
    import {createRequire} from 'node:module';
    import * as framevec from ${JSON.stringify(index)};
    const {FrameVector, PinnableMemory, DeviceMemory, V4l2Device, UserptrQueue} = framevec;
    const {arm} = createRequire(import.meta.url)(${JSON.stringify(PRELOADED)});
    ${before}
    const call = async () => { ${call} };
    const codes = new Set();
    let failed = 0;
    for (;;) {
      arm(failed);
      let error;
      try { await call(); } catch (thrown) { error = thrown; }
      if (arm(-1) >= 0) { if (error) throw error; break; }
      failed += 1;
      codes.add(error === undefined ? 'none' : String(error.code));
      await new Promise(resolve => setImmediate(resolve));
    }
    console.log(JSON.stringify({failed, codes: [...codes]}));
  `;
  const {stdout} = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    env: {...process.env, LD_PRELOAD: [process.env.LD_PRELOAD, PRELOADED].filter(Boolean).join(':')},
  });
  return JSON.parse(stdout) as Outcome;
}
