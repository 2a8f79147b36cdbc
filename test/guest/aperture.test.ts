/** The aperture is shared by those who map it at one time, and is empty for the next one after all of them. */
import {closeSync, openSync} from 'node:fs';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {MAP, PAGE, SYS, asNobody, bytes, close, createVector, errnoName, ioctl, mmap, munmap, must, raw} from './raw.js';
import {endsBalanced} from './oracles.js';

endsBalanced(test);

const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
/** Of three pieces, one of them not whole. */
const PAGES = 1030;
const MARK = 0x77;

test.after.always(() => {
  closeSync(device);
});

function map(pages = PAGES, offset = 0): bigint {
  return mmap(pages * PAGE, {flags: MAP.SHARED, fd: device, offset: offset * PAGE});
}

function mark(address: bigint, pages = PAGES): void {
  for (let page = 0; page < pages; page++) bytes(address + BigInt(page * PAGE), PAGE).fill(MARK);
}

/** Pages of the range that are not empty, as the next user finds them. */
function left(): number {
  const address = map();
  let count = 0;
  for (let page = 0; page < PAGES; page++) if (bytes(address + BigInt(page * PAGE), PAGE).some(byte => byte !== 0)) count++;
  munmap(address, PAGES * PAGE);
  return count;
}

test.serial('what one user leaves in it is gone for the next', t => {
  const address = map();
  mark(address);
  munmap(address, PAGES * PAGE);
  t.is(left(), 0);
});

test.serial('what was written through a vector is gone, too', t => {
  const address = map();
  const vector = createVector(device, PAGES);
  t.is(ioctl(vector, 'PIN', {addr: address, length: PAGES * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE}).fields.frames, PAGES);
  t.is(must(SYS.pwrite64, vector, Buffer.alloc(PAGES * PAGE, MARK), PAGES * PAGE, 0), BigInt(PAGES * PAGE));
  munmap(address, PAGES * PAGE);
  t.is(errnoName(raw.syscall(SYS.pwrite64, vector, new Uint8Array([MARK]), 1, 0)), 'ESTALE', 'the snapshot gives no way in');
  t.is(left(), 0);
  t.is(errnoName(raw.syscall(SYS.pwrite64, vector, new Uint8Array([MARK]), 1, 0)), 'ESTALE', 'nor when it is mapped anew');
  close(vector);
});

test.serial('it stays as long as one mapping does, and goes with the last: partial munmap', t => {
  const address = map();
  mark(address);
  munmap(address, 512 * PAGE);
  munmap(address + BigInt(600 * PAGE), (PAGES - 600) * PAGE);
  const other = map();
  t.is(bytes(other, 1)[0], MARK, 'what has been unmapped, too: somebody is there');
  t.is(bytes(other + BigInt((PAGES - 1) * PAGE), 1)[0], MARK);
  munmap(other, PAGES * PAGE);
  t.is(bytes(address + BigInt(512 * PAGE), 1)[0], MARK);
  munmap(address + BigInt(512 * PAGE), 88 * PAGE);
  t.is(left(), 0);
});

test.serial('it stays as long as one mapping does, and goes with the last: mremap', t => {
  const address = map();
  mark(address);
  const MAYMOVE_FIXED = 3;
  const room = mmap(PAGES * PAGE);
  t.is(must(SYS.mremap, address, PAGES * PAGE, PAGES * PAGE, MAYMOVE_FIXED, room), room);
  t.is(bytes(room + BigInt(5 * PAGE), 1)[0], MARK);
  must(SYS.mremap, room, PAGES * PAGE, PAGE, 0);
  t.is(bytes(room, 1)[0], MARK);
  munmap(room, PAGE);
  t.is(left(), 0);
});

test.serial('it stays as long as one mapping does, and goes with the last: fork', t => {
  const address = map();
  mark(address);
  const child = raw.child();
  try {
    munmap(address, PAGES * PAGE);
    const other = map(1, 7);
    t.is(bytes(other, 1)[0], MARK, 'the child has it');
    munmap(other, PAGE);
  } finally {
    must(SYS.kill, child, 9);
    must(SYS.wait4, child, 0, 0, 0);
  }
  t.is(left(), 0);
});

test.serial('those who map it at one time share it', t => {
  const one = map();
  const two = map();
  bytes(one + BigInt(3 * PAGE), 1)[0] = MARK;
  t.is(asNobody(() => bytes(two + BigInt(3 * PAGE), 1)[0]), MARK);
  munmap(one, PAGES * PAGE);
  t.is(bytes(two + BigInt(3 * PAGE), 1)[0], MARK);
  munmap(two, PAGES * PAGE);
  t.is(left(), 0);
});
