/** Maps a part of a file or device: the arguments, the opening, and what may go wrong. */
import {constants} from 'node:buffer';
import {closeSync, constants as fs, fstatSync, openSync, readlinkSync, type Stats} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import {addon, FIELD_PAGE_SIZE, MAP_COPY, MAP_READ, MAP_READ_WRITE, REFUSED_NO_ARRAYBUFFER, REFUSED_NO_EXTERNAL} from './addon.js';
import {info} from './device.js';
import {
  arrayBufferTooLong,
  barClaimed,
  emptyFile,
  invalidArgType,
  mapFailed,
  noExternalBuffers,
  notMappable,
  offsetUnaligned,
  openRefused,
  outOfRange,
  unexpected,
} from './errors.js';
import type {OptionNames} from './options.js';
import {FRAMEVEC_DEVICE} from './uapi.js';

/** Which bytes of a file. */
export interface MapRange {
  /** The first byte, a multiple of the page size. Default: 0. */
  offset?: number | undefined;
  /** Bytes, at least 1. Default: to the end, where the file tells its size. */
  length?: number | undefined;
}

/** The names of {@link MapRange}'s options. */
export const RANGE_OPTIONS: OptionNames<MapRange> = {offset: true, length: true};

/** A path, or a descriptor, which stays the caller's and need not stay open. */
export type MapSource = string | number;

// Without O_NONBLOCK a FIFO would block the process until someone writes to it, and a serial line until
// there is a carrier; without O_NOCTTY a terminal would become the process's own.
const CAUTIOUS = fs.O_NONBLOCK | fs.O_NOCTTY;

const OPEN_MODES = {
  // Without O_SYNC /dev/mem would map registers as cached memory.
  [MAP_READ]: fs.O_RDONLY | fs.O_SYNC | CAUTIOUS,
  [MAP_READ_WRITE]: fs.O_RDWR | fs.O_SYNC | CAUTIOUS,
  [MAP_COPY]: fs.O_RDONLY | CAUTIOUS,
} as const;
export type MapMode = keyof typeof OPEN_MODES;

/**
 * Maps a part of a file; the addon's handle of it is left in the exchange.
 *
 * @throws as {@link DeviceMemory.map} and {@link PinnableMemory.map}
 */
export function mapFile(source: MapSource, mode: MapMode, range: MapRange): ArrayBuffer {
  if (typeof source !== 'string' && !(Number.isInteger(source) && source >= 0)) {
    throw invalidArgType('source', 'a path (string) or a descriptor (integer >= 0)', source);
  }
  const {offset = 0, length} = range;
  requireBytes('offset', offset, 0);
  if (length !== undefined) requireBytes('length', length, 1);
  const {pageSize} = addon;
  if (offset % pageSize !== 0) throw offsetUnaligned(offset, pageSize);
  if (typeof source === 'number') return mapPart(source, source, mode, offset, length);

  let fd: number;
  try {
    fd = openSync(source, OPEN_MODES[mode]);
  } catch (error) {
    const {errno} = error as NodeJS.ErrnoException;
    if (errno === undefined) throw openRefused(error as Error, mode === MAP_READ_WRITE);
    throw mapFailed('open', errno, source, {offset, length});
  }
  try {
    return mapPart(source, fd, mode, offset, length);
  } finally {
    closeQuietly(fd);
  }
}

/** An error of close() must not lose the mapping that has been made, and there is nothing to do about it. */
function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // On Linux it is closed all the same.
  }
}

function mapPart(source: MapSource, fd: number, mode: MapMode, offset: number, wanted: number | undefined): ArrayBuffer {
  const size = sizeOf(source, fd, {offset, length: wanted});
  if (size !== undefined && offset >= size) throw outOfRange('options.offset', `>= 0 && < ${size}, the size of ${source}`, offset);
  const length = wanted ?? (size === undefined ? undefined : size - offset);
  if (length === undefined) throw invalidArgType('options.length', `of type number, as ${source} does not tell its size`, wanted);
  if (size !== undefined && length > size - offset) {
    throw outOfRange('options.length', `>= 1 && <= ${size - offset}, for ${source} ends there`, length);
  }
  if (length > constants.MAX_LENGTH) throw arrayBufferTooLong('map', length);
  const buffer = addon.map(fd, offset, length, mode);
  if (typeof buffer === 'object') return buffer;
  if (buffer === REFUSED_NO_EXTERNAL) throw noExternalBuffers();
  if (buffer === REFUSED_NO_ARRAYBUFFER) throw arrayBufferTooLong('map', length);
  if (buffer < -4095) throw unexpected('map', buffer);
  if (buffer === -22) {
    const hugePage = addon.exchange[FIELD_PAGE_SIZE];
    if (offset % hugePage !== 0) throw offsetUnaligned(offset, hugePage);
    const bar = barOf(fd);
    if (bar !== undefined) throw barClaimed(source, driverOf(bar));
  }
  throw mapFailed('mmap', buffer, source, {offset, length});
}

/** As the file system has it, which sysfs does for PCI BARs too; devices but our own do not tell. */
function sizeOf(source: MapSource, fd: number, range: {offset: number; length: number | undefined}): number | undefined {
  const stat = statOf(source, fd, range);
  const kind = unmappable(stat);
  if (kind !== undefined) throw notMappable(source, kind);
  if (!stat.isFile()) return source === FRAMEVEC_DEVICE ? info().apertureSize : undefined;
  if (stat.size === 0) throw emptyFile(source);
  return stat.size;
}

function statOf(source: MapSource, fd: number, range: {offset: number; length: number | undefined}): Stats {
  try {
    return fstatSync(fd);
  } catch (error) {
    const {errno} = error as NodeJS.ErrnoException;
    // Of a descriptor that is not open, mmap() would say the same.
    throw errno === undefined ? error : mapFailed('mmap', errno, source, range);
  }
}

function unmappable(stat: Stats): string | undefined {
  if (stat.isFIFO()) return 'a FIFO or pipe';
  if (stat.isSocket()) return 'a socket';
  return stat.isDirectory() ? 'a directory' : undefined;
}

/** The sysfs path of a PCI BAR. The range has been checked by then, so EINVAL has one reason left. */
function barOf(fd: number): string | undefined {
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    return /^\/sys\/.*\/resource\d+(_wc)?$/.test(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

function driverOf(bar: string): string | undefined {
  try {
    return basename(readlinkSync(join(dirname(bar), 'driver')));
  } catch {
    return undefined;
  }
}

function requireBytes(name: 'offset' | 'length', value: unknown, least: number): void {
  if (typeof value !== 'number') throw invalidArgType(`options.${name}`, 'of type number', value);
  if (!Number.isInteger(value) || value < least) throw outOfRange(`options.${name}`, `an integer >= ${least}`, value);
  if (value > Number.MAX_SAFE_INTEGER) throw outOfRange(`options.${name}`, `an integer >= ${least} && <= ${Number.MAX_SAFE_INTEGER}`, value);
}
