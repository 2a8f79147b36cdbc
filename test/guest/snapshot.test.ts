/** Device memory: noted and not pinned, exact, and stale as soon as its mapping changes. */
import {closeSync, openSync, readFileSync, readdirSync, readSync, writeFileSync} from 'node:fs';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {release} from 'node:os';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {MADV, MAP, PAGE, PROT, SYS, bytes, close, createVector, errnoName, ioctl, mmap, munmap, must, raw, receive} from './raw.js';
import {endsBalanced, since, statusFrames} from './oracles.js';

endsBalanced(test);

const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
const numbers = new BigUint64Array(4096);
const counts = new Uint32Array(4096);

test.after.always(() => {
  closeSync(device);
});

const POLLPRI = 2;
const {FRAMEVEC_KIND_PAGES: PAGES, FRAMEVEC_KIND_PFNS: PFNS} = uapi;

/** The aperture is shared: a private mapping of device memory would be of copies. */
function aperture(frames: number, offset = 0): bigint {
  return mmap(frames * PAGE, {flags: MAP.SHARED, fd: device, offset: offset * PAGE});
}

function poll(fd: number, timeoutMs = 0): number {
  const entry = new DataView(new ArrayBuffer(8));
  entry.setInt32(0, fd, true);
  entry.setInt16(4, POLLPRI, true);
  must(SYS.poll, entry.buffer, 1, timeoutMs);
  return entry.getInt16(6, true);
}

function pfnsOf(fd: number, count: number): bigint[] {
  const {result} = ioctl(fd, 'READ_PFNS', {count, pfns: raw.address(numbers)});
  if (result !== 0) throw new Error(`READ_PFNS: ${result}`);
  return [...numbers.subarray(0, count)];
}

function pciDevice(id: string): string {
  const found = readdirSync('/sys/bus/pci/devices').sort().find(name => {
    const read = (file: string): string => readFileSync(`/sys/bus/pci/devices/${name}/${file}`, 'utf8').trim();
    return `${read('vendor')}:${read('device')}` === id;
  });
  if (found === undefined) throw new Error(`the VM has no ${id}`);
  return `/sys/bus/pci/devices/${found}`;
}

/** A BAR, and the physical address that sysfs tells of it. */
function bar(id: string, index: number): {fd: number; pfn: bigint; length: number} {
  const path = pciDevice(id);
  writeFileSync(`${path}/enable`, '1');
  const [start = '', end = ''] = (readFileSync(`${path}/resource`, 'utf8').split('\n')[index] ?? '').split(' ');
  const fd = Number(must(SYS.open, Buffer.from(`${path}/resource${index}\0`), 2));
  return {fd, pfn: BigInt(start) / BigInt(PAGE), length: Number(BigInt(end) - BigInt(start)) + 1};
}

const IVSHMEM = ['0x1af4:0x1110', 2] as const;

for (const [words, [id, index]] of [
  ['the memory of ivshmem-plain', IVSHMEM],
  ['the memory of pci-testdev', ['0x1b36:0x0005', 2]],
] as const) {
  test(`${words}: the PFNs are the physical address that sysfs tells`, t => {
    const {fd, pfn, length} = bar(id, index);
    const frames = Math.min(length / PAGE, 4096);
    const address = mmap(length, {flags: MAP.SHARED, fd});
    const vector = createVector(device, frames);
    const pin = ioctl(vector, 'PIN', {addr: address, length: frames * PAGE});
    t.is(pin.result, 0);
    t.is(pin.fields.kind, PFNS);
    t.deepEqual(pfnsOf(vector, frames), Array.from({length: frames}, (_, i) => pfn + BigInt(i)));
    t.is(statusFrames('VmPin'), 0, 'nothing is charged, for nothing is pinned');

    const extents = ioctl(vector, 'EXTENTS', {capacity: 8, pfns: raw.address(numbers), counts: raw.address(counts)}).fields;
    t.deepEqual([extents.extents, extents.next, numbers[0], counts[0]], [1, frames, pfn, frames]);
    const {result, fields} = ioctl(vector, 'TO_PAGES');
    t.is(result, 'EINVAL', 'such frames have no struct page');
    t.deepEqual([fields.reason, fields.frame], [uapi.FRAMEVEC_REASON_NO_PAGE, 0]);
    t.is(ioctl(vector, 'STAT').fields.kind, PFNS, 'the vector is unchanged');
    t.is(pfnsOf(vector, 1)[0], pfn);
    close(vector);
    munmap(address, length);
    close(fd);
  });
}

