/** A kernel on the disk, ready to boot and to build for: fetched into the cache, or one that the machine has already. */
import {existsSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {release as runningRelease} from 'node:os';
import {basename, dirname, join, resolve} from 'node:path';
import {findPayload, writeVmlinux} from './bzimage.js';
import type {Cache} from './cache.js';
import {removeSuperseded} from './clean.js';
import {EXIT, VmError} from './errors.js';
import {buildDebugKernel, type BuiltKernel} from './debug-kernel.js';
import {BUILT_KERNELS, DEBUG_KERNEL, DEFAULT_KERNEL, KCSAN_KERNEL, KERNEL_NAMES, findKernelKind, type KernelKind, type Suite} from './kernels.js';
import {PackageSource, type PackageVersion} from './packages.js';
import {must} from './programs.js';
import type {Progress} from './progress.js';
import {prepareKbuildPrograms} from './kbuild-libc.js';

export interface Kernel {
  /** As --kernel named it. */
  name: string;
  /** uname -r */
  release: string;
  /** What QEMU starts: the ELF kernel where there is one, a bzImage otherwise. */
  image: string;
  /** The directory above lib/modules/RELEASE. */
  modulesRoot: string;
  /** Where `make -C` goes; undefined when there are no headers. */
  headers: string | undefined;
  makeArguments: readonly string[];
  /** What this kernel's command line has besides. */
  commandLine?: string;
  /** Tells one build of a release from the next in cache keys. */
  id: string;
}

export interface KernelRequest {
  name: string;
  /** The directory with a kernel file's modules, lib/modules/RELEASE or one above it. */
  modules?: string | undefined;
  /** The directory with a kernel file's headers; beside its modules by default. */
  headers?: string | undefined;
  /** Ask the archive whether there is a newer one. */
  refresh?: boolean | undefined;
}

export async function findKernel(cache: Cache, progress: Progress, request: KernelRequest): Promise<Kernel> {
  if (request.headers !== undefined && !request.name.includes('/') && request.name !== 'host') {
    throw new VmError(`--headers is for a kernel file: --kernel ${request.name} has headers of its own`);
  }
  const kind = findKernelKind(request.name);
  if (kind !== undefined) {
    return await packagedKernel(cache, progress, kind, request.refresh ?? false);
  }
  const built = BUILT_KERNELS.find((name) => name === request.name);
  if (built !== undefined) {
    return await debugKernel(cache, progress, built, request.refresh ?? false);
  }
  if (request.name === 'host') {
    return withHeaders(await installedKernel(), request.headers);
  }
  if (request.name.includes('/')) {
    return withHeaders(await kernelFile(request.name, request.modules), request.headers);
  }
  throw new VmError(`--kernel ${request.name}: unknown; one of ${KERNEL_NAMES.join(', ')}, or the path of a kernel file`);
}

/** What the cache remembers of a kernel: its directory, made of these versions. */
interface Fetched {
  directory: string;
  release: string;
  packages: PackageVersion[];
}

async function packagedKernel(cache: Cache, progress: Progress, kind: KernelKind, refresh: boolean): Promise<Kernel> {
  const recordPath = cache.path('kernels', `${kind.name}.json`);
  const read = (): Fetched | undefined => {
    try {
      const record = JSON.parse(readFileSync(recordPath, 'utf8')) as Fetched;
      return existsSync(cache.path('kernels', record.directory)) ? record : undefined;
    } catch {
      return undefined;
    }
  };

  let record = refresh ? undefined : read();
  record ??= await cache.locked(async () => {
    // Another run may have fetched it while this one waited.
    const there = refresh ? undefined : read();
    if (there !== undefined) {
      return there;
    }
    const fetched = await fetchKernel(cache, progress, kind);
    cache.writeJson(recordPath, fetched);
    await removeSuperseded(cache, progress);
    return fetched;
  });

  const directory = cache.path('kernels', record.directory);
  return {
    name: kind.name,
    release: record.release,
    image: join(directory, 'vmlinux'),
    modulesRoot: directory,
    headers: join(directory, 'usr/src', `linux-headers-${record.release}`),
    makeArguments: kind.makeArguments,
    id: record.directory,
  };
}

async function fetchKernel(cache: Cache, progress: Progress, kind: KernelKind): Promise<Fetched> {
  try {
    return await fetchFrom(cache, progress, kind, kind.suite);
  } catch (error) {
    if (kind.suite.part !== 'updated' || !(error instanceof VmError) || error.status === EXIT.interrupted) {
      throw error;
    }
    // An archive can name a security update that its servers do not have (any more); the release's own kernel stays.
    progress.say(`${error.message}; trying the kernel that ${kind.suite.release} was released with`);
    return await fetchFrom(cache, progress, kind, {...kind.suite, part: 'main'});
  }
}

async function fetchFrom(cache: Cache, progress: Progress, kind: KernelKind, suite: Suite): Promise<Fetched> {
  const source = new PackageSource(cache, progress, suite);
  await source.update();
  const packages = await source.resolve(kind.packages);
  const image = packages.find(({name}) => /^linux-image-\d/.test(name));
  if (image === undefined) {
    throw new VmError(`${source.suiteName} has no ${kind.packages[0]}`);
  }
  const release = image.name.slice('linux-image-'.length);
  const directory = `${release}_${image.version}`;
  const final = cache.path('kernels', directory);
  if (existsSync(final)) {
    return {directory, release, packages};
  }

  await cache.make(final, async (temporary) => {
    for (const item of packages) {
      await progress.step(`fetch ${item.name}`, async () => {
        const file = await source.download(item, join(temporary, 'download'));
        await must(`unpacking ${item.name}`, 'dpkg-deb', ['-x', file, temporary]);
        rmSync(file);
      });
    }
    rmSync(join(temporary, 'download'), {recursive: true, force: true});
    await progress.step(`prepare ${release}`, () => arrange(temporary, final, release));
    if (kind.kbuildLibc !== undefined) {
      await prepareKbuildPrograms(cache, progress, kind.kbuildLibc, temporary, final);
    }
  });
  return {directory, release, packages};
}

/** Makes one usable tree of the unpacked packages, which will stand at `final`. */
async function arrange(tree: string, final: string, release: string): Promise<void> {
  // Since trixie packages unpack below /usr, where depmod and the guest's modprobe do not look.
  if (!existsSync(join(tree, 'lib'))) {
    symlinkSync('usr/lib', join(tree, 'lib'));
  }
  await must(`listing the modules of ${release}`, 'depmod', ['-b', tree, release]);

  const makefile = join(tree, 'usr/src', `linux-headers-${release}`, 'Makefile');
  writeFileSync(makefile, readFileSync(makefile, 'utf8').replaceAll('/usr/src/', `${final}/usr/src/`));

  const packed = [join(tree, 'boot', `vmlinuz-${release}`), join(tree, 'lib/modules', release, 'vmlinuz')].find((path) => existsSync(path));
  if (packed === undefined) {
    throw new VmError(`the packages of ${release} hold no kernel image`);
  }
  const payload = findPayload(readFileSync(packed));
  if (payload === undefined) {
    throw new VmError(`${basename(packed)} is packed in a way that is not known here`);
  }
  await writeVmlinux(payload, join(tree, 'vmlinux'));
}

/** How a sanitizing kernel is booted, and a module built for it. */
const BUILT: Readonly<Record<BuiltKernel, {makeArguments: readonly string[]; commandLine: string}>> = {
  [DEBUG_KERNEL]: {
    // Counts how often each line of the module is executed.
    makeArguments: ['GCOV_PROFILE=y'],
    // One report is seldom the only one, and of a leak the log shall say what it is.
    commandLine: 'kasan_multi_shot kmemleak.verbose=1',
  },
  [KCSAN_KERNEL]: {
    makeArguments: [],
    // Off at boot unless told. The defaults watch too few accesses for too short a time.
    commandLine: 'kcsan.early_enable=1 kcsan.skip_watch=150 kcsan.udelay_task=200',
  },
};

async function debugKernel(cache: Cache, progress: Progress, name: BuiltKernel, refresh: boolean): Promise<Kernel> {
  const {directory, release, id} = await buildDebugKernel(cache, progress, name, refresh);
  return {
    name,
    release,
    // It does not start by PVH.
    image: join(directory, 'bzImage'),
    modulesRoot: directory,
    headers: join(directory, 'build'),
    ...BUILT[name],
    id,
  };
}

/** The machine's own: the running one if its file is there, otherwise the newest that is installed. */
async function installedKernel(): Promise<Kernel> {
  for (const release of [runningRelease(), ...newestFirst(entries('/lib/modules'))]) {
    const image = imageOf(release);
    if (image !== undefined && existsSync(join('/lib/modules', release, 'modules.dep'))) {
      return await describe('host', release, image, '/');
    }
  }
  throw new VmError(`--kernel host: this machine has no kernel file with modules in /boot and /lib/modules; use --kernel ${DEFAULT_KERNEL}`);
}

const imageOf = (release: string): string | undefined =>
  [`/boot/vmlinuz-${release}`, `/lib/modules/${release}/vmlinuz`].find((path) => existsSync(path));

function newestFirst(releases: readonly string[]): string[] {
  return releases.toSorted((one, other) => other.localeCompare(one, 'en', {numeric: true}));
}

async function kernelFile(path: string, modules: string | undefined): Promise<Kernel> {
  const image = resolve(path);
  if (!existsSync(image)) {
    throw new VmError(`--kernel ${path}: there is no such file`);
  }
  const root = modulesRoot(image, modules);
  const releases = entries(join(root, 'lib/modules')).filter((name) => existsSync(join(root, 'lib/modules', name, 'modules.order')));
  const release = releases.find((name) => basename(image).includes(name)) ?? (releases.length === 1 ? releases[0] : undefined);
  if (release === undefined) {
    throw new VmError(`--kernel ${path}: its modules are not in ${root === '/' ? '' : root}/lib/modules; say where with --modules DIRECTORY`);
  }
  return await describe(path, release, image, root);
}

/** `modules` may be .../lib/modules/RELEASE, .../lib/modules, or what modules_install was given as INSTALL_MOD_PATH. */
function modulesRoot(image: string, modules: string | undefined): string {
  if (modules !== undefined) {
    const directory = resolve(modules);
    const match = /^(.*)\/lib\/modules(?:\/[^/]+)?$/.exec(directory);
    return match === null ? directory : (match[1] === '' ? '/' : (match[1] ?? '/'));
  }
  const beside = dirname(image);
  return [beside, dirname(beside)].find((directory) => existsSync(join(directory, 'lib/modules'))) ?? '/';
}

async function describe(name: string, release: string, image: string, root: string): Promise<Kernel> {
  if (root !== '/' && !existsSync(join(root, 'lib/modules', release, 'modules.dep'))) {
    await must(`listing the modules of ${release}`, 'depmod', ['-b', root, release]);
  }
  const headers = join(root, 'lib/modules', release, 'build');
  return {
    name,
    release,
    image,
    modulesRoot: root,
    headers: existsSync(join(headers, 'Makefile')) ? headers : undefined,
    makeArguments: [],
    id: `${release}_${image.replaceAll('/', '-')}`,
  };
}

/** Headers of another kernel would build a module that this one does not load. */
export function withHeaders(kernel: Kernel, directory: string | undefined): Kernel {
  if (directory === undefined) return kernel;
  const headers = resolve(directory);
  if (!existsSync(join(headers, 'Makefile'))) throw new VmError(`--headers ${directory}: there is no Makefile in it, so these are no headers to build a module with`);
  // What a module is stamped with; kernel.release is another on Debian.
  let release: string | undefined;
  try {
    release = /UTS_RELEASE "([^"]*)"/.exec(readFileSync(join(headers, 'include/generated/utsrelease.h'), 'utf8'))?.[1];
  } catch {
    // The next line tells.
  }
  if (release === undefined) throw new VmError(`--headers ${directory}: include/generated/utsrelease.h is missing: the tree is not prepared (make modules_prepare)`);
  if (release !== kernel.release) throw new VmError(`--headers ${directory}: these are the headers of ${release}, and the kernel is ${kernel.release}`);
  return {...kernel, headers};
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
