/**
 * Bugs that others had who take the user's memory (KVM, vfio, iommufd, io_uring, udmabuf, acrn), by their CVE or the commit that cured
 * them. test/mutants/ has each of them as a patch, put into this module. docs/testing.md has the list, with those that other files test.
 */
import {closeSync, openSync, readdirSync, readlinkSync, writeSync} from 'node:fs';
import test, {type ExecutionContext} from 'ava';
import * as uapi from '../../lib/uapi.js';
import {alignedAnonymous, hugeTmpfs} from './backings.js';
import {tells} from './native.js';
import {ODD_PAGES, OddDriver} from './odd.js';
import {
  type Fields, MADV, MAP, PAGE, PROT, SYS, bytes, close, createVector, errnoName, fieldsOf, ioctl, ioctlAt, memfd, mmap, munmap, must, raw, struct,
} from './raw.js';
import {endsBalanced, framesPinned, pagemap, since, statusFrames} from './oracles.js';

endsBalanced(test);

const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
const HUGE = 512;
const {FRAMEVEC_PIN_WRITE: WRITE, FRAMEVEC_PIN_PARTIAL: PARTIAL} = uapi;

test.after.always(() => {
  closeSync(device);
});

/** Runs of frames that follow each other, by pagemap's word. */
function runsOf(frames: readonly bigint[]): {pfns: bigint[]; counts: number[]} {
  const runs = {pfns: [] as bigint[], counts: [] as number[]};
  frames.forEach((frame, i) => {
    const last = runs.counts.length - 1;
    if (i > 0 && frames[i - 1] === frame - 1n) runs.counts[last] = (runs.counts[last] ?? 0) + 1;
    else {
      runs.pfns.push(frame);
      runs.counts.push(1);
    }
  });
  return runs;
}

function extentsOf(vector: number, frames: number): {pfns: bigint[]; counts: number[]} {
  const pfns = new BigUint64Array(frames);
  const counts = new Uint32Array(frames);
  const {result, fields} = ioctl(vector, 'EXTENTS', {capacity: frames, pfns, counts});
  if (result !== 0) throw new Error(`EXTENTS: ${result}`);
  return {pfns: [...pfns.subarray(0, fields.extents)], counts: [...counts.subarray(0, fields.extents)]};
}

// --- sizes and addresses ---------------------------------------------------------------------------

const CORNERS = [0n, 2n ** 47n, 2n ** 63n, 2n ** 64n];
const around = (values: readonly bigint[]): bigint[] => values.flatMap(corner => [-4097n, -4096n, -50n, -1n, 0n, 1n, 50n, 4096n].map(more => corner + more));
const addresses = around(CORNERS).map(value => BigInt.asUintN(64, value));

/** A PIN that has to be refused, and to leave nothing. */
function refused(t: ExecutionContext, vector: number, addr: bigint, length: bigint, flags: number): void {
  const {result, fields} = ioctl(vector, 'PIN', {addr, length, flags});
  const words = `${addr.toString(16)} + ${length.toString(16)}, flags ${flags}`;
  const whole = addr + length;
  if (length === 0n || whole > 2n ** 64n || (whole - 1n) / 4096n - addr / 4096n >= 8n) t.is(result, 'EINVAL', words);
  else t.deepEqual([result, fields.reason, fields.fail_addr], ['EFAULT', uapi.FRAMEVEC_REASON_NO_MAPPING, Number(addr & -4096n)], words);
  t.deepEqual([fields.frames, ioctl(vector, 'STAT').fields.kind], [0, uapi.FRAMEVEC_KIND_NONE], words);
}

test.serial('CVE-2024-53187, CVE-2023-54239, CVE-2023-53327: address and length at the corners of the address space', t => {
  const vector = createVector(device, 8);
  for (const addr of addresses) {
    for (const length of [...new Set([...addresses, ...addresses.map(end => BigInt.asUintN(64, end - addr))])]) {
      // From the first page of the process's own on it may be mapped.
      if (addr < 2n ** 16n && length > 2n ** 16n && length < 2n ** 47n) continue;
      for (const flags of [0, WRITE | PARTIAL]) refused(t, vector, addr, length, flags);
    }
  }
  close(vector);
});

