/** Why a pin stopped: each reason of the header is provoked, with the address, the errno, and the words. */
import {execFileSync} from 'node:child_process';
import {closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, writeFileSync} from 'node:fs';
import test, {type ExecutionContext} from 'ava';
import {FrameVector} from '../../lib/index.js';
import * as uapi from '../../lib/uapi.js';
import {adviseHuge, backings, guard} from './backings.js';
import {type Answer, MADV, MAP, PAGE, PROT, SYS, close, createVector, errnoName, fieldsOf, ioctl, memfd, mmap, munmap, must, raw, struct} from './raw.js';
import {endsBalanced, since, statusFrames} from './oracles.js';

endsBalanced(test);

const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
test.after.always(() => {
  closeSync(device);
});

const WRITE = uapi.FRAMEVEC_PIN_WRITE;
const PARTIAL = uapi.FRAMEVEC_PIN_PARTIAL;
interface Case {
  address: bigint;
  /** Pages asked for. */
  pages: number;
  /** Pages up to where it stops. */
  held: number;
  reason: number;
  errno?: string;
  flags?: number;
  kind?: number;
}

/** The whole range is refused with nothing held; partial takes what is before the obstacle. */
function stops(t: ExecutionContext, {address, pages, held, reason, errno = 'EFAULT', flags = 0, kind = uapi.FRAMEVEC_KIND_PAGES}: Case): void {
  const fd = createVector(device, pages);
  const obstacle = address + BigInt(held * PAGE);
  const told = ({result, fields}: Answer): unknown[] => [result, fields.reason, BigInt(fields.fail_addr ?? 0), fields.frames];

  // What is left open here would fail every file after this one.
  try {
    t.deepEqual(told(ioctl(fd, 'PIN', {addr: address, length: pages * PAGE, flags})), [errno, reason, obstacle, 0]);
    t.is(ioctl(fd, 'STAT').fields.kind, uapi.FRAMEVEC_KIND_NONE);
    t.is(statusFrames('VmPin'), 0);

    const partial = ioctl(fd, 'PIN', {addr: address, length: pages * PAGE, flags: flags | PARTIAL});
    if (held === 0) {
      t.deepEqual(told(partial), [errno, reason, obstacle, 0]);
    } else {
      t.deepEqual(told(partial), [0, reason, obstacle, held]);
      t.is(partial.fields.kind, kind);
      t.is(ioctl(fd, 'STAT').fields.length, held * PAGE);
      t.is(statusFrames('VmPin'), kind === uapi.FRAMEVEC_KIND_PAGES ? held : 0);
    }
  } finally {
    close(fd);
  }
  t.is(statusFrames('VmPin'), 0);
}

test('no-mapping: a hole', t => {
  const address = mmap(8 * PAGE);
  munmap(address + BigInt(3 * PAGE), PAGE);
  stops(t, {address, pages: 8, held: 3, reason: uapi.FRAMEVEC_REASON_NO_MAPPING});
  munmap(address, 8 * PAGE);
});

test('no-mapping: the memory ends', t => {
  const address = mmap(8 * PAGE);
  munmap(address + BigInt(6 * PAGE), 2 * PAGE);
  stops(t, {address, pages: 8, held: 6, reason: uapi.FRAMEVEC_REASON_NO_MAPPING, flags: WRITE});
  munmap(address, 6 * PAGE);
});

test('not-readable: PROT_NONE in the middle of memory, and of device memory', t => {
  const memory = mmap(8 * PAGE);
  guard(memory + BigInt(5 * PAGE));
  stops(t, {address: memory, pages: 8, held: 5, reason: uapi.FRAMEVEC_REASON_NOT_READABLE});
  munmap(memory, 8 * PAGE);
  const aperture = mmap(8 * PAGE, {flags: MAP.SHARED, fd: device});
  guard(aperture + BigInt(5 * PAGE));
  stops(t, {address: aperture, pages: 8, held: 5, reason: uapi.FRAMEVEC_REASON_NOT_READABLE, kind: uapi.FRAMEVEC_KIND_PFNS});
  munmap(aperture, 8 * PAGE);
});

