import {constants} from 'node:buffer';
import {
  addon,
  FIELD_HUGE_ADVICE,
  HUGE_1G,
  HUGE_2M,
  HUGE_ADVISE,
  HUGE_LEAVE,
  HUGE_NEVER,
  MAP_COPY,
  MAP_READ_WRITE,
  REFUSED_NO_ARRAYBUFFER,
  REFUSED_NO_EXTERNAL,
} from './addon.js';
import {allocFailed, arrayBufferTooLong, invalidArgType, noExternalBuffers, outOfRange, unexpected} from './errors.js';
import {mapFile, RANGE_OPTIONS, type MapRange, type MapSource} from './map_file.js';
import {MappedMemory} from './mapped_memory.js';
import {checkOptions, enabled, type OptionNames} from './options.js';

/** Options of {@link PinnableMemory.alloc}. */
export interface AllocOptions {
  /**
   * `true`: aligned to 2 MiB, and transparent huge pages asked for with MADV_HUGEPAGE, which makes
   * pinning many times faster; it is advice, see {@link PinnableMemory.hugepages} for what came of
   * it. `false`: 4 KiB pages always (MADV_NOHUGEPAGE). `'2M'`, `'1G'`: of the reserved ones
   * (MAP_HUGETLB), or an error. Default: `true` from 2 MiB on.
   */
  hugepages?: boolean | '2M' | '1G' | undefined;
  /** Of a memfd, mapped shared: shmem pages, as what processes share has. Default: `false`. */
  memfd?: boolean | undefined;
}

/** Options of {@link PinnableMemory.map}. */
export interface FileMapOptions extends MapRange {
  /**
   * `true`: what is written goes to the file (MAP_SHARED). `false`: it stays here, in a copy of the
   * page (MAP_PRIVATE). Default: `false`.
   */
  shared?: boolean | undefined;
}

const ALLOC_OPTIONS: OptionNames<AllocOptions> = {hugepages: true, memfd: true};
const FILE_MAP_OPTIONS: OptionNames<FileMapOptions> = {...RANGE_OPTIONS, shared: true};

const {allocate, exchange} = addon;
const MEBIBYTE_2 = 2 ** 21;

/**
 * Memory that may be pinned without a second thought: page-aligned, of pages that it shares with
 * nothing, and still sound if its ArrayBuffer is transferred. Made by {@link FrameVector.alloc}, or
 * of a file by {@link PinnableMemory.map}.
 */
export class PinnableMemory extends MappedMemory {
  /** The huge pages that it was given: `true` if the kernel has taken the advice. */
  readonly hugepages: boolean | '2M' | '1G';

  /**
   * Allocates memory; it is zero at first.
   *
   * @param bytes - how many, at least 1. The last page is the memory's own, even if it is not full.
   * @throws TypeError, RangeError - wrong arguments
   * @throws FrameVectorError `ENOMEM` - no memory, or too few huge pages reserved;
   *   `ERR_FRAMEVEC_NO_EXTERNAL_BUFFERS` - Electron; `ERR_FRAMEVEC_ARRAYBUFFER_LENGTH` - more than an
   *   ArrayBuffer of this Node can have
   */
  static alloc(bytes: number, options: AllocOptions = {}): PinnableMemory {
    if (typeof bytes !== 'number') throw invalidArgType('bytes', 'of type number', bytes);
    if (!Number.isSafeInteger(bytes) || bytes < 1 || bytes > constants.MAX_LENGTH) {
      throw outOfRange('bytes', `an integer >= 1 && <= ${constants.MAX_LENGTH}`, bytes);
    }
    checkOptions(options, ALLOC_OPTIONS);
    const {hugepages} = options;
    const buffer = allocate(bytes, hugeMode(bytes, hugepages), enabled(options.memfd, 'memfd') ? 1 : 0);
    if (typeof buffer === 'number') throw allocError(buffer, bytes, hugepages);
    const reserved = hugepages === '2M' || hugepages === '1G';
    const given = reserved ? hugepages : exchange[FIELD_HUGE_ADVICE] === 1;
    return MappedMemory.adopt(buffer, () => new PinnableMemory(buffer, given));
  }

  /**
   * Maps a part of a file, so that its pages can be pinned. If the file is cut short later, an access
   * beyond its end is the process's end (SIGBUS).
   *
   * @param source - its path; or a descriptor, such as a memfd's
   * @throws TypeError, RangeError - wrong arguments: an offset that is not a page's, a range that
   *   goes beyond the end of the file
   * @throws FrameVectorError - what open() and mmap() say: `ENOENT`, `EACCES`, `ENODEV`, ...; and as
   *   {@link DeviceMemory.map}
   */
  static map(source: MapSource, options: FileMapOptions = {}): PinnableMemory {
    checkOptions(options, FILE_MAP_OPTIONS);
    const mode = enabled(options.shared, 'shared') ? MAP_READ_WRITE : MAP_COPY;
    return MappedMemory.adopt(mapFile(source, mode, options), buffer => new PinnableMemory(buffer, false));
  }

  private constructor(buffer: ArrayBuffer, hugepages: boolean | '2M' | '1G') {
    super(buffer);
    this.hugepages = hugepages;
  }

  /** @internal */
  protected override shown(): object {
    return {byteLength: this.byteLength, hugepages: this.hugepages};
  }
}

function hugeMode(bytes: number, hugepages: unknown): number {
  switch (hugepages) {
    case undefined:
      return bytes >= MEBIBYTE_2 ? HUGE_ADVISE : HUGE_LEAVE;
    case false:
      return HUGE_NEVER;
    case true:
      return HUGE_ADVISE;
    case '2M':
      return HUGE_2M;
    case '1G':
      return HUGE_1G;
    default:
      throw invalidArgType('options.hugepages', "true, false, '2M' or '1G'", hugepages);
  }
}

function allocError(answer: number, bytes: number, hugepages: AllocOptions['hugepages']): Error {
  if (answer === REFUSED_NO_EXTERNAL) return noExternalBuffers();
  if (answer === REFUSED_NO_ARRAYBUFFER) return arrayBufferTooLong('alloc', bytes);
  return answer > -4096 ? allocFailed(answer, bytes, hugepages) : unexpected('alloc', answer);
}
