import {existsSync} from 'node:fs';
import {inspect} from 'node:util';
import test from 'ava';
import {FrameVector, FrameVectorError, info} from '../lib/index.js';

// What a vector does is tested in the VM (test/guest). Here: what comes before there is one.
const withoutDevice = existsSync('/dev/framevec') ? test.skip : test;

for (const capacity of ['1', null, undefined, 1n, {}, []]) {
  test(`create(${inspect(capacity)}) is a TypeError before any syscall`, t => {
    t.throws(() => FrameVector.create(capacity as number), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
  });
}

for (const capacity of [0, -1, 1.5, NaN, Infinity, 2 ** 53]) {
  test(`create(${capacity}) is a RangeError before any syscall`, t => {
    t.throws(() => FrameVector.create(capacity), {instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE'});
  });
}

test('pin() of what is no memory is a TypeError before any syscall', t => {
  t.throws(() => FrameVector.pin('text' as unknown as Uint8Array), {instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE'});
});

withoutDevice('without the module, everything that needs it says how to get it', t => {
  for (const attempt of [() => info(), () => FrameVector.create(1), () => FrameVector.pin(new Uint8Array(4096))]) {
    const error = t.throws(attempt, {instanceOf: FrameVectorError});
    t.like(error, {code: 'ENODEV', errno: -19, syscall: 'open', path: '/dev/framevec'});
    t.regex(error.message, /`sudo npx framevec module install`.*`npx framevec vm -- COMMAND`.*`npx framevec doctor`/);
  }
});

withoutDevice('without the module, memory can be allocated all the same', t => {
  using memory = FrameVector.alloc(4096);
  t.is(memory.byteLength, 4096);
});
