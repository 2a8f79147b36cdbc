/** node:diagnostics_channel, and what console.log() shows of a vector. */
import diagnostics from 'node:diagnostics_channel';
import {inspect} from 'node:util';
import test from 'ava';
import {DeviceMemory, FrameVector, type PinErrorMessage, type PinMessage, type StaleMessage, type UnpinMessage} from '../../lib/index.js';
import {FRAMEVEC_DEVICE} from '../../lib/uapi.js';
import {PAGE} from './raw.js';
import {endsBalanced, until} from './oracles.js';

endsBalanced(test);

interface Heard {
  pin: (PinMessage & PinErrorMessage)[];
  unpin: UnpinMessage[];
  stale: StaleMessage[];
  [Symbol.dispose]: () => void;
}

/** Listens to all three until it is disposed of. */
function listen(): Heard {
  const ends: (() => void)[] = [];
  const collect = <T>(name: string): T[] => {
    const messages: T[] = [];
    const subscriber = (message: unknown): void => void messages.push(message as T);
    diagnostics.subscribe(name, subscriber);
    ends.push(() => void diagnostics.unsubscribe(name, subscriber));
    return messages;
  };
  return {
    pin: collect('framevec:pin'),
    unpin: collect('framevec:unpin'),
    stale: collect('framevec:stale'),
    [Symbol.dispose]: () => { for (const end of ends) end(); },
  };
}

test.serial('a pin and its unpin are told with what was held', t => {
  using heard = listen();
  using memory = FrameVector.alloc(4 * PAGE);
  using vector = FrameVector.create(4);
  vector.pin(memory.bytes.subarray(8, 8 + 2 * PAGE), {write: true, unaligned: true, timing: true});
  const {fd, address} = vector;
  vector.unpin();
  const held = {fd, kind: 'pages', frames: 3, address, offset: 8, byteLength: 2 * PAGE};
  t.like(heard.pin[0], {...held, write: true, force: false, partial: false, stopped: undefined});
  t.true((heard.pin[0]?.gupNs ?? 0) > 0);
  t.deepEqual(heard.unpin, [{vector, ...held, closed: false} as UnpinMessage]);
  t.is(heard.pin.length, 1);
  t.is(heard.pin[0]?.vector, vector);
});

test.serial('pinAsync() is told as pin() is, without times if none were asked for', async t => {
  using heard = listen();
  using memory = FrameVector.alloc(4 * PAGE);
  using vector = FrameVector.create(4);
  await vector.pinAsync(memory);
  t.like(heard.pin[0], {kind: 'pages', frames: 4, write: false, gupNs: undefined, callNs: undefined});
});

test.serial('a refusal is told with the error that is thrown', t => {
  using heard = listen();
  using memory = FrameVector.alloc(PAGE);
  using vector = FrameVector.pin(memory);
  const error = t.throws(() => vector.pin(memory), {code: 'EBUSY'});
  t.is(heard.pin.length, 2);
  t.is(heard.pin[1]?.error, error);
  t.is(heard.pin[1]?.vector, vector);
});

test.serial('close() of a vector that holds frames is an unpin, of one that holds none is nothing', t => {
  using heard = listen();
  using memory = FrameVector.alloc(PAGE);
  FrameVector.create(1).close();
  t.deepEqual(heard.unpin, []);
  FrameVector.pin(memory).close();
  t.like(heard.unpin[0], {frames: 1, closed: true});
});

test.serial('a snapshot that goes stale is told, though nobody asked for its signal', async t => {
  using heard = listen();
  const memory = DeviceMemory.map(FRAMEVEC_DEVICE, {length: 4 * PAGE});
  using vector = FrameVector.pin(memory);
  const {fd, address} = vector;
  memory.close();
  await until('the change is told', () => heard.stale.length > 0);
  t.is(heard.stale.length, 1);
  t.like(heard.stale[0], {fd, kind: 'pfns', frames: 4, address, byteLength: 4 * PAGE});
  t.is(heard.stale[0]?.vector, vector);
  t.true(vector.staleSignal.aborted);
});

test.serial('a listener may use the vector that it is told of', t => {
  using memory = FrameVector.alloc(2 * PAGE);
  using vector = FrameVector.create(2);
  const again = (): void => {
    diagnostics.unsubscribe('framevec:unpin', again);
    vector.pin(memory.bytes.subarray(0, PAGE));
  };
  diagnostics.subscribe('framevec:unpin', again);
  vector.pin(memory);
  t.is(vector.unpin(), 2);
  t.is(vector.frames, 1);
  t.is(vector.stat().frames, 1);
});

test.serial('inspect() shows what a vector holds', t => {
  using memory = FrameVector.alloc(4 * PAGE);
  using vector = FrameVector.create(8);
  t.regex(inspect(vector), /^FrameVector \{ fd: \d+, id: \d+, kind: 'none', frames: 0, capacity: 8 \}$/);
  vector.pin(memory, {write: true});
  const shown = inspect(vector, {breakLength: Infinity});
  t.regex(shown, /^FrameVector \{ fd: \d+, id: \d+, kind: 'pages', frames: 4, capacity: 8, byteLength: 16384, offset: 0, write: true, longterm: true, heldMs: \d+ \}$/);
  t.is(inspect({vector}, {depth: 0}), '{ vector: [FrameVector] }');
  t.true(inspect(vector, {colors: true}).includes("kind: \x1b[32m'pages'"));
  vector.close();
  t.is(inspect(vector), 'FrameVector {closed}');
});

test.serial('inspect() shows that a snapshot is no pin, and that it is stale', t => {
  const memory = DeviceMemory.map(FRAMEVEC_DEVICE, {length: 4 * PAGE});
  using vector = FrameVector.pin(memory);
  t.regex(inspect(vector, {breakLength: Infinity}), /kind: 'pfns', .* longterm: false, stale: false,/);
  memory.close();
  t.regex(inspect(vector, {breakLength: Infinity}), /stale: true/);
});

test.serial('inspect() of a vector whose pinAsync() has not settled says so', async t => {
  using memory = FrameVector.alloc(PAGE);
  using vector = FrameVector.create(1);
  const pinned = vector.pinAsync(memory);
  t.is(inspect(vector), 'FrameVector {busy}');
  await pinned;
});
