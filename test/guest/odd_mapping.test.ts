/** Snapshots of device mappings that behave as a few rare ones do, by a driver of the tests' own. */
import {once} from 'node:events';
import {closeSync, openSync} from 'node:fs';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {type CACHE, ODD_PAGES, OddDriver} from './odd.js';
import {PAGE, PROT, SYS, bytes, close, createVector, errnoName, ioctl, mmap, munmap, must, raw} from './raw.js';
import {endsBalanced, until} from './oracles.js';

endsBalanced(test);

const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
const odd = new OddDriver();
const {FRAMEVEC_KIND_PFNS: PFNS, FRAMEVEC_PIN_WRITE: WRITE, FRAMEVEC_PIN_PARTIAL: PARTIAL} = uapi;

test.after.always(() => {
  odd[Symbol.dispose]();
  closeSync(device);
});

function pin(vector: number, address: bigint, pages: number, flags = 0): unknown[] {
  const {result, fields} = ioctl(vector, 'PIN', {addr: address, length: pages * PAGE, flags});
  const failed = fields.fail_addr === 0 ? undefined : Number(BigInt(fields.fail_addr ?? 0) - address) / PAGE;
  return [result, fields.frames, fields.reason, failed];
}

/** The byte that fills each page, as the device's side sees it. */
function seen(vector: number, pages: number): number[] {
  const page = new Uint8Array(PAGE);
  return Array.from({length: pages}, (_, i) => {
    must(SYS.pread64, vector, page, PAGE, i * PAGE);
    if (page.some(byte => byte !== page[0])) throw new Error(`page ${i} is of two kinds`);
    return page[0] ?? -1;
  });
}

const expected = (pages: number, first = 0): number[] => Array.from({length: pages}, (_, i) => OddDriver.byteOf(first + i));

test.serial('a page that the driver refuses ends the range with device-fault, wherever it is', t => {
  const vector = createVector(device, ODD_PAGES);
  for (const refused of [0, 1, 5, ODD_PAGES - 1]) {
    const address = odd.map(ODD_PAGES);
    odd.refuse(refused);
    for (const flags of [0, WRITE]) {
      t.deepEqual(pin(vector, address, ODD_PAGES, flags), ['EFAULT', 0, uapi.FRAMEVEC_REASON_DEVICE_FAULT, refused]);
      const partial = pin(vector, address, ODD_PAGES, flags | PARTIAL);
      if (refused === 0) {
        t.deepEqual(partial, ['EFAULT', 0, uapi.FRAMEVEC_REASON_DEVICE_FAULT, 0]);
      } else {
        t.deepEqual(partial, [0, refused, uapi.FRAMEVEC_REASON_DEVICE_FAULT, refused]);
        t.deepEqual(seen(vector, refused), expected(refused));
        t.is(ioctl(vector, 'UNPIN').result, 0);
      }
    }
    odd.refuse(refused, false);
    t.deepEqual(pin(vector, address, ODD_PAGES), [0, ODD_PAGES, 0, undefined], 'and when it is not refused any more, all is well');
    t.is(ioctl(vector, 'UNPIN').result, 0);
    munmap(address, ODD_PAGES * PAGE);
  }
  close(vector);
});

test.serial('a page that goes between the fault and the look at it is faulted in again', t => {
  const vector = createVector(device, ODD_PAGES);
  const address = odd.map(ODD_PAGES);
  for (const [page, times] of [[0, 1], [1, 3], [ODD_PAGES - 1, 100]] as const) {
    odd.zap();
    odd.miss(page, times);
    t.deepEqual(pin(vector, address, ODD_PAGES), [0, ODD_PAGES, 0, undefined], `page ${page}, ${times} times`);
    t.deepEqual(seen(vector, ODD_PAGES), expected(ODD_PAGES));
    t.is(ioctl(vector, 'UNPIN').result, 0);
  }
  close(vector);
  munmap(address, ODD_PAGES * PAGE);
});

test.serial('a driver that never maps what it says it has: the PIN ends, the reason is unknown', t => {
  const vector = createVector(device, 4);
  const address = odd.map(4);
  odd.miss(2, 2 ** 30);
  t.deepEqual(pin(vector, address, 4), ['EFAULT', 0, uapi.FRAMEVEC_REASON_UNKNOWN, 2]);
  t.deepEqual(pin(vector, address, 4, PARTIAL), [0, 2, uapi.FRAMEVEC_REASON_UNKNOWN, 2]);
  odd.miss(2, 0);
  close(vector);
  munmap(address, 4 * PAGE);
});

test.serial('a thread that zaps the mapping in a loop makes no PIN fail, and every snapshot is right or stale', async t => {
  const state = new Int32Array(new SharedArrayBuffer(8));
  const zapper = new Worker(`
    const {writeSync} = require('node:fs');
    const {fd, state} = require('node:worker_threads').workerData;
    const zap = new Uint32Array([0, 0, 0]);
    while (Atomics.load(state, 0) === 0) {
      writeSync(fd, zap);
      Atomics.add(state, 1, 1);
    }`, {eval: true, workerData: {fd: odd.fd, state}});
  await until('the thread zaps', () => Atomics.load(state, 1) > 0);
  const vector = createVector(device, 2);
  const address = odd.map(2);
  const first = new Uint8Array(1);
  const came = {right: 0, stale: 0, zaps: Atomics.load(state, 1)};
  try {
    for (let turn = 0; turn < 2000; turn++) {
      const told = pin(vector, address, 2);
      if (told[0] !== 0) t.deepEqual(told, [0, 2, 0, undefined], `turn ${turn}`);
      const result = errnoName(raw.syscall(SYS.pread64, vector, first, 1, PAGE));
      if (result === 1 && first[0] === OddDriver.byteOf(1)) came.right++;
      else if (result === 'ESTALE') came.stale++;
      else t.fail(`turn ${turn}: ${result} ${first[0] ?? ''}`);
      ioctl(vector, 'UNPIN');
    }
    came.zaps = Atomics.load(state, 1) - came.zaps;
  } finally {
    Atomics.store(state, 0, 1);
    await once(zapper, 'exit');
    close(vector);
    munmap(address, 2 * PAGE);
  }
  t.is(came.right + came.stale, 2000);
  t.true(came.zaps > 100 && came.stale > 0, JSON.stringify(came));
});

