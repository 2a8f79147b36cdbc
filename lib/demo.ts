/** What `framevec demo` does: shows what a frame vector is, on a real file, and checks it against the kernel's own word. */
import {closeSync, fstatSync, openSync, readFileSync, readSync} from 'node:fs';
import {release} from 'node:os';
import {styleText} from 'node:util';
import {createHistogram, performance, type RecordableHistogram} from 'node:perf_hooks';
import {FrameVector, type PinnableMemory, info} from './index.js';

const MEBIBYTE = 2 ** 20;
const PFN_MASK = (1n << 55n) - 1n;
const SHOWN = 8;

interface Run {
  frame: number;
  pfn: bigint;
  count: number;
}

/** The PFNs of a buffer as /proc/self/pagemap tells them: nothing of framevec is in between. */
function pagemap(address: number, pages: number, pageSize: number): bigint[] {
  const fd = openSync('/proc/self/pagemap', 'r');
  const entries = new BigUint64Array(pages);
  readSync(fd, entries, 0, entries.byteLength, (address / pageSize) * 8);
  closeSync(fd);
  return Array.from(entries, entry => entry & PFN_MASK);
}

/** Neighbours that follow each other make a run: one segment of a scatter list. */
function runsOf(pfns: BigUint64Array): Run[] {
  const runs: Run[] = [];
  pfns.forEach((pfn, frame) => {
    const last = runs.at(-1);
    if (last !== undefined && last.pfn + BigInt(last.count) === pfn) last.count += 1;
    else runs.push({frame, pfn, count: 1});
  });
  return runs;
}

function vmPinKib(): number {
  return Number(/^VmPin:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? Number.NaN);
}

/** The file that was to be shown can't be read. */
export class DemoFileError extends Error {
  override readonly name = 'DemoFileError';

  constructor(file: string, cause: unknown) {
    super(`demo: ${file} could not be read: ${(cause as Error).message}`, {cause});
  }
}

