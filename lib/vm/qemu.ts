/** QEMU's argument list. */
import {GUEST} from './guest.js';

export interface Machine {
  accel: 'kvm' | 'tcg';
  /** Count time in instructions, so that it repeats: one CPU, emulated. */
  icount: boolean;
  memory: string;
  cpus: number;
  image: string;
  initramfs: string;
  /** This machine's time stamp counter, in kHz; undefined when it is not known. */
  tscFrequency: number | undefined;
  /** The caller's own additions to the kernel's command line and to this list. */
  append: string;
  extra: readonly string[];
  kernelLog: string;
  /** The run's directory and the one that the command may write to. */
  share: string;
  out: string;
  /** Where stdout goes: the guest's terminal, or a plain channel. */
  terminal: boolean;
}

/** Descriptors of the child that carry the guest's stdout (or terminal) and stderr. */
export const STREAM_FD = {stdout: 3, stderr: 4} as const;

export function kernelCommandLine({accel, icount, tscFrequency, append}: Pick<Machine, 'accel' | 'icount' | 'tscFrequency' | 'append'>): string {
  return [
    // All of the log, and all that user space writes to it: the end of the run is marked there.
    'console=ttyS0 ignore_loglevel printk.devkmsg=on',
    'panic=-1',
    // An emulated CPU has nothing to mitigate, and its counter is as good as any other clock.
    ...(accel === 'tcg' ? ['tsc=reliable mitigations=off nokaslr'] : []),
    ...(accel === 'tcg' && !icount && tscFrequency !== undefined ? [`tsc_early_khz=${tscFrequency}`] : []),
    ...(icount ? ['norandmaps random.trust_cpu=off random.trust_bootloader=off nowatchdog'] : []),
    append,
  ]
    .filter(Boolean)
    .join(' ');
}

export function qemuArguments(machine: Machine): string[] {
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-M', 'q35', '-m', machine.memory],
    ...processor(machine),
    ...['-kernel', machine.image, '-initrd', machine.initramfs, '-append', kernelCommandLine(machine)],
    ...['-chardev', `file,id=log,path=${escape(machine.kernelLog)}`, '-serial', 'chardev:log'],
    ...share('root', GUEST.rootTag, '/', ',readonly=on'),
    ...share('run', GUEST.shareTag, machine.share),
    ...share('out', GUEST.outTag, machine.out),
    ...['-device', 'virtio-serial-pci,id=streams'],
    ...['-chardev', `socket,id=stdout,fd=${STREAM_FD.stdout}`],
    ...['-device', machine.terminal ? 'virtconsole,chardev=stdout,nr=0' : `virtserialport,chardev=stdout,nr=1,name=${GUEST.portPrefix}stdout`],
    ...['-chardev', `socket,id=stderr,fd=${STREAM_FD.stderr}`],
    ...['-device', `virtserialport,chardev=stderr,nr=2,name=${GUEST.portPrefix}stderr`],
    ...machine.extra,
  ];
}

function processor({accel, icount, cpus}: Machine): string[] {
  if (icount) {
    return [
      ...['-accel', 'tcg,thread=single', '-smp', '1', '-icount', 'shift=0,sleep=off'],
      ...['-cpu', 'max,-rdrand,-rdseed', '-rtc', 'base=2024-01-01,clock=vm', '-seed', '1'],
    ];
  }
  return ['-accel', accel, '-cpu', accel === 'kvm' ? 'host' : 'max', '-smp', String(cpus)];
}

/** security_model=none: the guest's root is the host's user, and may do on the share what that user may. */
function share(id: string, tag: string, path: string, options = ''): string[] {
  return [
    ...['-fsdev', `local,id=${id},path=${escape(path)},security_model=none,multidevs=remap${options}`],
    ...['-device', `virtio-9p-pci,fsdev=${id},mount_tag=${tag}`],
  ];
}

/** QEMU's option lists are split at commas; two stand for one. */
function escape(path: string): string {
  return path.replaceAll(',', ',,');
}
