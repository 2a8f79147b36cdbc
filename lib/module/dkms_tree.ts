/**
 * What dkms keeps of the module, and where it puts what it built, read from its files: dkms ends with status 0 although it did
 * nothing when a source tree is gone, and it may itself be gone.
 */
import {existsSync, lstatSync, readFileSync, readdirSync, readlinkSync, renameSync, rmSync, rmdirSync, symlinkSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {must, run} from '../vm/programs.js';
import {makeDirectory} from './files.js';
import {sourceTree} from './source_tree.js';

export const DKMS_TREE = '/var/lib/dkms';
const OURS = join(DKMS_TREE, 'framevec');
const KERNELS = '/lib/modules';

/** Below /lib/modules/RELEASE: the first is dkms's alone; in the others, of other distributions, there may be somebody else's. */
const OWN_PLACE = 'updates/dkms';
const SHARED_PLACES = ['updates', 'extra', 'weak-updates'];

const IS_MODULE = /^framevec\.ko(\.(gz|xz|zst))?$/;

function names(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

/** The versions that dkms knows. */
export function dkmsVersions(): string[] {
  return names(OURS).filter((name) => name !== 'original_module' && lstatSync(join(OURS, name)).isDirectory());
}

export interface ActiveKernel {
  kernel: string;
  version: string;
  link: string;
}

/** The kernels that dkms has a version installed for: kernel-RELEASE-ARCH is a link to VERSION/RELEASE/ARCH. */
export function activeKernels(): ActiveKernel[] {
  return names(OURS).filter((name) => name.startsWith('kernel-')).flatMap((name) => {
    const link = join(OURS, name);
    const [version, kernel] = lstatSync(link).isSymbolicLink() ? readlinkSync(link).split('/').slice(-3) : [];
    return version === undefined || kernel === undefined ? [] : [{kernel, version, link}];
  });
}

export interface ModuleFile {
  kernel: string;
  path: string;
}

/** The modules that dkms put below /lib/modules. */
export function moduleFiles(): ModuleFile[] {
  const copies = dkmsVersions().flatMap((version) =>
    readdirSync(join(OURS, version), {recursive: true, withFileTypes: true})
      .filter((entry) => entry.isFile() && IS_MODULE.test(entry.name))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name))),
  );
  const isCopy = (path: string): boolean => {
    const file = readFileSync(path);
    return copies.some((copy) => copy.equals(file));
  };
  return names(KERNELS).flatMap((kernel) => {
    const below = (place: string): string[] => names(join(KERNELS, kernel, place)).filter((name) => IS_MODULE.test(name)).map((name) => join(KERNELS, kernel, place, name));
    return [...below(OWN_PLACE), ...SHARED_PLACES.flatMap(below).filter((path) => existsSync(path) && isCopy(path))].map((path) => ({kernel, path}));
  });
}

/** Everything of the module that dkms keeps. */
export function dkmsPaths(): string[] {
  return [...(existsSync(OURS) ? [OURS] : []), ...moduleFiles().map(({path}) => path)];
}

export async function depmod(kernels: Iterable<string>): Promise<void> {
  for (const kernel of new Set(kernels)) {
    // A kernel that was removed leaves its directory behind when something is in it.
    if (existsSync(join(KERNELS, kernel, 'modules.builtin'))) await must(`depmod for ${kernel}`, 'depmod', ['-a', kernel]);
  }
}

/** Removes files below /lib/modules, and the directories that are empty then; depmod is the caller's. */
export function removeModuleFiles(files: readonly ModuleFile[]): void {
  for (const {kernel, path} of files) {
    rmSync(path);
    for (let directory = dirname(path); directory !== join(KERNELS, kernel) && names(directory).length === 0; directory = dirname(directory)) {
      rmdirSync(directory);
    }
  }
}

/** Removes what dkms keeps of a version, and what it installed of it, without dkms. */
export async function sweepVersion(version: string): Promise<void> {
  const active = activeKernels().filter((one) => one.version === version);
  const files = moduleFiles().filter(({kernel}) => active.some((one) => one.kernel === kernel));
  removeModuleFiles(files);
  for (const {link} of active) rmSync(link);
  rmSync(join(OURS, version), {recursive: true, force: true});
  removeIfEmpty();
  await depmod(files.map(({kernel}) => kernel));
}

/** dkms does not know of these any more. */
export async function sweepRest(): Promise<string[]> {
  const files = moduleFiles();
  removeModuleFiles(files);
  for (const name of names(OURS)) rmSync(join(OURS, name), {recursive: true});
  removeIfEmpty();
  await depmod(files.map(({kernel}) => kernel));
  return files.map(({path}) => path);
}

function removeIfEmpty(): void {
  if (existsSync(OURS) && names(OURS).length === 0) rmdirSync(OURS);
}

/** Puts a version that was built in a tree of its own into dkms's, as if it had been built there. */
export function adopt(version: string, stagedTree: string): void {
  const final = join(OURS, version);
  makeDirectory(OURS);
  renameSync(join(stagedTree, 'framevec', version), final);
  rmSync(join(final, 'source'), {force: true});
  symlinkSync(sourceTree(version), join(final, 'source'));
}

/** What modprobe would load, on each kernel that is on the machine. */
export async function modulesInIndex(): Promise<ModuleFile[]> {
  const found: ModuleFile[] = [];
  for (const kernel of names(KERNELS).filter((name) => existsSync(join(KERNELS, name, 'modules.dep')))) {
    const {status, stdout} = await run('modinfo', ['-k', kernel, '-n', 'framevec']);
    if (status === 0) found.push({kernel, path: stdout.trim()});
  }
  return found;
}
