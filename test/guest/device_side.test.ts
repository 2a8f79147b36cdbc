/** What a device sees and does: reads, writes, runs and conversions through the kernel's own view of the frames. */
import {closeSync, openSync, readFileSync} from 'node:fs';
import test from 'ava';
import {FrameVector, FrameVectorError, info, type PinnableMemory} from '../../lib/index.js';
import * as uapi from '../../lib/uapi.js';
import {HAS_THP} from './backings.js';
import {MADV, MAP, PAGE, SYS, bytes, close, createVector, errnoName, ioctl, memfd, mmap, munmap, must, raw} from './raw.js';
import {endsBalanced, pagemap, statusFrames} from './oracles.js';

endsBalanced(test);

const {pageSize} = info();
const MEBIBYTE = 2 ** 20;

function filled(bytes: number): PinnableMemory {
  const memory = FrameVector.alloc(bytes, {hugepages: false});
  memory.bytes.forEach((_, i) => (memory.bytes[i] = i * 7 + (i >> 8)));
  return memory;
}

/** Runs of frames that follow each other, by pagemap's word. */
function runsOf(pfns: bigint[]): {pfns: bigint[]; counts: number[]} {
  const runs = {pfns: [] as bigint[], counts: [] as number[]};
  pfns.forEach((pfn, i) => {
    const last = runs.counts.length - 1;
    if (i > 0 && pfns[i - 1] === pfn - 1n) runs.counts[last] = (runs.counts[last] ?? 0) + 1;
    else {
      runs.pfns.push(pfn);
      runs.counts.push(1);
    }
  });
  return runs;
}

test.serial('read() sees what the process has written, from the first byte of the view', t => {
  using memory = filled(5 * pageSize);
  const view = memory.bytes.subarray(100, 4 * pageSize + 50);
  using vector = FrameVector.pin(view, {unaligned: true});
  for (const [offset, length] of [[0, 1], [0, view.length], [pageSize - 101, 3], [pageSize, 2 * pageSize], [view.length - 1, 1]] as const) {
    const into = new Uint8Array(length);
    t.is(vector.read(offset, into), length);
    t.deepEqual(into, view.slice(offset, offset + length), `${length} bytes at ${offset}`);
  }
});

test.serial('what write() writes is in the process\'s memory, and nothing beside it', t => {
  using memory = filled(3 * pageSize);
  const before = memory.bytes.slice();
  using vector = FrameVector.pin(memory.bytes.subarray(100, 2 * pageSize + 50), {write: true, unaligned: true});
  const text = Buffer.from('from the device\'s side');
  t.is(vector.write(pageSize - 110, text), text.length);
  before.set(text, pageSize - 10);
  t.deepEqual(memory.bytes, before);
});

test.serial('a transfer is short where the range ends, and the neighbours are out of reach', t => {
  using memory = filled(2 * pageSize);
  const before = memory.bytes.slice();
  using vector = FrameVector.pin(memory.bytes.subarray(10, pageSize), {write: true, unaligned: true});
  const end = vector.byteLength;
  const into = new Uint8Array(100).fill(0xee);
  t.is(vector.read(end - 30, into), 30);
  t.deepEqual(into.subarray(0, 30), memory.bytes.slice(pageSize - 30, pageSize));
  t.true(into.subarray(30).every(byte => byte === 0xee));
  t.is(vector.read(end, into), 0);
  t.is(vector.read(end + pageSize, into), 0);
  t.is(vector.write(end - 30, new Uint8Array(100).fill(1)), 30);
  before.fill(1, pageSize - 30, pageSize);
  t.deepEqual(memory.bytes, before);
  const error = t.throws(() => vector.write(end, into), {instanceOf: FrameVectorError, code: 'ENOSPC'});
  t.regex(error.message, /^write: the offset is at the end of the range/);
  t.is(vector.write(end, new Uint8Array(0)), 0, 'nothing is nowhere');
});

/** Pages of which the second half has gone: a raw call only can be given such a buffer. */
function halfGone(pages: number, fill: number): {address: bigint; free: () => void} {
  const address = mmap(pages * PAGE);
  bytes(address, pages * PAGE).fill(fill);
  munmap(address + BigInt((pages / 2) * PAGE), (pages / 2) * PAGE);
  return {address, free: () => {
    munmap(address, (pages / 2) * PAGE);
  }};
}

