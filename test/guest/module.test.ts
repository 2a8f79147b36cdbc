/** The module itself: unload, reload, its parameters, and a driver that uses it. */
import {execFileSync, spawnSync} from 'node:child_process';
import {closeSync, existsSync, openSync, statSync, writeSync} from 'node:fs';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {MAP, PAGE, PROT, SYS, bytes, close, createVector, errnoName, ioctl, mmap, munmap, must, raw} from './raw.js';
import {endsBalanced, framesPinned, statusFrames} from './oracles.js';

endsBalanced(test);

const modules = process.env.FRAMEVEC_KMOD ?? '';

/** Loads the module anew, for as long as `use` runs; then as it was. */
function reloaded(parameters: string[], use: (device: number) => void): void {
  execFileSync('rmmod', ['framevec']);
  execFileSync('insmod', [`${modules}/framevec.ko`, ...parameters]);
  try {
    const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
    try {
      use(device);
    } finally {
      closeSync(device);
    }
  } finally {
    execFileSync('rmmod', ['framevec']);
    execFileSync('insmod', [`${modules}/framevec.ko`]);
  }
}

test.serial('the device is root\'s, and gone with the module', t => {
  t.is(statSync(uapi.FRAMEVEC_DEVICE).mode & 0o7777, 0o600);
  execFileSync('rmmod', ['framevec']);
  t.false(existsSync(uapi.FRAMEVEC_DEVICE));
  execFileSync('insmod', [`${modules}/framevec.ko`]);
  t.true(existsSync(uapi.FRAMEVEC_DEVICE));
});

test.serial('a mapping of the aperture keeps the module, when every descriptor is closed', t => {
  const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  const address = mmap(PAGE, {flags: MAP.SHARED, fd: device});
  closeSync(device);
  bytes(address, 1)[0] = 1;
  t.not(spawnSync('rmmod', ['framevec']).status, 0);
  munmap(address, PAGE);
  reloaded([], () => undefined);
  t.pass();
});

test.serial('with allow_force=1 a pin for write of read-only private memory gets frames of its own', t => {
  reloaded(['allow_force=1'], device => {
    t.not((ioctl(device, 'INFO').fields.features ?? 0) & uapi.FRAMEVEC_FEATURE_FORCE, 0);
    const address = mmap(2 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.POPULATE});
    must(SYS.mprotect, address, 2 * PAGE, PROT.READ);
    const vector = createVector(device, 2);
    const flags = uapi.FRAMEVEC_PIN_WRITE;
    t.is(ioctl(vector, 'PIN', {addr: address, length: 2 * PAGE, flags}).fields.reason, uapi.FRAMEVEC_REASON_NOT_WRITABLE);
    t.is(ioctl(vector, 'PIN', {addr: address, length: 2 * PAGE, flags: flags | uapi.FRAMEVEC_PIN_FORCE}).result, 0);
    t.is(must(SYS.pwrite64, vector, new Uint8Array([7]), 1, 0), 1n);
    t.is(bytes(address, 1)[0], 7);
    close(vector);
    munmap(address, 2 * PAGE);
  });
});

test.serial('force overrides no PROT_NONE of what may never be read, and no protection of shared memory', t => {
  reloaded(['allow_force=1'], device => {
    const address = mmap(PAGE, {flags: MAP.SHARED | MAP.ANONYMOUS | MAP.POPULATE});
    must(SYS.mprotect, address, PAGE, PROT.READ);
    const vector = createVector(device, 1);
    const {result, fields} = ioctl(vector, 'PIN', {addr: address, length: PAGE, flags: uapi.FRAMEVEC_PIN_WRITE | uapi.FRAMEVEC_PIN_FORCE});
    t.deepEqual([result, fields.reason], ['EFAULT', uapi.FRAMEVEC_REASON_NOT_WRITABLE]);
    close(vector);
    munmap(address, PAGE);
  });
});

test.serial('aperture_size says how much can be mapped, whole pages of it', t => {
  reloaded(['aperture_size=12289'], device => {
    t.is(ioctl(device, 'INFO').fields.aperture_size, 3 * PAGE);
    const address = mmap(3 * PAGE, {flags: MAP.SHARED, fd: device});
    bytes(address, 3 * PAGE).fill(1);
    munmap(address, 3 * PAGE);
    t.is(errnoName(raw.syscall(SYS.mmap, 0, 4 * PAGE, PROT.READ, MAP.SHARED, device, 0)), 'EINVAL');
  });
  reloaded(['aperture_size=0'], device => {
    t.is(ioctl(device, 'INFO').fields.aperture_size, 0);
    t.is(errnoName(raw.syscall(SYS.mmap, 0, PAGE, PROT.READ, MAP.SHARED, device, 0)), 'EINVAL');
  });
  for (const size of [2 ** 40, 2 ** 60]) {
    reloaded([`aperture_size=${size}`], device => {
      t.is(errnoName(raw.syscall(SYS.mmap, 0, PAGE, PROT.READ, MAP.SHARED, device, 0)), 'ENOMEM', 'more than there is, and no complaint in the log');
    });
  }
});

test.serial('another driver pins through the exported functions: the sample inverts a buffer, and nothing around it', t => {
  execFileSync('insmod', [`${modules}/sample/framevec_sample.ko`]);
  const sample = openSync('/dev/framevec-sample', 'w');
  const address = mmap(4 * PAGE, {flags: MAP.PRIVATE | MAP.ANONYMOUS});
  const memory = bytes(address, 4 * PAGE).fill(0x0f);
  const before = framesPinned();
  writeSync(sample, new BigUint64Array([address + 100n, BigInt(2 * PAGE)]));
  t.true(memory.every((byte, i) => byte === (i >= 100 && i < 100 + 2 * PAGE ? 0xf0 : 0x0f)));
  t.is(framesPinned(), before);
  t.is(statusFrames('VmPin'), 0);

  t.not(spawnSync('rmmod', ['framevec']).status, 0, 'its user keeps it');
  munmap(address, 4 * PAGE);
  t.throws(() => writeSync(sample, new BigUint64Array([address, BigInt(PAGE)])), {code: 'EFAULT'});
  const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  const aperture = mmap(PAGE, {flags: MAP.SHARED, fd: device});
  t.throws(() => writeSync(sample, new BigUint64Array([aperture, BigInt(PAGE)])), {message: /ENOTSUP|EOPNOTSUPP/});
  munmap(aperture, PAGE);
  closeSync(device);
  closeSync(sample);
  execFileSync('rmmod', ['framevec_sample']);
});
