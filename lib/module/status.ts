/** Whether, and how, the module is on this machine. */
import {existsSync} from 'node:fs';
import {release} from 'node:os';
import {VERSION} from '../package.js';
import {findProgram} from '../vm/programs.js';
import {dkmsEntries, type DkmsEntry} from './dkms.js';
import {ModuleError} from './errors.js';
import {BOOT_FILE, FILES} from './files.js';
import {deviceNode, isLoaded, loadedVersion, type Node} from './loaded.js';

export interface ModuleStatus {
  /** Of this package. */
  version: string;
  kernel: string;
  /** dkms has this version for this kernel. */
  installed: boolean;
  dkms: DkmsEntry[];
  /** Why dkms could not be asked. */
  dkmsError?: string;
  files: string[];
  boot: boolean;
  loaded: boolean;
  loadedVersion?: string;
  node?: Node;
}

export async function moduleStatus(): Promise<ModuleStatus> {
  const {dkms, dkmsError} = await asked();
  const version = loadedVersion();
  const node = deviceNode();
  return {
    version: VERSION,
    kernel: release(),
    installed: dkms.some((entry) => entry.version === VERSION && entry.kernel === release() && entry.state === 'installed' && entry.warning === undefined),
    dkms,
    ...(dkmsError !== undefined && {dkmsError}),
    files: FILES.filter((path) => existsSync(path)),
    boot: existsSync(BOOT_FILE),
    loaded: isLoaded(),
    ...(version !== undefined && {loadedVersion: version}),
    ...(node && {node}),
  };
}

async function asked(): Promise<Pick<ModuleStatus, 'dkms' | 'dkmsError'>> {
  if (findProgram('dkms') === undefined) return {dkms: []};
  try {
    return {dkms: await dkmsEntries()};
  } catch (error) {
    if (!(error instanceof ModuleError)) throw error;
    return {dkms: [], dkmsError: error.message};
  }
}

export function statusInWords(status: ModuleStatus): string {
  const others = status.dkms.map(({version, kernel, state, warning}) =>
    `${version}${kernel === undefined ? '' : ` for ${kernel}`}: ${state}${warning === undefined ? '' : ` (${warning})`}`);
  return [
    `package    framevec ${status.version}, kernel ${status.kernel}`,
    `installed  ${status.installed ? 'yes' : 'no: `sudo npx framevec module install`'}`,
    `dkms       ${status.dkmsError ?? (others.join('; ') || 'knows nothing of framevec')}`,
    `files      ${status.files.join(', ') || 'none'}`,
    `at boot    ${status.boot ? 'loaded' : 'not loaded: `sudo npx framevec module install --boot`'}`,
    `loaded     ${status.loaded ? `yes, version ${status.loadedVersion ?? 'unknown'}` : 'no'}`,
    ...(status.node ? [`device     mode ${status.node.mode}, user ${status.node.uid}, group ${status.node.gid}`] : []),
  ].join('\n');
}