for (const kind of ['a pin', 'a snapshot'] as const) {
  test.serial(`write() from a buffer that ends in a hole writes up to there into ${kind}, and what is behind stays as it is`, t => {
    const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
    const address = mmap(4 * PAGE, kind === 'a pin' ? {} : {flags: MAP.SHARED, fd: device});
    const memory = bytes(address, 4 * PAGE).fill(0x11);
    const vector = createVector(device, 4);
    t.is(ioctl(vector, 'PIN', {addr: address, length: 4 * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE}).fields.frames, 4);
    const source = halfGone(4, 0x22);
    // From a byte that is neither the first of a page nor of a word, to one that is not either.
    for (const [from, to] of [[PAGE + 1, 100], [1, 7], [2 * PAGE - 3, 4093]] as const) {
      memory.fill(0x11);
      const there = 2 * PAGE - from;
      const result = raw.syscall(SYS.pwrite64, vector, source.address + BigInt(from), there + 3000, to);
      // The kernel may copy in words, and leave out the last few bytes; of a snapshot, it goes by 256 at most.
      const slack = kind === 'a pin' ? 8 : 256;
      if (result === -14n) t.true(there <= slack, 'nothing was written');
      else t.true(result <= BigInt(there) && result >= BigInt(there - slack), `${result} of ${there}`);
      const written = result > 0n ? Number(result) : 0;
      t.true(memory.every((byte, i) => byte === (i >= to && i < to + written ? 0x22 : i >= to + written && i < to + there ? byte : 0x11)), `${from} to ${to}`);
      t.false(memory.includes(0), 'nothing is zeroed');
    }
    t.is(errnoName(raw.syscall(SYS.pwrite64, vector, source.address + BigInt(2 * PAGE), 100, 0)), 'EFAULT');
    source.free();
    close(vector);
    munmap(address, 4 * PAGE);
    closeSync(device);
  });

  test.serial(`read() of ${kind} into a buffer that ends in a hole reads up to there, and the position is where it got to`, t => {
    const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
    const address = mmap(4 * PAGE, kind === 'a pin' ? {} : {flags: MAP.SHARED, fd: device});
    bytes(address, 4 * PAGE).fill(0x33);
    const vector = createVector(device, 4);
    t.is(ioctl(vector, 'PIN', {addr: address, length: 4 * PAGE}).fields.frames, 4);
    const target = halfGone(4, 0x44);
    const there = PAGE - 1;
    const result = raw.syscall(SYS.read, vector, target.address + BigInt(PAGE + 1), 3 * PAGE);
    const slack = kind === 'a pin' ? 8 : 256;
    t.true(result <= BigInt(there) && result >= BigInt(there - slack), `${result} of ${there}`);
    t.is(must(SYS.lseek, vector, 0, 1), result);
    const into = bytes(target.address, 2 * PAGE);
    t.true(into.subarray(0, PAGE + 1).every(byte => byte === 0x44));
    t.true(into.subarray(PAGE + 1, PAGE + 1 + Number(result)).every(byte => byte === 0x33));
    t.is(errnoName(raw.syscall(SYS.read, vector, target.address + BigInt(2 * PAGE), 100)), 'EFAULT');
    target.free();
    close(vector);
    munmap(address, 4 * PAGE);
    closeSync(device);
  });
}

test.serial('a frame that fails while it is pinned can be neither read nor written', t => {
  const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  const fd = memfd('failing', 4 * PAGE);
  const address = mmap(4 * PAGE, {flags: MAP.SHARED, fd});
  bytes(address, 4 * PAGE).fill(0x66);
  const vector = createVector(device, 4);
  t.is(ioctl(vector, 'PIN', {addr: address, length: 4 * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE}).result, 0);
  // By a child: it may cost the process its life.
  raw.inChild([[SYS.madvise, address + BigInt(2 * PAGE), PAGE, MADV.HWPOISON]]);
  const buffer = new Uint8Array(4 * PAGE);
  for (const call of [SYS.pread64, SYS.pwrite64]) {
    t.is(errnoName(raw.syscall(call, vector, buffer, PAGE, 2 * PAGE)), 'EHWPOISON');
    t.is(raw.syscall(call, vector, buffer, 4 * PAGE, 0), BigInt(2 * PAGE), 'what is before it');
  }
  t.is(ioctl(vector, 'UNPIN').result, 0);
  close(vector);
  munmap(address, 4 * PAGE);
  close(fd);
  closeSync(device);
});