test.serial('a zap makes the snapshot stale, and a new PIN has the same frames', t => {
  const vector = createVector(device, 8);
  const address = odd.map(8);
  const numbers = new BigUint64Array(8);
  t.deepEqual(pin(vector, address, 8), [0, 8, 0, undefined]);
  t.is(ioctl(vector, 'READ_PFNS', {count: 8, pfns: numbers}).result, 0);
  const before = [...numbers];
  odd.zap();
  t.is(ioctl(vector, 'STAT').fields.state, uapi.FRAMEVEC_STATE_STALE);
  t.is(errnoName(raw.syscall(SYS.pread64, vector, new Uint8Array(1), 1, 0)), 'ESTALE');
  t.is(ioctl(vector, 'UNPIN').result, 0);
  t.deepEqual(pin(vector, address, 8), [0, 8, 0, undefined]);
  t.is(ioctl(vector, 'READ_PFNS', {count: 8, pfns: numbers}).result, 0);
  t.deepEqual([...numbers], before);
  close(vector);
  munmap(address, 8 * PAGE);
});

test.serial('a caching mode of its own ends the range at its page with kind-changes, also within one mapping', t => {
  const vector = createVector(device, 8);
  const address = odd.map(8);
  for (const mode of ['writeCombining', 'uncached'] as const satisfies (keyof typeof CACHE)[]) {
    odd.cache(5, mode);
    t.deepEqual(pin(vector, address, 8), ['EFAULT', 0, uapi.FRAMEVEC_REASON_KIND_CHANGES, 5], mode);
    t.deepEqual(pin(vector, address, 8, PARTIAL), [0, 5, uapi.FRAMEVEC_REASON_KIND_CHANGES, 5]);
    t.deepEqual(seen(vector, 5), expected(5));
    t.is(ioctl(vector, 'UNPIN').result, 0);
    // The page itself, and what is behind it.
    t.deepEqual(pin(vector, address + BigInt(5 * PAGE), 1), [0, 1, 0, undefined]);
    t.deepEqual(seen(vector, 1), expected(1, 5));
    t.is(ioctl(vector, 'UNPIN').result, 0);
    odd.cache(6, mode);
    t.deepEqual(pin(vector, address + BigInt(5 * PAGE), 2), [0, 2, 0, undefined], 'two pages of the same mode are one range');
    t.is(ioctl(vector, 'UNPIN').result, 0);
    odd.cache(6, 'writeBack');
    odd.cache(5, 'writeBack');
    t.deepEqual(pin(vector, address, 8), [0, 8, 0, undefined]);
    t.is(ioctl(vector, 'UNPIN').result, 0);
  }
  close(vector);
  munmap(address, 8 * PAGE);
});

test.serial('a driver that wants to be asked before a write is asked, and the pages are written', t => {
  const vector = createVector(device, 8);
  const address = odd.map(8, {asked: true});
  for (const touched of [false, true]) {
    odd.zap();
    // Mapped for read already: the write is a fault of its own.
    if (touched) t.deepEqual([0, 3, 7].map(i => bytes(address + BigInt(i * PAGE), 1)[0]), [0, 3, 7].map(i => OddDriver.byteOf(i)));
    const before = odd.asked();
    t.deepEqual(pin(vector, address, 8, WRITE), [0, 8, 0, undefined]);
    t.is(odd.asked() - before, 8, 'once for each page');
    t.is(must(SYS.pwrite64, vector, new Uint8Array([1, 2]), 2, 3 * PAGE - 1), 2n);
    t.deepEqual([...bytes(address + BigInt(3 * PAGE - 1), 2)], [1, 2]);
    must(SYS.pwrite64, vector, new Uint8Array([OddDriver.byteOf(2), OddDriver.byteOf(3)]), 2, 3 * PAGE - 1);
    t.is(ioctl(vector, 'UNPIN').result, 0);
  }
  close(vector);
  munmap(address, 8 * PAGE);
});

test.serial('frames in any order, and the same one twice, are told as they are mapped', t => {
  const order = [3, 2, 1, 0, 7, 7, 8, 63];
  const address = mmap(order.length * PAGE, {prot: PROT.NONE});
  order.forEach((first, i) => odd.map(1, {first, at: address + BigInt(i * PAGE)}));
  const vector = createVector(device, order.length);
  t.deepEqual(pin(vector, address, order.length), [0, order.length, 0, undefined]);
  t.is(ioctl(vector, 'STAT').fields.kind, PFNS);
  t.deepEqual(seen(vector, order.length), order.map(i => OddDriver.byteOf(i)));
  close(vector);
  munmap(address, order.length * PAGE);
});
