/**
 * A sanitizing kernel: Debian's linux-source-6.1, built once in the cache with KASAN, lockdep, kmemleak, DEBUG_VM,
 * PAGE_TABLE_CHECK and fault injection. Its configuration is the checkout's, test/debug-kernel.config.
 */
import {createHash} from 'node:crypto';
import {copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {Cache} from './cache.js';
import {VmError} from './errors.js';
import {DEBUG_KERNEL} from './kernels.js';
import {PackageSource} from './packages.js';
import {findProgram, must} from './programs.js';
import type {Progress} from './progress.js';

const CONFIG = fileURLToPath(new URL('../../../test/debug-kernel.config', import.meta.url));
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

interface Record {
  config: string;
  release: string;
  id: string;
}

export async function buildDebugKernel(cache: Cache, progress: Progress, refresh: boolean): Promise<DebugKernel> {
  if (!existsSync(CONFIG)) {
    throw new VmError(`--kernel ${DEBUG_KERNEL} is for a checkout of framevec: the configuration is in its test/`);
  }
  const config = createHash('sha256').update(readFileSync(CONFIG)).digest('hex').slice(0, 16);
  const recordPath = cache.path('kernels', `${DEBUG_KERNEL}.json`);
  const read = (): DebugKernel | undefined => {
    try {
      const record = JSON.parse(readFileSync(recordPath, 'utf8')) as Record;
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
    const id = `${DEBUG_KERNEL}-${source.version}-${config}`;
    const directory = cache.path('kernels', id);
    if (!existsSync(directory)) {
      await cache.make(directory, (temporary) => build(progress, source.archive, temporary));
    }
    const release = readFileSync(join(directory, 'release'), 'utf8').trim();
    cache.writeJson(recordPath, {config, release, id} satisfies Record);
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
async function build(progress: Progress, archive: string, temporary: string): Promise<void> {
  const tree = join(temporary, 'build');
  const jobs = availableParallelism();
  // A make around this one has options and a job server of its own.
  const env = {MAKEFLAGS: undefined, MFLAGS: undefined, MAKEOVERRIDES: undefined, MAKELEVEL: undefined, KCONFIG_ALLCONFIG: CONFIG};
  const make = (what: string, ...args: string[]): Promise<string> => must(what, 'nice', ['-n', '10', 'make', '-C', tree, `-j${jobs}`, ...args], {env});

  progress.say(`a sanitizing kernel is built now, once: on ${jobs} processors it takes ${Math.ceil(12 / jobs)} to ${Math.ceil(40 / jobs)} minutes and 3 GB for the time`);
  mkdirSync(tree);
  await progress.step(`unpack ${SOURCE_PACKAGE}`, () => must('unpacking the source', 'tar', ['-C', tree, '--strip-components=1', '-xf', archive]));
  await make('configuring the kernel', 'allnoconfig');
  checkConfig(readFileSync(CONFIG, 'utf8'), readFileSync(join(tree, '.config'), 'utf8'));
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
  const missing = asked.split('\n').filter((line) => /^CONFIG_\w+=/.test(line))
    .filter((line) => (line.endsWith('=n') ? new RegExp(`^${line.slice(0, -1)}[ym]$`, 'm').test(made) : !lines.has(line)));
  if (missing.length > 0) {
    throw new VmError(`this kernel's configuration cannot be had as it was asked for: ${missing.join(', ')}`);
  }
}
