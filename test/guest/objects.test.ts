/** What the module allocates beside pages comes back: objects of the kernel's slabs, kernel mappings, the aperture. */
import {execFileSync} from 'node:child_process';
import {closeSync, existsSync, openSync, readFileSync} from 'node:fs';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {ivshmemMemory} from './ivshmem.js';
import {MAP, PAGE, SYS, bytes, close, createVector, ioctl, mmap, munmap, must} from './raw.js';
import {tells} from './native.js';
import {endsBalanced, until} from './oracles.js';

endsBalanced(test);

/** Objects of a slab cache that are allocated. A cache that was merged into another is a link to it. */
function objects(...caches: string[]): number {
  return caches.map(name => `/sys/kernel/slab/${name}/objects`).filter(existsSync)
    .reduce((sum, path) => sum + Number.parseInt(readFileSync(path, 'utf8'), 10), 0);
}

const PROCESSES = 600;

/** Of two rounds the first makes what stays in any case. What a slab holds in reserve is no leak: it does not grow with the rounds. */
async function growsBy(what: () => number, round: () => void, acceptable: number): Promise<{before: number; after: number}> {
  round();
  const before = what();
  round();
  // Some objects are freed after a grace period of RCU.
  await until('it is freed', () => what() - before < acceptable, 10_000).catch(() => undefined);
  return {before, after: what()};
}

for (const [words, cache] of [['address spaces (mm_struct)', 'mm_struct'], ['numbers (struct pid)', 'pid'], ['credentials (struct cred)', 'cred_jar']] as const) {
  test.serial(`the ${words} of ${PROCESSES} processes that end with frames pinned are freed`, async t => {
    t.true(objects(cache) > 0, `/sys/kernel/slab/${cache}`);
    const {before, after} = await growsBy(() => objects(cache), () => {
      t.deepEqual(tells('limits', ['lives', PROCESSES]), {failed: 0});
    }, PROCESSES / 2);
    t.true(after - before < PROCESSES / 2, `${before} before, ${after} after`);
  });
}

test.serial('the arrays of vectors that are closed are freed', async t => {
  const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  const rounds = 300;
  // Its bits take more than half a KiB.
  const capacity = 2 ** 21 + 2 ** 20;
  const kilobytes = (): number => objects('kmalloc-1k', 'kmalloc-cg-1k');
  const {before, after} = await growsBy(kilobytes, () => {
    for (let i = 0; i < rounds; i++) close(createVector(device, capacity));
  }, rounds / 2);
  t.true(after - before < rounds / 2, `${before} before, ${after} after`);
  closeSync(device);
});

test.serial('the windows that read() and write() map of device memory are unmapped', t => {
  const windows = (): number => readFileSync('/proc/vmallocinfo', 'utf8').split('\n').filter(line => line.includes('framevec') && line.includes('ioremap')).length;
  const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  const fd = Number(must(SYS.open, Buffer.from(`${ivshmemMemory('first')}\0`), 2));
  const address = mmap(4 * PAGE, {flags: MAP.SHARED, fd});
  const vector = createVector(device, 4);
  t.is(ioctl(vector, 'PIN', {addr: address, length: 4 * PAGE, flags: uapi.FRAMEVEC_PIN_WRITE}).result, 0);
  const before = windows();
  const buffer = new Uint8Array(2 * PAGE);
  for (let i = 0; i < 20; i++) {
    t.is(must(SYS.pread64, vector, buffer, buffer.length, PAGE / 2), BigInt(buffer.length));
    t.is(must(SYS.pwrite64, vector, buffer, buffer.length, PAGE / 2), BigInt(buffer.length));
  }
  t.is(windows(), before);
  close(vector);
  munmap(address, 4 * PAGE);
  close(fd);
  closeSync(device);
});

test.serial('the aperture is freed with the module', async t => {
  const available = (): number => Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) / 1024;
  const size = 16;
  const reload = (): void => {
    const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
    const address = mmap(size * 2 ** 20, {flags: MAP.SHARED, fd: device});
    bytes(address, PAGE)[0] = 1;
    munmap(address, size * 2 ** 20);
    closeSync(device);
    execFileSync('rmmod', ['framevec']);
    execFileSync('insmod', [`${process.env.FRAMEVEC_KMOD ?? ''}/framevec.ko`]);
  };
  const rounds = 10;
  reload();
  const before = available();
  for (let i = 0; i < rounds; i++) reload();
  await until('it is freed', () => before - available() < rounds * size / 2, 10_000).catch(() => undefined);
  const after = available();
  t.true(before - after < rounds * size / 2, `${before} MiB before, ${after} MiB after`);
});
