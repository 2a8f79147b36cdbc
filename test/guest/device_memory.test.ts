/** Device memory from JavaScript: BARs, the display, /dev/mem, the aperture; their frames, registers and ends. */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, readFileSync, readdirSync, readlinkSync, truncateSync, writeFileSync} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import test from 'ava';
import {DeviceMemory, FrameVector, FrameVectorError, PinnableMemory, info} from '../../lib/index.js';
import {PAGE} from './raw.js';
import {endsBalanced, framesPinned, statusFrames} from './oracles.js';

endsBalanced(test);

/** A BAR of the device with these vendor and device numbers, and what sysfs tells of it. */
function bar(id: string, index: number): {path: string; pfn: bigint; length: number} {
  const bus = '/sys/bus/pci/devices';
  const found = readdirSync(bus).sort().find(name => {
    const read = (file: string): string => readFileSync(`${bus}/${name}/${file}`, 'utf8').trim();
    return `${read('vendor')}:${read('device')}` === id;
  });
  if (found === undefined) throw new Error(`the VM has no ${id}`);
  // One that a driver has is enabled, and can't be by others.
  if (readFileSync(`${bus}/${found}/enable`, 'utf8').trim() === '0') writeFileSync(`${bus}/${found}/enable`, '1');
  const [start = '', end = ''] = (readFileSync(`${bus}/${found}/resource`, 'utf8').split('\n')[index] ?? '').split(' ');
  return {path: `${bus}/${found}/resource${index}`, pfn: BigInt(start) / BigInt(PAGE), length: Number(BigInt(end) - BigInt(start)) + 1};
}

const HUGE = 2 ** 21;
const IVSHMEM = '0x1af4:0x1110';
const TESTDEV = '0x1b36:0x0005';

for (const [words, id, index] of [
  ['the memory of ivshmem-plain', IVSHMEM, 2],
  ['the registers of ivshmem-plain, less than a page,', IVSHMEM, 0],
  ['the memory of pci-testdev', TESTDEV, 2],
] as const) {
  test.serial(`${words} is mapped whole by default, and its frames are where sysfs says`, t => {
    const {path, pfn, length} = bar(id, index);
    using memory = DeviceMemory.map(path);
    t.is(memory.byteLength, length);
    using vector = FrameVector.pin(memory);
    const frames = Math.ceil(length / PAGE);
    t.like(vector, {kind: 'pfns', frames, offset: 0, byteLength: length});
    const {pfns, counts} = vector.extents();
    t.deepEqual([[...pfns], [...counts]], [[pfn], [frames]]);
    t.is(vector.pfns()[frames - 1], pfn + BigInt(frames - 1));
    t.like(vector.stat(), {kind: 'pfns', gotRef: false, stale: false});
    t.is(statusFrames('VmPin'), 0);
    const error = t.throws(() => {
      vector.toPages();
    }, {instanceOf: FrameVectorError, code: 'EINVAL'});
    t.like(error, {reason: 'no-page', failOffset: 0, failAddress: vector.address});
    t.regex(error.message, /^toPages: the kernel has no struct page for the frame at byte 0 of the target/);
    t.is(vector.kind, 'pfns');
  });
}

test.serial('a BAR that a driver has claimed is refused with the name of the driver', t => {
  // The display's memory is its driver's.
  const {path} = bar('0x1013:0x00b8', 0);
  const driver = basename(readlinkSync(join(dirname(path), 'driver')));
  const error = t.throws(() => DeviceMemory.map(path), {instanceOf: FrameVectorError, code: 'EINVAL'});
  t.like(error, {errno: -22, syscall: 'mmap', path});
  t.regex(error.message, new RegExp(`the driver ${driver} has claimed this BAR.*/sys/bus/pci/drivers/${driver}/unbind.*iomem=relaxed`));
});

test.serial('hugetlbfs: a file that is mapped in part is unmapped whole, and an offset is a multiple of its page size', t => {
  const nr = '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages';
  const before = readFileSync(nr, 'utf8').trim();
  writeFileSync(nr, '8');
  const folder = mkdtempSync('/run/hugetlbfs-');
  execFileSync('mount', ['-t', 'hugetlbfs', 'none', folder]);
  try {
    const path = join(folder, 'file');
    writeFileSync(path, '');
    truncateSync(path, 4 * HUGE);
    const mapping = (): boolean => readFileSync('/proc/self/maps', 'utf8').includes(path);
    const memory = PinnableMemory.map(path, {length: HUGE + 5 * PAGE, shared: true});
    memory.bytes[HUGE + 5 * PAGE - 1] = 1;
    t.true(mapping());
    memory.close();
    t.false(mapping());
    t.throws(() => PinnableMemory.map(path, {offset: PAGE, length: PAGE}), {
      instanceOf: RangeError,
      code: 'ERR_OUT_OF_RANGE',
      message: /a multiple of the page size, 2,097,152: map from 0/,
    });
  } finally {
    execFileSync('umount', [folder]);
    writeFileSync(nr, before);
  }
});