test('not-writable: a pin for write of what is mapped read-only; a pin for read has all of it', t => {
  for (const [kind, address] of [
    [uapi.FRAMEVEC_KIND_PAGES, mmap(8 * PAGE)],
    [uapi.FRAMEVEC_KIND_PFNS, mmap(8 * PAGE, {flags: MAP.SHARED, fd: device})],
  ] as const) {
    must(SYS.mprotect, address + BigInt(2 * PAGE), 2 * PAGE, PROT.READ);
    stops(t, {address, pages: 8, held: 2, reason: uapi.FRAMEVEC_REASON_NOT_WRITABLE, flags: WRITE, kind});
    const fd = createVector(device, 8);
    t.is(ioctl(fd, 'PIN', {addr: address, length: 8 * PAGE}).fields.frames, 8);
    close(fd);
    munmap(address, 8 * PAGE);
  }
});

test('kind-changes: memory, then device memory', t => {
  const address = mmap(8 * PAGE);
  mmap(4 * PAGE, {at: address + BigInt(4 * PAGE), flags: MAP.SHARED | MAP.FIXED, fd: device});
  stops(t, {address, pages: 8, held: 4, reason: uapi.FRAMEVEC_REASON_KIND_CHANGES});
  munmap(address, 8 * PAGE);
});

test('kind-changes: device memory, then memory', t => {
  const address = mmap(8 * PAGE);
  mmap(4 * PAGE, {at: address, flags: MAP.SHARED | MAP.FIXED, fd: device});
  stops(t, {address, pages: 8, held: 4, reason: uapi.FRAMEVEC_REASON_KIND_CHANGES, kind: uapi.FRAMEVEC_KIND_PFNS});
  munmap(address, 8 * PAGE);
});

test('a range over several mappings of one kind is held whole', t => {
  const address = mmap(8 * PAGE);
  const fd = memfd('neighbour', 2 * PAGE);
  mmap(2 * PAGE, {at: address + BigInt(2 * PAGE), flags: MAP.SHARED | MAP.FIXED, fd});
  const vector = createVector(device, 8);
  t.is(ioctl(vector, 'PIN', {addr: address, length: 8 * PAGE, flags: WRITE}).fields.frames, 8);
  ioctl(vector, 'UNPIN');
  mmap(4 * PAGE, {at: address, flags: MAP.SHARED | MAP.FIXED, fd: device});
  mmap(4 * PAGE, {at: address + BigInt(4 * PAGE), flags: MAP.SHARED | MAP.FIXED, fd: device, offset: 64 * PAGE});
  const {fields} = ioctl(vector, 'PIN', {addr: address, length: 8 * PAGE});
  t.deepEqual([fields.kind, fields.frames], [uapi.FRAMEVEC_KIND_PFNS, 8]);
  close(vector);
  close(fd);
  munmap(address, 8 * PAGE);
});

test('a range whose mapping ends within its last page has that page whole', t => {
  const fd = memfd('short', 3 * PAGE - 100);
  const address = mmap(3 * PAGE, {flags: MAP.SHARED, fd});
  const vector = createVector(device, 3);
  const {fields} = ioctl(vector, 'PIN', {addr: address + 50n, length: 3 * PAGE - 150});
  t.deepEqual([fields.frames, fields.offset, fields.reason], [3, 50, 0]);
  t.is(ioctl(vector, 'STAT').fields.length, 3 * PAGE - 150);
  close(vector);
  close(fd);
  munmap(address, 3 * PAGE);
});

test('end-of-file: mapped beyond the last page of the file', t => {
  const fd = memfd('short', 3 * PAGE);
  const address = mmap(8 * PAGE, {flags: MAP.SHARED, fd});
  stops(t, {address, pages: 8, held: 3, reason: uapi.FRAMEVEC_REASON_END_OF_FILE});
  munmap(address, 8 * PAGE);
  close(fd);
});

test('secret: memfd_secret memory, where the kernel has it', t => {
  const fd = Number(raw.syscall(SYS.memfd_secret, 0));
  if (!since([5, 14])) {
    t.is(errnoName(fd), 'ENOSYS');
    return;
  }
  t.true(fd >= 0);
  must(SYS.ftruncate, fd, 4 * PAGE);
  const address = mmap(8 * PAGE);
  mmap(4 * PAGE, {at: address + BigInt(4 * PAGE), flags: MAP.SHARED | MAP.FIXED, fd});
  stops(t, {address, pages: 8, held: 4, reason: uapi.FRAMEVEC_REASON_SECRET});
  munmap(address, 8 * PAGE);
  close(fd);
});

