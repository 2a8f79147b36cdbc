/** What others than framevec know: pagemap, /proc/PID/status, vmstat, the kernel log. */
import {closeSync, openSync, readFileSync, readSync, writeFileSync} from 'node:fs';
import {execFileSync} from 'node:child_process';
import {release} from 'node:os';
import type {TestFn} from 'ava';
import {scanLog} from '../../lib/vm/log-scan.js';
import {tells, type Told} from './native.js';
import {PAGE} from './raw.js';

const PFN_MASK = (1n << 55n) - 1n;
const PRESENT = 1n << 63n;

const [major = 0, minor = 0] = release().split('.').map(Number);

/** Whether this kernel is at least that one: for what differs by kernel, and is an expectation all the same. */
export function since(version: readonly [number, number]): boolean {
  return major > version[0] || (major === version[0] && minor >= version[1]);
}

/** The PFNs behind a range, as /proc/self/pagemap tells them; throws if one is absent. */
export function pagemap(address: bigint, pages: number): bigint[] {
  const fd = openSync('/proc/self/pagemap', 'r');
  const entries = new BigUint64Array(pages);
  try {
    readSync(fd, new Uint8Array(entries.buffer), 0, pages * 8, Number((address / BigInt(PAGE)) * 8n));
  } finally {
    closeSync(fd);
  }
  return Array.from(entries, (entry, i) => {
    if ((entry & PRESENT) === 0n) throw new Error(`pagemap: page ${i} is absent`);
    return entry & PFN_MASK;
  });
}

/** A number of /proc/PID/status in frames, such as VmPin. */
export function statusFrames(field: 'VmPin' | 'VmLck', pid: number | 'self' = 'self'): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (!match) throw new Error(`no ${field} in /proc/${pid}/status`);
  return (Number(match[1]) * 1024) / PAGE;
}

/** Frames that the whole system has pinned and not yet unpinned. */
export function framesPinned(): number {
  writeFileSync('/proc/sys/vm/stat_refresh', '1');
  const stat = readFileSync('/proc/vmstat', 'utf8');
  const count = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? Number.NaN);
  return count('nr_foll_pin_acquired') - count('nr_foll_pin_released');
}

/** The flags of a page as /proc/kpageflags has them. */
export function pageFlags(pfn: bigint): bigint {
  const fd = openSync('/proc/kpageflags', 'r');
  const flags = new BigUint64Array(1);
  readSync(fd, new Uint8Array(flags.buffer), 0, 8, Number(pfn * 8n));
  closeSync(fd);
  return flags[0] ?? 0n;
}

/** Waits until a condition holds; the limit is for a test that has failed, not for a slow machine. */
export async function until(what: string, holds: () => boolean, limitMs = 60_000): Promise<void> {
  const end = Date.now() + limitMs;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`it never came about that ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/** The last thing in every test file: nothing stays pinned, charged or open, and the kernel has not complained. */
export function endsBalanced(test: TestFn): void {
  test.after.always('every frame that was pinned is unpinned, nothing is charged or open, and the kernel log is clean', async t => {
    await until('the pin counters balance', () => framesPinned() === 0, 10_000);
    t.is(statusFrames('VmPin'), 0);
    // The library and some test files keep the device open. A process that was killed may still be on its way out.
    let held: Told = {};
    const isBalanced = (): boolean => {
      held = tells('balance', []);
      return held.charged === 0 && held.vectors === 0 && Number(held.references) <= Number(held.devices) + Number(held.mappings);
    };
    await until('nothing is charged and no vector is open', isBalanced, 10_000).catch(() => { t.fail(JSON.stringify(held)); });
    t.deepEqual(scanLog(execFileSync('dmesg', {encoding: 'utf8'})), []);
  });
}
