/** The life of a vector is that of its descriptor: whatever ends it gives back every frame. */
import {spawn, spawnSync} from 'node:child_process';
import {closeSync, openSync, readFileSync} from 'node:fs';
import {once} from 'node:events';
import {createInterface, type Interface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import {FrameVector} from '../../lib/index.js';
import * as uapi from '../../lib/uapi.js';
import {MAP, PAGE, SYS, close, createVector, errnoName, ioctl, mmap, munmap, must, raw, send, struct} from './raw.js';
import {endsBalanced, framesPinned, pagemap, statusFrames, until} from './oracles.js';

endsBalanced(test);

const RLIMIT_NOFILE = 7;
const OTHER = fileURLToPath(new URL('other-process.js', import.meta.url));
const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
const memory = mmap(16 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});

test.after.always(() => {
  munmap(memory, 16 * PAGE);
  closeSync(device);
});

/** Starts the other process and waits for its first word. */
async function other(what: string, handed?: number): Promise<{word: unknown; child: ReturnType<typeof spawn>; lines: Interface}> {
  const child = spawn(process.execPath, [OTHER, what], {stdio: ['ignore', 'pipe', what === 'throw' ? 'ignore' : 'inherit', ...(handed === undefined ? [] : [handed])]});
  if (child.stdout === null) throw new Error('no stdout');
  const lines = createInterface(child.stdout);
  const [line] = (await once(lines, 'line')) as [string];
  return {word: JSON.parse(line), child, lines};
}

/** With all that it has said. */
async function ended(child: ReturnType<typeof spawn>): Promise<NodeJS.Signals | number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  return child.signalCode ?? child.exitCode;
}

for (const [what, how, expected] of [
  ['exit', 'process.exit()', 0],
  ['throw', 'an uncaught error', 1],
  ['end', 'the end of the program', 0],
] as const) {
  test.serial(`${how} with frames pinned gives them back`, async t => {
    const before = framesPinned();
    const {word, child} = await other(what);
    t.is(word, 256);
    t.is(await ended(child), expected);
    await until('the frames are back', () => framesPinned() === before);
    t.pass();
  });
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test.serial(`${signal} with frames pinned gives them back`, async t => {
    const before = framesPinned();
    const {word, child} = await other('hold');
    t.is(word, 256);
    t.is(framesPinned(), before + 256);
    t.is(statusFrames('VmPin', child.pid), 256);
    child.kill(signal);
    t.is(await ended(child), signal);
    await until('the frames are back', () => framesPinned() === before);
  });
}

for (const part of [1 / 16, 1 / 4, 1 / 2]) {
  test.serial(`SIGKILL in a pin of 256 MiB of which ${part} is pinned ends it and gives all back`, async t => {
    const before = framesPinned();
    let caught = false;
    for (const limit = Date.now() + 120_000; !caught && Date.now() < limit;) {
      const {word, child, lines} = await other('pin-for-long');
      const frames = word as number;
      let over = false;
      lines.on('line', () => { over = true; });
      // Without a pause: it is over soon, and a pause may last until then.
      let pinned = 0;
      for (const end = Date.now() + 60_000; pinned < frames * part && Date.now() < end;) pinned = framesPinned() - before;
      child.kill('SIGKILL');
      t.is(await ended(child), 'SIGKILL');
      await until('the frames are back', () => framesPinned() === before);
      // Whether it was in the middle: some of it was pinned, not all, and the call never returned.
      caught = pinned >= frames * part && pinned < frames && !over;
    }
    t.true(caught, 'no signal came in the middle of a pin');
  });
}

test.serial('a worker that is terminated with frames pinned gives them back', async t => {
  const before = framesPinned();
  const library = new URL('../../lib/index.js', import.meta.url).href;
  const worker = new Worker(`
    import(${JSON.stringify(library)}).then(({FrameVector}) => {
      const vector = FrameVector.pin(FrameVector.alloc(256 * 4096), {write: true});
      require('node:worker_threads').parentPort.postMessage(vector.frames);
      setInterval(() => vector.frames, 1000);
    });
  `, {eval: true});
  const [length] = (await once(worker, 'message')) as [number];
  t.is(length, 256);
  t.is(framesPinned(), before + 256);
  t.is(statusFrames('VmPin'), 256);
  await worker.terminate();
  await until('the frames are back', () => framesPinned() === before);
  t.is(statusFrames('VmPin'), 0);
});

