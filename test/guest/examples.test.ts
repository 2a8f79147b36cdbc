/** docs/examples, each run as its comment says: what it prints in substance, and that nothing stays pinned. */
import {spawnSync} from 'node:child_process';
import {readdirSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {PACKAGE_ROOT} from '../../lib/package.js';
import {endsBalanced, framesPinned} from './oracles.js';
import {vivid} from './vivid.js';

endsBalanced(test);

const FOLDER = 'docs/examples';

const examples: Record<string, {args?: () => string[]; prints: RegExp}> = {
  'pin-a-buffer.mjs': {
    prints: new RegExp([
      '^VmPin before: 0 kB',
      'pinned: 1024 frames, 4194304 bytes, kind pages',
      'VmPin during: 4096 kB',
      'runs of frames that follow each other: \\d+',
      'first frame: 0x[0-9a-f]+',
      'in the buffer: written by the device',
      'closed, and still 4096 kB pinned',
      'VmPin after: 0 kB\n$',
    ].join('\n')),
  },
  'watch-a-bar.mjs': {
    prints: new RegExp([
      '^/sys/bus/pci/devices/.*/resource2: 16777216 bytes',
      '32 bits at 0x10: 0xfeedf00d',
      'kind pfns: 4096 frames in 1 run',
      'first frame: 0x[0-9a-f]+',
      'stale: false',
      'stale: true',
      'pfns\\(\\): ESTALE',
      'let go: 4096 frames\n$',
    ].join('\n')),
  },
  'v4l2-userptr.mjs': {
    args: () => [vivid('single', 'capture')],
    prints: /^vivid: 320x180 YUYV, 115200 bytes a frame\n(frame \d+ in buffer [0-2]: 115200 bytes, QBUF [\d.]+ ns\n){8}frames: 8; different ones: [2-8]\n(buffer \d+: 29 page frames, as before\n){3,}$/,
  },
  // One segment for each run of frames, at most 1 MiB long; a page and a bit at the end is a short one.
  'scatter-list.mjs': {args: () => [String(3 * 2 ** 20 + 5000)], prints: /^(0x[0-9a-f]+000 {2}\d+ bytes\n)*(\d+) segments, 3150728 of 3150728 bytes\n$/},
  'share-with-a-worker.mjs': {
    prints: /^pinned: 25[67] frames from byte \d+ of the first\nVmPin, as the worker sees it: 10(24|28) kB\nthe device reads: FROM THE DEVICE\nVmPin after: 0 kB\n$/,
  },
  'bench-your-ioctl.mjs': {
    prints: /^pin for writing: p50 [\d.]+ µs, p99 [\d.]+ µs, \d+ calls\nmedian of the rounds: [\d.]+ µs, 95 % interval [\d.]+ to [\d.]+ µs\nread over write: [\d.]+, 95 % interval [\d.]+ to [\d.]+\n$/,
  },
};

test('every example is tested', t => {
  t.deepEqual(readdirSync(join(PACKAGE_ROOT, FOLDER)).filter(name => name.endsWith('.mjs')).sort(), Object.keys(examples).sort());
});

for (const [name, {args, prints}] of Object.entries(examples)) {
  test.serial(`${name} does what it says, and gives everything back`, t => {
    const before = framesPinned();
    const {status, stdout, stderr} = spawnSync(process.execPath, [join(FOLDER, name), ...(args?.() ?? [])], {cwd: PACKAGE_ROOT, encoding: 'utf8'});
    t.is(stderr, '');
    t.is(status, 0);
    t.regex(stdout, prints);
    t.is(framesPinned(), before);
  });
}
