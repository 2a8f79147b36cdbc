import test from 'ava';
import fc from 'fast-check';
import {getSystemErrorMap} from 'node:util';
import {errnoName} from '../lib/errno.js';
import * as errors from '../lib/errors.js';
import * as v4l2 from '../lib/v4l2/errors.js';
import {REASONS, type Reason} from '../lib/uapi.js';

const MEBIBYTE = 2 ** 20;
const asked = {address: 0x7f0000001000, bytes: 4 * MEBIBYTE, frames: 1024, write: true};

function stop(reason: Reason): errors.Stop {
  return {reason, offset: 8192, address: 0x7f0000003000, asked, memlock: {scope: 'process' as const, need: 1024, used: 475, limit: 512}};
}

test('a pin over the limit tells the limit, what is used, and how to raise it', t => {
  const error = errors.pinFailed(-12, asked, stop('memlock'), 0, 4096);
  t.is(
    error.message,
    'pin: 1,024 frames (4 MiB) asked; RLIMIT_MEMLOCK allows 2,048 KiB and 1,900 KiB are pinned already: raise it with ' +
      '`ulimit -l`, in systemd LimitMEMLOCK=, or give the process CAP_IPC_LOCK. `npx framevec doctor` looks at the whole machine',
  );
  t.like(error, {
    name: 'FrameVectorError',
    code: 'ENOMEM',
    errno: -12,
    syscall: 'ioctl(FRAMEVEC_IOC_PIN)',
    reason: 'memlock',
    failOffset: 8192,
    failAddress: 0x7f0000003000,
    memlock: {scope: 'process' as const, need: 1024, used: 475, limit: 512},
    asked,
  });
});

test('each reason of a failed pin has words of its own, and a place where it has one', t => {
  const seen = new Set<string>();
  for (const reason of REASONS) {
    if (reason === 'none') continue;
    const words = errors.stopInWords(stop(reason), 4096);
    seen.add(words);
    if (!['memlock', 'interrupted', 'owner', 'force'].includes(reason)) {
      t.regex(words, /byte 8,192 of the target \(address 0x7f0000003000\)/, reason);
    }
  }
  t.is(seen.size, REASONS.length - 1);
});

test('a pin that fails without a reason tells the errno in words', t => {
  t.regex(errors.pinFailed(-16, asked, undefined, 7, 4096).message, /holds 7 frames already: unpin\(\) first/);
  const other = errors.pinFailed(-14, asked, undefined, 0, 4096);
  t.is(other.message, 'pin: 1,024 frames (4 MiB) asked; the memory is not mapped, or not for this access (EFAULT)');
  t.false('reason' in other);
});

for (const [errno, name] of [[-2, 'ENOENT'], [-6, 'ENXIO'], [-19, 'ENODEV']] as const) {
  test(`a device that says ${name} is no module: ENODEV, and how to get one`, t => {
    const error = errors.deviceUnavailable(errno);
    t.like(error, {code: 'ENODEV', errno: -19, syscall: 'open', path: '/dev/framevec'});
    t.regex(error.message, /`sudo npx framevec module install`.*`npx framevec vm -- COMMAND`.*`npx framevec doctor`/);
  });
}

test('a device that this user may not open tells of the group', t => {
  const error = errors.deviceUnavailable(-13);
  t.like(error, {code: 'EACCES', errno: -13, path: '/dev/framevec'});
  t.regex(error.message, /usermod -aG framevec/);
});

