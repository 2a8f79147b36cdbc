/** What `framevec pin` does: pins one buffer and reports it. */
import {bytesInWords, stopInWords} from './errors.js';
import {DeviceMemory, FrameVector, info, PinnableMemory, type Kind, type Reason, type Timing} from './index.js';

/** What to pin, as the command line has it. */
export interface PinRequest {
  readonly backing: string;
  readonly offset: number;
  readonly size?: number;
  readonly write?: boolean;
  readonly partial?: boolean;
}

/** What came of it; with `--json` this is what is printed. */
export interface PinReport {
  readonly backing: string;
  readonly kind: Kind;
  /** Frames held. */
  readonly frames: number;
  /** Bytes from the start of the first frame to the first byte. */
  readonly offset: number;
  /** Bytes held. */
  readonly bytes: number;
  readonly write: boolean;
  /** Runs of frames that follow each other: how many, and the first of them. */
  readonly extents: number;
  readonly first: readonly {readonly pfn?: string; readonly frames: number}[];
  /** All frames are the kernel's shared page of zeros: the memory was never written. Needs frame numbers. */
  readonly zeroPage?: true;
  /** In the kernel, nanoseconds. */
  readonly pin: Timing;
  readonly unpin: Timing;
  /** With `--partial`: where and why it stopped. */
  readonly stopped?: {readonly reason: Reason; readonly offset: number; readonly words: string};
}

const MEBIBYTE = 2 ** 20;
const SHOWN = 8;

/** The memory; of a file or device from the page on that the offset is in. */
function memoryFor({backing, offset, size, write = false}: PinRequest, within: number): PinnableMemory | DeviceMemory {
  const [, scheme, path] = /^(file|device):(.*)$/s.exec(backing) ?? [];
  if (scheme !== undefined && path !== undefined) {
    const range = {offset: offset - within, length: size === undefined ? undefined : size + within};
    return scheme === 'file' ? PinnableMemory.map(path, range) : DeviceMemory.map(path, {...range, write});
  }
  const hugepages = {anon: false, thp: true, hugetlb: '2M', memfd: false}[backing] as boolean | '2M';
  return FrameVector.alloc(within + (size ?? MEBIBYTE), {hugepages, memfd: backing === 'memfd'});
}

/**
 * Pins, looks and unpins.
 *
 * @throws as {@link FrameVector.pin}, {@link PinnableMemory.map} and {@link DeviceMemory.map}
 */
export function pinReport(request: PinRequest): PinReport {
  const {features, pageSize} = info();
  const within = request.offset % pageSize;
  using memory = memoryFor(request, within);
  const target = memory.bytes.subarray(within);
  const {write = false, partial = false} = request;
  const options = {write, partial, timing: true, unaligned: within !== 0};
  using vector = FrameVector.pin(target, options);
  const {kind, frames, offset, byteLength: bytes, stopped, timing: pin} = vector;
  const {counts, pfns} = features.pfns ? vector.extents() : {...vector.extents({pfns: false}), pfns: undefined};
  vector.unpin({timing: true});
  const {timing: unpin} = vector;
  if (pin === undefined || unpin === undefined) throw new Error('the times that were asked for are missing');
  return {
    backing: request.backing,
    kind,
    frames,
    offset,
    bytes,
    write,
    extents: counts.length,
    first: Array.from(counts.subarray(0, SHOWN), (count, i) => {
      const pfn = pfns?.[i];
      return {...(pfn !== undefined && {pfn: `0x${pfn.toString(16)}`}), frames: count};
    }),
    ...(pfns !== undefined && isZeroPage(counts, pfns) && {zeroPage: true}),
    pin,
    unpin,
    ...(stopped && {stopped: {reason: stopped.reason, offset: stopped.offset, words: stopInWords(stopped, pageSize)}}),
  };
}

/** One page that is mapped again and again: until Linux 6.2, a pin for read of memory that nobody has written. */
function isZeroPage(counts: Uint32Array, pfns: BigUint64Array): boolean {
  return pfns.length > 1 && pfns.every((pfn, i) => pfn === pfns[0] && counts[i] === 1);
}

/** The report as lines for a reader. */
export function reportInWords(report: PinReport): string {
  const {backing, kind, frames, offset, bytes, write, extents, first, zeroPage, pin, unpin, stopped} = report;
  const microseconds = (ns: number): string => `${(ns / 1000).toFixed(1)} µs`;
  const lines = [
    `backing   ${backing}, ${bytesInWords(bytes)}${write ? ', for writing' : ''}`,
    `kind      ${kind === 'pfns' ? 'pfns: frame numbers of device memory, a snapshot and not a pin' : 'pages: pinned until unpin'}`,
    `frames    ${frames}`,
    `offset    ${offset}`,
    `extents   ${extents}`,
    ...(zeroPage === true ? [`          All ${extents} entries are the kernel's shared zero page: the memory was never written.`] : []),
    ...(zeroPage === true ? [] : first).map(({pfn, frames: count}) => `          ${pfn === undefined ? '' : `PFN ${pfn.padStart(11)}  `}${String(count).padStart(7)} ${count === 1 ? 'frame' : 'frames'}`),
  ];
  if (zeroPage !== true && extents > first.length) lines.push(`          and ${extents - first.length} more`);
  lines.push(`pin       ${microseconds(pin.callNs)} in the kernel, ${microseconds(pin.gupNs)} of them in get_user_pages()`);
  lines.push(`unpin     ${microseconds(unpin.callNs)} in the kernel, ${microseconds(unpin.gupNs)} of them to release the pages`);
  if (stopped !== undefined) lines.push(`stopped   ${stopped.reason}: ${stopped.words}`);
  return lines.join('\n');
}
