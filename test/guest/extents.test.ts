/** Extents say in runs what the frame numbers say one by one. */
import {closeSync, openSync} from 'node:fs';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {type BackingName, HAS_THP, backings} from './backings.js';
import {MADV, MAP, PAGE, SYS, bytes, close, createVector, ioctl, mmap, munmap, must, raw} from './raw.js';
import {endsBalanced, framesPinned, pageFlags, pagemap, statusFrames} from './oracles.js';

endsBalanced(test);

const FRAMES = 1024;
const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
const numbers = new BigUint64Array(FRAMES);
const pfns = new BigUint64Array(FRAMES);
const counts = new Uint32Array(FRAMES);

test.after.always(() => {
  closeSync(device);
});

interface Run {
  pfn: bigint;
  count: number;
}

function runsOf(list: readonly bigint[]): Run[] {
  const runs: Run[] = [];
  for (const pfn of list) {
    const last = runs.at(-1);
    if (last !== undefined && last.pfn + BigInt(last.count) === pfn) last.count += 1;
    else runs.push({pfn, count: 1});
  }
  return runs;
}

function extents(vector: number, first = 0, capacity = FRAMES): {runs: Run[]; next: number} {
  const {result, fields} = ioctl(vector, 'EXTENTS', {first, capacity, pfns: raw.address(pfns), counts: raw.address(counts)});
  if (result !== 0) throw new Error(`EXTENTS: ${result}`);
  return {
    runs: Array.from({length: fields.extents ?? 0}, (_, i) => ({pfn: pfns[i] ?? 0n, count: counts[i] ?? 0})),
    next: fields.next ?? 0,
  };
}

function pfnsOf(vector: number, count: number): bigint[] {
  ioctl(vector, 'READ_PFNS', {count, pfns: raw.address(numbers)});
  return [...numbers.subarray(0, count)];
}

for (const name of Object.keys(backings) as BackingName[]) {
  test(`${name}: the extents are the runs of the frame numbers, wherever the range begins`, t => {
    const backing = backings[name](FRAMES * PAGE);
    const vector = createVector(device, FRAMES);
    for (const [first, frames] of [[0, FRAMES], [1, 700], [511, 3], [300, 1], [512, 512]] as const) {
      ioctl(vector, 'PIN', {addr: backing.address + BigInt(first * PAGE), length: frames * PAGE});
      const expected = runsOf(pfnsOf(vector, frames));
      t.deepEqual(extents(vector), {runs: expected, next: frames});
      ioctl(vector, 'TO_PFNS');
      t.deepEqual(extents(vector), {runs: expected, next: frames}, 'as frame numbers, too');
      ioctl(vector, 'UNPIN');
    }
    close(vector);
    backing.free();
  });
}

