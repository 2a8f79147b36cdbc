/** The library on a real kernel: what it tells, what it refuses, and how vectors and memory end. */
import {spawn} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {inspect} from 'node:util';
import {setTimeout} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import {FrameVector, FrameVectorError, info, type PinOptions} from '../../lib/index.js';
import {endsBalanced, framesPinned, pagemap, statusFrames, until} from './oracles.js';

endsBalanced(test);

const {pageSize} = info();
const index = new URL('../../lib/index.js', import.meta.url).href;

/** Runs a program that imports the library; answers with what it printed, and how it ended. */
async function run(program: string, ...flags: string[]): Promise<{code: number | null; out: string; err: string}> {
  const lines = `import {FrameVector, info} from ${JSON.stringify(index)};\n${program}`;
  const child = spawn(process.execPath, ['--expose-gc', ...flags, '--input-type=module', '--eval', lines]);
  let out = '';
  let err = '';
  child.stdout.on('data', data => (out += String(data)));
  child.stderr.on('data', data => (err += String(data)));
  const code = await new Promise<number | null>(resolve => child.once('close', resolve));
  return {code, out: out.trim(), err};
}

test.serial('info() tells the page size, the most frames, and what this process may', t => {
  const told = info();
  t.is(told.abi, 1);
  t.is(told.pageSize, 4096);
  t.true(told.maxFrames > 2 ** 20);
  t.is(told.apertureSize, 16 * 2 ** 20);
  t.like(told.features, {force: false, pfns: true});
  t.is(typeof told.features.leaves, 'boolean');
});

