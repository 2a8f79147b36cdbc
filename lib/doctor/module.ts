/** The module, from its file to what it lets this process do. */
import {userInfo} from 'node:os';
import {buildFailure} from '../module/build_log.js';
import {BUILD_LOG} from '../module/files.js';
import {VERSION} from '../package.js';
import {FRAMEVEC_ABI, FRAMEVEC_DEVICE} from '../uapi.js';
import {fail, note, ok, type Finding} from './check.js';
import type {Machine} from './machine.js';

const INSTALL = '`sudo npx framevec module install`, or run the program in a VM that has it: `npx framevec vm -- COMMAND`';

/** Where depmod found a module of that name for the running kernel. */
export function moduleFile(machine: Machine, name: string): string | undefined {
  const directory = `/lib/modules/${machine.release}`;
  const found = new RegExp(`^(?:\\S*/)?${name}\\.ko\\S*(?=:)`, 'm').exec(machine.read(`${directory}/modules.dep`) ?? '')?.[0];
  return found === undefined ? undefined : found.startsWith('/') ? found : `${directory}/${found}`;
}

/** Where dkms leaves the log of a build that failed: its own, as after an upgrade of the kernel, and that of `module install`. */
const BUILD_LOGS = [`/var/lib/dkms/framevec/${VERSION}/build/make.log`, BUILD_LOG];

/** Of the running kernel: the log's first line names it. */
function failedBuild(machine: Machine): {cause: string; log: string} | undefined {
  for (const log of BUILD_LOGS) {
    const text = machine.read(log) ?? '';
    if (!(text.split('\n')[0] ?? '').includes(machine.release)) continue;
    const cause = buildFailure(text);
    if (cause !== undefined) return {cause, log};
  }
  return undefined;
}

const isLoaded = (machine: Machine, name: string): boolean => machine.exists(`/sys/module/${name}`);

export function built(machine: Machine): Finding {
  const file = moduleFile(machine, 'framevec');
  if (file !== undefined) return ok(file);
  const failed = failedBuild(machine);
  if (failed !== undefined) return fail(`could not be built for ${machine.release}: ${failed.cause}; the log of the build: ${failed.log}`, INSTALL);
  const text = `not installed for ${machine.release}`;
  return isLoaded(machine, 'framevec') ? note(`${text}: the one that is loaded was loaded by hand, and is gone after a boot`, INSTALL) : fail(text, INSTALL);
}

export function loaded(machine: Machine): Finding {
  if (isLoaded(machine, 'framevec')) {
    const version = machine.read('/sys/module/framevec/version')?.trim();
    return ok(version === undefined ? 'yes' : `yes, version ${version}`);
  }
  return fail('no', moduleFile(machine, 'framevec') === undefined ? INSTALL : '`sudo modprobe framevec`; at each boot: `sudo npx framevec module install --boot`');
}

export async function abi(machine: Machine): Promise<Finding> {
  const speaks = `this package speaks ABI ${FRAMEVEC_ABI}`;
  const answer = await machine.module();
  if ('abi' in answer) {
    return answer.abi === FRAMEVEC_ABI ? ok(`${answer.abi}, as this package's`) : fail(`the module speaks ABI ${answer.abi}, and ${speaks}`, INSTALL);
  }
  if (answer.code === 'ERR_FRAMEVEC_ABI') return fail(answer.message, INSTALL);
  return fail(`unknown: the module does not answer (${answer.code}); ${speaks}`, 'reload the module: `sudo rmmod framevec && sudo modprobe framevec`');
}

export function device(machine: Machine): Finding {
  const node = machine.device();
  if (node === undefined) return fail(`there is no ${FRAMEVEC_DEVICE}`, 'load the module');
  const {mode, uid, gid, open} = node;
  const who = `${FRAMEVEC_DEVICE}, mode ${mode.toString(8).padStart(4, '0')}, user ${uid}, group ${gid}`;
  if (open) return ok(who);
  const {username} = userInfo();
  return fail(
    `${who}: ${username} may not open it`,
    gid === 0
      ? `\`groupadd --system framevec && usermod -aG framevec ${username}\`, then \`udevadm trigger --action=add /sys/class/misc/framevec\` (with the udev rule of \`framevec module install\`), as root, and log in again; or run as root`
      : `\`usermod -aG framevec ${username}\` as root, then log in again`,
  );
}

/** What the module found when it was loaded: none of it keeps a process from pinning. */
export async function behaviour(machine: Machine): Promise<Finding> {
  const answer = await machine.module();
  if (!('abi' in answer)) return note('unknown: the module asks the kernel when it is loaded', 'load the module');
  const {leaves, unshares, copies} = answer.features;
  return ok([
    leaves ? 'a huge device mapping is noted in one step' : 'device mappings are noted page by page',
    unshares ? 'a pin for read of a private file mapping pins a copy of its own' : "a pin for read of a private file mapping pins the page cache's page",
    ...(copies ? ['huge pages of the page cache are copied by a write fault, because the fault of this kernel that should copy them never ends'] : []),
  ].join('; '));
}

/** CAP_SYS_ADMIN, and CAP_IPC_LOCK, in include/uapi/linux/capability.h. */
const SYS_ADMIN = 21n;
export const IPC_LOCK = 14n;

export function hasCapability(machine: Machine, capability: bigint): boolean {
  // In a user namespace of its own a process has capabilities that count for nothing outside.
  if (!/^\s*0\s+0\s+4294967295\s*$/.test(machine.read('/proc/self/uid_map') ?? '0 0 4294967295')) return false;
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(machine.read('/proc/self/status') ?? '')?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> capability) & 1n) === 1n;
}

export async function pfns(machine: Machine): Promise<Finding> {
  const how = machine.isRoot
    ? 'this root has been denied it: in a container `--cap-add SYS_ADMIN`, and no user namespace'
    : 'run as root, or with `setpriv --ambient-caps +sys_admin`';
  const remedy = `${how}; everything but pfns() works without`;
  const answer = await machine.module();
  const may = 'abi' in answer ? answer.features.pfns : hasCapability(machine, SYS_ADMIN);
  return may ? ok('CAP_SYS_ADMIN: this process may read frame numbers') : note('no CAP_SYS_ADMIN: this process may not read frame numbers', remedy);
}

export function vivid(machine: Machine): Finding {
  if (isLoaded(machine, 'vivid')) return ok('loaded');
  if (moduleFile(machine, 'vivid') !== undefined) return ok('there: `modprobe vivid` makes a /dev/videoN');
  return note(
    "this kernel has no vivid, the virtual video driver, so `framevec v4l2` needs a camera",
    'a kernel with CONFIG_VIDEO_VIVID, such as that of `npx framevec vm --with vivid`',
  );
}
