/** Maps a part of a file or device: the arguments, the opening, and what may go wrong. */
import {constants} from 'node:buffer';
import {closeSync, constants as fs, fstatSync, openSync} from 'node:fs';
import {addon, MAP_COPY, MAP_READ, MAP_READ_WRITE, REFUSED_NO_ARRAYBUFFER, REFUSED_NO_EXTERNAL} from './addon.js';
import {info} from './device.js';
import {invalidArgType, mapFailed, noExternalBuffers, offsetUnaligned, outOfRange, requireObject, unexpected} from './errors.js';
import {FRAMEVEC_DEVICE} from './uapi.js';

/** Which bytes of a file. */
export interface MapRange {
  /** The first byte, a multiple of the page size. Default: 0. */
  offset?: number | undefined;
  /** Bytes, at least 1. Default: to the end, where the file tells its size. */
  length?: number | undefined;
}

/** A path, or a descriptor, which stays the caller's and need not stay open. */
export type MapSource = string | number;

const OPEN_MODES = {
  // Without O_SYNC /dev/mem would map registers as cached memory.
  [MAP_READ]: fs.O_RDONLY | fs.O_SYNC,
  [MAP_READ_WRITE]: fs.O_RDWR | fs.O_SYNC,
  [MAP_COPY]: fs.O_RDONLY,
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
  requireObject('options', range);
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
    throw mapFailed('open', (error as NodeJS.ErrnoException).errno ?? -5, source, {offset, length});
  }
  try {
    return mapPart(source, fd, mode, offset, length);
  } finally {
    closeSync(fd);
  }
}

function mapPart(source: MapSource, fd: number, mode: MapMode, offset: number, wanted: number | undefined): ArrayBuffer {
  const size = sizeOf(source, fd);
  if (size !== undefined && offset >= size) throw outOfRange('options.offset', `>= 0 && < ${size}, the size of ${source}`, offset);
  const length = wanted ?? (size === undefined ? undefined : size - offset);
  if (length === undefined) throw invalidArgType('options.length', `of type number, as ${source} does not tell its size`, wanted);
  if (size !== undefined && length > size - offset) {
    throw outOfRange('options.length', `>= 1 && <= ${size - offset}, for ${source} ends there`, length);
  }
  const buffer = addon.map(fd, offset, length, mode);
  if (typeof buffer === 'object') return buffer;
  if (buffer === REFUSED_NO_EXTERNAL) throw noExternalBuffers();
  if (buffer === REFUSED_NO_ARRAYBUFFER) throw mapFailed('mmap', -12, source, {offset, length});
  throw buffer > -4096 ? mapFailed('mmap', buffer, source, {offset, length}) : unexpected('map', buffer);
}

/** As the file system has it, which sysfs does for PCI BARs too; devices but our own do not tell. */
function sizeOf(source: MapSource, fd: number): number | undefined {
  const stat = fstatSync(fd);
  if (stat.isFile()) return stat.size;
  return source === FRAMEVEC_DEVICE ? info().apertureSize : undefined;
}

function requireBytes(name: 'offset' | 'length', value: unknown, least: number): void {
  if (typeof value !== 'number') throw invalidArgType(`options.${name}`, 'of type number', value);
  const most = name === 'length' ? constants.MAX_LENGTH : Number.MAX_SAFE_INTEGER;
  if (!Number.isInteger(value) || value < least || value > most) {
    throw outOfRange(`options.${name}`, `an integer >= ${least} && <= ${most}`, value);
  }
}
