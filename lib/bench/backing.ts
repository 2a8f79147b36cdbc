/** Memory of each kind that is measured: what one case uses again and again, and what a cold case takes anew each time. */
import {closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {DeviceMemory} from '../device_memory.js';
import {info} from '../device.js';
import {FrameVector} from '../frame_vector.js';
import type {MappedMemory} from '../mapped_memory.js';
import {PinnableMemory} from '../pinnable_memory.js';
import {FRAMEVEC_DEVICE} from '../uapi.js';

export const BACKINGS = ['4k', 'thp', 'hugetlb', 'memfd', 'file', 'device'] as const;
export type BackingName = (typeof BACKINGS)[number];

export const BACKING_WORDS: Readonly<Record<BackingName, string>> = {
  '4k': 'anonymous memory of 4 KiB pages (MADV_NOHUGEPAGE)',
  thp: 'anonymous memory of transparent huge pages (MADV_HUGEPAGE)',
  hugetlb: 'reserved huge pages of 2 MiB (MAP_HUGETLB)',
  memfd: 'shared memory (memfd)',
  file: 'a private mapping of a file in the temporary directory',
  device: "device memory: framevec's own aperture, of which frame numbers are noted",
};

const HUGE_PAGE = 2 ** 21;
const NR_HUGEPAGES = '/proc/sys/vm/nr_hugepages';
const THP_ENABLED = '/sys/kernel/mm/transparent_hugepage/enabled';

/** Memory of which the first bytes are used: huge pages come whole. */
export interface Region extends Disposable {
  readonly bytes: Uint8Array;
}

/** Bytes rounded up to whole huge pages, where the backing has them. */
export function bytesTaken(backing: BackingName, bytes: number): number {
  return backing === 'thp' || backing === 'hugetlb' ? Math.ceil(bytes / HUGE_PAGE) * HUGE_PAGE : bytes;
}

/** Writes a byte of each page, or reads one where it may not be written. */
export function touch(bytes: Uint8Array, write: boolean, pageSize: number): number {
  let sum = 0;
  if (write) for (let at = 0; at < bytes.length; at += pageSize) bytes[at] = 1;
  else for (let at = 0; at < bytes.length; at += pageSize) sum += bytes[at] ?? 0;
  return sum;
}

/**
 * A source of memory of one kind. Close it after the memory that came of it: it has the file, and puts the reserve of
 * huge pages back to what it was.
 */
export class Backing implements Disposable {
  readonly name: BackingName;
  readonly #pageSize = info().pageSize;
  #folder: string | undefined;
  #reservedBefore: number | undefined;

  /**
   * @param most - bytes of the largest region that will be asked for
   * @param regions - how many such may exist at once
   */
  constructor(name: BackingName, most: number, regions: number) {
    this.name = name;
    if (name === 'hugetlb') this.#reserve(Math.ceil(most / HUGE_PAGE) * regions);
    if (name === 'file') {
      this.#folder = mkdtempSync(join(tmpdir(), 'framevec-bench-'));
      const fd = openSync(join(this.#folder, 'pages'), 'w');
      ftruncateSync(fd, most);
      closeSync(fd);
    }
  }

  /** Why memory of this kind and size can't be had here; undefined: it can. */
  lacks(bytes: number): string | undefined {
    switch (this.name) {
      case 'thp':
        return lacksThp();
      case 'hugetlb': {
        const free = freeHugepages();
        if (free === undefined) return 'this kernel has no reserved huge pages (hugetlb)';
        const need = Math.ceil(bytes / HUGE_PAGE);
        return free >= need ? undefined : `${need} huge pages of 2 MiB are needed and ${free} are free: raise ${NR_HUGEPAGES}`;
      }
      case 'device': {
        const {apertureSize} = info();
        return bytes <= apertureSize ? undefined
          : `the aperture has ${apertureSize} bytes: load framevec with aperture_size=${bytes} (\`framevec vm --module-param\`)`;
      }
      default:
        return undefined;
    }
  }

  /** Memory that nobody has touched, in this mapping of it. */
  cold(bytes: number): Region {
    const memory = this.#memory(bytesTaken(this.name, bytes));
    return {
      bytes: memory.bytes.length === bytes ? memory.bytes : memory.bytes.subarray(0, bytes),
      [Symbol.dispose]() {
        memory.close();
      },
    };
  }

  /** The same, each page touched: written to, but for device memory. */
  resident(bytes: number): Region {
    const region = this.cold(bytes);
    touch(region.bytes, this.writable, this.#pageSize);
    return region;
  }

  /** Whether touching may write: device memory is let be. */
  get writable(): boolean {
    return this.name !== 'device';
  }

  #memory(bytes: number): MappedMemory {
    switch (this.name) {
      case '4k':
        return FrameVector.alloc(bytes, {hugepages: false});
      case 'thp':
        return FrameVector.alloc(bytes, {hugepages: true});
      case 'hugetlb':
        return FrameVector.alloc(bytes, {hugepages: '2M'});
      case 'memfd':
        return FrameVector.alloc(bytes, {memfd: true, hugepages: false});
      case 'file':
        return PinnableMemory.map(join(this.#folder ?? '', 'pages'), {length: bytes});
      case 'device':
        return DeviceMemory.map(FRAMEVEC_DEVICE, {length: bytes, write: true});
    }
  }

  #reserve(pages: number): void {
    try {
      const before = Number(readFileSync(NR_HUGEPAGES, 'utf8'));
      const missing = pages - (freeHugepages() ?? 0);
      if (missing <= 0) return;
      this.#reservedBefore = before;
      writeFileSync(NR_HUGEPAGES, String(before + missing));
    } catch {
      // Not root, or no hugetlb: lacks() says it of each size.
    }
  }

  [Symbol.dispose](): void {
    if (this.#folder !== undefined) rmSync(this.#folder, {recursive: true, force: true});
    if (this.#reservedBefore !== undefined) writeFileSync(NR_HUGEPAGES, String(this.#reservedBefore));
  }
}

/** The chosen word of transparent_hugepage/enabled; undefined where the kernel has none. */
export function thpSetting(): string | undefined {
  try {
    return /\[(\w+)\]/.exec(readFileSync(THP_ENABLED, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

function lacksThp(): string | undefined {
  const setting = thpSetting();
  if (setting === undefined) return 'this kernel has no transparent huge pages';
  return setting === 'never' ? `transparent huge pages are off: echo madvise >${THP_ENABLED}` : undefined;
}

function freeHugepages(): number | undefined {
  const count = /^HugePages_Free:\s+(\d+)$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return count === undefined ? undefined : Number(count);
}
