/** The video half of the library, as far as it needs no device. */
import test from 'ava';
import {PNG} from 'pngjs';
import {FrameVector, FrameVectorError, UserptrQueue, V4l2Device, type StreamOptions, type V4l2Format} from '../lib/index.js';
import * as library from '../lib/v4l2/native.js';
import {toPng, toRgba} from '../lib/v4l2/picture.js';

const {v4l2} = library;

function named(test: (name: string) => boolean): Record<string, number> {
  return Object.fromEntries(Object.entries(library).filter(([name, value]) => typeof value === 'number' && test(name))) as Record<string, number>;
}

test('the library and the addon number the fields of a video device alike', t => {
  const mine = named(name => name.startsWith('FIELD_'));
  t.deepEqual(Object.fromEntries(Object.entries(mine).map(([name, value]) => [name.slice('FIELD_'.length), value])), v4l2.fields);
  t.is(library.PLANE_FIELDS, v4l2.planeFields);
  t.is(v4l2.exchange.length, library.FIELD_PLANE_BYTES + library.VIDEO_MAX_PLANES * library.PLANE_FIELDS);
});

test('the constants are those of <linux/videodev2.h>', t => {
  const mine = named(name => /^(V4L2|VIDEO)_/.test(name));
  t.true(Object.keys(mine).length > 15);
  t.like(v4l2.header, mine);
});

test('what is no video device is a FrameVectorError that says what to do', t => {
  for (const [path, code, words] of [
    ['/dev/null', 'ENOTTY', /no video device \(V4L2\): `v4l2-ctl --list-devices`/],
    ['/dev/video-none', 'ENOENT', /modprobe vivid/],
    ['/dev', 'EISDIR', /no video device/],
    ['/etc/hostname', 'ENOTTY', /no video device/],
  ] as const) {
    const error = t.throws(() => V4l2Device.open(path), {instanceOf: FrameVectorError, code, message: words});
    t.is((error).path, path);
  }
});

test('wrong arguments are TypeErrors and RangeErrors before any call', async t => {
  t.throws(() => V4l2Device.open(5 as never), {code: 'ERR_INVALID_ARG_TYPE'});
  t.throws(() => V4l2Device.open('/dev/null', {direction: 'up' as never}), {code: 'ERR_INVALID_ARG_TYPE'});
  for (const planeBytes of [0, 1.5, -1, [], Array.from({length: 9}, () => 1)]) {
    t.throws(() => UserptrQueue.create({planeBytes}), {code: 'ERR_OUT_OF_RANGE'}, String(planeBytes));
  }
  t.throws(() => UserptrQueue.create({planeBytes: '1' as never}), {code: 'ERR_INVALID_ARG_TYPE'});
  t.throws(() => UserptrQueue.create({planeBytes: 1, direction: 'in' as never}), {code: 'ERR_INVALID_ARG_TYPE'});
  t.throws(() => UserptrQueue.create({planeBytes: 1, device: 1 as never}), {code: 'ERR_INVALID_ARG_TYPE'});
  using queue = UserptrQueue.create({planeBytes: 1});
  t.throws(() => queue.reqbufs(33), {code: 'ERR_OUT_OF_RANGE'});
  for (const options of [{buffers: 0}, {buffers: 33}, {frames: 0}, {memory: 3}]) {
    const error = await t.throwsAsync(queue.stream(options as StreamOptions).next(), undefined, JSON.stringify(options));
    t.regex(String((error as {code?: string}).code), /^ERR_(OUT_OF_RANGE|INVALID_ARG_TYPE)$/);
  }
});

test('an empty queue refuses as V4L2 does', t => {
  const queue = UserptrQueue.create({planeBytes: 4096});
  using memory = FrameVector.alloc(4096);
  t.throws(() => queue.dqbuf(), {code: 'EINVAL', message: /streamon\(\) first/});
  t.throws(() => { queue.streamon(); }, {code: 'EINVAL', message: /no buffers/});
  t.throws(() => { queue.qbuf(0, memory); }, {code: 'EINVAL', message: /reqbufs\(\) first/});
  t.is(queue.reqbufs(2), 2);
  t.throws(() => { queue.qbuf(2, memory); }, {code: 'EINVAL', message: /there are 2 buffers, 0 to 1/});
  t.throws(() => { queue.qbuf(0, memory.bytes.subarray(0, 100)); }, {code: 'EINVAL', message: /has 100 bytes, and the format needs 4 KiB/});
  t.throws(() => { queue.qbuf(0, [memory, memory]); }, {code: 'EINVAL', message: /1 plane, and it was given 2/});
  queue.close();
  queue.close();
  t.throws(() => queue.reqbufs(1), {code: 'ERR_FRAMEVEC_CLOSED'});
});

test('a picture has the colours of the frame, and no byte beyond its lines', t => {
  const format: V4l2Format = {width: 2, height: 2, fourcc: 'YUYV', field: 1, colorspace: 8, planes: [{bytes: 16, stride: 8}]};
  // White and black; then red. After each line comes padding.
  const bytes = Uint8Array.of(235, 128, 16, 128, 9, 9, 9, 9, 81, 90, 81, 240, 9, 9, 9, 9);
  const rgba = [...toRgba(format, bytes)];
  t.deepEqual(rgba.slice(0, 8), [255, 255, 255, 255, 0, 0, 0, 255]);
  const [red = 0, green = 0, blue = 0] = rgba.slice(8);
  t.true(red > 250 && green < 5 && blue < 5, String([red, green, blue]));
  const png = PNG.sync.read(toPng(format, bytes));
  t.deepEqual([png.width, png.height, ...png.data], [2, 2, ...rgba]);
  t.throws(() => toPng({...format, fourcc: 'H264'}, bytes), {code: 'ERR_FRAMEVEC_NO_PICTURE', message: /YUYV, RGB3/});
});
