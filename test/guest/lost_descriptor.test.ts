/** Other code closes a vector's descriptor: the vector notices, and never touches the file that has the number now. */
import {closeSync, fstatSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import {FrameVector, FrameVectorError, V4l2Device} from '../../lib/index.js';
import {FRAMEVEC_DEVICE} from '../../lib/uapi.js';
import {endsBalanced, framesPinned} from './oracles.js';
import {PAGE, close, createVector} from './raw.js';
import {vivid} from './vivid.js';

endsBalanced(test);

const path = join(mkdtempSync(join(tmpdir(), 'framevec-')), 'other');
writeFileSync(path, 'the content of another file');

/** Every use of a vector but close(). */
function uses(vector: FrameVector, memory: Uint8Array) {
  return {
    pin: () => vector.pin(memory),
    unpin: () => vector.unpin(),
    stat: () => vector.stat(),
    pfns: () => vector.pfns(),
    extents: () => vector.extents(),
    read: () => vector.read(0, new Uint8Array(16)),
    write: () => vector.write(0, new Uint8Array(16)),
    fd: () => vector.fd,
    staleSignal: () => vector.staleSignal,
    toPfns: () => {
      vector.toPfns();
    },
    toPages: () => {
      vector.toPages();
    },
  };
}

/** Opens a file until it has this number. */
function reuse(fd: number): void {
  const others: number[] = [];
  let last = openSync(path, 'r+');
  while (last !== fd && last < fd + 20) {
    others.push(last);
    last = openSync(path, 'r+');
  }
  for (const other of others) closeSync(other);
  if (last !== fd) throw new Error(`no file got descriptor ${fd}`);
}

test.serial('a vector whose descriptor is closed says so in every call, and close() is no error', async t => {
  using memory = FrameVector.alloc(PAGE);
  const vector = FrameVector.pin(memory, {write: true});
  close(vector.fd);
  t.is(framesPinned(), 0);
  for (const [name, use] of Object.entries(uses(vector, memory.bytes))) {
    t.throws(use, {instanceOf: FrameVectorError, code: 'ERR_FRAMEVEC_LOST', message: /other code in this process has closed the descriptor/}, name);
  }
  await t.throwsAsync(vector.pinAsync(memory), {code: 'ERR_FRAMEVEC_LOST'});
  const warned = new Promise<Error>(resolve => process.once('warning', resolve));
  vector.close();
  t.is((await warned as Error & {code?: string}).code, 'FRAMEVEC_LOST');
  t.true(vector.closed);
});

test.serial('a file that got the number is neither read, written nor closed', t => {
  using memory = FrameVector.alloc(PAGE);
  const vector = FrameVector.pin(memory, {write: true});
  const {fd} = vector;
  close(fd);
  reuse(fd);
  for (const [name, use] of Object.entries(uses(vector, memory.bytes))) t.throws(use, {code: 'ERR_FRAMEVEC_LOST'}, name);
  vector.close();
  t.is(fstatSync(fd).size, readFileSync(path).length);
  t.is(readFileSync(path, 'utf8'), 'the content of another file');
  closeSync(fd);
});

test.serial('another vector that got the number is not touched, whoever made it', t => {
  using memory = FrameVector.alloc(PAGE);
  const device = openSync(FRAMEVEC_DEVICE, 'r+');
  for (const made of ['by this copy of the library', 'by other code'] as const) {
    const vector = FrameVector.pin(memory, {write: true});
    const {fd} = vector;
    close(fd);
    const own = made === 'by this copy of the library' ? FrameVector.create(1) : undefined;
    const other = own?.fd ?? createVector(device, 1);
    t.is(other, fd);
    own?.pin(memory, {write: true});
    for (const name of ['read', 'write', 'fd', 'staleSignal'] as const) {
      t.throws(uses(vector, memory.bytes)[name], {code: 'ERR_FRAMEVEC_LOST'}, `${name}: ${made}`);
    }
    if (own !== undefined) t.throws(() => vector.unpin(), {code: 'ERR_FRAMEVEC_LOST'});
    vector.close();
    t.notThrows(() => fstatSync(fd), made);
    t.is(own?.unpin(), own === undefined ? undefined : 1);
    own?.close();
    if (own === undefined) close(fd);
  }
  closeSync(device);
});

test.serial('the end of a worker whose vector is lost closes no other file', async t => {
  const script = `
    import {parentPort} from 'node:worker_threads';
    import {FrameVector} from ${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)};
    globalThis.kept = FrameVector.create(1);
    parentPort.postMessage(kept.fd);
    parentPort.once('message', () => undefined);
  `;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
  const fd = await new Promise<number>((resolve, reject) => worker.once('message', resolve).once('error', reject));
  close(fd);
  reuse(fd);
  await worker.terminate();
  t.is(fstatSync(fd).size, readFileSync(path).length);
  closeSync(fd);
});

test.serial("the library's own descriptor of /dev/framevec is opened anew if other code has closed it", t => {
  FrameVector.create(1).close();
  const fd = readdirSync('/proc/self/fd').map(Number).find(number => {
    try {
      return readlinkSync(`/proc/self/fd/${number}`) === FRAMEVEC_DEVICE;
    } catch {
      return false;
    }
  });
  if (fd === undefined) throw new Error('the device is not open');
  close(fd);
  FrameVector.create(1).close();
  t.notThrows(() => fstatSync(fd));
  close(fd);
  reuse(fd);
  FrameVector.create(1).close();
  t.is(fstatSync(fd).size, readFileSync(path).length);
  closeSync(fd);
});

test.serial('a video device whose descriptor is closed says so, and close() leaves the other file alone', t => {
  const device = V4l2Device.open(vivid('single', 'capture'));
  const fd = readdirSync('/proc/self/fd').map(Number).find(number => {
    try {
      return readlinkSync(`/proc/self/fd/${number}`) === device.path;
    } catch {
      return false;
    }
  });
  if (fd === undefined) throw new Error('the device is not open');
  close(fd);
  reuse(fd);
  t.throws(() => device.format(), {instanceOf: FrameVectorError, code: 'ERR_FRAMEVEC_LOST'});
  t.throws(() => {
    device.close();
  }, {code: 'ERR_FRAMEVEC_LOST'});
  t.true(device.closed);
  t.is(fstatSync(fd).size, readFileSync(path).length);
  closeSync(fd);
});
