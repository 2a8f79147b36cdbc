/** The tracepoints, by tracefs, perf and bpftrace: what they tell is what was asked for. */
import {spawn, spawnSync} from 'node:child_process';
import {closeSync, openSync, readFileSync, realpathSync, writeFileSync} from 'node:fs';
import {release} from 'node:os';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {DeviceMemory, FrameVector} from '../../lib/index.js';
import {parseFdinfo} from '../../lib/fdinfo.js';
import * as uapi from '../../lib/uapi.js';
import {MAP, PAGE, PROT, SYS, createVector, close, ioctl, mmap, munmap, must} from './raw.js';
import {endsBalanced} from './oracles.js';

endsBalanced(test);

const TRACEFS = '/sys/kernel/tracing';
const EVENTS = ['pin', 'unpin', 'stale'];

/**
 * Whose names tracing writes down, it learns at each switch between tasks: so each start and end of it would change the code of the
 * scheduler, which the other processor is in. An emulator may go on with the old code: 6.1-rt stopped in a breakpoint long removed.
 */
writeFileSync(`${TRACEFS}/options/record-cmd`, '0');

type Event = Record<string, string> & {event: string; task: string};

function enable(on: boolean): void {
  writeFileSync(`${TRACEFS}/trace`, '');
  writeFileSync(`${TRACEFS}/events/framevec/enable`, on ? '1' : '0');
}

function events(): Event[] {
  return readFileSync(`${TRACEFS}/trace`, 'utf8').split('\n').filter(line => line !== '' && !line.startsWith('#')).map(line => {
    const [, task = '', event = '', fields = ''] = /-(\d+)\s.*?: (pin|unpin|stale): (.*)$/.exec(line) ?? [];
    return {...Object.fromEntries(Array.from(fields.matchAll(/(\w+)=(\S*)/g), ([, name, value]) => [name, value])), event, task} as Event;
  });
}

/** The events of what is done, in the order in which they came. */
function traced(work: () => void): Event[] {
  enable(true);
  try {
    work();
    return events();
  } finally {
    enable(false);
  }
}

