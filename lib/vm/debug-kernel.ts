/**
 * The sanitizing kernels: Debian's linux-source-6.1, each built once in the cache. `debug` has KASAN, lockdep, kmemleak, DEBUG_VM,
 * PAGE_TABLE_CHECK and fault injection. `kcsan` has the Kernel Concurrency Sanitizer instead of what does not go with it.
 * Their configurations are the checkout's.
 */
import {createHash} from 'node:crypto';
import {copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {Cache} from './cache.js';
import {VmError} from './errors.js';
import {type BUILT_KERNELS, DEBUG_KERNEL, KCSAN_KERNEL} from './kernels.js';
import {PackageSource} from './packages.js';
import {findProgram, must} from './programs.js';
import type {Progress} from './progress.js';

export type BuiltKernel = (typeof BUILT_KERNELS)[number];

const inTest = (name: string): string => fileURLToPath(new URL(`../../../test/${name}`, import.meta.url));

/** What a configuration consists of. A later file has the last word. */
const CONFIGS: Readonly<Record<BuiltKernel, readonly string[]>> = {
  [DEBUG_KERNEL]: [inTest('debug-kernel.config')],
  [KCSAN_KERNEL]: [inTest('debug-kernel.config'), inTest('kcsan-kernel.config')],
};
const SOURCE_PACKAGE = 'linux-source-6.1';

/** The general lock would keep every other run waiting for the better part of an hour. */
export const DEBUG_LOCK = 'lock-debug-kernel';

/** What a kernel build needs besides what a module build does; the command to be there, or the header. */
const NEEDS: readonly (readonly [name: string, isThere: () => boolean])[] = [
  ...['flex', 'bison', 'bc'].map((name) => [name, () => findProgram(name) !== undefined] as const),
  ['libelf-dev', () => existsSync('/usr/include/gelf.h')],
  ['libssl-dev', () => existsSync('/usr/include/openssl/opensslv.h')],
];

/** What a module build does not read; the tree is a third without. */
const NOT_FOR_MODULES = [
  'Documentation', 'block', 'certs', 'crypto', 'debian', 'drivers', 'fs', 'ipc', 'kernel', 'lib', 'mm', 'net', 'samples', 'security', 'sound', 'virt',
  'vmlinux', 'vmlinux.o', 'vmlinux.a',
];

export interface DebugKernel {
  directory: string;
  release: string;
  /** Tells one build from the next. */
  id: string;
}

interface Built {
  config: string;
  release: string;
  id: string;
}

export async function buildDebugKernel(cache: Cache, progress: Progress, name: BuiltKernel, refresh: boolean): Promise<DebugKernel> {
  if (!CONFIGS[name].every((file) => existsSync(file))) {
    throw new VmError(`--kernel ${name} is for a checkout of framevec: the configuration is in its test/`);
  }
  const text = CONFIGS[name].map((file) => readFileSync(file, 'utf8')).join('');
  const config = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const recordPath = cache.path('kernels', `${name}.json`);
  const read = (): DebugKernel | undefined => {
    try {
      const record = JSON.parse(readFileSync(recordPath, 'utf8')) as Built;
      const directory = cache.path('kernels', record.id);
      return record.config === config && existsSync(directory) ? {directory, release: record.release, id: record.id} : undefined;
    } catch {
      return undefined;
    }
  };
  const there = refresh ? undefined : read();
  if (there !== undefined) {
    return there;
  }

  requireNeeds();
  return await cache.locked(async () => {
    // Another run may have built it while this one waited.
    const built = refresh ? undefined : read();
    if (built !== undefined) {
      return built;
    }
    const source = await fetchSource(cache, progress);
    const id = `${name}-${source.version}-${config}`;
    const directory = cache.path('kernels', id);
    if (!existsSync(directory)) {
      await cache.make(directory, (temporary) => build(progress, source.archive, temporary, text));
    }
    const release = readFileSync(join(directory, 'release'), 'utf8').trim();
    cache.writeJson(recordPath, {config, release, id} satisfies Built);
    rmSync(source.archive, {force: true});
    return {directory, release, id};
  }, DEBUG_LOCK);
}

function requireNeeds(): void {
  const missing = NEEDS.filter(([, isThere]) => !isThere()).map(([name]) => name);
  if (missing.length > 0) {
    throw new VmError(`building the kernel needs packages that are missing; as root: apt-get install ${missing.join(' ')}`);
  }
}

async function fetchSource(cache: Cache, progress: Progress): Promise<{archive: string; version: string}> {
  return await cache.locked(async () => {
    const source = new PackageSource(cache, progress, {release: 'bookworm', part: 'updated'});
    await source.update();
    const directory = cache.path('sources');
    rmSync(directory, {recursive: true, force: true});
    mkdirSync(directory, {recursive: true});
    return await progress.step(`fetch ${SOURCE_PACKAGE}`, async () => {
      const deb = await source.download({name: SOURCE_PACKAGE}, directory);
      const version = (await must('reading the source package', 'dpkg-deb', ['-f', deb, 'Version'])).trim();
      await must('unpacking the source package', 'dpkg-deb', ['-x', deb, join(directory, 'deb')]);
      const archive = join(directory, `${SOURCE_PACKAGE}.tar.xz`);
      renameSync(join(directory, 'deb/usr/src', `${SOURCE_PACKAGE}.tar.xz`), archive);
      rmSync(join(directory, 'deb'), {recursive: true});
      rmSync(deb);
      return {archive, version};
    });
  });
}

/** bzImage, release, lib/modules, and in build/ what a module is built against. */
async function build(progress: Progress, archive: string, temporary: string, config: string): Promise<void> {
  const tree = join(temporary, 'build');
  const jobs = availableParallelism();
  const asked = join(temporary, 'asked.config');
  writeFileSync(asked, config);
  // A make around this one has options and a job server of its own.
  const env = {MAKEFLAGS: undefined, MFLAGS: undefined, MAKEOVERRIDES: undefined, MAKELEVEL: undefined, KCONFIG_ALLCONFIG: asked};
  const make = (what: string, ...args: string[]): Promise<string> => must(what, 'nice', ['-n', '10', 'make', '-C', tree, `-j${jobs}`, ...args], {env});

  progress.say(`a sanitizing kernel is built now, once: on ${jobs} processors it takes ${Math.ceil(12 / jobs)} to ${Math.ceil(40 / jobs)} minutes and 3 GB for the time`);
  mkdirSync(tree);
  await progress.step(`unpack ${SOURCE_PACKAGE}`, () => must('unpacking the source', 'tar', ['-C', tree, '--strip-components=1', '-xf', archive]));
  await make('configuring the kernel', 'allnoconfig');
  checkConfig(config, readFileSync(join(tree, '.config'), 'utf8'));
  await progress.step('build the sanitizing kernel', () => make('building the kernel', 'bzImage', 'modules'));
  await make('installing its modules', 'modules_install', `INSTALL_MOD_PATH=${temporary}`);
  const release = readFileSync(join(tree, 'include/config/kernel.release'), 'utf8').trim();
  copyFileSync(join(tree, 'arch/x86/boot/bzImage'), join(temporary, 'bzImage'));
  copyFileSync(join(tree, 'include/config/kernel.release'), join(temporary, 'release'));
  for (const link of ['build', 'source']) {
    rmSync(join(temporary, 'lib/modules', release, link), {force: true});
  }
  await must('listing its modules', 'depmod', ['-b', temporary, release]);
  for (const name of NOT_FOR_MODULES) {
    rmSync(join(tree, name), {recursive: true, force: true});
  }
}

/** A switch whose dependencies are not met is left out without a word: a check that is not in the kernel finds nothing. */
export function checkConfig(asked: string, made: string): void {
  const lines = new Set(made.split('\n'));
  const switches = new Map(asked.split('\n').filter((line) => /^CONFIG_\w+=/.test(line)).map((line) => [line.split('=', 1)[0], line]));
  const missing = [...switches.values()]
    .filter((line) => (line.endsWith('=n') ? new RegExp(`^${line.slice(0, -1)}[ym]$`, 'm').test(made) : !lines.has(line)));
  if (missing.length > 0) {
    throw new VmError(`this kernel's configuration cannot be had as it was asked for: ${missing.join(', ')}`);
  }
}