test.serial('a 32-bit register is written at once: byte by byte, its last byte would be all that is left', t => {
  // Whatever the width of a write, ivshmem makes it a write of the whole register.
  using memory = DeviceMemory.map(bar(IVSHMEM, 0).path, {write: true});
  memory.writeUint32(0, 0x1234_5678);
  t.is(memory.readUint32(0), 0x1234_5678);
  memory.writeUint32(0, 0);
  t.is(memory.readUint32(0), 0);
});

test.serial('read() and write() of a register\'s width are one access of that width', t => {
  using memory = DeviceMemory.map(bar(IVSHMEM, 0).path, {write: true});
  using vector = FrameVector.pin(memory, {write: true});
  for (const Register of [Uint8Array, Uint16Array, Uint32Array] as const) {
    const value = 0x1234_5678 % 2 ** (8 * Register.BYTES_PER_ELEMENT);
    t.is(vector.write(0, Register.of(value)), Register.BYTES_PER_ELEMENT);
    t.is(memory.readUint32(0), value, `${Register.name}: in parts, the last would be all that is left`);
    // Every read, at whatever byte of the register, begins at its first: in parts, they would be alike.
    const into = new Register(1);
    vector.read(0, into);
    t.is(into[0], value, Register.name);
  }
  vector.write(0, new Uint32Array(1));
});

test.serial('read() and write() of no register\'s width, or across its boundaries, are all bytes and no more', t => {
  using memory = DeviceMemory.map(bar(IVSHMEM, 2).path, {write: true, length: PAGE});
  using vector = FrameVector.pin(memory, {write: true});
  for (const length of [1, 2, 3, 4, 5, 8, 13]) {
    for (const offset of [64, 65, 67]) {
      memory.bytes.fill(0xee, 0, 128);
      const bytes = Uint8Array.from({length}, (_, i) => 0x10 + i);
      t.is(vector.write(offset, bytes), length);
      const expected = new Uint8Array(128).fill(0xee);
      expected.set(bytes, offset);
      t.deepEqual(memory.bytes.slice(0, 128), expected, `${length} bytes at ${offset}`);
      const into = new Uint8Array(length);
      t.is(vector.read(offset, into), length);
      t.deepEqual(into, bytes, `${length} bytes at ${offset}`);
    }
  }
  memory.bytes.fill(0, 0, 128);
});

test.serial('what is written through the vector is in the device, and the reverse', t => {
  const {path} = bar(IVSHMEM, 2);
  using memory = DeviceMemory.map(path, {write: true, length: 4 * PAGE});
  using elsewhere = DeviceMemory.map(path, {write: true, offset: PAGE, length: 2 * PAGE});
  using vector = FrameVector.pin(memory.bytes.subarray(100, 3 * PAGE), {write: true, unaligned: true});
  const text = Buffer.from('from the device\'s side');
  t.is(vector.write(PAGE - 110, text), text.length);
  t.deepEqual(Buffer.from(memory.bytes.slice(PAGE - 10, PAGE + 12)), text);
  t.deepEqual(Buffer.from(elsewhere.bytes.slice(0, 12)), text.subarray(10));
  elsewhere.writeUint32(8, 0xfeed_f00d);
  const into = new Uint32Array(1);
  vector.read(PAGE + 8 - 100, into);
  t.is(into[0], 0xfeed_f00d);
});

test.serial('/dev/mem: the frame numbers are the offset; it can\'t be written without asking for that', t => {
  using memory = DeviceMemory.map('/dev/mem', {offset: 0xf0000, length: 0x10000});
  using vector = FrameVector.create(16);
  t.is(vector.pin(memory), 16);
  t.deepEqual([...vector.pfns()], Array.from({length: 16}, (_, i) => 0xf0n + BigInt(i)));
  const into = new Uint8Array(0x10000);
  t.is(vector.read(0, into), into.length);
  t.deepEqual(into, memory.bytes.slice());
  vector.unpin();
  t.like(t.throws(() => vector.pin(memory, {write: true}), {code: 'EFAULT'}), {reason: 'not-writable'});
  t.throws(() => DeviceMemory.map('/dev/mem'), {code: 'ERR_INVALID_ARG_TYPE', message: /does not tell its size/});
});

