import {mkdirSync, mkdtempSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import fc from 'fast-check';
import * as library from '../lib/addon.js';

const {addon, loadAddon} = library;

function named(prefix: string): Record<string, number> {
  const found = Object.entries(library).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(found.map(([name, value]) => [name.slice(prefix.length), value as number]));
}

test('the library and the addon number the fields of the exchange alike', t => {
  t.deepEqual(named('FIELD_'), addon.fields);
  t.is((addon.exchange as unknown as Float64Array).length, Object.keys(addon.fields).length);
});

test('the library and the addon number the refusals alike', t => {
  t.deepEqual(named('REFUSED_'), addon.refusals);
});

test('a package without a built addon says how to build it', t => {
  const root = mkdtempSync(join(tmpdir(), 'framevec-'));
  const error = t.throws(() => loadAddon(root), {code: 'ERR_FRAMEVEC_ADDON', name: 'FrameVectorError'});
  t.regex(error.message, /not built/);
  t.true(error.message.includes(join(root, 'build', 'Release', 'framevec.node')));
  t.true(error.message.includes(`npx node-gyp rebuild -C ${root}\``));
});

test('an addon that does not load says why and how to build it', t => {
  const root = mkdtempSync(join(tmpdir(), 'framevec-'));
  mkdirSync(join(root, 'build', 'Release'), {recursive: true});
  writeFileSync(join(root, 'build', 'Release', 'framevec.node'), 'not a library');
  const error = t.throws(() => loadAddon(root), {code: 'ERR_FRAMEVEC_ADDON'});
  t.regex(error.message, /does not load: .*framevec\.node/);
  t.regex(error.message, /npx node-gyp rebuild/);
  t.truthy(error.cause);
});

test('whatever the addon is given, it answers with a number and throws nothing', t => {
  const values = fc.oneof(
    fc.anything({withTypedArray: true, withBigInt: true, withSparseArray: true, withDate: true}),
    fc.integer(),
    fc.double(),
    fc.constantFrom<unknown>(new DataView(new ArrayBuffer(8)), new SharedArrayBuffer(8), new BigUint64Array(4), Symbol('x')),
  );
  const functions = [
    'pin', 'pinAsync', 'unpin', 'stat', 'readPfns', 'extents', 'toPages', 'toPfns', 'read', 'write', 'watch', 'close', 'descriptor', 'closeRegion',
    'disownRegion', 'regionOf', 'readRegister', 'writeRegister', 'detach', 'create',
  ] as const;
  fc.assert(
    fc.property(fc.constantFrom(...functions), fc.array(values, {maxLength: 5}), fc.array(fc.double(), {maxLength: 4}), (name, given, fields) => {
      (addon.exchange as unknown as Float64Array).set(fields);
      const answer = (addon[name] as (...args: unknown[]) => unknown)(...given);
      return typeof answer === 'number';
    }),
    {numRuns: 3000},
  );
  t.pass();
});

test('each worker thread has an addon of its own, and ends with its memory in use', async t => {
  const script = `
    import {FrameVector} from ${JSON.stringify(new URL('../lib/index.js', import.meta.url).href)};
    const memory = FrameVector.alloc(2 ** 22);
    memory.bytes.fill(1);
    globalThis.kept = [memory, FrameVector.alloc(1)];
  `;
  const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`);
  const codes = await Promise.all(
    Array.from({length: 4}, () => new Promise((resolve, reject) => new Worker(url).once('error', reject).once('exit', resolve))),
  );
  t.deepEqual(codes, [0, 0, 0, 0]);
});
