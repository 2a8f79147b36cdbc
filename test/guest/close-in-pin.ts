/** A thread that pins through a descriptor, until that is closed by another. */
import {parentPort, workerData} from 'node:worker_threads';
import {PAGE, ioctl} from './raw.js';

const {fd, address, frames} = workerData as {fd: number; address: bigint; frames: number};

const answers = new Set<string | number>();
parentPort?.postMessage('pinning');
for (;;) {
  const {result} = ioctl(fd, 'PIN', {addr: address, length: frames * PAGE, flags: 1});
  answers.add(result);
  if (result === 'EBADF' || result === 'ENOTTY') break;
  ioctl(fd, 'UNPIN');
}
parentPort?.postMessage([...answers]);
