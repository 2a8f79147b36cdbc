/** dkms(8), as far as one module needs it. */
import {readFileSync, rmSync} from 'node:fs';
import {arch} from 'node:os';
import {run} from '../vm/programs.js';
import {ModuleError} from './errors.js';
import {sourceTree} from './files.js';
import {KERNEL_RANGE} from './kernel_range.js';

/** One version of the module that dkms knows. */
export interface DkmsEntry {
  version: string;
  /** Undefined while it is only added: not built for any kernel. */
  kernel?: string;
  /** dkms's word: added, built, installed. */
  state: string;
}

/** Of `dkms status framevec`: `framevec/0.1.0, 6.1.0-56-amd64, x86_64: installed`, in dkms 2 with a comma for the slash. */
export function parseDkmsStatus(text: string): DkmsEntry[] {
  return [...text.matchAll(/^framevec[/,] ?([^,:]+)(?:, ([^,:]+), [^,:]+)?: *(\w+)/gm)].map(([, version = '', kernel, state = '']) => ({
    version,
    ...(kernel !== undefined && {kernel}),
    state,
  }));
}

export async function dkmsEntries(): Promise<DkmsEntry[]> {
  return parseDkmsStatus((await run('dkms', ['status', 'framevec'])).stdout);
}

/** Builds, signs and installs what is in /usr/src. */
export async function dkmsInstall(version: string, release: string): Promise<void> {
  const {status, stdout, stderr} = await run('dkms', ['install', `framevec/${version}`, '-k', release]);
  if (status === 0) return;
  if (status === 77) {
    throw new ModuleError(`the module is not for kernel ${release} on ${arch()}: it is for ${KERNEL_RANGE} on x86-64 and arm64`);
  }
  const log = buildLog(version);
  const first = /^.*(\berror\b|undefined!|No rule|Stop\.).*$/im.exec(log)?.[0] ?? /^Error!.*$/m.exec(stderr)?.[0] ?? `status ${status}`;
  throw new ModuleError(`dkms could not build the module for ${release}: ${first.trim()}`, `${stdout}${stderr}${log}`);
}

function buildLog(version: string): string {
  try {
    return readFileSync(`/var/lib/dkms/framevec/${version}/build/make.log`, 'utf8');
  } catch {
    return '';
  }
}

/** Takes a version away for every kernel, and its sources. */
export async function dkmsRemove(version: string): Promise<void> {
  const {status, stdout, stderr} = await run('dkms', ['remove', `framevec/${version}`, '--all']);
  if (status !== 0) throw new ModuleError(`dkms could not remove framevec/${version}`, `${stdout}${stderr}`);
  rmSync(sourceTree(version), {recursive: true, force: true});
}