test('file: a writable shared mapping of a file on a disk, on kernels too that would let it through', t => {
  const backing = backings['ext4 file, shared'](512 * PAGE);
  stops(t, {address: backing.address, pages: 4, held: 0, reason: uapi.FRAMEVEC_REASON_FILE, flags: WRITE});
  backing.free();
});

test('dax: a file on a file system whose storage is memory', t => {
  // The kernel makes a pmem device of the memory that memmap= has kept for it.
  execFileSync('modprobe', ['-a', 'nd_e820', 'nd_pmem', 'ext4']);
  const deadline = Date.now() + 20_000;
  while (!existsSync('/dev/pmem0') && Date.now() < deadline) execFileSync('sleep', ['0.1']);
  mkdirSync('/run/dax', {recursive: true});
  execFileSync('mkfs.ext4', ['-q', '-F', '-b', '4096', '/dev/pmem0']);
  execFileSync('mount', ['-o', 'dax', '/dev/pmem0', '/run/dax']);
  writeFileSync('/run/dax/file', Buffer.alloc(4 * PAGE, 1));
  const fd = Number(must(SYS.open, Buffer.from('/run/dax/file\0'), 2));
  const address = mmap(4 * PAGE, {flags: MAP.SHARED, fd});
  const vector = createVector(device, 4);
  const read = ioctl(vector, 'PIN', {addr: address, length: PAGE});
  t.deepEqual([read.result, read.fields.reason], ['EOPNOTSUPP', uapi.FRAMEVEC_REASON_DAX]);
  close(vector);
  munmap(address, 4 * PAGE);
  close(fd);
  execFileSync('umount', ['/run/dax']);
});