test.serial('lseek() moves the position of read() and write() within the range, and tells its length', t => {
  const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  const length = 2 * PAGE - 100;
  const address = mmap(2 * PAGE);
  bytes(address, PAGE).fill(0x41);
  bytes(address + BigInt(PAGE), PAGE).fill(0x42);
  const vector = createVector(device, 2);
  const [SET, CUR, END] = [0, 1, 2];
  const seek = (offset: number, whence: number): number | string => {
    const result = raw.syscall(SYS.lseek, vector, offset, whence);
    return result < 0n ? errnoName(result) : Number(result);
  };
  const next = (): number | undefined => {
    const byte = new Uint8Array(1);
    return must(SYS.read, vector, byte, 1) === 1n ? byte[0] : undefined;
  };
  t.is(seek(0, END), 0, 'an empty vector has nothing to move in');
  t.is(seek(1, SET), 'EINVAL');
  t.is(ioctl(vector, 'PIN', {addr: address + 100n, length, flags: uapi.FRAMEVEC_PIN_WRITE}).result, 0);
  t.is(seek(PAGE - 100, SET), PAGE - 100);
  t.is(next(), 0x42);
  t.is(seek(0, CUR), PAGE - 99);
  t.is(seek(-2, CUR), PAGE - 101);
  t.is(next(), 0x41);
  t.is(seek(0, END), length);
  t.is(next(), undefined);
  t.is(seek(-1, END), length - 1);
  t.is(must(SYS.write, vector, new Uint8Array([7, 7]), 2), 1n);
  t.deepEqual([bytes(address + BigInt(2 * PAGE - 1), 1)[0], seek(0, CUR)], [7, length]);
  for (const [offset, whence] of [[-1, SET], [1, END], [length + 1, SET], [-length - 1, END], [-(2 ** 40), CUR]] as const) {
    t.is(seek(offset, whence), 'EINVAL', `${offset} from ${whence}`);
  }
  t.is(seek(0, 9), 'EINVAL');
  t.is(seek(0, CUR), length, 'what fails does not move it');
  close(vector);
  munmap(address, 2 * PAGE);
  closeSync(device);
});

test.serial('any view may be read into and written from, also one of shared memory', t => {
  using memory = filled(pageSize);
  using vector = FrameVector.pin(memory, {write: true});
  const floats = new Float64Array(new SharedArrayBuffer(64), 16, 2);
  t.is(vector.read(0, floats), 16);
  t.deepEqual(Buffer.from(floats.buffer, 16, 16), Buffer.from(memory.buffer, 0, 16));
  t.is(vector.write(128, new DataView(Uint8Array.of(0, 0, 9, 8, 7).buffer, 2)), 3);
  t.deepEqual([...memory.bytes.subarray(128, 131)], [9, 8, 7]);
});

test.serial('write() without a write pin is EBADF, and says how to pin', t => {
  using memory = filled(pageSize);
  using vector = FrameVector.pin(memory);
  const before = memory.bytes.slice();
  const error = t.throws(() => vector.write(0, new Uint8Array(8)), {instanceOf: FrameVectorError, code: 'EBADF'});
  t.like(error, {errno: -9, syscall: 'pwrite'});
  t.regex(error.message, /pin with \{write: true\}/);
  t.deepEqual(memory.bytes, before);
});

