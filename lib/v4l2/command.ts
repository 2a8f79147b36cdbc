/** What `framevec v4l2` does. */
import {closeSync, openSync, readFileSync, readSync, writeFileSync} from 'node:fs';
import {release} from 'node:os';
import {build, type Histogram} from 'hdr-histogram-js';
import {addon} from '../addon.js';
import {DeviceMemory} from '../device_memory.js';
import {FrameVector} from '../frame_vector.js';
import type {MappedMemory} from '../mapped_memory.js';
import {V4l2Device} from './device.js';
import {toPng} from './picture.js';

export interface V4l2CommandOptions {
  readonly buffers: number;
  readonly frames: number;
  readonly fps?: number;
  /** `thp`, `4k`, `memfd` or `device:PATH`. */
  readonly backing: string;
  readonly hold?: true;
  readonly save?: string;
  readonly json?: true;
}

const PFN_MASK = (1n << 55n) - 1n;
const PERCENTILES = [50, 90, 99, 100] as const;

/** Memory of one kind, plane by plane; a device's is one mapping, of which each gets a part. */
function backingOf(kind: string, total: number): {take(bytes: number): Uint8Array; memories: MappedMemory[]} {
  const memories: MappedMemory[] = [];
  const {pageSize} = addon;
  if (kind.startsWith('device:')) {
    const memory = DeviceMemory.map(kind.slice('device:'.length), {length: total, write: true});
    memories.push(memory);
    let at = 0;
    return {
      memories,
      take(bytes) {
        const part = memory.bytes.subarray(at, at + Math.ceil(bytes / pageSize) * pageSize);
        at += part.length;
        return part;
      },
    };
  }
  const options = kind === 'memfd' ? {memfd: true} : {hugepages: kind === 'thp'};
  return {
    memories,
    take(bytes) {
      const memory = FrameVector.alloc(bytes, options);
      memories.push(memory);
      return memory.bytes;
    },
  };
}

/** How many frames of a vector are no more where it pinned them, says /proc/self/pagemap. */
function moved(vector: FrameVector, pfns: BigUint64Array): number {
  const fd = openSync('/proc/self/pagemap', 'r');
  const entries = new BigUint64Array(pfns.length);
  const first = vector.address - vector.offset;
  readSync(fd, entries, 0, entries.byteLength, (first / addon.pageSize) * 8);
  closeSync(fd);
  return pfns.reduce((sum, pfn, i) => sum + (((entries[i] ?? 0n) & PFN_MASK) === pfn ? 0 : 1), 0);
}

function compactMemory(): boolean {
  try {
    writeFileSync('/proc/sys/vm/compact_memory', '1');
    return true;
  } catch {
    return false;
  }
}