test.serial('close() from another thread while one pins lets the pin end first, and then gives all back', async t => {
  const before = framesPinned();
  const frames = 4096;
  const buffer = mmap(frames * PAGE);
  const fd = createVector(device, frames);
  const worker = new Worker(new URL('close-in-pin.js', import.meta.url), {workerData: {fd, address: buffer, frames}});
  await once(worker, 'message');
  await new Promise(resolve => setTimeout(resolve, 200));
  close(fd);
  const [answers] = (await once(worker, 'message')) as [(string | number)[]];
  t.true(answers.includes(0), 'it has pinned');
  t.true(answers.every(answer => answer === 0 || answer === 'EBADF' || answer === 'ENOTTY'), String(answers));
  await until('the frames are back', () => framesPinned() === before);
  t.is(statusFrames('VmPin'), 0);
  munmap(buffer, frames * PAGE);
});

test.serial('a copy of the descriptor keeps the frames until it is closed, too', t => {
  const fd = createVector(device, 16);
  ioctl(fd, 'PIN', {addr: memory, length: 16 * PAGE});
  const copy = Number(must(SYS.dup, fd));
  close(fd);
  t.is(statusFrames('VmPin'), 16);
  t.is(ioctl(copy, 'STAT').fields.frames, 16);
  close(copy);
  t.is(statusFrames('VmPin'), 0);
});

