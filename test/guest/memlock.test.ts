/** RLIMIT_MEMLOCK: exact, of the process and of the user, and told. As a user without CAP_IPC_LOCK. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {chmodSync, closeSync, openSync} from 'node:fs';
import {createInterface} from 'node:readline';
import test from 'ava';
import {FrameVector, FrameVectorError} from '../../lib/index.js';
import * as uapi from '../../lib/uapi.js';
import {programPath} from './native.js';
import {MAP, NOBODY, PAGE, SYS, asNobody, close, createVector, ioctl, memfd, mmap, munmap, must} from './raw.js';
import {endsBalanced, statusFrames} from './oracles.js';

endsBalanced(test);

const RLIMIT_MEMLOCK = 8;
const LIMIT = 64;

chmodSync(uapi.FRAMEVEC_DEVICE, 0o666);
const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
const memory = mmap(LIMIT * 2 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});

function setLimit(frames: number): void {
  const limit = new BigUint64Array([BigInt(frames * PAGE), BigInt(frames * PAGE)]);
  must(SYS.prlimit64, 0, RLIMIT_MEMLOCK, limit, 0);
}

test.before(() => {
  setLimit(LIMIT);
});
test.after.always(() => {
  munmap(memory, LIMIT * 2 * PAGE);
  closeSync(device);
  chmodSync(uapi.FRAMEVEC_DEVICE, 0o600);
});

test('exactly as many frames as the limit allows can be pinned', t => {
  const fd = createVector(device, LIMIT * 2);
  asNobody(() => {
    t.is(ioctl(fd, 'PIN', {addr: memory, length: LIMIT * PAGE}).result, 0);
    t.is(ioctl(fd, 'UNPIN').result, 0);
    const {result, fields} = ioctl(fd, 'PIN', {addr: memory, length: LIMIT * PAGE + 1});
    t.is(result, 'ENOMEM');
    t.is(fields.reason, uapi.FRAMEVEC_REASON_MEMLOCK);
    t.deepEqual([fields.memlock_need, fields.memlock_used, fields.memlock_limit], [LIMIT + 1, 0, LIMIT]);
    t.is(fields.memlock_scope, uapi.FRAMEVEC_MEMLOCK_PROCESS);
  });
  t.is(statusFrames('VmPin'), 0);
  close(fd);
});

test('all vectors of a process share the limit, and what one gives back another may have', t => {
  const a = createVector(device, LIMIT);
  const b = createVector(device, LIMIT);
  asNobody(() => {
    t.is(ioctl(a, 'PIN', {addr: memory, length: (LIMIT - 1) * PAGE}).result, 0);
    t.is(ioctl(b, 'PIN', {addr: memory, length: PAGE}).result, 0);
    ioctl(b, 'UNPIN');
    const {result, fields} = ioctl(b, 'PIN', {addr: memory, length: 2 * PAGE});
    t.is(result, 'ENOMEM');
    t.deepEqual([fields.memlock_need, fields.memlock_used, fields.memlock_limit], [2, LIMIT - 1, LIMIT]);
    close(a);
    t.is(ioctl(b, 'PIN', {addr: memory, length: LIMIT * PAGE}).result, 0);
  });
  close(b);
  t.is(statusFrames('VmPin'), 0);
});

test('a partial pin takes what the limit leaves, and says that it was the limit', t => {
  const fd = createVector(device, LIMIT * 2);
  asNobody(() => {
    const {result, fields} = ioctl(fd, 'PIN', {addr: memory, length: 2 * LIMIT * PAGE, flags: uapi.FRAMEVEC_PIN_PARTIAL});
    t.is(result, 0);
    t.is(fields.frames, LIMIT);
    t.is(fields.reason, uapi.FRAMEVEC_REASON_MEMLOCK);
    t.is(BigInt(fields.fail_addr ?? 0), memory + BigInt(LIMIT * PAGE));
    t.is(statusFrames('VmPin'), LIMIT);
  });
  close(fd);
});

test('a pin that fails for another reason is refunded', t => {
  const hole = mmap(2 * PAGE);
  munmap(hole + BigInt(PAGE), PAGE);
  const fd = createVector(device, 2);
  t.is(ioctl(fd, 'PIN', {addr: hole, length: 2 * PAGE}).result, 'EFAULT');
  t.is(statusFrames('VmPin'), 0);
  close(fd);
  munmap(hole, PAGE);
});

test('a partial pin that ends with the file, before its mapping does, is charged for what it holds', t => {
  const hole = mmap(4 * PAGE);
  munmap(hole + BigInt(3 * PAGE), PAGE);
  const fd = memfd('short', PAGE);
  mmap(2 * PAGE, {at: hole + BigInt(PAGE), flags: MAP.SHARED | MAP.FIXED, fd});
  const vector = createVector(device, 4);
  // The mapping goes on, but its file does not: what can't be pinned was charged before.
  t.is(ioctl(vector, 'PIN', {addr: hole, length: 4 * PAGE, flags: uapi.FRAMEVEC_PIN_PARTIAL}).fields.frames, 2);
  t.is(statusFrames('VmPin'), 2);
  t.is(ioctl(vector, 'UNPIN').result, 0);
  t.is(statusFrames('VmPin'), 0);
  close(vector);
  close(fd);
  munmap(hole, 3 * PAGE);
});

test('root, who has CAP_IPC_LOCK, is not limited', t => {
  const fd = createVector(device, LIMIT * 2);
  t.is(ioctl(fd, 'PIN', {addr: memory, length: LIMIT * 2 * PAGE}).result, 0);
  t.is(statusFrames('VmPin'), LIMIT * 2);
  close(fd);
});

test('the library says what the limit is, what is in use, and how to raise it', t => {
  using vector = FrameVector.create(LIMIT * 2);
  using buffer = FrameVector.alloc(LIMIT * 2 * PAGE, {hugepages: false});
  const error = t.throws(() => asNobody(() => vector.pin(buffer)), {instanceOf: FrameVectorError, code: 'ENOMEM'});
  t.is(error.reason, 'memlock');
  t.regex(error.message, /128 frames/);
  t.regex(error.message, /RLIMIT_MEMLOCK/);
  t.regex(error.message, /256 KiB/);
  t.regex(error.message, /ulimit -l/);
});

/** As a user of nobody else's, this thread only: another process pins as that one meanwhile. */
async function whileNobodyPins(frames: number, use: () => void): Promise<void> {
  const other = spawn(programPath('limits'), ['keep', String(frames)], {stdio: ['pipe', 'pipe', 'inherit']});
  const [line] = await once(createInterface(other.stdout), 'line') as [string];
  try {
    if (line !== '{"result":0}') throw new Error(line);
    must(SYS.setresuid, NOBODY, NOBODY, 0);
    try {
      use();
    } finally {
      must(SYS.setresuid, 0, 0, 0);
    }
  } finally {
    other.stdin.end();
    await once(other, 'exit');
  }
}

