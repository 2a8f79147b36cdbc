import {inspect} from 'node:util';
import test from 'ava';
import {FrameVector} from '../lib/index.js';

// Of a FrameVector: test/guest/diagnostics.test.ts.
test('memory is shown as deep as asked for, and no deeper', t => {
  using memory = FrameVector.alloc(4096);
  t.is(inspect({memory}, {depth: 0}), '{ memory: [PinnableMemory] }');
  t.is(inspect({memory}, {depth: 1}), '{ memory: PinnableMemory { byteLength: 4096, hugepages: false } }');
  t.is(inspect({memory}, {depth: null}), '{ memory: PinnableMemory { byteLength: 4096, hugepages: false } }');
});

test('memory is shown in colours where they are asked for', t => {
  using memory = FrameVector.alloc(4096);
  t.is(inspect(memory, {colors: true}), 'PinnableMemory { byteLength: \x1b[33m4096\x1b[39m, hugepages: \x1b[33mfalse\x1b[39m }');
  t.is(inspect({memory}, {colors: true, depth: 0}), '{ memory: \x1b[36m[PinnableMemory]\x1b[39m }');
});