function idOf(fd: number): string {
  const info = parseFdinfo(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
  if (info === undefined) throw new Error(`${fd} is no vector`);
  return String(info.id);
}

const hex = (address: number | bigint): string => `0x${address.toString(16)}`;

test.serial('the events are there by their names, and off', t => {
  for (const event of EVENTS) t.is(readFileSync(`${TRACEFS}/events/framevec/${event}/enable`, 'utf8'), '0\n');
});

test.serial('no event has a field for a frame number', t => {
  for (const event of EVENTS) t.notRegex(readFileSync(`${TRACEFS}/events/framevec/${event}/format`, 'utf8'), /pfn[ ;]|page[ ;]/);
});

test.serial('a pin and its unpin tell what was asked for and what came of it', t => {
  using memory = FrameVector.alloc(16 * PAGE);
  using vector = FrameVector.create(16);
  const id = idOf(vector.fd);
  const bytes = memory.bytes.subarray(100, 100 + 9 * PAGE);
  let address = 0;
  const [pin, unpin, ...more] = traced(() => {
    vector.pin(bytes, {write: true, unaligned: true});
    address = vector.address;
    vector.unpin();
  });
  t.deepEqual(more, []);
  const both = {vector: id, owner: String(process.pid), addr: hex(address), length: String(9 * PAGE), kind: 'pages', frames: '10'};
  t.like(pin, {event: 'pin', ...both, flags: 'write', ret: '0', reason: 'none', fail_addr: '0x0'});
  t.like(unpin, {event: 'unpin', ...both, write: '1', got_ref: '1', stale: '0'});
  for (const event of [pin, unpin]) t.true(Number(event?.gup_ns) > 0 && Number(event?.call_ns) >= Number(event?.gup_ns));
});

test.serial('who traces is told the times, and a caller who has not asked is not', t => {
  const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  const fd = createVector(device, 1);
  const memory = mmap(PAGE);
  traced(() => {
    t.like(ioctl(fd, 'PIN', {addr: memory, length: PAGE}).fields, {frames: 1, gup_ns: 0, call_ns: 0});
    t.like(ioctl(fd, 'UNPIN').fields, {frames: 1, gup_ns: 0, call_ns: 0});
  });
  traced(() => {
    t.true((ioctl(fd, 'PIN', {addr: memory, length: PAGE, flags: uapi.FRAMEVEC_PIN_TIMING}).fields.gup_ns ?? 0) > 0);
    t.true((ioctl(fd, 'UNPIN', {flags: uapi.FRAMEVEC_UNPIN_TIMING}).fields.call_ns ?? 0) > 0);
  });
  munmap(memory, PAGE);
  close(fd);
  closeSync(device);
});

test.serial('a pin that is refused tells the errno, the reason and the place', t => {
  const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  const fd = createVector(device, 8);
  const memory = mmap(4 * PAGE);
  munmap(memory + BigInt(2 * PAGE), PAGE);
  const told = traced(() => {
    t.is(ioctl(fd, 'PIN', {addr: memory, length: 4 * PAGE}).result, 'EFAULT');
    t.is(ioctl(fd, 'PIN', {addr: memory, length: 4 * PAGE, flags: uapi.FRAMEVEC_PIN_PARTIAL}).result, 0);
    t.is(ioctl(fd, 'PIN', {addr: memory, length: PAGE}).result, 'EBUSY');
    ioctl(fd, 'UNPIN');
  });
  const place = {reason: 'no-mapping', fail_addr: hex(memory + BigInt(2 * PAGE))};
  t.is(told.length, 4);
  t.like(told[0], {event: 'pin', ret: '-14', frames: '0', kind: 'none', ...place});
  t.like(told[1], {event: 'pin', ret: '0', frames: '2', kind: 'pages', flags: 'partial', ...place});
  t.like(told[2], {event: 'pin', ret: '-16', frames: '0', reason: 'none', fail_addr: '0x0'});
  t.like(told[3], {event: 'unpin', frames: '2', length: String(2 * PAGE)});
  close(fd);
  closeSync(device);
});

test.serial('closing a vector unpins what it holds, and one that holds nothing tells nothing', t => {
  using memory = FrameVector.alloc(4 * PAGE);
  const vector = FrameVector.create(4);
  t.deepEqual(traced(() => { vector.close(); }), []);
  const told = traced(() => { FrameVector.pin(memory).close(); });
  t.deepEqual(told.map(({event}) => event), ['pin', 'unpin']);
});

test.serial('a snapshot goes stale once, and the event tells by what', t => {
  const device = openSync(uapi.FRAMEVEC_DEVICE, 'r+');
  const fd = createVector(device, 4);
  const changes: [string, (address: bigint) => void][] = [
    ['unmap', address => { munmap(address, 4 * PAGE); }],
    ['protect', address => { must(SYS.mprotect, address, 4 * PAGE, PROT.NONE); }],
  ];
  for (const [cause, change] of changes) {
    const address = mmap(4 * PAGE, {flags: MAP.SHARED, fd: device, prot: PROT.READ});
    const told = traced(() => {
      ioctl(fd, 'PIN', {addr: address + BigInt(PAGE), length: 2 * PAGE});
      change(address);
      if (cause === 'protect') munmap(address, 4 * PAGE);
      ioctl(fd, 'UNPIN');
    });
    t.deepEqual(told.map(({event}) => event), ['pin', 'stale', 'unpin'], cause);
    t.like(told[0], {kind: 'pfns', frames: '2'});
    t.like(told[1], {
      vector: idOf(fd), owner: String(process.pid), addr: hex(address + BigInt(PAGE)), length: String(2 * PAGE), frames: '2', cause,
      change: `${hex(address)}-${hex(address + BigInt(4 * PAGE))}`,
    });
    t.like(told[2], {kind: 'pfns', got_ref: '0', stale: '1', gup_ns: '0'});
  }
  close(fd);
  closeSync(device);
});

test.serial('what is not traced is not told', t => {
  using memory = FrameVector.alloc(PAGE);
  enable(true);
  enable(false);
  FrameVector.pin(memory).close();
  t.deepEqual(events(), []);
});

const other = fileURLToPath(new URL('trace-work.js', import.meta.url));

/** What the two tools have to see of trace-work.ts: its pins of 1, 2 and 3 frames. */
test.serial('perf records and shows them', t => {
  const data = '/dev/shm/perf.data';
  // Without the kernel's modules, through whose directories perf goes one by one (minutes, over 9p), and without a copy of node.
  const record = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs none /lib/modules && exec perf record --no-buildid-cache "$@"', 'sh',
    '-o', data, '-e', 'framevec:pin,framevec:unpin,framevec:stale', process.execPath, other], {encoding: 'utf8'});
  t.is(record.status, 0, record.stderr);
  const script = spawnSync('perf', ['script', '-i', data, '-F', 'pid,event,trace'], {encoding: 'utf8'});
  t.is(script.status, 0, script.stderr);
  const lines = script.stdout.trim().split('\n');
  t.deepEqual(lines.map(line => /framevec:(\w+):/.exec(line)?.[1]), ['pin', 'unpin', 'pin', 'unpin', 'pin', 'unpin', 'pin', 'stale', 'unpin']);
  t.deepEqual(lines.map(line => Number(/ frames=(\d+) /.exec(line)?.[1])), [1, 1, 2, 2, 3, 3, 4, 4, 4]);
  t.regex(lines[0] ?? '', /flags=write ret=0 kind=pages .*reason=none/);
  t.regex(lines[7] ?? '', /cause=unmap/);
});

