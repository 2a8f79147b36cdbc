/**
 * What a PIN that fails, or stops early, leaves behind for the next call on the same vector: nothing. Each way to fail is followed by
 * every use of the vector with memory of this process's own, as nobody; and the memory and the counts of others are as before.
 */
import {closeSync, openSync, readFileSync, readSync} from 'node:fs';
import test, {type ExecutionContext} from 'ava';
import * as uapi from '../../lib/uapi.js';
import {OddDriver, ODD_PAGES} from './odd.js';
import {MADV, MAP, PAGE, PROT, SYS, asNobody, bytes, close, createVector, errnoName, ioctl, memfd, mmap, munmap, must, raw} from './raw.js';
import {endsBalanced, pagemap} from './oracles.js';

endsBalanced(test);

const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
const odd = new OddDriver();
const OWN = 16;
const MARK = 0xab;

test.after.always(() => {
  odd[Symbol.dispose]();
  closeSync(device);
});

/** How often each frame is mapped. */
function mapCounts(frames: readonly bigint[]): bigint[] {
  const fd = openSync('/proc/kpagecount', 'r');
  const count = new BigUint64Array(1);
  try {
    return frames.map(frame => {
      readSync(fd, new Uint8Array(count.buffer), 0, 8, Number(frame * 8n));
      return count[0] ?? 0n;
    });
  } finally {
    closeSync(fd);
  }
}

interface Failing {
  address: bigint;
  pages: number;
  /** Pages up to where it stops; unknown: the kernel's affair. */
  held?: number;
  flags?: number;
  /** Of memory that must stay as it is. */
  guarded?: {address: bigint; pages: number};
  readonly free: () => void;
}

const WRITE = uapi.FRAMEVEC_PIN_WRITE;

function mapped(pages: number, more: Omit<Failing, 'address' | 'pages' | 'free'>, address: bigint, free?: () => void): Failing {
  return {address, pages, ...more, free() {
    munmap(address, pages * PAGE);
    free?.();
  }};
}

/** Device memory of the odd driver up to page `held`, and there something that ends the range. */
function oddThen(obstacle: (at: bigint) => void, held = 4, flags = 0): Failing {
  const address = mmap(8 * PAGE, {prot: PROT.NONE});
  odd.map(held, {at: address});
  obstacle(address + BigInt(held * PAGE));
  return mapped(8, {held, flags, guarded: {address, pages: held}}, address);
}

function refusedFault(flags: number, missed = false): Failing {
  const address = odd.map(8);
  if (missed) odd.miss(4, 2 ** 30);
  else odd.refuse(4);
  odd.zap();
  return mapped(8, {held: 4, flags, guarded: {address, pages: 4}}, address, () => {
    odd.miss(4, 0);
    odd.refuse(4, false);
  });
}

function vvar(): Failing {
  const line = readFileSync('/proc/self/maps', 'utf8').split('\n').find(text => text.endsWith('[vvar]')) ?? '';
  const [first = 0n, end = 0n] = (/^(\w+)-(\w+)/.exec(line) ?? []).slice(1).map(text => BigInt(`0x${text}`));
  return {address: first, pages: Number(end - first) / PAGE, free: () => undefined};
}

const KINDS: Record<string, () => Failing> = {
  'a device mapping whose driver refuses a page, for read': () => refusedFault(0),
  'a device mapping whose driver refuses a page, for write': () => refusedFault(WRITE),
  'a device mapping whose driver never maps what it says it has': () => refusedFault(0, true),
  'the [vvar] of the kernel, which ends in a refused page on 6.1 and 6.12': vvar,
  'device memory, then a hole': () => oddThen(at => {
    munmap(at, 4 * PAGE);
  }),
  'device memory, then PROT_NONE': () => oddThen(() => undefined),
  'device memory, then memory': () => oddThen(at => mmap(4 * PAGE, {at, flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED})),
  'device memory, then the same read-only, for write': () => oddThen(at => odd.map(4, {at, first: 4, prot: PROT.READ}), 4, WRITE),
  'device memory, not in order, then a hole': () => {
    const address = mmap(8 * PAGE, {prot: PROT.NONE});
    for (let i = 0; i < 4; i++) odd.map(1, {at: address + BigInt(i * PAGE), first: 8 - i});
    return mapped(8, {held: 4, guarded: {address, pages: 4}}, address);
  },
  'device memory, not in order, then a refused page': () => {
    const address = mmap(8 * PAGE, {prot: PROT.NONE});
    for (let i = 0; i < 4; i++) odd.map(1, {at: address + BigInt(i * PAGE), first: 8 - i});
    odd.map(4, {at: address + BigInt(4 * PAGE), first: 12});
    odd.refuse(12);
    odd.zap();
    return mapped(8, {held: 4, guarded: {address, pages: 4}}, address, () => {
      odd.refuse(12, false);
    });
  },
  'memory, then a hole': () => {
    const address = mmap(8 * PAGE);
    munmap(address + BigInt(4 * PAGE), 4 * PAGE);
    return mapped(8, {held: 4, flags: WRITE}, address);
  },
  'memory, then the end of its file': () => {
    const fd = memfd('short', 4 * PAGE);
    return mapped(8, {held: 4, flags: WRITE}, mmap(8 * PAGE, {flags: MAP.SHARED, fd}), () => {
      close(fd);
    });
  },
  'memory, then a failed page': () => {
    const address = mmap(8 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
    raw.inChild([[SYS.madvise, address + BigInt(4 * PAGE), PAGE, MADV.HWPOISON]]);
    return mapped(8, {held: 4}, address);
  },
};

const ENDS = {
  UNPIN: (vector: number): void => {
    asNobody(() => ioctl(vector, 'UNPIN'));
    close(vector);
  },
  'close()': close,
};

/** The vector, empty, is used for memory of this process's own. */
function usesItsOwn(t: ExecutionContext, vector: number, end: keyof typeof ENDS): void {
  const address = mmap(OWN * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS});
  const own = bytes(address, OWN * PAGE).fill(MARK);
  const frames = pagemap(address, OWN);
  const counts = mapCounts(frames);
  const seen = Buffer.alloc(OWN * PAGE);
  const numbers = new BigUint64Array(OWN);
  const looksRight = (when: string): void => {
    seen.fill(0);
    t.is(asNobody(() => raw.syscall(SYS.pread64, vector, seen, OWN * PAGE, 0)), BigInt(OWN * PAGE), when);
    t.true(seen.equals(own), `${when}: read() gives this process's own bytes`);
    t.is(ioctl(vector, 'READ_PFNS', {count: OWN, pfns: numbers}).result, 0);
    t.deepEqual([...numbers], frames, `${when}: the frame numbers are pagemap's`);
    t.deepEqual(mapCounts(frames), counts, `${when}: the counts are as before`);
  };

  t.like(asNobody(() => ioctl(vector, 'PIN', {addr: address, length: OWN * PAGE, flags: WRITE})),
    {result: 0, fields: {frames: OWN, kind: uapi.FRAMEVEC_KIND_PAGES}});
  looksRight('pinned');
  for (const conversion of ['TO_PFNS', 'TO_PAGES', 'TO_PFNS'] as const) {
    t.is(asNobody(() => ioctl(vector, conversion).result), 0);
    looksRight(`after ${conversion}`);
  }
  own[4000] = 0;
  t.is(asNobody(() => raw.syscall(SYS.pwrite64, vector, new Uint8Array([MARK]), 1, 4000)), 1n);
  t.is(own[4000], MARK, 'write() changes the memory that was pinned');
  ENDS[end](vector);
  t.deepEqual(mapCounts(frames), counts);
  munmap(address, OWN * PAGE);
}