test('pages in the order of nobody: mapped backwards, every frame is a run of its own', t => {
  const fd = Number(must(SYS.memfd_create, Buffer.from('backwards\0'), 0));
  must(SYS.ftruncate, fd, 600 * PAGE);
  const forwards = mmap(600 * PAGE, {flags: MAP.SHARED | MAP.POPULATE, fd});
  const address = mmap(600 * PAGE);
  for (let i = 0; i < 600; i++) mmap(PAGE, {at: address + BigInt(i * PAGE), flags: MAP.SHARED | MAP.FIXED, fd, offset: (599 - i) * PAGE});
  const vector = createVector(device, 600);
  ioctl(vector, 'PIN', {addr: address, length: 600 * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
  const list = pfnsOf(vector, 600);
  t.deepEqual(extents(vector).runs, runsOf(list));
  t.is(ioctl(vector, 'UNPIN').result, 0);
  close(vector);
  munmap(address, 600 * PAGE);
  munmap(forwards, 600 * PAGE);
  close(fd);
});

test('a huge page with a page of another in its middle is three runs, and is unpinned to the last reference', t => {
  const backing = backings['anonymous, transparent huge pages'](2 ** 21);
  mmap(PAGE, {at: backing.address + BigInt(100 * PAGE), flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED | MAP.POPULATE});
  const vector = createVector(device, 512);
  for (let round = 0; round < 4; round++) {
    ioctl(vector, 'PIN', {addr: backing.address, length: 2 ** 21, flags: uapi.FRAMEVEC_PIN_WRITE});
    const {runs} = extents(vector);
    // Without huge pages it may be more: which pages are neighbours then is chance.
    if (HAS_THP) t.deepEqual(runs.map(({count}) => count), [100, 1, 411]);
    t.deepEqual(runs, runsOf(pfnsOf(vector, 512)));
    ioctl(vector, 'UNPIN');
  }
  close(vector);
  backing.free();
});

test('an array that is too short is filled, and next tells where to go on', t => {
  const address = mmap(4 * PAGE, {flags: MAP.SHARED, fd: device});
  mmap(PAGE, {at: address + BigInt(PAGE), flags: MAP.SHARED | MAP.FIXED, fd: device, offset: 9 * PAGE});
  const vector = createVector(device, 4);
  ioctl(vector, 'PIN', {addr: address, length: 4 * PAGE});
  const all = extents(vector).runs;
  t.deepEqual(all.map(({count}) => count), [1, 1, 2]);
  const first = extents(vector, 0, 2);
  t.deepEqual(first, {runs: all.slice(0, 2), next: 2});
  t.deepEqual(extents(vector, first.next, 2), {runs: all.slice(2), next: 4});
  t.is(ioctl(vector, 'EXTENTS', {first: 4, capacity: 1, counts: raw.address(counts)}).result, 'EINVAL');
  close(vector);
  munmap(address, 4 * PAGE);
});

test('without an array for numbers the counts alone are told, and nobody needs a capability for them', t => {
  const address = mmap(4 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const vector = createVector(device, 4);
  ioctl(vector, 'PIN', {addr: address, length: 4 * PAGE});
  counts.fill(0);
  const arrays = {capacity: 4, counts: raw.address(counts)};
  must(SYS.setresuid, -1, 65534, -1);
  const alone = ioctl(vector, 'EXTENTS', arrays);
  const both = ioctl(vector, 'EXTENTS', {...arrays, pfns: raw.address(pfns)});
  must(SYS.setresuid, -1, 0, -1);
  t.is(alone.result, 0);
  t.is(counts.subarray(0, alone.fields.extents).reduce((sum, count) => sum + count, 0), 4);
  t.is(both.result, 'EPERM');
  close(vector);
  munmap(address, 4 * PAGE);
});

test('a vector that has held a huge page holds scattered pages at the same address, and each is a run of its own', t => {
  const huge = 2 ** 21;
  const place = mmap(2 * huge);
  const address = (place + BigInt(huge - 1)) & -BigInt(huge);
  raw.syscall(SYS.madvise, address, huge, MADV.HUGEPAGE);
  bytes(address, huge).fill(1);
  const vector = createVector(device, 512);
  t.is(ioctl(vector, 'PIN', {addr: address, length: huge, flags: uapi.FRAMEVEC_PIN_WRITE}).result, 0);
  t.is(ioctl(vector, 'UNPIN').result, 0);

  // Filled backwards, so that hardly any two follow each other; and the range ends before the block does.
  const fd = Number(must(SYS.memfd_create, Buffer.from('scattered\0'), 0));
  must(SYS.ftruncate, fd, 300 * PAGE);
  for (let i = 299; i >= 0; i--) must(SYS.pwrite64, fd, new Uint8Array(1), 1, i * PAGE);
  mmap(huge, {at: address, flags: MAP.SHARED | MAP.FIXED, fd});
  const before = framesPinned();
  const {result, fields} = ioctl(vector, 'PIN', {addr: address, length: huge, flags: uapi.FRAMEVEC_PIN_WRITE | uapi.FRAMEVEC_PIN_PARTIAL});
  t.deepEqual([result, fields.frames], [0, 300]);
  const expected = runsOf(pagemap(address, 300));
  t.true(expected.length > 1);
  t.deepEqual(extents(vector), {runs: expected, next: 300});
  t.is(ioctl(vector, 'UNPIN').result, 0);
  t.deepEqual([framesPinned() - before, statusFrames('VmPin')], [0, 0]);
  close(vector);
  close(fd);
  munmap(place, 2 * huge);
});

for (const [words, advice] of [['scattered pages', MADV.NOHUGEPAGE], ['a huge page', MADV.HUGEPAGE]] as const) {
  test(`${words}: unpin marks dirty what was pinned for write, and nothing else`, t => {
    const dirty = 1n << 4n;
    const huge = 2 ** 21;
    const place = mmap(2 * huge);
    const address = (place + BigInt(huge - 1)) & -BigInt(huge);
    raw.syscall(SYS.madvise, address, huge, advice);
    bytes(address, huge).fill(1);
    const vector = createVector(device, 512);
    for (const [flags, expected] of [[0, 0n], [uapi.FRAMEVEC_PIN_WRITE, dirty]] as const) {
      t.is(ioctl(vector, 'PIN', {addr: address, length: huge, flags}).result, 0);
      t.is(ioctl(vector, 'UNPIN').result, 0);
      // Of a huge page, the first of its pages has the mark.
      t.is(pageFlags(pagemap(address, 1)[0] ?? 0n) & dirty, expected);
    }
    close(vector);
    munmap(place, 2 * huge);
  });
}