test('a module of another version has a code of its own', t => {
  t.is(errors.abiMismatch(7).code, 'ERR_FRAMEVEC_ABI');
  t.regex(errors.abiMismatch(7).message, /speaks ABI 7, and this package speaks ABI 1/);
  t.regex(errors.abiMismatch(undefined).message, /is not framevec's device/);
});

test('frame numbers refused tell who may read them', t => {
  const error = errors.vectorFailed('pfns', -1);
  t.like(error, {code: 'EPERM', errno: -1, syscall: 'ioctl(FRAMEVEC_IOC_READ_PFNS)'});
  t.regex(error.message, /CAP_SYS_ADMIN/);
});

test('a call on a vector that is refused tells what to do about it', t => {
  const stale = errors.vectorFailed('read', -116);
  t.like(stale, {code: 'ESTALE', errno: -116, syscall: 'pread'});
  t.regex(stale.message, /^read: the mapping of this device memory has changed .*: unpin\(\), then pin\(\) what is mapped now$/);
  t.like(errors.vectorFailed('write', -9), {code: 'EBADF', syscall: 'pwrite', message: 'write: the frames are pinned for reading: pin with {write: true}'});
  t.like(errors.vectorFailed('write', -28), {code: 'ENOSPC', syscall: 'pwrite'});
  t.regex(errors.vectorFailed('extents', -1).message, /CAP_SYS_ADMIN.*\{pfns: false\} too\. `npx framevec doctor`/);
  const place = {reason: 'no-page', offset: 8192, address: 0x7f0000003000, asked} as const;
  const unconverted = errors.vectorFailed('toPages', -22, place);
  t.like(unconverted, {code: 'EINVAL', reason: 'no-page', failOffset: 8192, failAddress: 0x7f0000003000, syscall: 'ioctl(FRAMEVEC_IOC_TO_PAGES)'});
  t.regex(unconverted.message, /no struct page for the frame at byte 8,192 of the target/);
});

test('reserved huge pages that are missing tell how many to reserve, and where', t => {
  t.regex(
    errors.allocFailed(-12, 5 * MEBIBYTE, '2M').message,
    /echo 3 > \/sys\/kernel\/mm\/hugepages\/hugepages-2048kB\/nr_hugepages/,
  );
  t.regex(errors.allocFailed(-22, 1, '1G').message, /no 1G pages/);
});

test('an unaligned range tells which end it is, and both ways out', t => {
  const at = (address: number, bytes: number): string =>
    errors.unaligned({address, bytes, frames: 2, write: false}, 4096).message;
  t.regex(at(4096 + 16, 4080), /starts 16 bytes into a page, so/);
  t.regex(at(4096, 5000), /\(5,000 bytes\) ends 3,192 bytes before the end of one, so/);
  t.regex(at(4097, 2), /starts 1 byte into a page and ends 4,093 bytes before/);
  t.regex(at(4097, 2), /FrameVector\.alloc\(\).*\{unaligned: true\}/);
});

test('errnos have the names of the header, also those that libuv names otherwise', t => {
  t.is(errnoName(-95), 'EOPNOTSUPP');
  t.is(errnoName(-133), 'EHWPOISON');
  t.is(errnoName(-61), 'ENODATA');
});

test('mistakes in a call are in the words of Node', t => {
  const type = errors.invalidArgType('capacity', 'of type number', '3');
  t.true(type instanceof TypeError);
  t.like(type, {code: 'ERR_INVALID_ARG_TYPE', message: 'The "capacity" argument must be of type number. Received type string (\'3\')'});
  t.is(
    errors.invalidArgType('options.write', 'of type boolean', new Map()).message,
    'The "options.write" property must be of type boolean. Received an instance of Map',
  );
  t.is(errors.invalidArgType('target', 'a view', null).message, 'The "target" argument must be a view. Received null');
  t.regex(errors.invalidArgType('target', 'a view', Object.create(null)).message, /Received \[Object: null prototype\]/);
  const range = errors.outOfRange('capacity', '>= 1', 1234567);
  t.true(range instanceof RangeError);
  t.is(range.message, 'The value of "capacity" is out of range. It must be >= 1. Received 1,234,567');
});

test('no errno is left bare: each has words, whatever call it comes from', t => {
  const range = {offset: 0, length: 4096};
  const attempt = {index: 0, count: 1, queued: false, direction: 'capture', needed: [4096], given: [4096], addresses: [4096]} as const;
  const calls: Record<string, (errno: number) => Error> = {
    open: errors.deviceUnavailable,
    info: errors.infoFailed,
    create: errno => errors.createFailed(errno, 1),
    pin: errno => errors.pinFailed(errno, asked, undefined, 0, 4096),
    alloc: errno => errors.allocFailed(errno, 4096, undefined),
    'map, open': errno => errors.mapFailed('open', errno, '/dev/x', range),
    'map, mmap': errno => errors.mapFailed('mmap', errno, 5, range),
    'qbuf of a device': errno => v4l2.queueFailed(errno, '/dev/video0', attempt),
  };
  for (const method of ['unpin', 'stat', 'pfns', 'extents', 'toPages', 'toPfns', 'read', 'write', 'poll'] as const) {
    calls[method] = errno => errors.vectorFailed(method, errno);
  }
  for (const method of ['open', 'capabilities', 'formats', 'format', 'setFormat', 'setFrameRate', 'reqbufs', 'dqbuf', 'streamon', 'streamoff', 'poll'] as const) {
    calls[`${method} of a device`] = errno => v4l2.v4l2Failed(method, errno, '/dev/video0');
  }
  for (const [name, call] of Object.entries(calls)) {
    for (const errno of [...getSystemErrorMap().keys()].filter(number => number > -200)) {
      const {message} = call(errno);
      // Beyond the call, the place and the name of the errno, there has to be a sentence.
      t.regex(message, /[a-z]{4,}.*[a-z]{4,}/, `${name}: ${errnoName(errno)}`);
      t.notRegex(message, /(: |; )E[A-Z0-9]+(\.|$)/, `${name}: ${errnoName(errno)}`);
    }
  }
  t.regex(errors.mapFailed('open', -24, '/dev/x', range).message, /^map: \/dev\/x: .*too many open files.*ulimit -n/);
});

test('EBADF is about the access for write() alone', t => {
  t.regex(errors.vectorFailed('write', -9).message, /\{write: true\}/);
  for (const method of ['read', 'unpin', 'stat'] as const) t.notRegex(errors.vectorFailed(method, -9).message, /write/);
});

test('a failed pin has the stop that a partial pin has', t => {
  const place = stop('not-writable');
  const error = errors.pinFailed(-14, asked, place, 0, 4096);
  t.is(error.stop, place);
  t.like(error, {reason: place.reason, failOffset: place.offset, failAddress: place.address});
});

test('sizes in words are exact', t => {
  t.is(errors.bytesInWords(1), '1 byte');
  t.is(errors.bytesInWords(5000), '5,000 bytes');
  t.is(errors.bytesInWords(4096), '4 KiB');
  t.is(errors.bytesInWords(Infinity), 'no limit');
  const units = new Map([['byte', 1], ['bytes', 1], ['KiB', 2 ** 10], ['MiB', 2 ** 20], ['GiB', 2 ** 30], ['TiB', 2 ** 40]]);
  fc.assert(
    fc.property(fc.maxSafeNat(), bytes => {
      const [value, unit] = errors.bytesInWords(bytes).split(' ') as [string, string];
      return Number(value.replaceAll(',', '')) * (units.get(unit) ?? NaN) === bytes;
    }),
  );
});
