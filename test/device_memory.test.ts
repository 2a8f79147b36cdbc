/** Mapped files and their register accessors: what needs no device. Devices are in test/guest. */
import {execFile, execFileSync, spawn} from 'node:child_process';
import {closeSync, constants as fs, mkdtempSync, openSync, readFileSync, symlinkSync, truncateSync, writeFileSync} from 'node:fs';
import {constants} from 'node:buffer';
import {once} from 'node:events';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {inspect, promisify} from 'node:util';
import test from 'ava';
import {DeviceMemory, FrameVector, FrameVectorError, PinnableMemory} from '../lib/index.js';

const PAGE = 4096;
const folder = mkdtempSync(join(tmpdir(), 'framevec-'));

function file(name: string, bytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, Uint8Array.from({length: bytes}, (_, i) => i * 3));
  return path;
}

test('registers are read and written in their width, in the machine\'s order', t => {
  const path = file('registers', PAGE);
  using memory = DeviceMemory.map(path, {write: true});
  const data = new DataView(memory.buffer);
  memory.writeUint8(1, 0xab);
  memory.writeUint16(2, 0xcdef);
  memory.writeUint32(4, 0xdead_beef);
  memory.writeUint64(8, 0x8123_4567_89ab_cdefn);
  t.deepEqual(
    [data.getUint8(0), data.getUint8(1), data.getUint16(2, true), data.getUint32(4, true), data.getBigUint64(8, true), data.getUint8(16)],
    [0, 0xab, 0xcdef, 0xdead_beef, 0x8123_4567_89ab_cdefn, 48],
    'and what lies beside them is as it was',
  );
  t.is(memory.readUint8(1), 0xab);
  t.is(memory.readUint16(2), 0xcdef);
  t.is(memory.readUint32(4), 0xdead_beef);
  t.is(memory.readUint64(8), 0x8123_4567_89ab_cdefn);
  t.is(memory.readUint64(PAGE - 8), data.getBigUint64(PAGE - 8, true));
  t.deepEqual(readFileSync(path).subarray(0, 16), Buffer.from(memory.buffer, 0, 16), 'the mapping is shared');
});

