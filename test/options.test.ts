/** Options that nobody knows: each function of the public API refuses them before it does anything, and names the closest one. */
import test from 'ava';
import {bench} from '../lib/bench/index.js';
import {DeviceMemory, FrameVector, PinnableMemory, UserptrQueue, V4l2Device} from '../lib/index.js';
import {checkOptions, type OptionNames} from '../lib/options.js';
import {runVm} from '../lib/vm/index.js';

const calls: Record<string, [call: (options: never) => unknown, typo: object, closest: string]> = {
  'FrameVector.alloc()': [options => FrameVector.alloc(4096, options), {hugepage: true}, 'hugepages'],
  'PinnableMemory.alloc()': [options => PinnableMemory.alloc(4096, options), {mefd: true}, 'memfd'],
  'PinnableMemory.map()': [options => PinnableMemory.map('/etc/passwd', options), {share: true}, 'shared'],
  'DeviceMemory.map()': [options => DeviceMemory.map('/dev/zero', options), {wirte: true}, 'write'],
  'V4l2Device.open()': [options => V4l2Device.open('/dev/video-none', options), {dir: 'capture'}, 'direction'],
  'UserptrQueue.create()': [options => UserptrQueue.create(options), {planeBytes: 4096, devise: () => undefined}, 'device'],
  'UserptrQueue.qbuf()': [
    options => {
      using memory = FrameVector.alloc(4096);
      using queue = UserptrQueue.create({planeBytes: 4096});
      queue.qbuf(0, memory, options);
    },
    {bytesused: [1]},
    'bytesUsed',
  ],
  'stream()': [
    options => {
      using queue = UserptrQueue.create({planeBytes: 4096});
      return queue.stream(options).next();
    },
    {buffer: 2},
    'buffers',
  ],
  'bench.measure()': [options => bench.measure('nothing', () => undefined, options), {duration: 5}, 'durationMs'],
  'bench.race()': [options => bench.race([{name: 'nothing', call: () => undefined}], options), {round: 5}, 'rounds'],
  'an entrant of bench.race()': [options => bench.race([options]), {name: 'nothing', call: () => undefined, afters: () => undefined}, 'after'],
  'runVm()': [options => runVm(options), {command: ['true'], kernal: '6.1'}, 'kernel'],
};

for (const [name, [call, typo, closest]] of Object.entries(calls)) {
  test(`${name} refuses an unknown option, and names the closest one`, async t => {
    const unknown = Object.keys(typo).at(-1) ?? '';
    const error = await t.throwsAsync(async () => {
      await call(typo as never);
    }, {instanceOf: TypeError, code: 'ERR_FRAMEVEC_UNKNOWN_OPTION'});
    t.true(error.message.includes(`.${unknown}" is not an option. Did you mean "${closest}"?`), error.message);
  });
}

interface Example {
  write?: boolean;
  partial?: boolean;
}
const known: OptionNames<Example> = {write: true, partial: true};

test('an option that is inherited counts, a method that someone has added to every object does not', t => {
  t.throws(() => {
    checkOptions(Object.create({wirte: true}), known);
  }, {code: 'ERR_FRAMEVEC_UNKNOWN_OPTION', message: /Did you mean "write"\? \(the options are write, partial\)/});
  t.notThrows(() => {
    checkOptions(Object.create({write: true}), known);
  });
  const all = Object.prototype as {added?: string};
  all.added = 'to every object';
  try {
    t.notThrows(() => {
      checkOptions({write: true}, known);
    });
    t.throws(() => {
      checkOptions({added: 'by hand'}, known);
    }, {code: 'ERR_FRAMEVEC_UNKNOWN_OPTION'});
  } finally {
    delete all.added;
  }
});

test('an unknown option is refused whatever its value and its name', t => {
  for (const options of [{wirte: undefined}, {toString: 1}, {constructor: 1}, {hasOwnProperty: 1}, ['write']]) {
    t.throws(() => {
      checkOptions(options, known);
    }, {code: 'ERR_FRAMEVEC_UNKNOWN_OPTION'}, Object.keys(options).join());
  }
});
