/**
 * Pins and copy-on-write: whose frame it is after fork, mprotect, mremap and writes. After the
 * kernel's own cow test; where kernels differ, each has its own expectation.
 */
import {execFileSync} from 'node:child_process';
import {closeSync, openSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {HAS_THP, alignedAnonymous, backings, ext4} from './backings.js';
import {MADV, MAP, PAGE, PROT, SYS, bytes, close, createVector, ioctl, mmap, munmap, must, raw} from './raw.js';
import {endsBalanced, pagemap, since} from './oracles.js';

endsBalanced(test);

const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
test.after.always(() => {
  closeSync(device);
});

const WRITE = uapi.FRAMEVEC_PIN_WRITE;

/** What the vector says of its first frame against what the process has there now. */
function sameFrame(vector: number, address: bigint): boolean {
  const numbers = new BigUint64Array(1);
  const {result} = ioctl(vector, 'READ_PFNS', {count: 1, pfns: raw.address(numbers)});
  if (result !== 0) throw new Error(`READ_PFNS: ${result}`);
  return numbers[0] === pagemap(address, 1)[0];
}

function pinned(address: bigint, flags: number, frames = 1): number {
  const vector = createVector(device, frames);
  const {result} = ioctl(vector, 'PIN', {addr: address, length: frames * PAGE, flags});
  if (result !== 0) throw new Error(`PIN: ${result}`);
  return vector;
}

/** Does it while a child of fork lives, which has the same pages. */
function whileForked(then: () => void): void {
  const child = raw.child();
  try {
    then();
  } finally {
    must(SYS.kill, child, 9);
    must(SYS.wait4, child, 0, 0, 0);
  }
}

interface Memory {
  address: bigint;
  free: () => void;
  /** From which kernel on a pin for read keeps the frame that a later write goes to; 6.1 unless told. */
  readSince?: [number, number];
}

const HUGE = 2 ** 21;

function hugePage(): Memory {
  const backing = alignedAnonymous(HUGE, MADV.HUGEPAGE);
  bytes(backing.address, HUGE).fill(1);
  return backing;
}

/** Swap on a disk, for as long as it takes to push one page out. */
function pushOut(address: bigint): void {
  const file = `${ext4()}/swap`;
  execFileSync('sh', ['-c', `dd if=/dev/zero of=${file} bs=1M count=16 status=none && chmod 600 ${file} && mkswap ${file} >/dev/null && swapon ${file}`]);
  must(SYS.madvise, address, PAGE, MADV.PAGEOUT);
}

const memories: Record<string, () => Memory> = {
  'a base page': () => {
    const backing = alignedAnonymous(HUGE, MADV.NOHUGEPAGE);
    bytes(backing.address, PAGE).fill(1);
    return backing;
  },
  'a transparent huge page': hugePage,
  'a huge page that is mapped by pages': () => {
    const memory = hugePage();
    must(SYS.mprotect, memory.address + BigInt(4 * PAGE), PAGE, PROT.READ);
    must(SYS.mprotect, memory.address + BigInt(4 * PAGE), PAGE, PROT.READ | PROT.WRITE);
    return memory;
  },
  'one page that is left of a huge page': () => {
    const memory = hugePage();
    must(SYS.madvise, memory.address + BigInt(PAGE), HUGE - PAGE, MADV.DONTNEED);
    return memory;
  },
  'a part of a huge page that mremap has moved': () => {
    const memory = hugePage();
    const elsewhere = mmap(16 * PAGE);
    must(SYS.mremap, memory.address + BigInt(8 * PAGE), 16 * PAGE, 16 * PAGE, 3 /* MAYMOVE | FIXED */, elsewhere);
    return {
      address: elsewhere,
      free() {
        munmap(elsewhere, 16 * PAGE);
        memory.free();
      },
    };
  },
  'a huge page of which a child gets the half': () => {
    const memory = hugePage();
    must(SYS.madvise, memory.address + BigInt(HUGE / 2), HUGE / 2, MADV.DONTFORK);
    return memory;
  },
  'the huge zero page': () => {
    const backing = alignedAnonymous(HUGE, MADV.HUGEPAGE);
    if (bytes(backing.address, 1)[0] !== 0) throw new Error('fresh memory is zero');
    return {...backing, readSince: [6, 12]};
  },
  'a page that is swapped out': () => {
    const address = mmap(PAGE);
    bytes(address, PAGE).fill(1);
    pushOut(address);
    return {
      address,
      free() {
        munmap(address, PAGE);
        execFileSync('sh', ['-c', `swapoff ${ext4()}/swap && rm ${ext4()}/swap`]);
      },
    };
  },
};

for (const [words, make] of Object.entries(memories)) {
  test.serial(`${words}, pinned for write: the parent's writes after fork go to the pinned frame`, t => {
    const {address, free} = make();
    const vector = pinned(address, WRITE);
    whileForked(() => {
      bytes(address, 1)[0] = 2;
      t.true(sameFrame(vector, address));
      const through = new Uint8Array(1);
      must(SYS.pread64, vector, through, 1, 0);
      t.is(through[0], 2, 'the device sees the write');
    });
    t.true(sameFrame(vector, address));
    close(vector);
    free();
  });

  test.serial(`${words}: after fork a pin for write has a frame of the parent's own`, t => {
    const {address, free} = make();
    whileForked(() => {
      const vector = pinned(address, WRITE);
      bytes(address, 1)[0] = 3;
      t.true(sameFrame(vector, address));
      close(vector);
    });
    free();
  });

  test.serial(`${words}, shared with a child of fork and pinned for read: where a later write goes differs by kernel`, t => {
    const {address, free, readSince = [6, 1]} = make();
    whileForked(() => {
      const vector = pinned(address, 0);
      bytes(address, 1)[0] = 4;
      t.is(sameFrame(vector, address), since(readSince));
      close(vector);
    });
    free();
  });

  test.serial(`${words}: what the device writes the process reads, and the reverse`, t => {
    const {address, free} = make();
    const vector = pinned(address, WRITE);
    must(SYS.pwrite64, vector, new Uint8Array([0x77]), 1, 9);
    t.is(bytes(address, 10)[9], 0x77);
    bytes(address, 11)[10] = 0x78;
    const through = new Uint8Array(1);
    must(SYS.pread64, vector, through, 1, 10);
    t.is(through[0], 0x78);
    close(vector);
    free();
  });
}

test('the zero page, pinned for read: a later write goes elsewhere on 5.10 and 6.1, and to the pinned frame since', t => {
  const address = mmap(PAGE);
  t.is(bytes(address, 1)[0], 0);
  const vector = pinned(address, 0);
  bytes(address, 1)[0] = 1;
  t.is(sameFrame(vector, address), since([6, 12]));
  close(vector);
  munmap(address, PAGE);
});

test('never touched memory, pinned for write: later writes go to the pinned frame on all kernels', t => {
  const address = mmap(PAGE);
  const vector = pinned(address, WRITE);
  bytes(address, 1)[0] = 1;
  t.true(sameFrame(vector, address));
  close(vector);
  munmap(address, PAGE);
});

test('a private page of a file, pinned for read: a later write goes elsewhere on 5.10 and 6.1, and to the pinned frame since', t => {
  const fd = Number(must(SYS.open, Buffer.from(`${process.execPath}\0`), 0));
  const address = mmap(PAGE, {flags: MAP.PRIVATE, fd});
  t.is(bytes(address, 4)[1], 0x45);
  const vector = pinned(address, 0);
  bytes(address, 1)[0] = 1;
  t.is(sameFrame(vector, address), since([6, 12]));
  close(vector);
  munmap(address, PAGE);
  close(fd);
});

test("a private file that the page cache has in huge pages, pinned for read: the pin comes to an end", t => {
  const other = fileURLToPath(new URL('other-process.js', import.meta.url));
  // In a process of its own: a pin that goes round for ever hears of nothing but SIGKILL.
  const said = execFileSync(process.execPath, [other, 'pin-private-huge-file'], {encoding: 'utf8', timeout: 120_000, killSignal: 'SIGKILL'});
  t.deepEqual(JSON.parse(said), {result: 0, frames: 1024});
});

test('a private file that the page cache has in huge pages, pinned for read: a later write goes elsewhere on 5.10 and 6.1, and to the pinned frame since', t => {
  const backing = backings['tmpfs file of huge pages, private'](2 ** 22);
  const {address} = backing;
  const vector = pinned(address, 0, 1024);
  bytes(address, 1)[0] = 1;
  t.is(sameFrame(vector, address), since([6, 12]));
  close(vector);
  backing.free();
});

test('INFO tells what the kernel does with private file memory that is pinned for read', t => {
  const features = ioctl(device, 'INFO').fields.features ?? 0;
  const backing = backings['tmpfs file of huge pages, private'](2 ** 22);
  const vector = pinned(backing.address, 0, 1024);
  bytes(backing.address, 1)[0] = 1;
  t.is((features & uapi.FRAMEVEC_FEATURE_UNSHARES) !== 0, sameFrame(vector, backing.address));
  // No kernel of the table has a fault that unshares huge pages and ends.
  t.is((features & uapi.FRAMEVEC_FEATURE_COPIES) !== 0, since([6, 12]) && HAS_THP);
  close(vector);
  backing.free();
});

test('private file memory that may not be written is pinned for read all the same, and stays as it was protected', t => {
  const backing = backings['tmpfs file of huge pages, private'](2 ** 22);
  const {address, length} = backing;
  must(SYS.mprotect, address, length, PROT.READ);
  const vector = pinned(address, 0, 1024);
  t.true(sameFrame(vector, address));
  t.is(bytes(address, 1)[0], 0x5a);
  t.is(ioctl(vector, 'UNPIN').result, 0);
  t.is(ioctl(vector, 'PIN', {addr: address, length: PAGE, flags: WRITE}).fields.reason, uapi.FRAMEVEC_REASON_NOT_WRITABLE);
  close(vector);
  backing.free();
});

test('mprotect to read-only and back, then a write: it goes elsewhere on 5.10, and to the pinned frame since', t => {
  const address = mmap(PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const vector = pinned(address, WRITE);
  must(SYS.mprotect, address, PAGE, PROT.READ);
  t.true(sameFrame(vector, address));
  must(SYS.mprotect, address, PAGE, PROT.READ | PROT.WRITE);
  bytes(address, 1)[0] = 1;
  t.is(sameFrame(vector, address), since([6, 1]));
  close(vector);
  munmap(address, PAGE);
});

test('mremap takes the pinned frame along', t => {
  const address = mmap(4 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const vector = pinned(address, WRITE);
  const elsewhere = mmap(4 * PAGE);
  must(SYS.mremap, address, 4 * PAGE, 4 * PAGE, 3 /* MAYMOVE | FIXED */, elsewhere);
  t.true(sameFrame(vector, elsewhere));
  close(vector);
  munmap(elsewhere, 4 * PAGE);
});

test('a pinned frame does not move under compaction, nor when asked to go off-line', t => {
  const address = mmap(64 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const before = pagemap(address, 64);
  const vector = pinned(address, WRITE, 64);
  const fd = Number(must(SYS.open, Buffer.from('/proc/sys/vm/compact_memory\0'), 1));
  must(SYS.write, fd, Buffer.from('1'), 1);
  close(fd);
  raw.syscall(SYS.madvise, address, PAGE, MADV.SOFT_OFFLINE);
  t.deepEqual(pagemap(address, 64), before);
  close(vector);
  munmap(address, 64 * PAGE);
});
