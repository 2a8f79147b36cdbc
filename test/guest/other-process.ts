/**
 * What another process does in the tests: `node other-process.js WHAT`. It says on stdout, a line of
 * JSON each, how far it is.
 */
import {openSync} from 'node:fs';
import {FrameVector} from '../../lib/index.js';
import * as uapi from '../../lib/uapi.js';
import {MAP, PAGE, SYS, createVector, ioctl, mmap, must, raw} from './raw.js';

const [, , what = ''] = process.argv;
/** The descriptor that the parent has handed over, where there is one. */
const HANDED = 3;

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Receives a descriptor over the socket that was handed over. */
function receive(): number {
  const data = new Uint8Array(1);
  const iov = new BigUint64Array([raw.address(data), 1n]);
  const control = new Uint8Array(24);
  const header = new BigUint64Array([0n, 0n, raw.address(iov), 1n, raw.address(control), BigInt(control.byteLength), 0n]);
  must(SYS.recvmsg, HANDED, header, 0);
  return new DataView(control.buffer).getInt32(16, true);
}

function tryVector(fd: number): void {
  const memory = mmap(2 * PAGE);
  const numbers = new BigUint64Array(2);
  say({
    stat: ioctl(fd, 'STAT').fields.frames,
    pfns: ioctl(fd, 'READ_PFNS', {count: 2, pfns: raw.address(numbers)}).result,
    numbers: [...numbers].map(String),
    unpin: ioctl(fd, 'UNPIN').result,
    pin: ioctl(fd, 'PIN', {addr: memory, length: 2 * PAGE}),
  });
}

switch (what) {
  case 'hold':
  case 'exit':
  case 'throw': {
    const memory = FrameVector.alloc(256 * PAGE);
    const vector = FrameVector.pin(memory, {write: true});
    say(vector.length);
    if (what === 'exit') process.exit(0);
    if (what === 'throw') throw new Error('on purpose');
    setInterval(() => vector.length, 1000);
    break;
  }
  case 'end':
    // Neither unpinned nor closed: the event loop just runs out.
    say(FrameVector.pin(FrameVector.alloc(256 * PAGE)).length);
    break;
  case 'pin-for-long': {
    // First touch and pin of a lot, again and again: whenever a signal comes, it comes in a pin.
    const frames = 2 ** 16;
    const fd = createVector(openSync(uapi.FRAMEVEC_DEVICE, 'r+'), frames);
    const memory = mmap(frames * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE});
    say('pinning');
    for (;;) {
      ioctl(fd, 'PIN', {addr: memory, length: frames * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
      ioctl(fd, 'UNPIN');
    }
  }
  case 'handed':
    tryVector(HANDED);
    break;
  case 'received':
    tryVector(receive());
    break;
  default:
    throw new Error(`what is ${what}?`);
}