/** Fills the memory from the file, over and over if the file is shorter; the bytes of it that were read once. */
function fill(memory: PinnableMemory, file: string): {size: number; copied: number} {
  try {
    const fd = openSync(file, 'r');
    try {
      const {size} = fstatSync(fd);
      let copied = 0;
      while (copied < memory.byteLength) {
        // Of a file whose size is not known, as those in /proc, only what comes first.
        const n = readSync(fd, memory.bytes, copied, memory.byteLength - copied, size > 0 ? copied % size : copied);
        if (n === 0) break;
        copied += n;
      }
      return {size: Math.max(size, size === 0 ? copied : 0), copied};
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new DemoFileError(file, error);
  }
}

/** What of the file is in the buffer. */
function contents(file: string, size: number, copied: number, capacity: number): string {
  const buffer = `a buffer of ${capacity / MEBIBYTE} MiB`;
  if (copied === 0) return `${file} is empty, and so is ${buffer}`;
  if (size >= capacity) return `${file}, ${bytes(size)}: its first ${capacity / MEBIBYTE} MiB are in a buffer`;
  if (copied < capacity) return `${file}, ${bytes(size)}, is in ${buffer}`;
  return `${file}, ${bytes(size)}, fills ${buffer} ${(capacity / size).toFixed(1)} times`;
}

function bytes(count: number): string {
  if (count >= MEBIBYTE) return `${(count / MEBIBYTE).toFixed(1)} MiB`;
  return count >= 1024 ? `${(count / 1024).toFixed(1)} KiB` : `${count} bytes`;
}

interface Latency {
  backing: string;
  pages: number;
  count: number;
  pinP50: number;
  pinP99: number;
  unpinP50: number;
  unpinP99: number;
}

/** Nanoseconds of a whole pin() and unpin(), from JavaScript. */
function latency(memory: PinnableMemory, backing: string, pages: number, pageSize: number): Latency {
  const view = memory.bytes.subarray(0, pages * pageSize);
  const pins = createHistogram();
  const unpins = createHistogram();
  using vector = FrameVector.create(pages);
  const end = performance.now() + 300;
  for (let round = 0; round < 50 || performance.now() < end; round++) {
    const before = process.hrtime.bigint();
    vector.pin(view, {write: true});
    const between = process.hrtime.bigint();
    vector.unpin();
    const after = process.hrtime.bigint();
    if (round < 20) continue; // until it is compiled
    pins.record(between - before);
    unpins.record(after - between);
  }
  const at = (histogram: RecordableHistogram, p: number): number => histogram.percentile(p);
  return {backing, pages, count: pins.count, pinP50: at(pins, 50), pinP99: at(pins, 99), unpinP50: at(unpins, 50), unpinP99: at(unpins, 99)};
}

const bold = (text: string): string => paint('bold', text);
const dim = (text: string): string => paint('dim', text);

function paint(style: 'bold' | 'dim' | 'green' | 'red', text: string): string {
  return process.stdout.isTTY && process.stdout.hasColors() ? styleText(style, text) : text;
}

function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

const hex = (pfn: bigint): string => `0x${pfn.toString(16)}`;
const microseconds = (ns: number): string => (ns / 1000).toFixed(1).padStart(9);

export function demo(file: string, json: boolean): void {
  using memory = FrameVector.alloc(2 * MEBIBYTE, {hugepages: false});
  const {size, copied} = fill(memory, file);
  const {pageSize} = info();
  const before = vmPinKib();

  using vector = FrameVector.pin(memory, {write: true});
  const pfns = vector.pfns();
  const during = vmPinKib();
  const witness = pagemap(vector.address, vector.frames, pageSize);
  const equal = pfns.reduce((sum, pfn, i) => sum + (pfn === witness[i] ? 1 : 0), 0);
  const runs = runsOf(pfns);
  const frames = vector.unpin();
  const after = vmPinKib();

  if (!json) {
    print(`${bold('A frame vector')} on Linux ${release()}, Node ${process.version}`);
    print();
    print(`${contents(file, size, copied, memory.byteLength)}, and the buffer is`);
    print(`pinned for write: ${bold(`${frames} frames`)} of ${pageSize} bytes that stay where they are until unpin.`);
    print();
    print(dim('  frame   PFN (framevec)   PFN (/proc/self/pagemap)'));
    for (let i = 0; i < SHOWN; i++) {
      const mine = pfns[i] ?? 0n;
      const theirs = witness[i] ?? 0n;
      print(`  ${String(i).padStart(5)}   ${hex(mine).padStart(14)}   ${hex(theirs).padStart(24)}  ${mine === theirs ? paint('green', 'same') : paint('red', 'DIFFERENT')}`);
    }
    print(`  ... and so on: ${equal} of ${frames} are the same.`);
    print();
    print(`They lie in ${bold(runs.length === 1 ? 'one run' : `${runs.length} runs`)} of neighbours: so many segments would a device's scatter list have.`);
    for (const run of [...runs].sort((a, b) => b.count - a.count).slice(0, 5)) {
      const bar = '█'.repeat(Math.max(1, Math.round((run.count / frames) * 48)));
      print(`  PFN ${hex(run.pfn).padStart(9)}  ${String(run.count).padStart(5)} frames from frame ${String(run.frame).padEnd(5)} ${bar}`);
    }
    print();
    print(`VmPin: ${before} kB before, ${bold(`${during} kB`)} during, ${after} kB after.`);
    print();
    print('What it costs, called from JavaScript, in µs:');
    print(dim('  memory  pages    pin p50    pin p99  unpin p50  unpin p99    count'));
  }

  const latencies: Latency[] = [];
  for (const hugepages of [false, true]) {
    using buffer = FrameVector.alloc(2 * MEBIBYTE, {hugepages});
    buffer.bytes.fill(1);
    for (const pages of [1, 16, 256]) {
      const line = latency(buffer, hugepages ? 'THP' : '4K', pages, pageSize);
      latencies.push(line);
      if (json) continue;
      print(`  ${line.backing.padEnd(6)}  ${String(pages).padStart(5)}  ${microseconds(line.pinP50)}  ${microseconds(line.pinP99)}  ${microseconds(line.unpinP50)}  ${microseconds(line.unpinP99)}  ${String(line.count).padStart(7)}`);
    }
  }

  if (json) {
    print(JSON.stringify({file, frames, equal, runs: runs.map(run => ({...run, pfn: hex(run.pfn)})), vmPinKib: {before, during, after}, latencyNs: latencies}));
  } else if (process.env.FRAMEVEC_VM !== undefined) {
    print(dim('  In an emulated VM these times compare with each other, and with nothing else.'));
  }
  if (equal !== frames || during - before !== (frames * pageSize) / 1024 || after !== before) {
    throw new Error('what the kernel says and what framevec says differ');
  }
}
