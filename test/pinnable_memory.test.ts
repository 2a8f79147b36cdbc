import {constants} from 'node:buffer';
import {execFile} from 'node:child_process';
import {inspect, promisify} from 'node:util';
import test from 'ava';
import {FrameVector, PinnableMemory} from '../lib/index.js';

const index = new URL('../lib/index.js', import.meta.url).href;

/** Runs a program of its own: its mappings are no one else's, and its end is seen. */
async function run(program: string): Promise<string> {
  const lines = `
    import {readFileSync} from 'node:fs';
    import {setTimeout} from 'node:timers/promises';
    import {FrameVector} from ${JSON.stringify(index)};
    const mebibytes = () => Number(/^VmSize:\\s*(\\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
    const settle = async () => { for (let i = 0; i < 5; i++) { gc(); await setTimeout(5); } };
    ${program}
  `;
  const {stdout} = await promisify(execFile)(process.execPath, ['--expose-gc', '--input-type=module', '--eval', lines]);
  return stdout.trim();
}

test('memory is as long as asked for, zero, and writable to the last byte', t => {
  for (const bytes of [1, 4095, 4096, 4097, 5000, 3 * 2 ** 20 + 1]) {
    using memory = FrameVector.alloc(bytes);
    t.true(memory instanceof PinnableMemory);
    t.is(memory.byteLength, bytes);
    t.is(memory.bytes.byteLength, bytes);
    t.is(memory.buffer.byteLength, bytes);
    t.true(memory.bytes.every(byte => byte === 0));
    memory.bytes[bytes - 1] = 0xff;
    t.is(new Uint8Array(memory.buffer)[bytes - 1], 0xff);
  }
});

test('huge pages are asked for from 2 MiB on, and not against the wish', t => {
  using small = FrameVector.alloc(4096);
  using large = FrameVector.alloc(2 ** 21);
  using never = FrameVector.alloc(2 ** 21, {hugepages: false});
  t.false(small.hugepages);
  t.is(typeof large.hugepages, 'boolean');
  t.false(never.hugepages);
});

test('reserved huge pages are given or refused, never replaced', t => {
  try {
    using memory = FrameVector.alloc(2 ** 21, {hugepages: '2M'});
    t.is(memory.hugepages, '2M');
  } catch (error) {
    t.like(error, {name: 'FrameVectorError', syscall: 'mmap'});
    t.regex((error as Error).message, /alloc: 2 MiB asked; .*2M pages/);
  }
});

test('close() detaches, a second one does nothing, and the object says so', t => {
  const memory = FrameVector.alloc(8192);
  t.regex(inspect(memory), /^PinnableMemory \{ byteLength: 8192, hugepages: false \}$/);
  t.false(memory.closed);
  memory.close();
  t.true(memory.closed);
  t.is(memory.byteLength, 0);
  t.is(memory.bytes.length, 0);
  t.is(memory.buffer.byteLength, 0);
  memory.close();
  t.is(inspect(memory), 'PinnableMemory {closed}');
});

test('using closes', t => {
  let kept: PinnableMemory;
  {
    using memory = FrameVector.alloc(10);
    kept = memory;
  }
  t.true(kept.closed);
});