test.serial('/dev/fb0: what is drawn through the vector is in the display\'s memory', t => {
  using screen = DeviceMemory.map('/dev/fb0', {length: 4 * PAGE, write: true});
  using vector = FrameVector.pin(screen, {write: true});
  t.is(vector.kind, 'pfns');
  t.is(vector.write(PAGE + 16, Uint8Array.of(1, 2, 3, 4)), 4);
  t.is(screen.readUint32(PAGE + 16), 0x0403_0201);
});

test.serial('the aperture is mapped whole by default; its frames have pages, so they convert', t => {
  using memory = DeviceMemory.map('/dev/framevec', {write: true});
  t.is(memory.byteLength, info().apertureSize);
  const before = framesPinned();
  using vector = FrameVector.pin(memory, {write: true});
  t.is(vector.kind, 'pfns');
  const pfns = vector.pfns();
  vector.toPages();
  t.is(vector.kind, 'pages');
  t.like(vector.stat(), {kind: 'pages', gotRef: false});
  vector.toPfns();
  t.deepEqual(vector.pfns(), pfns);
  t.is(framesPinned(), before, 'no reference was taken');
  t.throws(() => DeviceMemory.map('/dev/framevec', {offset: memory.byteLength}), {code: 'ERR_OUT_OF_RANGE'});
  t.throws(() => DeviceMemory.map('/dev/framevec', {offset: PAGE, length: memory.byteLength}), {code: 'ERR_OUT_OF_RANGE', message: /ends there/});
});

test.serial('a snapshot is not a pin: the memory closes under it, and it is stale, with the remedy', t => {
  const memory = DeviceMemory.map('/dev/framevec', {length: 4 * PAGE, write: true});
  using vector = FrameVector.pin(memory, {write: true});
  t.false(vector.stale);
  memory.close();
  t.true(vector.stale);
  t.true(vector.stat().stale);
  const uses = [
    () => vector.pfns(),
    () => vector.extents(),
    () => vector.extents({pfns: false}),
    () => vector.read(0, new Uint8Array(4)),
    () => vector.write(0, new Uint8Array(4)),
    () => {
      vector.toPages();
    },
    () => {
      vector.toPfns();
    },
  ];
  for (const use of uses) {
    const error = t.throws(use, {instanceOf: FrameVectorError, code: 'ESTALE'});
    t.regex(error.message, /^\w+: the mapping of this device memory has changed since it was noted .*: unpin\(\), then pin\(\) what is mapped now$/);
  }
  t.throws(() => vector.pin(FrameVector.alloc(PAGE)), {code: 'EBUSY'}, 'it holds its numbers until it is told to let go');
  t.is(vector.unpin(), 4);
  t.false(vector.stale);
  using anew = DeviceMemory.map('/dev/framevec', {length: 4 * PAGE, write: true});
  t.is(vector.pin(anew), 4);
  t.false(vector.stale);
});

test.serial('a copy of device memory is one: it keeps its bytes when the memory is closed', t => {
  const memory = DeviceMemory.map('/dev/framevec', {length: PAGE, write: true});
  memory.bytes.fill(7);
  const moved = structuredClone(memory.buffer);
  memory.close();
  t.true(new Uint8Array(moved).every(byte => byte === 7));
});

test.serial('pages of a file are pinned: private ones, and shared ones of a memfd for writing', t => {
  const path = '/dev/shm/pinned';
  writeFileSync(path, new Uint8Array(3 * PAGE + 10).fill(5));
  using file = PinnableMemory.map(path, {offset: PAGE});
  using memfd = FrameVector.alloc(4 * PAGE, {memfd: true});
  using vector = FrameVector.create(4);
  for (const [memory, write] of [[file, false], [file, true], [memfd, true]] as const) {
    t.is(vector.pin(memory, {write}), Math.ceil(memory.byteLength / PAGE));
    t.like(vector.stat(), {kind: 'pages', gotRef: true, write});
    const into = new Uint8Array(memory.byteLength);
    vector.read(0, into);
    t.deepEqual(into, memory.bytes);
    vector.unpin();
  }
});
