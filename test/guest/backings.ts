/** Every kind of memory that a process can have, to be pinned. */
import {execFileSync} from 'node:child_process';
import {closeSync, existsSync, mkdirSync, openSync, writeFileSync, writeSync} from 'node:fs';
import {MADV, MAP, PAGE, PROT, SYS, bytes, close, memfd, mmap, must, munmap} from './raw.js';

const HUGE = 2 ** 21;

export interface Backing {
  address: bigint;
  length: number;
  /** Gives the memory back. */
  free(): void;
}

function whole(address: bigint, length: number, fd = -1): Backing {
  return {
    address,
    length,
    free() {
      munmap(address, length);
      if (fd >= 0) close(fd);
    },
  };
}

/** The rt flavours have no transparent huge pages, and know no advice about them. */
export const HAS_THP = existsSync('/sys/kernel/mm/transparent_hugepage');

export function adviseHuge(address: bigint, length: number, advice: number): void {
  if (HAS_THP) must(SYS.madvise, address, length, advice);
}

/** Anonymous memory that begins at a multiple of 2 MiB. */
export function alignedAnonymous(length: number, advice: number): Backing {
  const around = mmap(length + HUGE);
  const address = ((around + BigInt(HUGE) - 1n) / BigInt(HUGE)) * BigInt(HUGE);
  adviseHuge(around, length + HUGE, advice);
  const backing = whole(address, length);
  return {...backing, free: () => {
    munmap(around, length + HUGE);
  }};
}

function mappedFile(fd: number, length: number, flags: number): Backing {
  return whole(mmap(length, {flags, fd}), length, fd);
}

/** A file, at a multiple of 2 MiB. */
function aligned(fd: number, length: number, flags: number): Backing {
  const around = mmap(length + HUGE);
  const address = ((around + BigInt(HUGE) - 1n) / BigInt(HUGE)) * BigInt(HUGE);
  mmap(length, {at: address, flags: flags | MAP.FIXED, fd});
  return {
    address,
    length,
    free() {
      munmap(around, length + HUGE);
      close(fd);
    },
  };
}

/** A file with something in every page; opened by a raw call, so that Node does not mind its end. */
function file(path: string, length: number): number {
  const fd = openSync(path, 'w+', 0o600);
  writeSync(fd, Buffer.alloc(length, 0x5a));
  closeSync(fd);
  return Number(must(SYS.open, Buffer.from(`${path}\0`), 2 /* O_RDWR */));
}

const EXT4 = '/run/framevec-ext4';

/** A local file system on a disk: ext4 in a loop device, made once. */
export function ext4(): string {
  if (!existsSync(`${EXT4}/mounted`)) {
    mkdirSync(EXT4, {recursive: true});
    execFileSync('modprobe', ['-a', 'loop', 'ext4']);
    execFileSync('truncate', ['-s', '64M', `${EXT4}.img`]);
    execFileSync('mkfs.ext4', ['-q', '-F', `${EXT4}.img`]);
    execFileSync('mount', ['-o', 'loop', `${EXT4}.img`, EXT4]);
    writeFileSync(`${EXT4}/mounted`, '');
  }
  return EXT4;
}

const HUGE_TMPFS = '/run/framevec-huge';

/** A tmpfs whose files are made of huge pages. */
export function hugeTmpfs(): string {
  if (!existsSync(HUGE_TMPFS)) {
    mkdirSync(HUGE_TMPFS);
    execFileSync('mount', ['-t', 'tmpfs', ...(HAS_THP ? ['-o', 'huge=always'] : []), 'huge', HUGE_TMPFS]);
  }
  return HUGE_TMPFS;
}

/** Sees to it that there are free 2 MiB pages. */
function reserveHugepages(): void {
  writeFileSync('/proc/sys/vm/nr_hugepages', '16');
}

function populated(backing: Backing): Backing {
  bytes(backing.address, backing.length).fill(0x5a);
  return backing;
}

/** Read once, so that private file memory is the file's own pages. */
function read(backing: Backing): Backing {
  const all = bytes(backing.address, backing.length);
  if (Buffer.compare(all, all) !== 0) throw new Error('memory differs from itself');
  return backing;
}

/** How to come by each kind; `length` is a multiple of 2 MiB. */
export const backings = {
  'anonymous, 4K pages': (length: number) => populated(alignedAnonymous(length, MADV.NOHUGEPAGE)),
  'anonymous, transparent huge pages': (length: number) => populated(alignedAnonymous(length, MADV.HUGEPAGE)),
  'anonymous, never touched': (length: number) => alignedAnonymous(length, MADV.NOHUGEPAGE),
  'anonymous, shared': (length: number) => populated(whole(mmap(length, {flags: MAP.SHARED | MAP.ANONYMOUS}), length)),
  'hugetlb, private': (length: number) => {
    reserveHugepages();
    return populated(whole(mmap(length, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.HUGETLB | MAP.HUGE_2MB}), length));
  },
  'hugetlb, shared': (length: number) => {
    reserveHugepages();
    return populated(whole(mmap(length, {flags: MAP.SHARED | MAP.ANONYMOUS | MAP.HUGETLB | MAP.HUGE_2MB}), length));
  },
  'memfd, shared': (length: number) => populated(mappedFile(memfd('shared', length), length, MAP.SHARED)),
  'memfd, private': (length: number) => read(mappedFile(memfd('private', length), length, MAP.PRIVATE)),
  'memfd of hugetlb, shared': (length: number) => {
    reserveHugepages();
    return populated(mappedFile(memfd('huge', length, 4 | MAP.HUGE_2MB), length, MAP.SHARED));
  },
  'tmpfs file, shared': (length: number) => read(mappedFile(file('/dev/shm/shared', length), length, MAP.SHARED)),
  'tmpfs file, private': (length: number) => read(mappedFile(file('/dev/shm/private', length), length, MAP.PRIVATE)),
  // Mapped by huge pages where the kernel does so, which is what an unsharing fault of 6.2 and later never comes to the end of.
  'tmpfs file of huge pages, private': (length: number) => read(aligned(file(`${hugeTmpfs()}/private`, length), length, MAP.PRIVATE)),
  'ext4 file, shared': (length: number) => read(mappedFile(file(`${ext4()}/shared`, length), length, MAP.SHARED)),
  'ext4 file, private': (length: number) => read(mappedFile(file(`${ext4()}/private`, length), length, MAP.PRIVATE)),
} satisfies Record<string, (length: number) => Backing>;

export type BackingName = keyof typeof backings;

/** A page whose protection is none: a guard in the middle of memory. */
export function guard(address: bigint): void {
  must(SYS.mprotect, address, PAGE, PROT.NONE);
}
