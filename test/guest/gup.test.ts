/**
 * The frames are the buffer's: what a vector says against what /proc/self/pagemap says, over every
 * kind of memory. After the kernel's own gup_test and gup_longterm.
 */
import {closeSync, openSync} from 'node:fs';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {type BackingName, HAS_THP, backings} from './backings.js';
import {PAGE, close, createVector, ioctl, raw} from './raw.js';
import {endsBalanced, pageFlags, pagemap, statusFrames} from './oracles.js';

endsBalanced(test);

const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
test.after.always(() => {
  closeSync(device);
});

const FRAMES = 1024;
const KPF_HUGE = 1n << 17n;
const KPF_THP = 1n << 22n;

/** Where not every pin succeeds. */
const refused: Partial<Record<BackingName, {write: number}>> = {
  'ext4 file, shared': {write: uapi.FRAMEVEC_REASON_FILE},
};

/** What the frames are made of, where that can be seen. */
const flags: Partial<Record<BackingName, bigint>> = {
  ...(HAS_THP ? {'anonymous, transparent huge pages': KPF_THP} : {}),
  'hugetlb, private': KPF_HUGE,
  'hugetlb, shared': KPF_HUGE,
  'memfd of hugetlb, shared': KPF_HUGE,
};

for (const name of Object.keys(backings) as BackingName[]) {
  for (const write of [false, true]) {
    const reason = write ? refused[name]?.write : undefined;
    const how = write ? 'for write' : 'for read';

    if (reason !== undefined) {
      test(`${name}: a pin ${how} is refused, and says why`, t => {
        const backing = backings[name](FRAMES * PAGE);
        const fd = createVector(device, FRAMES);
        const {result, fields} = ioctl(fd, 'PIN', {addr: backing.address, length: PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
        t.is(result, 'EFAULT');
        t.is(fields.reason, reason);
        t.is(BigInt(fields.fail_addr ?? 0), backing.address);
        close(fd);
        backing.free();
      });
      continue;
    }

    test(`${name}: the PFNs ${how} are pagemap's, for 1, 123, 512 and all frames, and VmPin is exact`, t => {
      const backing = backings[name](FRAMES * PAGE);
      const fd = createVector(device, FRAMES);
      const numbers = new BigUint64Array(FRAMES);
      for (const [first, frames] of [[0, 1], [7, 123], [0, 512], [300, 512], [0, FRAMES]] as const) {
        const address = backing.address + BigInt(first * PAGE);
        const pin = ioctl(fd, 'PIN', {addr: address, length: frames * PAGE, flags: write ? uapi.FRAMEVEC_PIN_WRITE : 0});
        t.is(pin.result, 0);
        t.is(pin.fields.frames, frames);
        t.is(pin.fields.kind, uapi.FRAMEVEC_KIND_PAGES);
        t.is(statusFrames('VmPin'), frames);
        t.is(ioctl(fd, 'READ_PFNS', {count: frames, pfns: raw.address(numbers)}).result, 0);
        const told = [...numbers.subarray(0, frames)];
        t.deepEqual(told, pagemap(address, frames));
        const expected = flags[name];
        if (expected !== undefined) t.true((pageFlags(told[0] ?? 0n) & expected) !== 0n, 'they are huge pages');
        t.is(ioctl(fd, 'UNPIN').fields.frames, frames);
        t.is(statusFrames('VmPin'), 0);
      }
      close(fd);
      backing.free();
    });
  }
}