test.serial('what another process of the user has pinned counts too, and the answer says that it was the user\'s limit', async t => {
  await whileNobodyPins(LIMIT - 8, () => {
    const fd = createVector(device, 16);
    t.is(ioctl(fd, 'PIN', {addr: memory, length: PAGE}).result, 0, 'there is room for that');
    ioctl(fd, 'UNPIN');
    const {result, fields} = ioctl(fd, 'PIN', {addr: memory, length: 16 * PAGE});
    t.deepEqual([result, fields.reason, fields.memlock_scope], ['ENOMEM', uapi.FRAMEVEC_REASON_MEMLOCK, uapi.FRAMEVEC_MEMLOCK_USER]);
    t.deepEqual([fields.memlock_need, fields.memlock_used, fields.memlock_limit], [16, LIMIT - 8, LIMIT]);
    const partial = ioctl(fd, 'PIN', {addr: memory, length: 16 * PAGE, flags: uapi.FRAMEVEC_PIN_PARTIAL});
    t.deepEqual([partial.result, partial.fields.frames, partial.fields.memlock_scope], [0, 8, uapi.FRAMEVEC_MEMLOCK_USER]);
    t.is(statusFrames('VmPin'), 8, 'what the user may not is not counted for the process either');
    close(fd);
  });
  t.is(statusFrames('VmPin'), 0);
});

test.serial('the library says which limit was met: of the process, of the user, and of the user by a new vector', async t => {
  using buffer = FrameVector.alloc(LIMIT * 2 * PAGE, {hugepages: false});
  using vector = FrameVector.create(LIMIT * 2);
  const own = t.throws(() => asNobody(() => vector.pin(buffer)), {instanceOf: FrameVectorError, code: 'ENOMEM'});
  t.like(own.memlock, {scope: 'process', need: 2 * LIMIT, used: 0, limit: LIMIT});
  await whileNobodyPins(LIMIT - 1, () => {
    const others = t.throws(() => vector.pin(buffer.bytes.subarray(0, 2 * PAGE)), {instanceOf: FrameVectorError, code: 'ENOMEM'});
    t.like(others.memlock, {scope: 'user', limit: LIMIT});
    t.regex(others.message, /of the user/);
    const made = t.throws(() => FrameVector.create(2048), {instanceOf: FrameVectorError, code: 'ENOMEM'});
    t.like(made.memlock, {scope: 'user', used: LIMIT - 1, limit: LIMIT});
  });
});

test('frame numbers are for CAP_SYS_ADMIN only; the rest works as nobody', t => {
  const fd = createVector(device, 2);
  const numbers = new BigUint64Array(2);
  asNobody(() => {
    t.is(ioctl(fd, 'PIN', {addr: memory, length: 2 * PAGE}).result, 0);
    t.is(ioctl(fd, 'READ_PFNS', {count: 2, pfns: 4096n}).result, 'EPERM');
    // How long the runs are is no secret, where they are is one.
    const counts = new Uint32Array(2);
    const {result, fields} = ioctl(fd, 'EXTENTS', {capacity: 2, counts});
    t.deepEqual([result, fields.next, (counts[0] ?? 0) + (counts[1] ?? 0)], [0, 2, 2]);
    t.is(ioctl(fd, 'EXTENTS', {capacity: 2, counts, pfns: numbers}).result, 'EPERM');
    t.is((ioctl(device, 'INFO').fields.features ?? 0) & uapi.FRAMEVEC_FEATURE_PFNS, 0);
  });
  t.deepEqual([...numbers], [0n, 0n]);
  t.not((ioctl(device, 'INFO').fields.features ?? 0) & uapi.FRAMEVEC_FEATURE_PFNS, 0);
  close(fd);
});
