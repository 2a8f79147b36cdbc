/**
 * Every allocation fails once, after the kernel's own iommufd_fail_nth: each sequence of calls is tried with the first, the
 * second, ... allocation or copy to user space failing, until it runs clean. test/native/fail_nth.c does it; here stands
 * what has to come of it.
 */
import {execFileSync, spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {ivshmemMemory} from './ivshmem.js';
import {errnoName} from './raw.js';
import {endsBalanced, framesPinned, statusFrames, until} from './oracles.js';

endsBalanced(test);

const PROGRAM = fileURLToPath(new URL('../../../test/native/build/fail_nth', import.meta.url));

interface Try {
  nth: number;
  result: number;
  unchanged: boolean;
  frames: number;
  again: number;
}

function tries(sequence: string, ...more: string[]): Try[] {
  const {status, stdout, stderr} = spawnSync(PROGRAM, [sequence, ...more], {encoding: 'utf8'});
  if (status !== 0) throw new Error(`fail_nth ${sequence}: ${stderr}`);
  return stdout.split('\n').filter(Boolean).map(line => JSON.parse(line) as Try);
}

/**
 * For each sequence what failures it has to meet at least, so that no test passes because nothing was ever made to fail, and
 * where a failure may change something: once frames are let go or converted, there is no way back if the answer can't be
 * delivered; and of a life in several steps what is done stays done.
 */
const sequences: Record<string, {least: Partial<Record<'ENOMEM' | 'EFAULT', number>>; mayChange?: true; bar?: true}> = {
  'create': {least: {ENOMEM: 2, EFAULT: 1}},
  'create-large': {least: {ENOMEM: 3, EFAULT: 1}},
  'pin': {least: {EFAULT: 2}},
  'pin-untouched': {least: {ENOMEM: 1, EFAULT: 2}},
  'pin-aperture': {least: {ENOMEM: 1, EFAULT: 2}},
  'unpin': {least: {EFAULT: 2}, mayChange: true},
  'unpin-aperture': {least: {EFAULT: 2}, mayChange: true},
  'read-pfns': {least: {EFAULT: 2}},
  'extents': {least: {EFAULT: 2}},
  'extents-aperture': {least: {EFAULT: 2}},
  'to-pages': {least: {EFAULT: 2}, mayChange: true},
  'to-pfns': {least: {EFAULT: 2}, mayChange: true},
  'read': {least: {EFAULT: 1}},
  'write': {least: {EFAULT: 1}},
  'read-aperture': {least: {EFAULT: 1}},
  'write-aperture': {least: {EFAULT: 1}},
  'read-bar': {least: {ENOMEM: 1}, bar: true},
  'write-bar': {least: {ENOMEM: 1}, bar: true},
  'poll': {least: {EFAULT: 1}},
  'mmap': {least: {ENOMEM: 3}},
  'life': {least: {ENOMEM: 3, EFAULT: 5}},
  'life-aperture': {least: {ENOMEM: 4, EFAULT: 5}},
};

/** Unpinned, though the answer could not be delivered: the next unpin has nothing to do. */
const ENODATA = -61;

if (!existsSync('/proc/self/fail-nth')) {
  test('this kernel has no fault injection: /proc/self/fail-nth is not there, and the sanitizing kernel is where it is', t => {
    t.false(existsSync('/sys/kernel/debug/failslab'));
  });
} else {
  test.serial('fail_nth.c has no sequence that is not judged here', t => {
    t.deepEqual(execFileSync(PROGRAM, {encoding: 'utf8'}).trim().split('\n').sort(), Object.keys(sequences).sort());
  });

  test.serial('mmap of the aperture, which allocates it: each failure is ENOMEM, and the next try succeeds', t => {
    const all: Try[] = [];
    for (let nth = 1; ; nth++) {
      // It is allocated once in the module's life, so each try needs a new one.
      execFileSync('rmmod', ['framevec']);
      execFileSync('insmod', [`${process.env.FRAMEVEC_KMOD ?? ''}/framevec.ko`]);
      const [one] = tries('mmap', '', String(nth));
      if (one === undefined) break;
      all.push(one);
    }
    const {failed} = judged(all);
    t.true(failed.length >= 8, `eight pieces of 2 MiB: ${failed.length} failures`);
    t.deepEqual([...new Set(failed.map(({result}) => errnoName(result)))], ['ENOMEM']);
    t.deepEqual(failed.filter(({unchanged, again}) => !unchanged || again !== 0), []);
  });

  for (const [name, expected] of Object.entries(sequences)) {
    test.serial(`${name}: whichever allocation or copy fails, nothing stays pinned or charged, and the next try succeeds`, async t => {
      const before = framesPinned();
      const all = tries(name, ...(expected.bar === true ? [ivshmemMemory()] : []));
      const {failed, counts} = judged(all);
      for (const [errno, least] of Object.entries(expected.least)) {
        t.true((counts[errno] ?? 0) >= least, `${errno} ${counts[errno] ?? 0} times`);
      }
      t.deepEqual(Object.keys(counts).filter(errno => errno !== 'ENOMEM' && errno !== 'EFAULT'), []);
      t.deepEqual(failed.filter(({unchanged}) => !unchanged && expected.mayChange !== true), []);
      t.deepEqual(failed.filter(({unchanged, frames, again}) =>
        again !== 0 && !(expected.mayChange === true && !unchanged && frames === 0 && again === ENODATA)), []);
      await until('every frame is back', () => framesPinned() === before);
      t.is(statusFrames('VmPin'), 0);
      t.log(`${all.length} chances of failure: ${Object.entries(counts).map(([errno, count]) => `${count} ${errno}`).join(', ')}, ${all.length - failed.length} that the kernel can do without`);
    });
  }
}

/** The tries that failed, and how many of each errno. */
function judged(all: readonly Try[]): {failed: Try[]; counts: Record<string, number>} {
  const failed = all.filter(({result}) => result !== 0);
  const counts: Record<string, number> = {};
  for (const {result} of failed) {
    const name = String(errnoName(result));
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return {failed, counts};
}