for (const bytes of ['1', null, undefined, 1n, {}]) {
  test(`alloc(${inspect(bytes)}) is a TypeError`, t => {
    t.throws(() => FrameVector.alloc(bytes as number), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
  });
}

for (const bytes of [0, -1, 1.5, NaN, Infinity, constants.MAX_LENGTH + 1, 2 ** 60]) {
  test(`alloc(${bytes}) is a RangeError`, t => {
    t.throws(() => FrameVector.alloc(bytes), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'});
  });
}

for (const options of [null, 5, {hugepages: '4K'}, {hugepages: 1}]) {
  test(`alloc(1, ${inspect(options)}) is a TypeError`, t => {
    t.throws(() => FrameVector.alloc(1, options as object), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
  });
}

test('more than the process may map is an error, and not the end of it', async t => {
  const told = await promisify(execFile)('sh', [
    '-c',
    `ulimit -v $(( $(awk '/VmSize/ {print $2}' /proc/self/status) + 200000000 )); exec "$0" --input-type=module --eval "$1"`,
    process.execPath,
    `import {FrameVector} from ${JSON.stringify(index)};
     const held = [];
     try { for (;;) held.push(FrameVector.alloc(2 ** 32 - 4096, {hugepages: false})); } catch (e) { console.log(e.code, e.syscall, e.message); }`,
  ]);
  t.regex(told.stdout, /^ENOMEM mmap alloc: .* may not map so much more/);
});

test('close() unmaps the memory once its ArrayBuffer is gone', async t => {
  const told = await run(`
    const before = mebibytes();
    let memory = FrameVector.alloc(2 ** 30, {hugepages: false});
    const during = mebibytes();
    memory.close();
    await settle();
    console.log(Math.round((during - before) / 1024), Math.round(Math.abs(mebibytes() - before) / 1024));
  `);
  t.is(told, '1 0');
});

test('close() unmaps at once, in the same turn of the event loop, and without a collection', async t => {
  const told = await run(`
    const before = mebibytes();
    const memory = FrameVector.alloc(2 ** 30, {hugepages: false});
    const during = mebibytes();
    memory.close();
    console.log(Math.round((during - before) / 1024), Math.round(Math.abs(mebibytes() - before) / 1024));
  `);
  t.is(told, '1 0');
});

test('a million of alloc() and close() work in a synchronous loop', async t => {
  t.timeout(1_200_000);
  const told = await run(`
    const mappings = () => readFileSync('/proc/self/maps', 'utf8').split('\\n').length;
    const before = mappings();
    // Those of 2 MiB are aligned, so that the kernel can't merge what lies between them.
    for (let i = 0; i < 1_000_000; i++) FrameVector.alloc(i % 8 ? 4096 : 2 ** 21).close();
    // V8's own heap takes some more.
    console.log(mappings() - before < 2000);
  `);
  t.is(told, 'true');
});

test('close() gives the frames back at once, although a view lives on elsewhere', async t => {
  const told = await run(`
    const resident = () => Number(/^VmRSS:\\s*(\\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
    const memory = FrameVector.alloc(2 ** 28, {hugepages: false});
    let moved = memory.bytes;
    if (ArrayBuffer.prototype.transfer) moved = new Uint8Array(memory.buffer.transfer());
    const before = resident();
    moved.fill(1);
    const during = resident();
    memory.close();
    const after = resident();
    console.log(Math.round((during - before) / 100), Math.round(Math.abs(after - before) / 100), moved.length === 0 || moved.every(byte => byte === 0));
  `);
  t.is(told, '3 0 true');
});

test('memory that was dropped is unmapped, but not while a view of it can be reached', async t => {
  const told = await run(`
    const before = mebibytes();
    let bytes = FrameVector.alloc(2 ** 30, {hugepages: false}).bytes;
    bytes[5] = 5;
    await settle();
    const viewed = mebibytes();
    const read = bytes[5];
    bytes = undefined;
    await settle();
    console.log(Math.round((viewed - before) / 1024), read, Math.round(Math.abs(mebibytes() - before) / 1024));
  `);
  t.is(told, '1 5 0');
});

test('memory in use at the end of the process is no trouble, whichever way it ends', async t => {
  for (const end of ['', 'process.exit(0)', 'setTimeout(1).then(() => process.exit(0))']) {
    const told = await run(`
      globalThis.kept = Array.from({length: 50}, (_, i) => FrameVector.alloc(1 + i * 1000));
      for (const memory of kept.slice(0, 20)) memory.close();
      if (ArrayBuffer.prototype.transfer) globalThis.moved = kept[30].buffer.transfer();
      console.log('end');
      ${end}
    `);
    t.is(told, 'end');
  }
});

test('a thousand of them come and go without a mapping left behind', async t => {
  const told = await run(`
    const mappings = () => readFileSync('/proc/self/maps', 'utf8').split('\\n').length;
    const before = mappings();
    for (let i = 0; i < 1000; i++) { const m = FrameVector.alloc(5000 + i, {hugepages: i % 2 === 0}); if (i % 3) m.close(); }
    await settle();
    console.log(mappings() - before < 60);
  `);
  t.is(told, 'true');
});
