// Shares a pinned buffer with a worker thread.
//
//     npx framevec vm -- node docs/examples/share-with-a-worker.mjs
//
// A SharedArrayBuffer can be seen by several threads and can't be detached, so it may be pinned as
// it is. The main thread pins it and has the device's side; the worker works on the bytes. A vector
// itself belongs to the thread that made it: the worker gets the memory, not the vector.
// Both threads are one process to the kernel, so the frames are charged to it once.
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {Worker, isMainThread, parentPort, workerData} from 'node:worker_threads';
import {FrameVector} from 'framevec';

const BYTES = 2 ** 20;
const PAGE = 4096;

function vmPinKib() {
  return Number(/^VmPin:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

/** Turns what the device has written to upper case, in place. */
function work() {
  const shared = /** @type {SharedArrayBuffer} */ (workerData);
  const bytes = new Uint8Array(shared);
  parentPort?.on('message', length => {
    for (let i = 0; i < length; i++) bytes[i] = String.fromCharCode(bytes[i] ?? 0).toUpperCase().charCodeAt(0);
    parentPort?.postMessage(vmPinKib());
    parentPort?.close();
  });
}

async function main() {
  // A page more than is needed: a SharedArrayBuffer need not begin at a page.
  const shared = new SharedArrayBuffer(BYTES + PAGE);
  const worker = new Worker(new URL(import.meta.url), {workerData: shared});
  const bytes = new Uint8Array(shared, 0, BYTES);
  // It may share its first and last page with other memory, which a device would see.
  const vector = FrameVector.pin(bytes, {write: true, unaligned: true});
  try {
    console.log(`pinned: ${vector.frames} frames from byte ${vector.offset} of the first`);
    const text = Buffer.from('from the device');
    vector.write(0, text);
    worker.postMessage(text.length);
    const [charged] = /** @type {[number]} */ (await once(worker, 'message'));
    console.log(`VmPin, as the worker sees it: ${charged} kB`);
    const back = Buffer.alloc(text.length);
    vector.read(0, back);
    console.log(`the device reads: ${back.toString()}`);
  } finally {
    vector.close();
  }
  console.log(`VmPin after: ${vmPinKib()} kB`);
}

if (isMainThread) await main();
else work();