test.serial('read() and write() of wrong arguments, of an empty and of a closed vector', t => {
  const vector = FrameVector.create(1);
  const into = new Uint8Array(4);
  for (const method of ['read', 'write'] as const) {
    for (const offset of [-1, 0.5, NaN, 2 ** 53]) t.throws(() => vector[method](offset, into), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'});
    t.throws(() => vector[method]('0' as unknown as number, into), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
    t.throws(() => vector[method](0, new ArrayBuffer(4) as unknown as Uint8Array), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
    t.throws(() => vector[method](0, into), {code: 'ENODATA'});
  }
  vector.close();
  t.throws(() => vector.read(0, into), {code: 'ERR_FRAMEVEC_CLOSED'});
  t.throws(() => vector.write(0, into), {code: 'ERR_FRAMEVEC_CLOSED'});
});

test.serial('extents() are the runs that pagemap shows, and their counts add up', t => {
  using memory = filled(MEBIBYTE);
  using vector = FrameVector.pin(memory, {write: true});
  const {pfns, counts} = vector.extents();
  const runs = runsOf(pagemap(BigInt(vector.address), vector.frames));
  t.deepEqual([...pfns], runs.pfns);
  t.deepEqual([...counts], runs.counts);
  t.deepEqual(vector.extents({pfns: false}), {counts});
});

test.serial('a thousand extents come as whole as one: no two neighbours are in a run', t => {
  // Every other page of one mapping is given a frame first, and the rest later, so that most runs are short.
  using memory = FrameVector.alloc(8 * MEBIBYTE, {hugepages: false});
  using other = FrameVector.alloc(8 * MEBIBYTE, {hugepages: false});
  for (let at = 0; at < memory.byteLength; at += pageSize) {
    memory.bytes[at] = 1;
    other.bytes[at] = 1;
  }
  using vector = FrameVector.pin(memory, {write: true});
  const {pfns, counts} = vector.extents();
  const runs = runsOf(pagemap(BigInt(vector.address), vector.frames));
  t.true(runs.counts.length > 500, `${runs.counts.length} runs are more than the library asks for at once`);
  t.deepEqual([...pfns], runs.pfns);
  t.deepEqual([...counts], runs.counts);
});

test.serial('a huge page is one extent, where the kernel has huge pages', t => {
  using memory = FrameVector.alloc(2 * MEBIBYTE, {hugepages: true});
  memory.bytes.fill(1);
  t.is(errnoName(raw.syscall(SYS.madvise, raw.address(memory.buffer), 2 * MEBIBYTE, MADV.HUGEPAGE)), HAS_THP ? 0 : 'EINVAL');
  using vector = FrameVector.pin(memory, {write: true});
  const smaps = /AnonHugePages:\s+2048 kB/.test(readFileSync('/proc/self/smaps', 'utf8'));
  t.is(smaps, HAS_THP, 'the machine has given a huge page');
  const counts = [...vector.extents().counts];
  if (HAS_THP) t.deepEqual(counts, [2 * MEBIBYTE / PAGE]);
  else t.is(counts.reduce((sum, count) => sum + count), 2 * MEBIBYTE / PAGE);
});

test.serial('extents() of an empty and of a closed vector', t => {
  const vector = FrameVector.create(1);
  t.throws(() => vector.extents(), {instanceOf: FrameVectorError, code: 'ENODATA'});
  t.throws(() => vector.extents({pfns: 'no' as unknown as true}), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
  vector.close();
  t.throws(() => vector.extents(), {code: 'ERR_FRAMEVEC_CLOSED'});
});

test.serial('a pin turned into frame numbers is still a pin, and turns back', t => {
  using memory = filled(4 * pageSize);
  using vector = FrameVector.pin(memory, {write: true});
  const pfns = vector.pfns();
  vector.toPfns();
  t.is(vector.kind, 'pfns');
  t.like(vector.stat(), {kind: 'pfns', gotRef: true, stale: false});
  t.is(statusFrames('VmPin'), 4);
  t.false(vector.stale);
  t.deepEqual(vector.pfns(), pfns);
  memory.close();
  t.deepEqual(vector.pfns(), pfns, 'closed memory stays mapped until unpin()');
  vector.toPfns();
  vector.toPages();
  t.is(vector.kind, 'pages');
  t.is(vector.unpin(), 4);
  t.is(statusFrames('VmPin'), 0);
  for (const method of ['toPages', 'toPfns'] as const) {
    t.throws(() => {
      vector[method]();
    }, {instanceOf: FrameVectorError, code: 'ENODATA'});
  }
});
