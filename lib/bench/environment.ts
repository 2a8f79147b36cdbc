/** Where a benchmark runs, and what its clock is worth there. */
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {cpus, machine, release, totalmem, version} from 'node:os';
import {info} from '../device.js';
import {addon} from '../addon.js';
import {thpSetting} from './backing.js';
import {peerNamed, type PeerName} from './peers.js';
import type {Distribution, Environment} from './result.js';
import {now, PhaseRecorder, SLICE_CALLS} from './samples.js';

const {version: framevec} = createRequire(import.meta.url)('../../../package.json') as {version: string};
const WARM = 4096;

function fileText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** What can tell a guest how it is run, as read from its own files. */
export interface MachineFacts {
  readonly cpuinfo: string;
  /** /sys/class/dmi/id/sys_vendor and product_name. */
  readonly vendor: string | undefined;
  readonly clocksource: string | undefined;
}

/**
 * How this kernel is run. QEMU's emulation shows a hypervisor without KVM's clock and names its processors so; KVM
 * offers kvm-clock, or a processor that is the host's.
 */
export function acceleratorOf({cpuinfo, vendor, clocksource}: MachineFacts): {accelerator: Environment['accelerator']; reason: string} {
  const flags = /^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/) ?? [];
  const model = /^model name\s*:\s*(.*)$/m.exec(cpuinfo)?.[1] ?? 'an unnamed processor';
  if (!flags.includes('hypervisor')) return {accelerator: 'bare', reason: 'the processor shows no hypervisor'};
  if (/TCG CPU|QEMU Virtual CPU/.test(model)) return {accelerator: 'tcg', reason: `the processor is "${model}"`};
  if (clocksource === 'kvm-clock') return {accelerator: 'kvm', reason: 'the clock source is kvm-clock'};
  if (vendor === 'QEMU') return {accelerator: 'kvm', reason: `QEMU, with the processor "${model}" of a real machine`};
  return {accelerator: 'other hypervisor', reason: `a hypervisor of ${vendor ?? 'unknown make'}`};
}

function measured(call: () => void): Distribution {
  const times = new Float64Array(SLICE_CALLS);
  for (let i = -WARM; i < times.length; i++) {
    const before = now();
    call();
    const after = now();
    if (i >= 0) times[i] = after - before;
  }
  const recorder = new PhaseRecorder();
  recorder.add(times, times.length);
  return recorder.distribution();
}

/** Of a peer that is a floor: what its first call costs; undefined if it is not there. */
function floor(name: PeerName): Distribution | undefined {
  const peer = peerNamed(name);
  const session = peer.open(new Uint8Array(addon.pageSize * 64));
  if (!session.ok) return undefined;
  const samples = new Float64Array(SLICE_CALLS * peer.columns.length);
  session.measure(SLICE_CALLS, samples);
  session.close();
  const recorder = new PhaseRecorder();
  recorder.add(samples.filter((_, i) => i % peer.columns.length === 0), SLICE_CALLS);
  return recorder.distribution();
}

function emptyCalls(): Environment['emptyCall'] {
  try {
    info();
  } catch {
    return undefined;
  }
  const c = floor('empty');
  // The addon's answer is not made an object of: as pin() does.
  return {js: measured(addon.info), ...(c && {c})};
}

/** Looks about; takes some hundred ms for what an empty call costs. */
export function environment(): Environment {
  const cpuinfo = fileText('/proc/cpuinfo') ?? '';
  const clocksource = fileText('/sys/devices/system/clocksource/clocksource0/current_clocksource') ?? 'unknown';
  const {accelerator, reason} = acceleratorOf({cpuinfo, vendor: fileText('/sys/class/dmi/id/sys_vendor'), clocksource});
  const governor = fileText('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor');
  const thp = thpSetting();
  const emptyCall = emptyCalls();
  return {
    kernel: release(), kernelVersion: version(), machine: machine(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown', cpus: cpus().length, memoryBytes: totalmem(),
    ...(governor !== undefined && {governor}),
    accelerator, acceleratorReason: reason, onlyRatiosCount: accelerator === 'tcg',
    clocksource, icount: process.env.FRAMEVEC_ICOUNT === '1',
    ...(thp !== undefined && {thp}),
    pageSize: addon.pageSize, node: process.version, framevec,
    clock: measured(() => undefined),
    ...(emptyCall && {emptyCall}),
  };
}

/** What has to be read before any number is. */
export function environmentInWords(of: Environment): string[] {
  const lines = [
    `Linux ${of.kernel} ${of.machine}, ${of.cpus} x ${of.cpu}, ${(of.memoryBytes / 2 ** 30).toFixed(1)} GiB; Node ${of.node}, framevec ${of.framevec}`,
    `governor ${of.governor ?? 'not told'}, clock source ${of.clocksource}, THP ${of.thp ?? 'not in this kernel'}, accelerator ${of.accelerator} (${of.acceleratorReason})`,
    `a look at the clock costs ${of.clock.p50} ns, and is in every figure${of.emptyCall === undefined ? ''
      : `; an ioctl that does nothing ${of.emptyCall.js.p50} ns from JavaScript${of.emptyCall.c === undefined ? '' : `, ${of.emptyCall.c.p50} ns from C`}`}`,
  ];
  if (of.icount) lines.push('TIME IS A COUNT OF INSTRUCTIONS (--icount): it repeats, and knows nothing of caches, TLB and memory.');
  else if (of.onlyRatiosCount) {
    lines.push(
      'EMULATED: ONLY RATIOS WITHIN THIS RUN COUNT. No time below is a real machine\'s.',
      'For times that repeat: `framevec vm --icount --cpus 1 -- npx framevec bench ...` counts instructions instead.',
    );
  }
  return lines;
}
