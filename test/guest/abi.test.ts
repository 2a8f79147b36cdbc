/** The ABI, with raw ioctls: each negative test has one bad field, and everything else valid. */
import {execFileSync} from 'node:child_process';
import {closeSync, openSync, readFileSync, readlinkSync} from 'node:fs';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {adviseHuge} from './backings.js';
import {
  type Fields, type IoctlName, MADV, MAP, PAGE, PROT, SYS, bytes, close, createVector, errnoName, fieldsOf, ioctl, ioctlAt, mmap, munmap, must, raw, struct,
} from './raw.js';
import {endsBalanced, framesPinned, pagemap, statusFrames} from './oracles.js';

endsBalanced(test);

const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
const memory = mmap(8 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
const numbers = new BigUint64Array(8);
const counts = new Uint32Array(8);

test.after.always(() => {
  munmap(memory, 8 * PAGE);
  closeSync(device);
});

/** A vector that is closed at the end. */
function withVector<T>(use: (fd: number) => T, capacity = 8): T {
  const fd = createVector(device, capacity);
  try {
    return use(fd);
  } finally {
    close(fd);
  }
}

/** An address where nothing is. Not one that was unmapped: another thread would soon have something there. */
function outOfBounds(): bigint {
  const page = mmap(PAGE);
  must(SYS.mprotect, page, PAGE, PROT.NONE);
  return page;
}

/** For each ioctl: where it goes, and a call that succeeds. */
const valid: Record<IoctlName, {on: 'device' | 'empty' | 'pinned'; fields: Fields}> = {
  INFO: {on: 'device', fields: {}},
  CREATE: {on: 'device', fields: {capacity: 4}},
  PIN: {on: 'empty', fields: {addr: memory, length: 2 * PAGE}},
  UNPIN: {on: 'pinned', fields: {}},
  STAT: {on: 'pinned', fields: {}},
  READ_PFNS: {on: 'pinned', fields: {count: 2, pfns: numbers}},
  EXTENTS: {on: 'pinned', fields: {capacity: 2, pfns: numbers, counts}},
  TO_PAGES: {on: 'pinned', fields: {}},
  TO_PFNS: {on: 'pinned', fields: {}},
};

/** Issues an ioctl on what it is for, and tells what the vector holds afterwards. */
function issue(name: IoctlName, call: (fd: number) => string | number): {result: string | number; frames: number} {
  const {on} = valid[name];
  return withVector(vector => {
    if (on === 'pinned') ioctl(vector, 'PIN', {addr: memory, length: 2 * PAGE});
    const before = ioctl(vector, 'STAT').fields;
    const result = call(on === 'device' ? device : vector);
    const after = ioctl(vector, 'STAT').fields;
    if (result !== 0 && after.kind !== before.kind) throw new Error(`${name} fails with ${result}, and has changed kind ${before.kind} to ${after.kind}`);
    return {result, frames: after.frames ?? -1};
  });
}

function framesBefore(name: IoctlName): number {
  return valid[name].on === 'pinned' ? 2 : 0;
}

function withFields(name: IoctlName, bad: Fields): {result: string | number; frames: number} {
  return issue(name, fd => {
    const answer = ioctl(fd, name, {...valid[name].fields, ...bad});
    if (name === 'CREATE' && answer.result === 0) close(answer.fields.fd ?? -1);
    return answer.result;
  });
}

/** Of structs that have grown: the size that they were first published with, which is accepted for ever. */
const firstSizes: Partial<Record<IoctlName, number>> = {CREATE: 24, PIN: 96};

for (const name of Object.keys(valid) as IoctlName[]) {
  const length = struct(name).byteLength;
  const firstLength = firstSizes[name] ?? length;

  test(`${name} succeeds when every field is valid`, t => {
    t.is(withFields(name, {}).result, 0);
  });

  test(`${name} refuses a size one byte short of the first that was published`, t => {
    t.deepEqual(withFields(name, {size: firstLength - 1}), {result: 'EINVAL', frames: framesBefore(name)});
  });

  if (firstLength < length) {
    test(`${name} takes the struct as it was first published, and writes nothing beyond it`, t => {
      const {result} = issue(name, fd => {
        const short = struct(name, {...valid[name].fields, size: firstLength});
        short.fill(0xa5, firstLength);
        const answer = ioctlAt(fd, name, short);
        if (name === 'CREATE' && answer === 0) close(fieldsOf(name, short).fd ?? -1);
        t.true(short.subarray(firstLength).every(byte => byte === 0xa5));
        return answer;
      });
      t.is(result, 0);
    });
  }

  test(`${name} refuses a size of zero`, t => {
    t.deepEqual(withFields(name, {size: 0}), {result: 'EINVAL', frames: framesBefore(name)});
  });

  test(`${name} refuses a size larger than a page`, t => {
    t.deepEqual(withFields(name, {size: PAGE + 1}), {result: 'E2BIG', frames: framesBefore(name)});
  });

  test(`${name} takes a longer struct whose rest is zero, and refuses one whose rest is not`, t => {
    for (const [rest, expected] of [[0, 0], [1, 'E2BIG']] as const) {
      const {result} = issue(name, fd => {
        const long = new Uint8Array(length + 8);
        long.set(struct(name, {...valid[name].fields, size: length + 8}));
        long[length + 7] = rest;
        const answer = ioctlAt(fd, name, long);
        if (name === 'CREATE' && answer === 0) close(fieldsOf(name, long).fd ?? -1);
        return answer;
      });
      t.is(result, expected);
    }
  });

  test(`${name} refuses an unknown flag`, t => {
    t.deepEqual(withFields(name, {flags: 0x8000_0000}), {result: 'EINVAL', frames: framesBefore(name)});
  });

  test(`${name} says EFAULT to a null pointer, a kernel address, and memory that is not mapped`, t => {
    const hole = outOfBounds();
    for (const pointer of [0n, 0xffff_ffff_8100_0000n, 0x8000_0000_0000_0000n, hole]) {
      t.deepEqual(issue(name, fd => ioctlAt(fd, name, pointer)), {result: 'EFAULT', frames: framesBefore(name)});
    }
  });

  test(`${name} says EFAULT to a struct that ends in a page that is not mapped`, t => {
    const pages = mmap(2 * PAGE);
    must(SYS.mprotect, pages + BigInt(PAGE), PAGE, PROT.NONE);
    const at = PAGE - length + 4;
    bytes(pages, PAGE).set(struct(name, valid[name].fields).subarray(0, length - 4), at);
    t.deepEqual(issue(name, fd => ioctlAt(fd, name, pages + BigInt(at))), {result: 'EFAULT', frames: framesBefore(name)});
    munmap(pages, 2 * PAGE);
  });

  if (name !== 'READ_PFNS') {
    test(`${name} says EFAULT to a struct in read-only memory, and changes nothing`, t => {
      const page = mmap(PAGE);
      bytes(page, PAGE).set(struct(name, valid[name].fields));
      must(SYS.mprotect, page, PAGE, PROT.READ);
      const pinned = statusFrames('VmPin');
      t.deepEqual(issue(name, fd => ioctlAt(fd, name, page)), {result: 'EFAULT', frames: framesBefore(name)});
      t.is(statusFrames('VmPin'), pinned);
      munmap(page, PAGE);
    });
  }

  for (const reserved of ['reserved', 'reserved2'].filter(field => field in fieldsOf(name, struct(name)))) {
    test(`${name} refuses ${reserved} that is not zero`, t => {
      t.deepEqual(withFields(name, {[reserved]: 1}), {result: 'EINVAL', frames: framesBefore(name)});
    });
  }
}

test('an ioctl that does not exist is ENOTTY, on the device and on a vector', t => {
  const data = struct('INFO');
  withVector(vector => {
    for (const nr of [0xf5ff, 0xf402, 0xf500 | (40 << 16) | (3 << 30)]) {
      t.is(errnoName(raw.syscall(SYS.ioctl, device, nr, data)), 'ENOTTY');
      t.is(errnoName(raw.syscall(SYS.ioctl, vector, nr, data)), 'ENOTTY');
    }
  });
});

test('the device does not know the ioctls of a vector, and a vector not those of the device', t => {
  t.is(ioctl(device, 'STAT').result, 'ENOTTY');
  withVector(vector => {
    t.is(ioctl(vector, 'INFO').result, 'ENOTTY');
    t.is(ioctl(vector, 'CREATE', {capacity: 1}).result, 'ENOTTY');
  });
});

test('INFO tells the ABI, the page size and the largest capacity', t => {
  const {fields} = ioctl(device, 'INFO');
  t.is(fields.abi, uapi.FRAMEVEC_ABI);
  t.is(fields.page_size, PAGE);
  t.is(fields.max_frames, 2 ** 27);
});

for (const [words, capacity] of [['0', 0n], ['one more than max_frames', 2n ** 27n + 1n], ['2^31', 2n ** 31n], ['2^32', 2n ** 32n], ['2^32 + 1', 2n ** 32n + 1n],
  ['2^63', 2n ** 63n], ['2^64 - 1', 2n ** 64n - 1n]] as const) {
  test(`CREATE refuses a capacity of ${words}`, t => {
    t.is(ioctl(device, 'CREATE', {capacity}).result, 'EINVAL');
  });
}

test('vectors of the largest capacity are made until there is no memory for one more, and nobody is killed for it', t => {
  const vectors: number[] = [];
  let answer = ioctl(device, 'CREATE', {capacity: 2 ** 27});
  for (; answer.result === 0 && vectors.length < 64; answer = ioctl(device, 'CREATE', {capacity: 2 ** 27})) vectors.push(answer.fields.fd ?? -1);
  for (const fd of vectors) close(fd);
  t.is(answer.result, 'ENOMEM');
  t.notRegex(execFileSync('dmesg', {encoding: 'utf8'}), /oom-killer|Out of memory/);
});

test('a vector is a descriptor of its own that exec closes', t => {
  withVector(vector => {
    t.is(readlinkSync(`/proc/self/fd/${vector}`), 'anon_inode:[framevec]');
    t.regex(readFileSync(`/proc/self/fdinfo/${vector}`, 'utf8'), /^flags:\s+02\d*2$/m);
    t.is(Number(must(SYS.fcntl, vector, 1 /* F_GETFD */)) & 1, 1);
  });
});

for (const [words, bad] of [
  ['a length of 0', {length: 0}],
  ['a length of 2^63', {length: 2n ** 63n}],
  ['a length of 2^31 frames', {length: 2n ** 31n * BigInt(PAGE)}],
  ['a range that wraps', {length: 2n ** 64n - 1n}],
  ['one frame more than the capacity', {length: 8 * PAGE + 1}],
  ['a range that begins in one page and ends in one too many', {addr: memory + 1n, length: 8 * PAGE}],
] as const) {
  test(`PIN refuses ${words}`, t => {
    t.deepEqual(withFields('PIN', bad), {result: 'EINVAL', frames: 0});
  });
}

test('PIN refuses force, which the module was loaded without', t => {
  const {result, fields} = withVector(fd => ioctl(fd, 'PIN', {addr: memory, length: PAGE, flags: uapi.FRAMEVEC_PIN_FORCE}));
  t.is(result, 'EPERM');
  t.is(fields.reason, uapi.FRAMEVEC_REASON_FORCE);
});

for (const [words, addr] of [
  ['the kernel', 0xffff_ffff_8100_0000n],
  ['the last page of the address space', 0xffff_ffff_ffff_f000n],
  ['no canonical address', 0x8000_0000_0000_0000n],
  ['the page at 0', 0n],
] as const) {
  test(`PIN of ${words} finds no mapping`, t => {
    const {result, fields} = withVector(fd => ioctl(fd, 'PIN', {addr, length: PAGE}));
    t.is(result, 'EFAULT');
    t.is(fields.reason, uapi.FRAMEVEC_REASON_NO_MAPPING);
    t.is(fields.frames, 0);
  });
}

test('PIN of a vector that holds frames is EBUSY, and the frames stay', t => {
  withVector(fd => {
    ioctl(fd, 'PIN', {addr: memory, length: 2 * PAGE});
    t.is(ioctl(fd, 'PIN', {addr: memory, length: 3 * PAGE}).result, 'EBUSY');
    t.is(ioctl(fd, 'STAT').fields.frames, 2);
  });
});

test('UNPIN and READ_PFNS of an empty vector are ENODATA', t => {
  withVector(fd => {
    t.is(ioctl(fd, 'UNPIN').result, 'ENODATA');
    t.is(ioctl(fd, 'READ_PFNS', valid.READ_PFNS.fields).result, 'ENODATA');
  });
});

for (const [words, bad, expected] of [
  ['a count of 0', {count: 0}, 'EINVAL'],
  ['a count past the last frame', {count: 3}, 'EINVAL'],
  ['a count of 2^63', {count: 2n ** 63n}, 'EINVAL'],
  ['a first frame past the last', {first: 2, count: 1}, 'EINVAL'],
  ['a first frame of 2^64 - 1', {first: 2n ** 64n - 1n}, 'EINVAL'],
  ['an array at 0', {pfns: 0n}, 'EFAULT'],
  ['an array in the kernel', {pfns: 0xffff_ffff_8100_0000n}, 'EFAULT'],
  ['a count that brings first beyond 2^64', {first: 1, count: 2n ** 64n - 1n}, 'EINVAL'],
] as const) {
  test(`READ_PFNS refuses ${words}`, t => {
    t.deepEqual(withFields('READ_PFNS', bad), {result: expected, frames: 2});
  });
}

test('READ_PFNS from the middle tells the numbers from there', t => {
  withVector(fd => {
    ioctl(fd, 'PIN', {addr: memory, length: 8 * PAGE});
    numbers.fill(0n);
    t.is(ioctl(fd, 'READ_PFNS', {first: 3, count: 2, pfns: raw.address(numbers)}).result, 0);
    t.deepEqual([...numbers], [...pagemap(memory, 8).slice(3, 5), 0n, 0n, 0n, 0n, 0n, 0n]);
  });
});

test('a range within pages tells its offset, and STAT the bytes', t => {
  withVector(fd => {
    const pin = ioctl(fd, 'PIN', {addr: memory + 100n, length: PAGE});
    t.is(pin.fields.offset, 100);
    t.is(pin.fields.frames, 2);
    const {fields} = ioctl(fd, 'STAT');
    t.is(fields.offset, 100);
    t.is(fields.length, PAGE);
    t.is(fields.capacity, 8);
    t.is(fields.state, uapi.FRAMEVEC_STATE_GOT_REF);
  });
});

test('the time in get_user_pages() is told when asked for, is part of the whole, and is 0 otherwise', t => {
  withVector(fd => {
    const pin = ioctl(fd, 'PIN', {addr: memory, length: 8 * PAGE, flags: uapi.FRAMEVEC_PIN_TIMING}).fields;
    t.true((pin.gup_ns ?? 0) > 0 && (pin.gup_ns ?? 0) <= (pin.call_ns ?? 0));
    const unpin = ioctl(fd, 'UNPIN', {flags: uapi.FRAMEVEC_UNPIN_TIMING}).fields;
    t.true((unpin.gup_ns ?? 0) > 0 && (unpin.gup_ns ?? 0) <= (unpin.call_ns ?? 0));
    t.is(ioctl(fd, 'PIN', {addr: memory, length: 8 * PAGE}).fields.call_ns, 0);
  });
});

test('the time in get_user_pages() is that of all chunks of a long pin', t => {
  const frames = 8192;
  const address = mmap(frames * PAGE);
  adviseHuge(address, frames * PAGE, MADV.NOHUGEPAGE);
  const {result, fields} = withVector(fd => ioctl(fd, 'PIN', {addr: address, length: frames * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE | uapi.FRAMEVEC_PIN_TIMING}), frames);
  t.is(result, 0);
  t.true((fields.gup_ns ?? 0) > (fields.call_ns ?? 0) / 2, `${fields.gup_ns} of ${fields.call_ns}`);
  munmap(address, frames * PAGE);
});

test('read() into memory that ends on the way returns the bytes that it has read', t => {
  const to = mmap(4 * PAGE);
  must(SYS.mprotect, to + BigInt(2 * PAGE), 2 * PAGE, PROT.NONE);
  withVector(fd => {
    t.is(ioctl(fd, 'PIN', {addr: memory, length: 4 * PAGE}).result, 0);
    t.is(raw.syscall(SYS.pread64, fd, to, 4 * PAGE, 0), BigInt(2 * PAGE));
  });
  munmap(to, 4 * PAGE);
});

test('a partial pin has the length of what it holds, and read() ends there', t => {
  const address = mmap(8 * PAGE);
  munmap(address + BigInt(4 * PAGE), 4 * PAGE);
  withVector(fd => {
    t.is(ioctl(fd, 'PIN', {addr: address + 100n, length: 7 * PAGE, flags: uapi.FRAMEVEC_PIN_PARTIAL}).fields.frames, 4);
    t.is(ioctl(fd, 'STAT').fields.length, 4 * PAGE - 100);
    const byte = new Uint8Array(2);
    t.is(raw.syscall(SYS.pread64, fd, byte, 2, 4 * PAGE - 101), 1n);
    t.is(raw.syscall(SYS.pread64, fd, byte, 2, 4 * PAGE - 100), 0n);
  });
  munmap(address, 4 * PAGE);
});

test('STAT of an empty vector tells nothing of what it has held', t => {
  withVector(fd => {
    const before = ioctl(fd, 'STAT').fields;
    for (const ends of [() => ioctl(fd, 'UNPIN'), () => ioctl(fd, 'PIN', {addr: 0n, length: 3})]) {
      ioctl(fd, 'PIN', {addr: memory + 100n, length: PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
      ioctl(fd, 'UNPIN');
      ends();
      t.deepEqual(ioctl(fd, 'STAT').fields, before);
    }
  });
});

test('a pin whose answer cannot be delivered is undone, and once (CVE-2026-43128)', t => {
  const page = mmap(PAGE);
  bytes(page, PAGE).set(struct('PIN', valid.PIN.fields));
  must(SYS.mprotect, page, PAGE, PROT.READ);
  const before = framesPinned();
  withVector(fd => {
    t.is(ioctlAt(fd, 'PIN', page), 'EFAULT');
    t.is(framesPinned(), before);
    t.is(ioctl(fd, 'STAT').fields.kind, uapi.FRAMEVEC_KIND_NONE);
  });
  munmap(page, PAGE);
});