test('poison: a page that has failed', t => {
  const address = mmap(4 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  // By a child that shares the page: it may cost the process its life.
  t.deepEqual(raw.inChild([[SYS.madvise, address + BigInt(2 * PAGE), PAGE, MADV.HWPOISON]]), [0n]);
  stops(t, {address, pages: 4, held: 2, reason: uapi.FRAMEVEC_REASON_POISON, errno: 'EHWPOISON'});
  munmap(address, 4 * PAGE);
});

test('a signal that has a handler does not interrupt a long pin', t => {
  const frames = 2 ** 15;
  const address = mmap(frames * PAGE);
  adviseHuge(address, frames * PAGE, MADV.NOHUGEPAGE);
  const fd = createVector(device, frames);
  for (const flags of [WRITE, WRITE | PARTIAL]) {
    const pin = struct('PIN', {addr: address, length: frames * PAGE, flags});
    t.is(errnoName(raw.interrupted(3000, SYS.ioctl, fd, uapi.FRAMEVEC_IOC_PIN, pin)), 0);
    const fields = fieldsOf('PIN', pin);
    t.deepEqual([fields.frames, fields.reason], [frames, uapi.FRAMEVEC_REASON_NONE]);
    t.is(statusFrames('VmPin'), frames);
    ioctl(fd, 'UNPIN');
  }
  close(fd);
  munmap(address, frames * PAGE);
});

test('unknown: a guard page of MADV_GUARD_INSTALL, on kernels that have it: they say no more than that it can\'t be had', t => {
  const address = mmap(4 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const result = errnoName(raw.syscall(SYS.madvise, address + BigInt(PAGE), PAGE, 102));
  if (since([6, 13])) {
    t.is(result, 0);
    stops(t, {address, pages: 4, held: 1, reason: uapi.FRAMEVEC_REASON_UNKNOWN});
  } else {
    t.is(result, 'EINVAL');
  }
  munmap(address, 4 * PAGE);
});

test('file-fault: a file of which its file system has no room for more pages', t => {
  mkdirSync('/run/full', {recursive: true});
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,huge=never', 'full', '/run/full']);
  writeFileSync('/run/full/file', '');
  execFileSync('truncate', ['-s', '4M', '/run/full/file']);
  const fd = Number(must(SYS.open, Buffer.from('/run/full/file\0'), 2));
  const address = mmap(1024 * PAGE, {flags: MAP.SHARED, fd});
  stops(t, {address, pages: 1024, held: 16, reason: uapi.FRAMEVEC_REASON_FILE_FAULT, flags: WRITE});
  stops(t, {address, pages: 1024, held: 16, reason: uapi.FRAMEVEC_REASON_FILE_FAULT});
  munmap(address, 1024 * PAGE);
  close(fd);
  execFileSync('umount', ['/run/full']);
});

test('device-fault: the kernel\'s [vvar], where a part of it is not there', t => {
  const line = readFileSync('/proc/self/maps', 'utf8').split('\n').find(text => text.endsWith('[vvar]')) ?? '';
  const [first = 0n, end = 0n] = (/^(\w+)-(\w+)/.exec(line) ?? []).slice(1).map(text => BigInt(`0x${text}`));
  const pages = Number(end - first) / PAGE;
  const vector = createVector(device, pages);
  const {result, fields} = ioctl(vector, 'PIN', {addr: first, length: pages * PAGE});
  close(vector);
  // On 7.x all of it is there, as ordinary pages.
  if (result !== 0) t.deepEqual([result, fields.reason, fields.kind], ['EFAULT', uapi.FRAMEVEC_REASON_DEVICE_FAULT, uapi.FRAMEVEC_KIND_NONE]);
  if (since([6, 1]) && !since([6, 13])) t.is(result, 'EFAULT');
});

test('device-fault: device memory that its driver has taken back, and the snapshot of it is stale; 5.10 leaves such a mapping alone', t => {
  // e1000e claims its registers for itself alone, and the kernel unmaps them from everybody else: of sysfs since 5.12.
  const path = readdirSync('/sys/bus/pci/devices').map(name => `/sys/bus/pci/devices/${name}`)
    .find(name => readFileSync(`${name}/device`, 'utf8').trim() === '0x10d3') ?? '';
  writeFileSync(`${path}/enable`, '1');
  const fd = Number(must(SYS.open, Buffer.from(`${path}/resource0\0`), 2));
  const address = mmap(4 * PAGE, {flags: MAP.SHARED, fd});
  const vector = createVector(device, 4);
  t.is(ioctl(vector, 'PIN', {addr: address, length: 4 * PAGE}).fields.kind, uapi.FRAMEVEC_KIND_PFNS);
  execFileSync('modprobe', ['e1000e']);
  const takenBack = since([5, 12]);
  t.is(ioctl(vector, 'STAT').fields.state, takenBack ? uapi.FRAMEVEC_STATE_STALE : 0);
  t.is(ioctl(vector, 'UNPIN').result, 0);
  const again = ioctl(vector, 'PIN', {addr: address, length: 4 * PAGE});
  t.deepEqual([again.result, again.fields.reason], takenBack ? ['EFAULT', uapi.FRAMEVEC_REASON_DEVICE_FAULT] : [0, uapi.FRAMEVEC_REASON_NONE]);
  close(vector);
  munmap(address, 4 * PAGE);
  close(fd);
  execFileSync('rmmod', ['e1000e']);
});

test('no-memory: a mapping of huge pages of which there are too few', t => {
  writeFileSync('/proc/sys/vm/nr_hugepages', '4');
  t.regex(readFileSync('/proc/meminfo', 'utf8'), /^HugePages_Free:\s+4$/m);
  const length = 8 * 2 ** 21;
  const address = mmap(length, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.HUGETLB | MAP.HUGE_2MB | MAP.NORESERVE});
  stops(t, {address, pages: length / PAGE, held: 4 * 512, reason: uapi.FRAMEVEC_REASON_NO_MEMORY, errno: 'ENOMEM', flags: WRITE});
  munmap(address, length);
  writeFileSync('/proc/sys/vm/nr_hugepages', '0');
});

test('the words of a reason name the byte, the obstacle and the remedy', t => {
  using memory = FrameVector.alloc(8 * PAGE, {hugepages: false});
  using vector = FrameVector.create(8);
  const address = raw.address(memory.bytes);
  guard(address + BigInt(3 * PAGE));
  const error = t.throws(() => vector.pin(memory));
  t.like(error, {code: 'EFAULT', errno: -14, syscall: 'ioctl(FRAMEVEC_IOC_PIN)', reason: 'not-readable', failOffset: 3 * PAGE});
  t.regex(error.message, /8 frames \(32 KiB\) asked.*byte 12,288 .*PROT_READ/);
  t.is(vector.pin(memory, {partial: true}), 3);
  t.like(vector.stopped, {reason: 'not-readable', offset: 3 * PAGE});
  vector.unpin();
  must(SYS.mprotect, address + BigInt(3 * PAGE), PAGE, PROT.READ | PROT.WRITE);
});