/**
 * Where BTF of this kernel does not do for Debian 12's bpftrace (5.10, 7.x) or is not there (debug), it asks for the kernel's headers,
 * whose two halves it expects where their packages are installed. Here they are in the cache; the sanitizing kernel's are one tree.
 */
function kernelHeaders(): NodeJS.ProcessEnv {
  const build = realpathSync(`/lib/modules/${release()}/build`);
  const source = /^include (\/.*)\/Makefile$/m.exec(readFileSync(`${build}/Makefile`, 'utf8'))?.[1] ?? build;
  return {BPFTRACE_KERNEL_SOURCE: source, BPFTRACE_KERNEL_BUILD: build};
}

test.serial('bpftrace attaches to them and reads their fields', async t => {
  const program = `
    tracepoint:framevec:pin { printf("pin %d %d %d\\n", args->vector, args->frames, args->ret); }
    tracepoint:framevec:unpin { @frames = sum(args->frames); }
    tracepoint:framevec:stale { printf("stale %d\\n", args->frames); }`;
  const tool = spawn('bpftrace', ['-e', program, '-c', `${process.execPath} ${other}`], {stdio: ['ignore', 'pipe', 'pipe'], env: {...process.env, ...kernelHeaders()}});
  let out = '';
  let err = '';
  tool.stdout.setEncoding('utf8').on('data', (text: string) => { out += text; });
  tool.stderr.setEncoding('utf8').on('data', (text: string) => { err += text; });
  const status = await new Promise<number | null>(resolve => tool.on('close', resolve));
  t.is(status, 0, `${release()}: ${out}${err}`);
  t.deepEqual(Array.from(out.matchAll(/^pin \d+ (\d+) 0$/gm), ([, frames]) => Number(frames)), [1, 2, 3, 4]);
  t.regex(out, /^stale 4$/m);
  t.regex(out, /^@frames: 10$/m);
});

test.serial('the device memory of a BAR or an aperture is traced as what it is', t => {
  using memory = DeviceMemory.map(uapi.FRAMEVEC_DEVICE, {length: 4 * PAGE});
  const [pin] = traced(() => { FrameVector.pin(memory).close(); });
  t.like(pin, {event: 'pin', kind: 'pfns', frames: '4', ret: '0'});
});