for (const [name, make] of Object.entries(KINDS)) {
  for (const partial of [false, true]) {
    for (const end of ['UNPIN', 'close()'] as const) {
      test.serial(`${name}: after ${partial ? 'what could be held was unpinned' : 'the PIN failed'} the vector is like a new one, up to ${end}`, t => {
        const {address, pages, held, flags = 0, guarded, free} = make();
        const vector = createVector(device, Math.max(pages, OWN));
        try {
          // Twice, so that a failure after a failure is one of the ways, too.
          for (let turn = 0; turn < 2; turn++) {
            const {result, fields} = asNobody(() => ioctl(vector, 'PIN', {addr: address, length: pages * PAGE, flags: flags | (partial ? uapi.FRAMEVEC_PIN_PARTIAL : 0)}));
            if (held !== undefined && !partial) t.not(result, 0, 'it is refused');
            if (held !== undefined && partial) t.like({result, ...fields}, {result: 0, frames: held});
            if (result === 0) t.is(asNobody(() => ioctl(vector, 'UNPIN').result), 0);
            t.is(ioctl(vector, 'STAT').fields.kind, uapi.FRAMEVEC_KIND_NONE);
            for (const use of ['UNPIN', 'TO_PFNS', 'TO_PAGES'] as const) t.is(ioctl(vector, use).result, 'ENODATA');
            t.is(errnoName(raw.syscall(SYS.pread64, vector, new Uint8Array(1), 1, 0)), 'ENODATA');
          }
          const before = guarded && Buffer.from(bytes(guarded.address, guarded.pages * PAGE));
          usesItsOwn(t, vector, end);
          if (guarded) t.deepEqual(Buffer.from(bytes(guarded.address, guarded.pages * PAGE)), before, 'the memory of the failed PIN is as before');
        } finally {
          free();
        }
      });
    }
  }
}

test.serial('a snapshot after a pin, and a pin after a snapshot: each has its own frames only', t => {
  const vector = createVector(device, ODD_PAGES);
  const address = odd.map(ODD_PAGES);
  const page = Buffer.alloc(PAGE);
  for (let turn = 0; turn < 3; turn++) {
    t.is(ioctl(vector, 'PIN', {addr: address, length: ODD_PAGES * PAGE}).fields.kind, uapi.FRAMEVEC_KIND_PFNS);
    for (const at of [0, 17, ODD_PAGES - 1]) {
      t.is(must(SYS.pread64, vector, page, PAGE, at * PAGE), BigInt(PAGE));
      t.deepEqual(page, Buffer.alloc(PAGE, OddDriver.byteOf(at)));
    }
    t.is(ioctl(vector, turn === 1 ? 'TO_PAGES' : 'TO_PFNS').result, 0);
    t.is(ioctl(vector, 'UNPIN').result, 0);
    const own = mmap(OWN * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS});
    bytes(own, OWN * PAGE).fill(MARK);
    t.is(ioctl(vector, 'PIN', {addr: own, length: OWN * PAGE}).fields.kind, uapi.FRAMEVEC_KIND_PAGES);
    t.is(ioctl(vector, 'TO_PFNS').result, 0);
    must(SYS.pread64, vector, page, PAGE, PAGE);
    t.deepEqual(page, Buffer.alloc(PAGE, MARK));
    t.is(ioctl(vector, 'UNPIN').result, 0);
    munmap(own, OWN * PAGE);
  }
  close(vector);
  munmap(address, ODD_PAGES * PAGE);
});
