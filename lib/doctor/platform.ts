/** What the machine is: platform, addon, kernel, headers, signatures, KVM. */
import {KERNEL_RANGE, isKernelInRange} from '../module/kernel_range.js';
import {installCommand} from '../module/distribution.js';
import {signingRemedy} from '../module/signing.js';
import {objection} from '../vm/accel.js';
import {fail, note, ok, type Finding} from './check.js';
import type {Machine} from './machine.js';

const IN_A_VM = 'try it in a VM: `npx framevec vm -- COMMAND`';

export function platform({platform, arch, node, glibc}: Machine): Finding {
  const here = `${platform} ${arch}, ${glibc === undefined ? 'no glibc' : `glibc ${glibc}`}, Node ${node.slice(1)}`;
  if (platform !== 'linux') return fail(here, 'framevec is for Linux alone');
  if (arch !== 'x64') return fail(here, 'the module is for x86-64');
  return ok(here);
}

export async function addon(machine: Machine): Promise<Finding> {
  const found = await machine.addon();
  if ('message' in found) {
    const [text = '', ...rest] = found.message.split('\n');
    return fail(text, rest.at(-1) ?? 'reinstall the package');
  }
  return ok(`${found.path.includes('/prebuilds/') ? 'prebuilt' : 'built here'}: ${found.path}`);
}

export function kernel({release}: Machine): Finding {
  return isKernelInRange(release)
    ? ok(`${release}, within ${KERNEL_RANGE}`)
    : fail(`${release} is outside of ${KERNEL_RANGE}`, IN_A_VM);
}

export function headers(machine: Machine): Finding {
  const build = `/lib/modules/${machine.release}/build`;
  if (machine.exists(`${build}/Makefile`)) return ok(build);
  return note(`there are none for ${machine.release}, so the module can't be built for it`, `${installCommand({headers: machine.release})}; or ${IN_A_VM}`);
}

/** Byte 4 of the variable is the firmware's word; the bytes before it are the variable's attributes. */
const SECURE_BOOT = '/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c';

export function signatures(machine: Machine): Finding {
  const lockdown = /\[(\w+)\]/.exec(machine.read('/sys/kernel/security/lockdown') ?? '')?.[1];
  const reasons = [
    ...(machine.read(SECURE_BOOT)?.codePointAt(4) === 1 ? ['Secure Boot is on'] : []),
    ...(lockdown !== undefined && lockdown !== 'none' ? [`lockdown is "${lockdown}"`] : []),
    ...(machine.read('/sys/module/module/parameters/sig_enforce')?.trim() === 'Y' ? ['module.sig_enforce is on'] : []),
  ];
  if (reasons.length === 0) return ok('not asked for: Secure Boot and lockdown are off');
  const text = `${reasons.join(', ')}: the kernel may load only modules signed with a key it knows`;
  if (machine.exists('/sys/module/framevec')) return ok(`${text}; framevec is loaded`);
  return note(text, signingRemedy());
}

export function kvm(machine: Machine): Finding {
  const why = objection(machine.kvm());
  if (!machine.hasProgram('qemu-system-x86_64')) {
    return note('`framevec vm` has no QEMU to run', '`npx framevec vm --prepare --install`');
  }
  if (why === undefined) return ok('/dev/kvm opens, so `framevec vm` asks a kernel whether it boots');
  return note(`${why}: \`framevec vm\` emulates, and its times compare with each other alone`, 'a machine, or a VM with nested virtualisation, that has /dev/kvm');
}