/** Pages that the kernel has moved so far while compacting, of whomever. */
function pagesCompacted(): number {
  return Number(/^pgmigrate_success (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0);
}

const percentiles = (histogram: Histogram): Record<string, number> =>
  Object.fromEntries(PERCENTILES.map(p => [p === 100 ? 'max' : `p${p}`, histogram.getValueAtPercentile(p)]));

function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

const ms = (ns: number): string => (ns / 1e6).toFixed(3).padStart(10);
const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** Streams, and prints what it saw. The exit status: 1 if a frame moved, or fewer came than were asked for. */
export async function v4l2Stream(path: string, options: V4l2CommandOptions): Promise<number> {
  using device = V4l2Device.open(path);
  const rate = options.fps === undefined ? undefined : device.setFrameRate(options.fps);
  const format = device.format();
  const {pageSize} = addon;
  const bufferBytes = device.planeBytes.reduce((sum, bytes) => sum + Math.ceil(bytes / pageSize) * pageSize, 0);
  const backing = backingOf(options.backing, bufferBytes * options.buffers);
  const say = options.json ? (): void => undefined : print;
  say(`${device.card} (${device.driver} ${device.driverVersion}, ${device.busInfo}) on Linux ${release()}`);
  say(`${path}: ${device.direction}, ${format.width}x${format.height} ${format.fourcc}, ` +
    `${format.planes.map(({bytes}) => bytes).join(' + ')} bytes a frame in ${plural(format.planes.length, 'plane')}` +
    (rate === undefined ? '' : `, ${rate.toFixed(2)} frames/s asked`));

  const held: {vector: FrameVector; pfns: BigUint64Array}[] = [];
  const qbuf = build({numberOfSignificantValueDigits: 3});
  const wait = build({numberOfSignificantValueDigits: 3});
  let frames = 0;
  let changed = 0;
  let errors = 0;
  let compactions = 0;
  let movedFrames = 0;
  let skipped = 0;
  let sequence = -1;
  let first = 0;
  let last = 0;
  let picture: Buffer | undefined;
  let before: Buffer | undefined;
  const compactedBefore = pagesCompacted();

  try {
    const stream = device.stream({
      buffers: options.buffers,
      frames: options.frames,
      memory(bytes) {
        const memory = backing.take(bytes);
        if (options.hold) {
          const vector = FrameVector.pin(memory, {write: true, unaligned: true});
          held.push({vector, pfns: vector.pfns()});
        }
        return memory;
      },
    });
    for await (const frame of stream) {
      frames++;
      if (frame.error) errors++;
      if (sequence >= 0) skipped += frame.sequence - sequence - 1;
      sequence = frame.sequence;
      first ||= frame.timestampUs;
      last = frame.timestampUs;
      qbuf.recordValue(frame.timing.qbufNs);
      wait.recordValue(frame.timing.dequeueNs);
      const now = Buffer.from(frame.bytes);
      if (before === undefined || !now.equals(before)) changed++;
      before = now;
      if (options.hold && frames % 10 === 0 && compactMemory()) compactions++;
      if (options.hold) movedFrames = Math.max(movedFrames, held.reduce((sum, {vector, pfns}) => sum + moved(vector, pfns), 0));
      if (options.save !== undefined && frames === options.frames) picture = toPng(format, frame.bytes);
    }
  } finally {
    for (const {vector} of held) vector.close();
    device.close();
    for (const memory of backing.memories) memory.close();
  }

  const seconds = (last - first) / 1e6;
  const framesPerSecond = seconds > 0 ? (frames - 1) / seconds : 0;
  if (picture !== undefined && options.save !== undefined) writeFileSync(options.save, picture);
  const heldFrames = held.reduce((sum, {pfns}) => sum + pfns.length, 0);
  if (options.json) {
    print(JSON.stringify({
      path, driver: device.driver, card: device.card, driverVersion: device.driverVersion, direction: device.direction, format,
      backing: options.backing, frames, framesPerSecond, changed, errors, skipped,
      qbufNs: percentiles(qbuf), dequeueNs: percentiles(wait),
      ...(options.hold ? {hold: {frames: heldFrames, moved: movedFrames, compactions, pagesMigrated: pagesCompacted() - compactedBefore}} : {}),
      ...(options.save === undefined ? {} : {saved: options.save}),
    }));
  } else {
    print(`${plural(frames, 'frame')} at ${framesPerSecond.toFixed(2)} frames/s; ${changed} differ from the one before; ` +
      `${skipped} skipped, ${errors} with errors`);
    print();
    print(`  ms                     p50        p90        p99        max`);
    for (const [name, histogram] of [['QBUF', qbuf], ['DQBUF, with wait', wait]] as const) {
      print(`  ${name.padEnd(16)}${PERCENTILES.map(p => ` ${ms(histogram.getValueAtPercentile(p))}`).join('')}`);
    }
    if (options.hold) {
      print();
      print(`Held by framevec during the stream: ${plural(held.length, 'buffer')}, ${plural(heldFrames, 'page frame')}. Memory was compacted ` +
        `${plural(compactions, 'time')} (${pagesCompacted() - compactedBefore} pages of others moved): ` +
        (movedFrames === 0 ? 'no frame moved.' : `${plural(movedFrames, 'frame')} MOVED.`));
    }
    if (options.save !== undefined && picture !== undefined) print(`\nThe last frame is in ${options.save}.`);
  }
  return movedFrames === 0 && frames === options.frames ? 0 : 1;
}