test('ivshmem-plain through the vector: what is written there is in the mapping, and the reverse', t => {
  const {fd, length} = bar(...IVSHMEM);
  const address = mmap(length, {flags: MAP.SHARED, fd});
  const memory = bytes(address, 2 * PAGE);
  const vector = createVector(device, 2);
  ioctl(vector, 'PIN', {addr: address + 100n, length: PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
  const text = Buffer.from('from the device\'s side');
  t.is(must(SYS.pwrite64, vector, text, text.length, PAGE - text.length), BigInt(text.length));
  t.deepEqual(Buffer.from(memory.subarray(100 + PAGE - text.length, 100 + PAGE)), text);
  memory.set(Buffer.from('from the process'), 100);
  const back = Buffer.alloc(16);
  t.is(must(SYS.pread64, vector, back, 16, 0), 16n);
  t.is(back.toString(), 'from the process');
  close(vector);
  munmap(address, length);
  close(fd);
});

test('/dev/mem below 1 MiB: the PFNs are the offset', t => {
  const fd = Number(must(SYS.open, Buffer.from('/dev/mem\0'), 0));
  const address = mmap(16 * PAGE, {flags: MAP.SHARED, prot: PROT.READ, fd, offset: 0xf0000});
  const vector = createVector(device, 16);
  t.is(ioctl(vector, 'PIN', {addr: address, length: 16 * PAGE}).fields.kind, PFNS);
  t.deepEqual(pfnsOf(vector, 16), Array.from({length: 16}, (_, i) => 0xf0n + BigInt(i)));
  const through = new Uint8Array(PAGE);
  t.is(must(SYS.pread64, vector, through, PAGE, 0), BigInt(PAGE));
  t.deepEqual(through, bytes(address, PAGE).slice());
  t.is(ioctl(vector, 'UNPIN').result, 0);
  const write = ioctl(vector, 'PIN', {addr: address, length: PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
  t.deepEqual([write.result, write.fields.reason], ['EFAULT', uapi.FRAMEVEC_REASON_NOT_WRITABLE]);
  close(vector);
  munmap(address, 16 * PAGE);
  close(fd);
});

test('/dev/fb0: the PFNs are those of the display\'s memory', t => {
  const fd = Number(must(SYS.open, Buffer.from('/dev/fb0\0'), 2));
  const fix = new DataView(new ArrayBuffer(80));
  must(SYS.ioctl, fd, 0x4602 /* FBIOGET_FSCREENINFO */, fix.buffer);
  const start = fix.getBigUint64(16, true);
  const frames = Math.floor(fix.getUint32(24, true) / PAGE);
  const address = mmap(frames * PAGE, {flags: MAP.SHARED, fd});
  const vector = createVector(device, frames);
  t.is(ioctl(vector, 'PIN', {addr: address, length: frames * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE}).fields.kind, PFNS);
  t.deepEqual(pfnsOf(vector, frames), Array.from({length: frames}, (_, i) => start / BigInt(PAGE) + BigInt(i)));
  close(vector);
  munmap(address, frames * PAGE);
  close(fd);
});

test('the aperture has its size, and no more can be mapped', t => {
  const {fields} = ioctl(device, 'INFO');
  const size = fields.aperture_size ?? 0;
  t.is(size, 16 * 2 ** 20);
  t.is(errnoName(raw.syscall(SYS.mmap, 0, size + PAGE, PROT.READ, MAP.SHARED, device, 0)), 'EINVAL');
  t.is(errnoName(raw.syscall(SYS.mmap, 0, PAGE, PROT.READ, MAP.SHARED, device, size)), 'EINVAL');
  t.is(errnoName(raw.syscall(SYS.mmap, 0, PAGE, PROT.READ | PROT.WRITE, MAP.PRIVATE, device, 0)), 'EINVAL');
  const address = aperture(size / PAGE);
  munmap(address, size);
});

test('the aperture shows the same frames wherever it is mapped', t => {
  const one = aperture(16, 3);
  const other = aperture(4, 5);
  const a = createVector(device, 16);
  const b = createVector(device, 4);
  ioctl(a, 'PIN', {addr: one, length: 16 * PAGE});
  ioctl(b, 'PIN', {addr: other, length: 4 * PAGE});
  t.deepEqual(pfnsOf(a, 16).slice(2, 6), pfnsOf(b, 4));
  close(a);
  close(b);
  munmap(one, 16 * PAGE);
  munmap(other, 4 * PAGE);
});

/** What changes a mapping of 16 frames at an address. */
const changes: Record<string, (address: bigint) => void> = {
  'munmap of all': address => {
    munmap(address, 16 * PAGE);
  },
  'munmap of its last page': address => {
    munmap(address + BigInt(15 * PAGE), PAGE);
  },
  'mprotect of a page in it': address => {
    must(SYS.mprotect, address + BigInt(8 * PAGE), PAGE, PROT.READ);
  },
  'mremap to another place': address => {
    const elsewhere = mmap(16 * PAGE);
    must(SYS.mremap, address, 16 * PAGE, 16 * PAGE, 3 /* MAYMOVE | FIXED */, elsewhere);
  },
  'MAP_FIXED memory over a page of it': address => {
    mmap(PAGE, {at: address + BigInt(PAGE), flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED});
  },
  'MAP_FIXED of the very same over all of it': address => {
    mmap(16 * PAGE, {at: address, flags: MAP.SHARED | MAP.FIXED, fd: device});
  },
};

for (const [words, change] of Object.entries(changes)) {
  test(`${words} makes a snapshot stale: every use says ESTALE, poll says POLLPRI, and unpin works`, t => {
    const address = aperture(16);
    const vector = createVector(device, 16);
    ioctl(vector, 'PIN', {addr: address, length: 16 * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
    t.is(poll(vector), 0);
    t.is(ioctl(vector, 'STAT').fields.state, uapi.FRAMEVEC_STATE_WRITE);

    change(address);

    t.is(poll(vector, 10_000), POLLPRI);
    const stat = ioctl(vector, 'STAT');
    t.deepEqual([stat.result, stat.fields.state], [0, uapi.FRAMEVEC_STATE_WRITE | uapi.FRAMEVEC_STATE_STALE]);
    numbers.fill(0n);
    t.is(ioctl(vector, 'READ_PFNS', {count: 1, pfns: raw.address(numbers)}).result, 'ESTALE');
    t.is(ioctl(vector, 'EXTENTS', {capacity: 1, pfns: raw.address(numbers), counts: raw.address(counts)}).result, 'ESTALE');
    t.is(numbers[0], 0n, 'no old number is told');
    t.is(ioctl(vector, 'TO_PAGES').result, 'ESTALE');
    t.is(ioctl(vector, 'TO_PFNS').result, 'ESTALE');
    const byte = new Uint8Array([1]);
    t.is(errnoName(raw.syscall(SYS.pread64, vector, byte, 1, 0)), 'ESTALE');
    t.is(errnoName(raw.syscall(SYS.pwrite64, vector, byte, 1, 0)), 'ESTALE');
    t.is(ioctl(vector, 'UNPIN').fields.frames, 16);
    t.is(poll(vector), 0);

    const fresh = aperture(16);
    t.is(ioctl(vector, 'PIN', {addr: fresh, length: 16 * PAGE}).result, 0, 'the vector is as good as new');
    t.is(pfnsOf(vector, 1).length, 1);
    close(vector);
    munmap(fresh, 16 * PAGE);
  });
}

/** What does not. */
const noChanges: Record<string, (address: bigint) => void> = {
  fork: () => {
    raw.inChild([[SYS.getpid]]);
  },
  'an unmap in a child of fork': address => {
    raw.inChild([[SYS.munmap, address, 16 * PAGE]]);
  },
  'munmap of the page behind it': address => {
    munmap(address + BigInt(16 * PAGE), PAGE);
  },
  'mprotect of the page behind it': address => {
    must(SYS.mprotect, address + BigInt(16 * PAGE), PAGE, PROT.READ);
  },
  'clear_refs, soft-dirty too': () => {
    for (const what of ['1', '4']) writeFileSync('/proc/self/clear_refs', what);
  },
  'MADV_DONTNEED, which the kernel refuses': address => {
    raw.syscall(SYS.madvise, address, 16 * PAGE, MADV.DONTNEED);
  },
};

for (const [words, change] of Object.entries(noChanges)) {
  test(`${words} leaves a snapshot as it is`, t => {
    const address = aperture(17);
    const vector = createVector(device, 16);
    ioctl(vector, 'PIN', {addr: address, length: 16 * PAGE});
    const before = pfnsOf(vector, 16);
    change(address);
    t.is(poll(vector, 100), 0);
    t.deepEqual(pfnsOf(vector, 16), before);
    close(vector);
    munmap(address, 17 * PAGE);
  });
}

test('a partial snapshot watches over what it holds, and over nothing else', t => {
  const address = aperture(8);
  munmap(address + BigInt(4 * PAGE), 4 * PAGE);
  const vector = createVector(device, 8);
  const {fields} = ioctl(vector, 'PIN', {addr: address, length: 8 * PAGE, flags: uapi.FRAMEVEC_PIN_PARTIAL});
  t.deepEqual([fields.frames, fields.reason], [4, uapi.FRAMEVEC_REASON_NO_MAPPING]);
  const behind = mmap(4 * PAGE, {at: address + BigInt(4 * PAGE), flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED});
  munmap(behind, 4 * PAGE);
  t.is(poll(vector, 100), 0);
  munmap(address, PAGE);
  t.is(poll(vector, 10_000), POLLPRI);
  close(vector);
  munmap(address + BigInt(PAGE), 3 * PAGE);
});

test('a large device mapping is looked at page by page only where the kernel cannot answer a level up', t => {
  const frames = 4096;
  const leaves = ((ioctl(device, 'INFO').fields.features ?? 0) & uapi.FRAMEVEC_FEATURE_LEAVES) !== 0;
  const looks = leaves || since([6, 12]) ? 'follow_pfnmap_start' : 'follow_pte';
  // PREEMPT_RT has no huge pages, so there is none to look at when the module is loaded.
  t.is(leaves, since([6, 15]) && !release().includes('-rt'));
  const tracing = '/sys/kernel/tracing';
  const address = aperture(frames);
  const vector = createVector(device, frames);
  writeFileSync(`${tracing}/kprobe_events`, `p:framevec_look ${looks}`);
  writeFileSync(`${tracing}/events/kprobes/framevec_look/enable`, '1');
  const {result} = ioctl(vector, 'PIN', {addr: address, length: frames * PAGE});
  const hits = Number(/framevec_look\s+(\d+)/.exec(readFileSync(`${tracing}/kprobe_profile`, 'utf8'))?.[1]);
  writeFileSync(`${tracing}/events/kprobes/framevec_look/enable`, '0');
  writeFileSync(`${tracing}/kprobe_events`, '');
  t.is(result, 0);
  // A huge page is looked at twice when it is not there yet. PREEMPT_RT has no huge pages.
  if (leaves && !release().includes('-rt')) t.true(hits <= 2 * (frames / 512), `${hits} looks for ${frames} frames`);
  else t.true(hits >= frames, `${hits} looks for ${frames} frames`);
  t.is(pfnsOf(vector, frames).length, frames);
  close(vector);
  munmap(address, frames * PAGE);
});

test('the end of a process makes the snapshots stale that it has given to others', async t => {
  const pair = new Int32Array(2);
  must(SYS.socketpair, 1 /* AF_UNIX */, 1 /* SOCK_STREAM */, 0, pair);
  const [mine = -1, theirs = -1] = pair;
  const child = spawn(process.execPath, [fileURLToPath(new URL('other-process.js', import.meta.url)), 'give-snapshot'], {
    stdio: ['ignore', 'ignore', 'inherit', theirs],
  });
  const vector = receive(mine);
  t.is(ioctl(vector, 'STAT').fields.kind, PFNS);
  t.is(poll(vector), 0);
  t.is(pfnsOf(vector, 4).length, 4, 'numbers of another process, told to who may know them');
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.is(poll(vector, 10_000), POLLPRI);
  t.is(ioctl(vector, 'READ_PFNS', {count: 1, pfns: raw.address(numbers)}).result, 'ESTALE');
  close(vector);
  close(mine);
  close(theirs);
});

function pageCounts(pfns: bigint[]): bigint[] {
  const fd = openSync('/proc/kpagecount', 'r');
  const out = pfns.map(pfn => {
    const count = new BigUint64Array(1);
    readSync(fd, count, 0, 8, Number(pfn * 8n));
    return count[0] ?? -1n;
  });
  closeSync(fd);
  return out;
}

/** The reference count, which /proc tells of nobody's page: a page that was put once too often is free, and is soon another's. */
test('to_pages takes no reference of a snapshot, and unpin puts none: the frames are the same afterwards', t => {
  const address = aperture(64);
  const memory = bytes(address, 64 * PAGE);
  memory.fill(0x42);
  const vector = createVector(device, 64);
  ioctl(vector, 'PIN', {addr: address, length: 64 * PAGE});
  const pfns = pfnsOf(vector, 64);
  const before = pageCounts(pfns);
  ioctl(vector, 'UNPIN');

  for (let round = 0; round < 8; round++) {
    ioctl(vector, 'PIN', {addr: address, length: 64 * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
    t.is(ioctl(vector, 'TO_PAGES').result, 0);
    const {fields} = ioctl(vector, 'STAT');
    t.deepEqual([fields.kind, fields.state], [PAGES, uapi.FRAMEVEC_STATE_WRITE], 'of kind pages, with no reference');
    t.deepEqual(pfnsOf(vector, 64), pfns);
    t.is(ioctl(vector, 'UNPIN').fields.frames, 64);
  }
  t.deepEqual(pageCounts(pfns), before);

  // Were they free now, somebody else would get them and fill them.
  const others = mmap(64 * 2 ** 20, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  bytes(others, 64 * 2 ** 20).fill(0x13);
  t.true(memory.every(byte => byte === 0x42));
  munmap(others, 64 * 2 ** 20);
  memory.fill(0);
  close(vector);
  munmap(address, 64 * PAGE);
});

test('a snapshot turned into pages and back is the snapshot it was, and still goes stale', t => {
  const address = aperture(16);
  const vector = createVector(device, 16);
  ioctl(vector, 'PIN', {addr: address, length: 16 * PAGE});
  const pfns = pfnsOf(vector, 16);
  for (const [name, kind] of [['TO_PAGES', PAGES], ['TO_PAGES', PAGES], ['TO_PFNS', PFNS], ['TO_PFNS', PFNS], ['TO_PAGES', PAGES]] as const) {
    t.is(ioctl(vector, name).result, 0);
    t.is(ioctl(vector, 'STAT').fields.kind, kind);
    t.deepEqual(pfnsOf(vector, 16), pfns);
  }
  munmap(address, 16 * PAGE);
  t.is(poll(vector, 10_000), POLLPRI);
  t.is(ioctl(vector, 'READ_PFNS', {count: 1, pfns: raw.address(numbers)}).result, 'ESTALE');
  close(vector);
});

test('a pin turned into frame numbers is still a pin, and unpin puts it', t => {
  const address = mmap(16 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
  const vector = createVector(device, 16);
  ioctl(vector, 'PIN', {addr: address, length: 16 * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE});
  const pfns = pfnsOf(vector, 16);
  t.is(ioctl(vector, 'TO_PFNS').result, 0);
  const {fields} = ioctl(vector, 'STAT');
  t.deepEqual([fields.kind, fields.state], [PFNS, uapi.FRAMEVEC_STATE_WRITE | uapi.FRAMEVEC_STATE_GOT_REF]);
  t.deepEqual(pfnsOf(vector, 16), pfns);
  munmap(address, 16 * PAGE);
  t.is(poll(vector, 100), 0, 'a pin does not go stale');
  t.is(ioctl(vector, 'UNPIN').fields.frames, 16);
  t.is(statusFrames('VmPin'), 0);
  close(vector);
});