test.serial('CVE-2024-53187: a length that wraps to within the first page of memory that is there', t => {
  const memory = mmap(8 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const vector = createVector(device, 8);
  for (const offset of [1n, 50n, 100n, 4095n]) {
    for (const less of [1n, 49n, 50n, 99n, 4094n, 4096n, 8192n]) refused(t, vector, memory + offset, 2n ** 64n - less, PARTIAL);
  }
  close(vector);
  munmap(memory, 8 * PAGE);
});

test.serial('CVE-2025-38688: the end of the range is rounded up to 2^64, from any byte of the last page', t => {
  const vector = createVector(device, 8);
  for (const start of [0xffff_ffff_ffff_f000n, 0xffff_ffff_ffff_f001n, 0xffff_ffff_ffff_ffffn, 0xffff_ffff_ffff_d123n]) {
    for (const end of [2n ** 64n, 2n ** 64n - 1n, 2n ** 64n - 4000n]) {
      if (end > start) for (const flags of [0, WRITE, PARTIAL, WRITE | PARTIAL]) refused(t, vector, start, end - start, flags);
    }
  }
  close(vector);
});

test.serial('1c0844c6184e, CVE-2021-47649: sizes and offsets at the corners: vectors, frame numbers, extents, read() and write()', t => {
  for (const capacity of [...around(CORNERS), ...around([2n ** 31n, 2n ** 32n])].map(value => BigInt.asUintN(64, value))) {
    const {result, fields} = ioctl(device, 'CREATE', {capacity});
    if (capacity > 0n && capacity <= 8192n) {
      t.is(result, 0, String(capacity));
      close(fields.fd ?? -1);
    } else {
      t.is(result, 'EINVAL', String(capacity));
    }
  }
  const memory = mmap(2 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const vector = createVector(device, 2);
  t.is(ioctl(vector, 'PIN', {addr: memory, length: 2 * PAGE, flags: WRITE}).result, 0);
  const numbers = new BigUint64Array(2);
  const counts = new Uint32Array(2);
  const byte = new Uint8Array(1);
  for (const first of addresses) {
    for (const count of addresses) {
      const fits = first + count <= 2n && count > 0n;
      t.is(ioctl(vector, 'READ_PFNS', {first, count, pfns: numbers}).result, fits ? 0 : 'EINVAL', `${first} ${count}`);
    }
    t.is(ioctl(vector, 'EXTENTS', {first, capacity: 2, pfns: numbers, counts}).result, first < 2n ? 0 : 'EINVAL', String(first));
    const inside = first < BigInt(2 * PAGE);
    // Or the byte behind it would be.
    const negative = first >= 2n ** 63n - 1n;
    t.is(errnoName(raw.syscall(SYS.pread64, vector, byte, 1, first)), negative ? 'EINVAL' : inside ? 1 : 0, String(first));
    t.is(errnoName(raw.syscall(SYS.pwrite64, vector, byte, 1, first)), negative ? 'EINVAL' : inside ? 1 : 'ENOSPC', String(first));
  }
  close(vector);
  munmap(memory, 2 * PAGE);
});

test.serial('021ba7f1babd, CVE-2021-47649: no page beyond the aperture is mapped, whatever the offset', t => {
  const pages = (ioctl(device, 'INFO').fields.aperture_size ?? 0) / PAGE;
  for (const [length, offset] of [[1, pages], [1, pages + 1], [2, pages - 1], [pages, 1], [1, 2 ** 31], [1, 2 ** 32], [1, 2 ** 39], [pages, 2 ** 39 - pages]] as const) {
    const result = raw.syscall(SYS.mmap, 0, length * PAGE, PROT.READ | PROT.WRITE, MAP.SHARED, device, BigInt(offset) * BigInt(PAGE));
    t.is(errnoName(result), 'EINVAL', `${length} pages at ${offset}`);
  }
  const last = mmap(PAGE, {flags: MAP.SHARED, fd: device, offset: (pages - 1) * PAGE});
  bytes(last, PAGE).fill(1);
  munmap(last, PAGE);
});

// --- frames that do not follow each other ----------------------------------------------------------

/** For each page of a range, which page of a file is mapped there. */
const ORDERS: Record<string, number[]> = {
  'one page in all places': Array.from({length: HUGE}, () => 7),
  backwards: Array.from({length: HUGE}, (_, i) => HUGE - 1 - i),
  'two runs, interleaved': Array.from({length: HUGE}, (_, i) => (i % 2 === 0 ? i / 2 : HUGE / 2 + (i - 1) / 2)),
  'in order but for two neighbours in the middle': Array.from({length: HUGE}, (_, i) => (i === 200 ? 201 : i === 201 ? 200 : i)),
  'in order but for one page that is there twice': Array.from({length: HUGE}, (_, i) => (i === 300 ? 299 : i)),
};

for (const [kind, open] of Object.entries({
  'small pages': () => memfd('order', HUGE * PAGE),
  'a huge page': () => Number(must(SYS.open, Buffer.from(`${hugeTmpfs()}/order\0`), 0o102, 0o600)),
})) {
  for (const [words, order] of Object.entries(ORDERS)) {
    test.serial(`CVE-2023-2598: pages of ${kind}, ${words}: extents, bytes and the last reference are those of what is mapped`, t => {
      const fd = open();
      must(SYS.ftruncate, fd, HUGE * PAGE);
      for (let i = 0; i < HUGE; i++) must(SYS.pwrite64, fd, new Uint16Array([i]), 2, i * PAGE);
      const backing = alignedAnonymous(HUGE * PAGE, MADV.NOHUGEPAGE);
      const {address} = backing;
      order.forEach((page, i) => mmap(PAGE, {at: address + BigInt(i * PAGE), flags: MAP.SHARED | MAP.FIXED | MAP.POPULATE, fd, offset: page * PAGE}));
      const frames = pagemap(address, HUGE);
      const vector = createVector(device, HUGE);
      const before = framesPinned();
      t.is(ioctl(vector, 'PIN', {addr: address, length: HUGE * PAGE, flags: WRITE}).result, 0);
      t.is(framesPinned() - before, HUGE);
      const numbers = new BigUint64Array(HUGE);
      t.is(ioctl(vector, 'READ_PFNS', {count: HUGE, pfns: numbers}).result, 0);
      t.deepEqual([...numbers], frames);
      t.deepEqual(extentsOf(vector, HUGE), runsOf(frames));
      const seen = new Uint16Array(1);
      t.deepEqual(order.map((_, i) => must(SYS.pread64, vector, seen, 2, i * PAGE) === 2n ? seen[0] : -1), order);
      t.is(ioctl(vector, 'UNPIN').result, 0);
      t.is(framesPinned(), before);
      close(vector);
      backing.free();
      close(fd);
    });
  }
}

test.serial('3a3c6d61577d: a huge page pinned from any page on, for any length: each is unpinned as often as it was pinned', t => {
  const backing = alignedAnonymous(2 * HUGE * PAGE, MADV.HUGEPAGE);
  const {address} = backing;
  bytes(address, 2 * HUGE * PAGE).fill(1);
  const vector = createVector(device, 2 * HUGE);
  const offsets = [0, 1, 2, 7, 31, 255, 256, 257, 400, 510, 511, 512, 513, 700, 1022, 1023];
  const lengths = [1, 2, 3, 5, 31, 32, 100, 255, 256, 257, 509, 510, 511, 512, 513, 514, 800, 1023, 1024];
  for (const offset of offsets) {
    for (const length of lengths.filter(pages => offset + pages <= 2 * HUGE)) {
      const words = `${length} from ${offset} on`;
      t.is(ioctl(vector, 'PIN', {addr: address + BigInt(offset * PAGE), length: length * PAGE, flags: WRITE}).result, 0, words);
      t.deepEqual([framesPinned(), statusFrames('VmPin')], [length, length], words);
      t.is(ioctl(vector, 'UNPIN').result, 0, words);
      t.deepEqual([framesPinned(), statusFrames('VmPin')], [0, 0], words);
    }
  }
  // A reference too few or too many would show when the pages are freed.
  close(vector);
  backing.free();
});

// --- device mappings -------------------------------------------------------------------------------

test.serial('3d6586008f7b: a foreign page, or one that may only be read, in the middle of device memory', t => {
  using odd = new OddDriver();
  const address = mmap(8 * PAGE, {prot: PROT.NONE});
  odd.map(8, {at: address});
  odd.map(1, {at: address + BigInt(3 * PAGE), first: 40});
  const vector = createVector(device, 8);
  const page = new Uint8Array(1);
  t.is(ioctl(vector, 'PIN', {addr: address, length: 8 * PAGE, flags: WRITE}).fields.frames, 8);
  const seen = Array.from({length: 8}, (_, i) => must(SYS.pread64, vector, page, 1, i * PAGE) === 1n ? page[0] : -1);
  t.deepEqual(seen, [0, 1, 2, 40, 4, 5, 6, 7].map(i => OddDriver.byteOf(i)));
  t.is(ioctl(vector, 'UNPIN').result, 0);

  odd.map(1, {at: address + BigInt(3 * PAGE), first: 3, prot: PROT.READ});
  t.is(ioctl(vector, 'PIN', {addr: address, length: 8 * PAGE}).fields.frames, 8);
  t.is(ioctl(vector, 'UNPIN').result, 0);
  const told = ioctl(vector, 'PIN', {addr: address, length: 8 * PAGE, flags: WRITE});
  t.deepEqual([told.result, told.fields.reason, told.fields.fail_addr], ['EFAULT', uapi.FRAMEVEC_REASON_NOT_WRITABLE, Number(address) + 3 * PAGE]);
  t.is(ioctl(vector, 'PIN', {addr: address, length: 8 * PAGE, flags: WRITE | PARTIAL}).fields.frames, 3);
  close(vector);
  munmap(address, 8 * PAGE);
});

test.serial('CVE-2021-22543: the pages of a driver, mapped as device memory, keep their references through snapshots of them', t => {
  using odd = new OddDriver();
  const address = odd.map(ODD_PAGES);
  const vector = createVector(device, ODD_PAGES);
  const before = framesPinned();
  for (let round = 0; round < 8; round++) {
    t.is(ioctl(vector, 'PIN', {addr: address, length: ODD_PAGES * PAGE, flags: WRITE}).fields.kind, uapi.FRAMEVEC_KIND_PFNS);
    t.is(ioctl(vector, 'TO_PAGES').result, 0);
    t.is(framesPinned(), before);
    t.is(ioctl(vector, 'STAT').fields.state, uapi.FRAMEVEC_STATE_WRITE);
    t.is(ioctl(vector, 'UNPIN').result, 0);
    t.is(framesPinned(), before);
  }
  const seen = new Uint8Array(1);
  t.is(ioctl(vector, 'PIN', {addr: address, length: ODD_PAGES * PAGE}).result, 0);
  t.is(must(SYS.pread64, vector, seen, 1, 5 * PAGE), 1n);
  t.is(seen[0], OddDriver.byteOf(5));
  close(vector);
  munmap(address, ODD_PAGES * PAGE);
  // The driver frees its pages at its end: if they had been put, the kernel would complain now.
});

// --- descriptors and answers -----------------------------------------------------------------------

function vectorsOpen(): number {
  return readdirSync('/proc/self/fd').filter(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[framevec]';
    } catch {
      return false;
    }
  }).length;
}

