/** dkms(8), as far as one module needs it. */
import {readFileSync} from 'node:fs';
import {arch} from 'node:os';
import {join} from 'node:path';
import {findProgram, run, type Outcome} from '../vm/programs.js';
import {sweepVersion} from './dkms_tree.js';
import {buildFailure} from './build_log.js';
import {ModuleError, buildFailed} from './errors.js';
import {BUILD_LOG, writeSystemFile} from './files.js';
import {KERNEL_RANGE} from './kernel_range.js';

/** One version of the module that dkms knows. */
export interface DkmsEntry {
  version: string;
  /** Undefined while it is only added: not built for any kernel. */
  kernel?: string;
  /** dkms's word: added, built, installed. */
  state: string;
  /** What dkms found wrong: a built module that is missing, or not the one that is installed. */
  warning?: string;
}

/** Of `dkms status framevec`: `framevec/0.1.0, 6.1.0-56-amd64, x86_64: installed`, in dkms 2 with a comma for the slash. */
export function parseDkmsStatus(text: string): DkmsEntry[] {
  return [...text.matchAll(/^framevec[/,] ?([^,:]+)(?:, ([^,:]+), [^,:]+)?: *(\w+)(?:.*\(WARNING! ([^)]*)\))?/gm)].map(([, version = '', kernel, state = '', warning]) => ({
    version,
    ...(kernel !== undefined && {kernel}),
    state,
    ...(warning !== undefined && {warning}),
  }));
}

/** The line that tells why dkms failed. Its exit status does not tell whether it did: it is 0 when a source tree is gone. */
function complaint({status, stderr}: Outcome): string | undefined {
  const [said] = /^Error! .*(?:\n(?!Error!).+)?/m.exec(stderr) ?? [];
  if (said !== undefined) return said.replace(/\s+/g, ' ').trim();
  return status === 0 ? undefined : `status ${status}`;
}

export async function dkmsEntries(): Promise<DkmsEntry[]> {
  const outcome = await run('dkms', ['status', 'framevec']);
  const why = complaint(outcome);
  if (why !== undefined) throw new ModuleError(`\`dkms status framevec\` failed: ${why}`, outcome.stderr);
  return parseDkmsStatus(outcome.stdout);
}

/** Trees of dkms for one build, so that what is installed stays as it is. */
export interface Staging {
  /** Where dkms builds. */
  tree: string;
  /** Where it takes the sources from. */
  sources: string;
}

/** Builds and signs, and installs nothing. */
export async function dkmsBuild(version: string, release: string, {tree, sources}: Staging): Promise<void> {
  const outcome = await run('dkms', ['build', `framevec/${version}`, '-k', release, '--dkmstree', tree, '--sourcetree', sources]);
  const {status, stdout, stderr} = outcome;
  if (status === 77) {
    throw new ModuleError(`the module is not for kernel ${release} on ${arch()}: it is for ${KERNEL_RANGE} on x86-64`);
  }
  const why = complaint(outcome);
  if (why === undefined) return;
  const log = buildLog(join(tree, 'framevec', version, 'build/make.log'));
  // The tree of a staged build does not last.
  if (log !== '') writeSystemFile(BUILD_LOG, log);
  throw buildFailed(release, buildFailure(log) ?? why, log === '' ? undefined : BUILD_LOG, `${stdout}${stderr}${log}`);
}

function buildLog(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Installs what dkms has built, whatever version was there. */
export async function dkmsInstall(version: string, release: string): Promise<void> {
  const outcome = await run('dkms', ['install', `framevec/${version}`, '-k', release, '--force']);
  const why = complaint(outcome);
  if (why !== undefined) throw new ModuleError(`dkms could not install the module for ${release}: ${why}`, `${outcome.stdout}${outcome.stderr}`);
}

/** Takes a version away for every kernel; why dkms could not, in which case its files were removed without it. */
export async function dkmsRemove(version: string): Promise<string | undefined> {
  const why = findProgram('dkms') === undefined ? 'dkms is not installed' : complaint(await run('dkms', ['remove', `framevec/${version}`, '--all']));
  await sweepVersion(version);
  return why;
}