test('an access that would be two, or beyond the end, is a RangeError before', t => {
  using memory = DeviceMemory.map(file('bounds', PAGE + 6), {write: true});
  for (const width of [2, 4, 8] as const) {
    const read = (offset: number): unknown => memory[`readUint${width === 2 ? 16 : width === 4 ? 32 : 64}`](offset);
    const error = t.throws(() => read(width + 1), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'});
    t.regex(error.message, new RegExp(`a multiple of ${width}, as a register of ${width * 8} bits`));
    for (const offset of [-width, PAGE + 8, 2 ** 40, NaN, 0.5]) t.throws(() => read(offset), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'});
  }
  t.is(memory.readUint8(PAGE + 5), ((PAGE + 5) * 3) & 0xff);
  t.is(memory.readUint16(PAGE + 4), memory.readUint8(PAGE + 4) | (memory.readUint8(PAGE + 5) << 8));
  t.throws(() => memory.readUint8(PAGE + 6), {code: 'ERR_OUT_OF_RANGE'});
  t.throws(() => memory.readUint32(PAGE + 4), {code: 'ERR_OUT_OF_RANGE'});
  t.throws(() => memory.readUint8('0' as unknown as number), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
  for (const [method, value] of [['writeUint8', 256], ['writeUint16', -1], ['writeUint32', 2 ** 32], ['writeUint8', 1.5]] as const) {
    t.throws(() => {
      memory[method](0, value);
    }, {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'});
  }
  for (const value of [-1n, 2n ** 64n]) {
    t.throws(() => {
      memory.writeUint64(0, value);
    }, {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'});
  }
  t.throws(() => {
    memory.writeUint64(0, 1 as unknown as bigint);
  }, {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
});

test('memory that is mapped for reading is not written: the accessor says so', t => {
  const path = file('read-only', PAGE);
  using memory = DeviceMemory.map(path);
  t.false(memory.writable);
  t.is(memory.readUint8(7), 21);
  const error = t.throws(() => {
    memory.writeUint8(0, 1);
  }, {instanceOf: FrameVectorError, code: 'ERR_FRAMEVEC_READ_ONLY'});
  t.regex(error.message, /\{write: true\}/);
  t.is(memory.bytes[1], 3);
});

test('a part of a file is mapped from a page on, as long as is asked for or to the end', t => {
  const path = file('parts', 3 * PAGE + 100);
  const content = readFileSync(path);
  using whole = DeviceMemory.map(path);
  using end = DeviceMemory.map(path, {offset: 2 * PAGE});
  using part = PinnableMemory.map(path, {offset: PAGE, length: 100});
  t.deepEqual(Buffer.from(whole.bytes), content);
  t.deepEqual(Buffer.from(end.bytes), content.subarray(2 * PAGE));
  t.deepEqual(Buffer.from(part.bytes), content.subarray(PAGE, PAGE + 100));
  const error = t.throws(() => DeviceMemory.map(path, {offset: PAGE + 16}), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'});
  t.regex(error.message, /a multiple of the page size, 4,096: map from 4,096, and what is wanted is 16 bytes further on/);
  for (const range of [{offset: 4 * PAGE}, {length: 3 * PAGE + 101}, {offset: PAGE, length: 3 * PAGE}, {length: 0}, {length: 1.5}, {offset: -PAGE}]) {
    t.throws(() => DeviceMemory.map(path, range), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'}, inspect(range));
  }
});

test('what is written to a private mapping stays there, to a shared one it goes to the file', t => {
  const path = file('sharing', PAGE);
  using copy = PinnableMemory.map(path);
  using shared = PinnableMemory.map(path, {shared: true});
  copy.bytes[0] = 99;
  t.is(shared.bytes[0], 0);
  shared.bytes[1] = 77;
  t.deepEqual([...readFileSync(path).subarray(0, 3)], [0, 77, 6]);
  t.is(copy.bytes[0], 99);
});

test('a descriptor is mapped too, and stays its owner\'s', t => {
  const path = file('descriptor', PAGE);
  const fd = openSync(path, 'r');
  using memory = PinnableMemory.map(fd);
  const error = t.throws(() => DeviceMemory.map(fd, {write: true}), {instanceOf: FrameVectorError, code: 'EACCES'});
  t.is(error.syscall, 'mmap');
  closeSync(fd);
  t.is(memory.bytes[5], 15, 'the mapping needs the descriptor no longer');
});

test('what can\'t be mapped says what was asked, and why not', t => {
  const missing = t.throws(() => DeviceMemory.map('/dev/no-such-device'), {instanceOf: FrameVectorError, code: 'ENOENT'});
  t.like(missing, {syscall: 'open', path: '/dev/no-such-device'});
  t.is(missing.message, 'map: /dev/no-such-device: there is no such file (ENOENT)');
  const unsized = t.throws(() => DeviceMemory.map('/dev/null'), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
  t.regex(unsized.message, /"options.length".* as \/dev\/null does not tell its size/);
  const unmappable = t.throws(() => DeviceMemory.map('/dev/null', {length: PAGE}), {instanceOf: FrameVectorError, code: 'ENODEV'});
  t.like(unmappable, {syscall: 'mmap', errno: -19});
  t.regex(unmappable.message, /^map: \/dev\/null: 4 KiB from byte 0 asked; it can't be mapped/);
  for (const source of [null, undefined, -1, 1.5, {}]) {
    t.throws(() => DeviceMemory.map(source as string), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
  }
  t.throws(() => DeviceMemory.map('/dev/zero', {write: 1 as unknown as boolean}), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
});

test('a FIFO, a socket and a directory are refused at once, by path and by descriptor', async t => {
  const fifo = join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  // Nobody has its other end open. In a process of its own: it would never return.
  const program = `
    import {DeviceMemory, PinnableMemory} from ${JSON.stringify(new URL('../lib/index.js', import.meta.url).href)};
    for (const map of [() => PinnableMemory.map(${JSON.stringify(fifo)}), () => DeviceMemory.map(${JSON.stringify(fifo)}, {length: 4096})]) {
      try { map(); } catch (error) { console.log(error.code, error.message); }
    }
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {stdio: ['ignore', 'pipe', 'inherit'], timeout: 60_000});
  let out = '';
  child.stdout.on('data', data => (out += String(data)));
  t.is((await once(child, 'close') as [number])[0], 0);
  t.is(out.match(/^ENODEV map: .* is a FIFO or pipe, which can't be mapped/gm)?.length, 2, out);

  const path = join(folder, 'socket');
  const server = createServer().listen(path);
  await once(server, 'listening');
  t.throws(() => PinnableMemory.map(path), {instanceOf: FrameVectorError, code: 'ENXIO', message: /it is a socket/});
  server.close();
  t.throws(() => PinnableMemory.map(folder), {instanceOf: FrameVectorError, code: 'ENODEV', message: /is a directory/});
  const fd = openSync(fifo, fs.O_RDWR | fs.O_NONBLOCK);
  t.throws(() => PinnableMemory.map(fd), {code: 'ENODEV', message: /^map: descriptor \d+ is a FIFO/});
  closeSync(fd);
  t.throws(() => PinnableMemory.map(fd), {instanceOf: FrameVectorError, code: 'EBADF', message: /the descriptor is not open/});
});

test('a file without bytes says so, and does not speak of the offset', t => {
  for (const path of [file('empty', 0), '/proc/self/status']) {
    for (const range of [{}, {length: 4096}]) {
      const error = t.throws(() => PinnableMemory.map(path, range), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'});
      t.regex(error.message, /has no bytes to map: it is empty, or of a file system without sizes/);
      t.notRegex(error.message, /offset/);
    }
  }
});

test("errors of Node's own go through: a NUL byte, and the permission model, which names its flag", async t => {
  t.throws(() => PinnableMemory.map('/tmp/a\0b'), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_VALUE', message: /null bytes/});
  const root = new URL('../../', import.meta.url).pathname;
  const permission = Number(process.versions.node.split('.')[0]) < 24 ? '--experimental-permission' : '--permission';
  const {stdout} = await promisify(execFile)(process.execPath, [
    permission, '--allow-addons', `--allow-fs-read=${root}`, '--no-warnings', '--input-type=module', '--eval',
    `import {DeviceMemory, PinnableMemory} from ${JSON.stringify(new URL('../lib/index.js', import.meta.url).href)};
     for (const map of [() => PinnableMemory.map('/etc/passwd'), () => DeviceMemory.map('/etc/passwd', {write: true})]) {
       try { map(); } catch (error) { console.log(error.code, error.message.replaceAll('\\n', ' ')); }
     }`,
  ]);
  const [read = '', write = ''] = stdout.trim().split('\n');
  t.regex(read, /^ERR_ACCESS_DENIED .*--allow-fs-read/);
  t.regex(write, /^ERR_ACCESS_DENIED .*--allow-fs-(read|write)/);
});

test("a path that can't be opened says why", t => {
  const loop = join(folder, 'loop');
  symlinkSync('loop', loop);
  t.throws(() => PinnableMemory.map(loop), {instanceOf: FrameVectorError, code: 'ELOOP', message: /symbolic links/});
  t.throws(() => PinnableMemory.map(join(folder, 'x'.repeat(300))), {code: 'ENAMETOOLONG', message: /the path is too long/});
  t.throws(() => PinnableMemory.map('/etc/passwd/x'), {code: 'ENOTDIR', message: /is not a directory/});
});

// Node 20 ends at 4 GiB; the others can have more than any test should map.
(constants.MAX_LENGTH < 2 ** 33 ? test : test.skip)("a file that is longer than this Node's ArrayBuffers says so", t => {
  const path = join(folder, 'long');
  closeSync(openSync(path, 'w'));
  truncateSync(path, 5 * 2 ** 30);
  const error = t.throws(() => PinnableMemory.map(path), {instanceOf: FrameVectorError, code: 'ERR_FRAMEVEC_ARRAYBUFFER_LENGTH'});
  t.regex(error.message, /^map: 5 GiB asked; Node v20.* can't make an ArrayBuffer of so many bytes \(it allows 4 GiB at most\): map a part/);
  t.notRegex(error.message, /ulimit/);
  using part = PinnableMemory.map(path, {length: PAGE});
  t.is(part.byteLength, PAGE);
});

test('close() detaches, ends the accessors, and a second one does nothing', t => {
  const memory = DeviceMemory.map(file('closed', PAGE), {write: true});
  t.is(inspect(memory), 'DeviceMemory { byteLength: 4096, writable: true }');
  const moved = structuredClone(memory.bytes.subarray(0, 4));
  memory.close();
  memory.close();
  t.is(memory.byteLength, 0);
  t.is(memory.buffer.byteLength, 0);
  t.is(moved[1], 3);
  t.is(inspect(memory), 'DeviceMemory {closed}');
  t.throws(() => memory.readUint32(0), {instanceOf: FrameVectorError, code: 'ERR_FRAMEVEC_CLOSED'});
  t.throws(() => {
    memory.writeUint8(0, 0);
  }, {code: 'ERR_FRAMEVEC_CLOSED'});
});

test('memory of a memfd is shared memory, zero and writable', t => {
  using memory = FrameVector.alloc(3 * PAGE + 1, {memfd: true});
  t.true(memory.bytes.every(byte => byte === 0));
  memory.bytes.fill(1);
  t.regex(readFileSync('/proc/self/maps', 'utf8'), /rw-s .*\/memfd:framevec \(deleted\)/);
  t.throws(() => FrameVector.alloc(1, {memfd: 'yes' as unknown as boolean}), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
});