test.serial('CVE-2025-38595: a vector whose number could not be told is not installed', t => {
  const page = mmap(PAGE);
  bytes(page, PAGE).set(struct('CREATE', {capacity: 8}));
  must(SYS.mprotect, page, PAGE, PROT.READ);
  const before = vectorsOpen();
  for (let i = 0; i < 16; i++) t.is(ioctlAt(device, 'CREATE', page), 'EFAULT');
  t.is(vectorsOpen(), before);
  munmap(page, PAGE);
});

test.serial('CVE-2025-38595: another thread closes the number of a vector as soon as it is there', t => {
  const told = tells('past_bugs', ['close-at-once', 3000]);
  t.deepEqual([told.wrong, told.charged], [0, 0], JSON.stringify(told));
  t.true(Number(told.closed) >= 100, JSON.stringify(told));
});

test.serial('CVE-2023-54137: arrays are written as far as there is something to tell, and no further', t => {
  const memory = mmap(100 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const vector = createVector(device, 100);
  t.is(ioctl(vector, 'PIN', {addr: memory, length: 100 * PAGE, flags: WRITE}).result, 0);
  const untouched = 0xa5a5_a5a5_a5a5_a5a5n;
  const pfns = new BigUint64Array(256);
  const counts = new Uint32Array(256);
  for (const count of [1, 3, 63, 64, 65, 100]) {
    pfns.fill(untouched);
    t.is(ioctl(vector, 'READ_PFNS', {count, pfns}).result, 0);
    t.true(pfns.subarray(count).every(number => number === untouched), `${count} frame numbers`);
    t.false(pfns.subarray(0, count).includes(untouched));
  }
  for (const capacity of [1, 2, 5, 200]) {
    pfns.fill(untouched);
    counts.fill(0xa5a5_a5a5);
    const {extents = 0} = ioctl(vector, 'EXTENTS', {capacity, pfns, counts}).fields;
    t.true(extents > 0 && extents <= capacity);
    t.true(pfns.subarray(extents).every(number => number === untouched), `${extents} extents`);
    t.true(counts.subarray(extents).every(number => number === 0xa5a5_a5a5), `${extents} extents`);
  }
  close(vector);
  munmap(memory, 100 * PAGE);
});

/** Fields of each answer; and those that differ from call to call. */
const ANSWERS: Record<string, {name: Parameters<typeof ioctl>[1]; fields: Fields; out: string[]; on: 'device' | 'vector'; result: string | number}> = {
  INFO: {name: 'INFO', fields: {}, on: 'device', result: 0, out: ['abi', 'page_size', 'max_frames', 'features', 'aperture_size']},
  CREATE: {name: 'CREATE', fields: {capacity: 8}, on: 'device', result: 0, out: ['memlock_scope', 'memlock_need', 'memlock_used', 'memlock_limit']},
  STAT: {name: 'STAT', fields: {}, on: 'vector', result: 0, out: ['kind', 'state', 'capacity', 'frames', 'offset', 'length']},
  'PIN, refused': {
    name: 'PIN', fields: {addr: 0, length: PAGE}, on: 'vector', result: 'EFAULT',
    out: ['kind', 'offset', 'frames', 'reason', 'fail_addr', 'memlock_need', 'memlock_used', 'memlock_limit', 'gup_ns', 'call_ns', 'memlock_scope'],
  },
};

for (const [words, {name, fields, out, on, result}] of Object.entries(ANSWERS)) {
  test.serial(`CVE-2023-54137: ${words}: no field of the answer is what the caller left in it`, t => {
    const vector = createVector(device, 8);
    const answers = [0n, 0xffff_ffff_ffff_ffffn].map(left => {
      const data = struct(name, {...Object.fromEntries(out.map(field => [field, left])), ...fields});
      t.is(ioctlAt(on === 'device' ? device : vector, name, data), result);
      const {fd, ...answer} = fieldsOf(name, data);
      if (fd !== undefined) close(fd);
      return answer;
    });
    t.deepEqual(answers[0], answers[1]);
    close(vector);
  });
}

test.serial('CVE-2023-54137: a PIN that succeeds and UNPIN: no field of the answer is what the caller left in it', t => {
  const memory = mmap(2 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const vector = createVector(device, 2);
  const left = 0xffff_ffff_ffff_ffffn;
  const pin = ioctl(vector, 'PIN', {
    addr: memory + 8n, length: PAGE, kind: left, offset: left, frames: left, reason: left, fail_addr: left,
    memlock_need: left, memlock_used: left, memlock_limit: left, gup_ns: left, call_ns: left, memlock_scope: left,
  });
  t.like(pin, {result: 0, fields: {
    kind: uapi.FRAMEVEC_KIND_PAGES, offset: 8, frames: 2, reason: 0, fail_addr: 0, memlock_need: 0, memlock_used: 0, memlock_limit: 0, gup_ns: 0, call_ns: 0, memlock_scope: 0,
  }});
  for (const conversion of ['TO_PFNS', 'TO_PAGES'] as const) {
    t.like(ioctl(vector, conversion, {reason: left, frame: left}), {result: 0, fields: {reason: 0, frame: 0}});
  }
  t.like(ioctl(vector, 'UNPIN', {frames: left, gup_ns: left, call_ns: left}), {result: 0, fields: {frames: 2, gup_ns: 0, call_ns: 0}});
  close(vector);
  munmap(memory, 2 * PAGE);
});

// --- memory of a special kind ----------------------------------------------------------------------

test.serial('CVE-2024-35872: secret memory, faulted in on one processor and pinned at once on another, is refused', t => {
  const told = tells('past_bugs', ['secret', 20]);
  if (since([5, 14])) t.deepEqual(told, {able: 1, all_refused: 1, wrong: 0});
  else t.deepEqual(told, {able: 0});
});

test.serial('CVE-2025-38085: hugetlb memory whose page table is shared and unshared meanwhile is pinned whole', t => {
  const pages = openSync('/proc/sys/vm/nr_hugepages', 'w');
  writeSync(pages, '8');
  try {
    t.deepEqual(tells('past_bugs', ['unshare', 200]), {pinned: 200, wrong: 0, charged: 0});
  } finally {
    writeSync(pages, '0', 0);
    closeSync(pages);
  }
});