test.serial('what is pinned is what pagemap shows, and every property tells the same as stat()', t => {
  using memory = FrameVector.alloc(64 * pageSize, {hugepages: false});
  using vector = FrameVector.create(64);
  t.is(vector.kind, 'none');
  t.is(vector.address, 0);
  t.is(vector.pin(memory, {write: true}), 64);
  t.deepEqual([...vector.pfns()], pagemap(BigInt(vector.address), 64));
  t.is(statusFrames('VmPin'), 64);
  const {kind, capacity, frames, offset, byteLength} = vector;
  t.deepEqual(vector.stat(), {kind, capacity, frames, offset, byteLength, write: true, gotRef: true, stale: false});
  t.is(byteLength, memory.byteLength);
  t.regex(readFileSync(`/proc/self/fdinfo/${vector.fd}`, 'utf8'), /framevec-frames:\s+64\n/);
  t.regex(inspect(vector), /^FrameVector \{[^]*kind: 'pages',[^]*frames: 64/);
  t.is(vector.unpin(), 64);
  t.deepEqual(vector.stat(), {kind: 'none', capacity: 64, frames: 0, offset: 0, byteLength: 0, write: false, gotRef: false, stale: false});
  t.is(vector.frames, 0);
  t.is(vector.byteLength, 0);
});

test.serial('each kind of container is pinned where it lies, to the byte', t => {
  using memory = FrameVector.alloc(5000);
  const wasm = (globalThis as unknown as {WebAssembly: {Memory: new (o: object) => {buffer: ArrayBuffer; grow(n: number): number}}})
    .WebAssembly;
  const shared = new SharedArrayBuffer(3 * pageSize);
  const targets = [
    memory,
    memory.bytes.subarray(4096),
    new DataView(memory.buffer, 4096),
    shared,
    new Float64Array(shared, 4096),
    new wasm.Memory({initial: 1}),
    new ArrayBuffer(10_000),
    Buffer.alloc(10_000),
    new Uint8Array(20),
  ];
  using vector = FrameVector.create(64);
  for (const target of targets) {
    const frames = vector.pin(target, {write: true, unaligned: true});
    const bytes = 'byteLength' in target ? target.byteLength : target.buffer.byteLength;
    t.is(vector.byteLength, bytes);
    t.is(vector.offset, vector.address % pageSize);
    t.is(frames, Math.ceil((vector.offset + bytes) / pageSize));
    const first = vector.address - vector.offset;
    t.deepEqual([...vector.pfns()], pagemap(BigInt(first), frames));
    vector.unpin();
  }
});

test.serial('a write through the view is seen in the pinned frame: it is still the same frame', t => {
  const bytes = new Uint8Array(new ArrayBuffer(3 * pageSize));
  using vector = FrameVector.pin(bytes, {write: true, unaligned: true});
  const before = [...vector.pfns()];
  bytes.fill(9);
  t.deepEqual(pagemap(BigInt(vector.address - vector.offset), vector.frames), before);
});

test.serial('pfns() fills what it is given, from where it is told', t => {
  using memory = FrameVector.alloc(8 * pageSize, {hugepages: false});
  using vector = FrameVector.pin(memory, {write: true});
  const all = [...vector.pfns()];
  const into = new BigUint64Array(4);
  t.is(vector.pfns(into), into);
  t.deepEqual([...into], all.slice(0, 4));
  t.deepEqual([...vector.pfns(into, 6)], all.slice(6));
  t.deepEqual([...vector.pfns(undefined, 7)], all.slice(7));
  t.throws(() => vector.pfns(into, 8), {code: 'ERR_OUT_OF_RANGE'});
  t.throws(() => vector.pfns(into, -1), {code: 'ERR_OUT_OF_RANGE'});
  t.throws(() => vector.pfns(new BigUint64Array(0)), {code: 'ERR_OUT_OF_RANGE'});
  t.throws(() => vector.pfns(new BigInt64Array(1) as unknown as BigUint64Array), {code: 'ERR_INVALID_ARG_TYPE'});
  vector.unpin();
  t.throws(() => vector.pfns(), {code: 'ENODATA'});
});

test.serial('a range that shares pages is refused unless that is wanted; the end of owned memory is its own', t => {
  using memory = FrameVector.alloc(2 * pageSize + 100);
  using vector = FrameVector.create(4);
  t.is(vector.pin(memory), 3);
  t.is(vector.unpin(), 3);
  t.is(vector.pin(memory.bytes.subarray(pageSize)), 2);
  vector.unpin();
  for (const part of [memory.bytes.subarray(1), memory.bytes.subarray(0, 5000), memory.bytes.subarray(pageSize, pageSize + 10)]) {
    t.throws(() => vector.pin(part), {instanceOf: RangeError, code: 'ERR_FRAMEVEC_UNALIGNED'});
    t.true(vector.pin(part, {unaligned: true}) > 0);
    vector.unpin();
  }
});

test.serial('options of a wrong type are TypeErrors, and nothing is pinned', t => {
  using memory = FrameVector.alloc(pageSize);
  using vector = FrameVector.create(1);
  for (const options of [null, 5, 'write', {write: 1}, {force: 'no'}, {partial: null}, {unaligned: 0}, {timing: {}}, {strict: 1}]) {
    t.throws(() => vector.pin(memory, options as PinOptions), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'}, inspect(options));
  }
  t.is(vector.frames, 0);
  vector.pin(memory);
  t.throws(() => vector.unpin({timing: 1} as never), {code: 'ERR_INVALID_ARG_TYPE'});
  t.is(vector.frames, 1);
});

test.serial('what the kernel refuses has its errno, its reason and its remedy', t => {
  using memory = FrameVector.alloc(4 * pageSize);
  using vector = FrameVector.create(3);
  t.throws(() => vector.pin(memory), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE', message: /FrameVector\.create\(4\)/});
  t.throws(() => vector.unpin(), {instanceOf: FrameVectorError, code: 'ENODATA'});
  const forced = t.throws(() => vector.pin(memory.bytes.subarray(pageSize), {force: true}), {code: 'EPERM', message: /allow_force=1/});
  t.like(forced, {reason: 'force', syscall: 'ioctl(FRAMEVEC_IOC_PIN)', errno: -1});
  vector.pin(memory.bytes.subarray(pageSize));
  t.throws(() => vector.pin(memory.bytes.subarray(pageSize)), {code: 'EBUSY', message: /holds 3 frames already/});
  t.is(vector.frames, 3);
  t.throws(() => FrameVector.create(info().maxFrames + 1), {instanceOf: RangeError, message: new RegExp(`<= ${info().maxFrames}`)});
});

test.serial('a closed vector says so, and a second close() does nothing', t => {
  const vector = FrameVector.create(1);
  using memory = FrameVector.alloc(1);
  vector.pin(memory);
  vector.close();
  vector.close();
  t.true(vector.closed);
  t.is(vector.frames, 0);
  t.is(framesPinned(), 0);
  for (const use of [() => vector.pin(memory), () => vector.unpin(), () => vector.pfns(), () => vector.stat(), () => vector.fd]) {
    t.throws(use, {instanceOf: FrameVectorError, code: 'ERR_FRAMEVEC_CLOSED'});
  }
  t.is(inspect(vector), 'FrameVector {closed}');
});

test.serial('closed memory is not pinned again, by itself or by a view', t => {
  const memory = FrameVector.alloc(10 * pageSize);
  memory.close();
  t.throws(() => FrameVector.pin(memory), {instanceOf: TypeError, code: 'ERR_FRAMEVEC_CLOSED'});
  t.throws(() => FrameVector.pin(memory.bytes), {instanceOf: TypeError, code: 'ERR_FRAMEVEC_DETACHED'});
});

test.serial('timing is told on request only, and the part is not more than the whole', t => {
  using memory = FrameVector.alloc(256 * pageSize);
  using vector = FrameVector.create(256);
  vector.pin(memory, {write: true});
  t.is(vector.timing, undefined);
  vector.unpin({timing: true});
  const unpin = vector.timing;
  vector.pin(memory, {write: true, timing: true});
  for (const timing of [unpin, vector.timing]) {
    t.true(timing !== undefined && timing.gupNs > 0 && timing.callNs >= timing.gupNs && timing.callNs < 1e10, inspect(timing));
  }
});

test.serial('a vector that is dropped empty is closed; one that is dropped pinned is told of, and stays pinned', async t => {
  const program = `
    import {readdirSync, readlinkSync} from 'node:fs';
    const link = fd => { try { return readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } };
    const open = () => readdirSync('/proc/self/fd').filter(fd => /anon_inode:.*framevec/.test(link(fd))).length;
    const settle = async () => { for (let i = 0; i < 10; i++) { gc(); await new Promise(done => setTimeout(done, 10)); } };
    (() => { for (let i = 0; i < 20; i++) { const v = FrameVector.create(4); v.pin(FrameVector.alloc(8000)); v.unpin(); } })();
    await settle();
    const empty = open();
    (() => { FrameVector.create(4).pin(FrameVector.alloc(8000)); })();
    await settle();
    console.log(empty, open());
  `;
  const quiet = await run(program);
  t.is(quiet.out, '0 1');
  t.regex(quiet.err, /\[FRAMEVEC_LEAK\] FrameVectorWarning: .* while it held 2 frames/);
  t.regex(quiet.err, /NODE_DEBUG=framevec/);
  const traced = await run(program, '--trace-warnings');
  t.regex(traced.err, /at FrameVector\.create/);
});

test.serial('a heap ArrayBuffer that can be detached under a pin: strict refuses it, and else a warning tells', async t => {
  const {out, err} = await run(`
    const vector = FrameVector.create(4);
    const bytes = new Uint8Array(8192);
    let strict = 'taken';
    try { vector.pin(bytes, {strict: true, unaligned: true, write: true}); vector.unpin(); } catch (error) { strict = error.code; }
    vector.pin(bytes, {unaligned: true, write: true});
    let controller;
    new ReadableStream({type: 'bytes', start: given => { controller = given; }});
    try { controller.enqueue(bytes); } catch {}
    console.log(strict, bytes.length);
    vector.unpin();
  `);
  t.true(['taken 8192', 'ERR_FRAMEVEC_UNPROTECTED 0'].includes(out), out);
  t.is(err.includes('FRAMEVEC_DETACHED'), out.endsWith(' 0'), err);
});

for (const [name, end] of Object.entries({
  'a natural end': '',
  'process.exit()': 'process.exit(0);',
  SIGKILL: "process.kill(process.pid, 'SIGKILL');",
  'an uncaught error': "throw new Error('end');",
})) {
  test.serial(`${name} gives back every frame`, async t => {
    const {out} = await run(`
      globalThis.kept = [];
      for (const target of [FrameVector.alloc(4 * 2 ** 20), new SharedArrayBuffer(8192), new ArrayBuffer(8192)]) {
        kept.push(FrameVector.pin(target, {write: true, unaligned: true}));
      }
      console.log(kept.map(vector => vector.kind).join());
      ${end}
    `);
    t.is(out, 'pages,pages,pages');
    await until('all is unpinned', () => framesPinned() === 0, 10_000);
    t.pass();
  });
}

test.serial('the end of a worker gives back its frames, also when it is terminated', async t => {
  const source = `
    import {parentPort} from 'node:worker_threads';
    import {FrameVector} from ${JSON.stringify(index)};
    globalThis.kept = [FrameVector.pin(FrameVector.alloc(2 ** 22), {write: true}), FrameVector.pin(new ArrayBuffer(8192), {unaligned: true, write: true})];
    parentPort.postMessage('pinned');
    parentPort.once('message', () => {});
  `;
  for (const terminate of [true, false]) {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
    await new Promise(resolve => worker.once('message', resolve));
    t.true(statusFrames('VmPin') >= 1024);
    const ended = new Promise(resolve => worker.once('exit', resolve));
    if (terminate) await worker.terminate();
    else worker.postMessage('end');
    await ended;
    await setTimeout(10);
    t.is(statusFrames('VmPin'), 0);
  }
});

test.serial('over the limit, pin() tells the limit, and partial takes what there is', async t => {
  const program = `
    const memory = FrameVector.alloc(2 ** 20, {hugepages: false});
    const vector = FrameVector.create(256);
    try { vector.pin(memory, {write: true}); } catch (error) { console.log(error.code, error.reason, JSON.stringify(error.memlock), error.message); }
    console.log(vector.pin(memory, {write: true, partial: true}), vector.byteLength, vector.stopped.reason, vector.stopped.offset);
    vector.unpin();
    console.log(vector.stopped);
  `;
  const lines = `import {FrameVector, info} from ${JSON.stringify(index)};\n${program}`;
  const limited = spawn('sh', ['-c', 'ulimit -l 256; exec setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock "$0" --input-type=module --eval "$1"', process.execPath, lines]);
  let out = '';
  limited.stdout.on('data', data => (out += String(data)));
  await new Promise(resolve => limited.once('close', resolve));
  const [error, partial, after] = out.split('\n');
  t.is(
    error,
    'ENOMEM memlock {"scope":"process","need":256,"used":0,"limit":64} pin: 256 frames (1 MiB) asked; RLIMIT_MEMLOCK allows 256 KiB and 0 KiB are ' +
      'pinned already: raise it with `ulimit -l`, in systemd LimitMEMLOCK=, or give the process CAP_IPC_LOCK. `npx framevec doctor` looks at the whole machine',
  );
  t.is(partial, '64 262144 memlock 262144');
  t.is(after, 'undefined');
});

test.serial('a thousand pins and unpins of a reused vector leave no garbage', t => {
  using memory = FrameVector.alloc(pageSize);
  using vector = FrameVector.create(1);
  const options = {write: true, timing: true};
  const unpinOptions = {timing: true};
  const pair = (): void => {
    vector.pin(memory, options);
    vector.unpin(unpinOptions);
  };
  const grown = Array.from({length: 6}, () => {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 20_000; i++) pair();
    return process.memoryUsage().heapUsed - before;
  });
  // Once it is compiled: less than a double a pair. What grows is the test runner's.
  t.true(Math.min(...grown.map(Math.abs)) < 20_000 * 8, `grown by ${grown.join(', ')} bytes`);
});
