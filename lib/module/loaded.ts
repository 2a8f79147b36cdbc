/** The module in the running kernel. */
import {existsSync, readFileSync, statSync} from 'node:fs';
import {FRAMEVEC_DEVICE} from '../uapi.js';
import {run} from '../vm/programs.js';
import {ModuleError, SignatureError, moduleInUse} from './errors.js';
import {isSignatureRefusal, signingRemedy} from './signing.js';

const SYS = '/sys/module/framevec';

export function isLoaded(): boolean {
  return existsSync(SYS);
}

/** What MODULE_VERSION said when it was built. */
export function loadedVersion(): string | undefined {
  try {
    return readFileSync(`${SYS}/version`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

export async function load(): Promise<void> {
  const {status, stderr} = await run('modprobe', ['framevec']);
  if (status === 0) return;
  if (isSignatureRefusal(stderr)) {
    throw new SignatureError(
      `this kernel loads only modules that are signed with a key it knows (Secure Boot, or module.sig_enforce=1), and refused framevec.ko: ${signingRemedy()}`,
      stderr,
    );
  }
  throw new ModuleError(`modprobe could not load the module: ${stderr.trim().split('\n').at(-1)}; the kernel's log (dmesg) may say more`);
}

/** Fails while something uses it. */
export function requireUnused(): void {
  let users = 0;
  try {
    users = Number(readFileSync(`${SYS}/refcnt`, 'utf8'));
  } catch {
    // It is not loaded.
  }
  if (users > 0) throw moduleInUse();
}

/** Unloads it if it is there; fails while something uses it. */
export async function unload(): Promise<void> {
  if (!isLoaded()) return;
  const {status, stderr} = await run('modprobe', ['-r', 'framevec']);
  // modprobe only knows what depmod does; a module that insmod loaded is known to the kernel alone.
  if (status === 0 && !isLoaded()) return;
  const {status: again, stderr: why} = await run('rmmod', ['framevec']);
  if (again === 0) return;
  throw `${stderr}${why}`.includes('in use') ? moduleInUse() : new ModuleError(`the module could not be unloaded: ${why.trim()}`);
}

/** Who may open the device. */
export interface Node {
  /** As 0660. */
  mode: string;
  uid: number;
  gid: number;
}

export function deviceNode(): Node | undefined {
  try {
    const {mode, uid, gid} = statSync(FRAMEVEC_DEVICE);
    return {mode: (mode & 0o7777).toString(8).padStart(4, '0'), uid, gid};
  } catch {
    return undefined;
  }
}