test.serial('memory that is unmapped while it is pinned stays pinned', t => {
  const page = mmap(PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const numbers = new BigUint64Array(1);
  const [expected] = pagemap(page, 1);
  const fd = createVector(device, 1);
  ioctl(fd, 'PIN', {addr: page, length: PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
  munmap(page, PAGE);
  t.is(statusFrames('VmPin'), 1);
  t.is(ioctl(fd, 'READ_PFNS', {count: 1, pfns: raw.address(numbers)}).result, 0);
  t.is(numbers[0], expected);
  close(fd);
  t.is(statusFrames('VmPin'), 0);
});

test.serial('a child of fork may look and unpin, but not pin: the vector is its parent\'s', t => {
  const fd = createVector(device, 16);
  ioctl(fd, 'PIN', {addr: memory, length: 16 * PAGE});
  const unpin = struct('UNPIN');
  const pin = struct('PIN', {addr: memory, length: PAGE});
  const stat = struct('STAT');
  const [first, second, third] = raw.inChild([
    [SYS.ioctl, fd, uapi.FRAMEVEC_IOC_STAT, stat],
    [SYS.ioctl, fd, uapi.FRAMEVEC_IOC_UNPIN, unpin],
    [SYS.ioctl, fd, uapi.FRAMEVEC_IOC_PIN, pin],
  ]);
  t.is(first, 0n);
  t.is(second, 0n);
  t.is(errnoName(third ?? 0n), 'EPERM');
  t.is(statusFrames('VmPin'), 0, 'the parent, who was charged, is refunded');
  t.is(ioctl(fd, 'PIN', {addr: memory, length: PAGE}).result, 0);
  close(fd);
});

test.serial('what a child of fork closes is still its parent\'s', t => {
  const fd = createVector(device, 16);
  ioctl(fd, 'PIN', {addr: memory, length: 16 * PAGE});
  raw.inChild([[SYS.close, fd]]);
  t.is(statusFrames('VmPin'), 16);
  close(fd);
  t.is(statusFrames('VmPin'), 0);
});

interface Tried {
  stat: number;
  pfns: number | string;
  numbers: string[];
  unpin: number | string;
  pin: {result: string; fields: {reason: number}};
}

test.serial('after exec an inherited vector can be read and unpinned, but not pinned; the pinner is refunded (CVE-2023-53171, 90fdd158a695)', async t => {
  const fd = createVector(device, 16);
  ioctl(fd, 'PIN', {addr: memory, length: 16 * PAGE});
  const expected = pagemap(memory, 2).map(String);
  const {word, child} = await other('handed', fd);
  await ended(child);
  const tried = word as Tried;
  t.is(tried.stat, 16);
  t.deepEqual(tried.numbers, expected);
  t.is(tried.unpin, 0);
  t.is(tried.pin.result, 'EPERM');
  t.is(tried.pin.fields.reason, uapi.FRAMEVEC_REASON_OWNER);
  t.is(statusFrames('VmPin'), 0);
  close(fd);
});

test.serial('a vector sent over a UNIX socket lives on in the receiver, who may not pin with it', async t => {
  const fd = createVector(device, 16);
  ioctl(fd, 'PIN', {addr: memory, length: 16 * PAGE});
  const expected = pagemap(memory, 2).map(String);

  const pair = new Int32Array(2);
  must(SYS.socketpair, 1 /* AF_UNIX */, 1 /* SOCK_STREAM */, 0, pair);
  const [mine = -1, theirs = -1] = pair;
  send(mine, fd);
  close(fd);
  t.is(statusFrames('VmPin'), 16, 'it is on its way, and held');

  const {word, child} = await other('received', theirs);
  await ended(child);
  const tried = word as Tried;
  t.is(tried.stat, 16);
  t.deepEqual(tried.numbers, expected);
  t.is(tried.unpin, 0);
  t.is(tried.pin.result, 'EPERM');
  t.is(tried.pin.fields.reason, uapi.FRAMEVEC_REASON_OWNER);
  t.is(statusFrames('VmPin'), 0);
  close(mine);
  close(theirs);
});

test.serial('fdinfo tells what the vector holds, and no address and no frame number', t => {
  const fd = createVector(device, 16);
  ioctl(fd, 'PIN', {addr: memory + 100n, length: PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
  const told: Record<string, string> = Object.fromEntries(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').trim().split('\n')
    .filter(line => line.startsWith('framevec-')).map(line => line.slice('framevec-'.length).split(':\t') as [string, string]));
  t.like(told, {capacity: '16', kind: 'pages', frames: '2', offset: '100', length: '4096', write: '1', 'got-ref': '1'});
  const [pfn] = pagemap(memory, 1);
  t.false(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').includes(String(pfn)));
  close(fd);
});

test.serial('with no descriptor left there is no vector, and nothing of it stays (f49856f525ac)', t => {
  const users = (): string => readFileSync('/sys/module/framevec/refcnt', 'latin1');
  const before = users();
  const old = new BigUint64Array(2);
  must(SYS.prlimit64, 0, RLIMIT_NOFILE, 0, old);
  const [, hard = 0n] = old;
  must(SYS.prlimit64, 0, RLIMIT_NOFILE, new BigUint64Array([0n, hard]), 0);
  const {result} = ioctl(device, 'CREATE', {capacity: 16});
  must(SYS.prlimit64, 0, RLIMIT_NOFILE, old, 0);
  t.is(result, 'EMFILE');
  t.is(users(), before);
  close(createVector(device, 16));
});

test.serial('the module cannot be unloaded while a vector is open', t => {
  const {status, stderr} = spawnSync('rmmod', ['framevec'], {encoding: 'utf8'});
  t.not(status, 0);
  t.regex(stderr, /in use|busy|temporarily unavailable/i);
});

test.serial('pin, unpin and stat from several threads on one vector never see each other half done', async t => {
  const fd = createVector(device, 16);
  const source = `
    const {parentPort, workerData: {fd, address, raw}} = require('node:worker_threads');
    import(raw).then(({ioctl}) => {
      const bad = [];
      for (let i = 0; i < 2000; i++) {
        const pin = ioctl(fd, 'PIN', {addr: address, length: 16 * 4096}).result;
        if (pin !== 0 && pin !== 'EBUSY') bad.push(['pin', pin]);
        const {kind, frames} = ioctl(fd, 'STAT').fields;
        if (!((kind === 0 && frames === 0) || (kind === 1 && frames === 16))) bad.push(['stat', kind, frames]);
        const unpin = ioctl(fd, 'UNPIN').result;
        if (unpin !== 0 && unpin !== 'ENODATA') bad.push(['unpin', unpin]);
      }
      parentPort.postMessage(bad);
    });`;
  const workers = Array.from({length: 4}, () => new Worker(source, {
    eval: true, workerData: {fd, address: memory, raw: new URL('raw.js', import.meta.url).href},
  }));
  const bad = await Promise.all(workers.map(async worker => ((await once(worker, 'message')) as [unknown[]])[0]));
  t.deepEqual(bad.flat(), []);
  close(fd);
  t.is(statusFrames('VmPin'), 0);
});

test.serial('the library closes its descriptor with the vector', t => {
  const vector = FrameVector.create(4);
  const {fd} = vector;
  t.true(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').includes('framevec-capacity:\t4'));
  vector.close();
  t.is(errnoName(raw.syscall(SYS.ioctl, fd, uapi.FRAMEVEC_IOC_STAT, struct('STAT'))), 'EBADF');
});
