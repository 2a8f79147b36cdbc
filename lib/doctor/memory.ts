/** The memory that may be pinned, and of what kind it can be. */
import {bytesInWords} from '../errors.js';
import {fail, note, ok, type Finding} from './check.js';
import {IPC_LOCK, hasCapability} from './module.js';
import type {Machine} from './machine.js';

/** Below this a program that pins a few video buffers is refused; the kernel's own default is 8 MiB (64 KiB before 5.16). */
const ENOUGH = 64 * 2 ** 20;

export function memlock(machine: Machine): Finding {
  if (hasCapability(machine, IPC_LOCK)) return ok('CAP_IPC_LOCK: no limit on what this process pins, and its user is not charged');
  const soft = /^Max locked memory\s+(\S+)/m.exec(machine.read('/proc/self/limits') ?? '')?.[1];
  if (soft === 'unlimited') return ok('RLIMIT_MEMLOCK: no limit');
  const bytes = Number(soft);
  if (soft === undefined || Number.isNaN(bytes)) return note('/proc/self/limits does not tell RLIMIT_MEMLOCK', 'mount /proc');
  const much = bytesInWords(bytes);
  const text =
    `RLIMIT_MEMLOCK: this process may pin ${much}: ${Math.floor(bytes / machine.pageSize).toLocaleString('en')} frames; ` +
    `all processes of this user together may pin ${much}, the kernel memory of their vectors included, unless they have CAP_IPC_LOCK`;
  const remedy = '`ulimit -l`, /etc/security/limits.conf, LimitMEMLOCK= of systemd, or CAP_IPC_LOCK';
  if (bytes < machine.pageSize) return fail(text, remedy);
  return bytes < ENOUGH ? note(text, remedy) : ok(text);
}

export function thp(machine: Machine): Finding {
  const file = '/sys/kernel/mm/transparent_hugepage/enabled';
  const setting = /\[(\w+)\]/.exec(machine.read(file) ?? '')?.[1];
  if (setting === undefined) return note('this kernel has no transparent huge pages, so a pin costs a step a frame', 'a kernel that is not PREEMPT_RT');
  if (setting === 'never') return note(`${file}: never, so a pin costs a step a frame`, `\`echo madvise >${file}\` as root`);
  return ok(`${setting}: FrameVector.alloc() gets huge pages`);
}

export function hugepages(machine: Machine): Finding {
  const text = machine.read('/proc/meminfo') ?? '';
  const field = (name: string): number | undefined => {
    const value = new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1];
    return value === undefined ? undefined : Number(value);
  };
  const [total, free, kib] = ['HugePages_Total', 'HugePages_Free', 'Hugepagesize'].map(field);
  if (total === undefined || free === undefined || kib === undefined) {
    return note("this kernel has no hugetlb pages: {hugepages: '2M'} fails", 'a kernel with CONFIG_HUGETLBFS');
  }
  const size = bytesInWords(kib * 1024);
  if (free > 0) return ok(`${free} of ${total} of ${size} are free`);
  // None is what every machine starts with, and nothing but {hugepages: '2M'} asks for them.
  return total === 0
    ? ok(`none set aside; \`sysctl vm.nr_hugepages=64\` sets aside 64 of ${size} for {hugepages: '2M'}`)
    : note(`all ${total} of ${size} are taken`, `\`sysctl vm.nr_hugepages=${total + 64}\` as root`);
}
