/**
 * What another process does in the tests: `node other-process.js WHAT`. It says on stdout, a line of
 * JSON each, how far it is.
 */
import {openSync} from 'node:fs';
import {FrameVector} from '../../lib/index.js';
import * as uapi from '../../lib/uapi.js';
import {backings} from './backings.js';
import {MAP, PAGE, createVector, ioctl, mmap, raw, receive, send} from './raw.js';

const [, , what = ''] = process.argv;
/** The descriptor that the parent has handed over, where there is one. */
const HANDED = 3;

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
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
    say(vector.frames);
    if (what === 'exit') process.exit(0);
    if (what === 'throw') throw new Error('on purpose');
    setInterval(() => vector.frames, 1000);
    break;
  }
  case 'end':
    // Neither unpinned nor closed: the event loop just runs out.
    say(FrameVector.pin(FrameVector.alloc(256 * PAGE)).frames);
    break;
  case 'pin-for-long': {
    // First touch and pin of a lot, once: until it is said to be over, a signal comes in the pin.
    const frames = 2 ** 16;
    const fd = createVector(openSync(uapi.FRAMEVEC_DEVICE, 'r+'), frames);
    const memory = mmap(frames * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE});
    say(frames);
    say(ioctl(fd, 'PIN', {addr: memory, length: frames * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE}).result);
    setInterval(() => fd, 1000);
    break;
  }
  case 'pin-private-huge-file': {
    const {address, length} = backings['tmpfs file of huge pages, private'](2 ** 22);
    const fd = createVector(openSync(uapi.FRAMEVEC_DEVICE, 'r+'), length / PAGE);
    const pin = ioctl(fd, 'PIN', {addr: address, length});
    say({result: pin.result, frames: pin.fields.frames});
    break;
  }
  case 'give-snapshot': {
    const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
    const fd = createVector(device, 4);
    ioctl(fd, 'PIN', {addr: mmap(4 * PAGE, {flags: MAP.SHARED, fd: device}), length: 4 * PAGE});
    send(HANDED, fd);
    setInterval(() => fd, 1000);
    break;
  }
  case 'handed':
    tryVector(HANDED);
    break;
  case 'received':
    tryVector(receive(HANDED));
    break;
  default:
    throw new Error(`what is ${what}?`);
}
