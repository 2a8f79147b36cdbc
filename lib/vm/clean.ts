/** What of the cache no run needs any more: found by itself as newer things are made, or asked for by `framevec vm --clean`. */
import {existsSync, lstatSync, readFileSync, readdirSync, rmSync, statSync} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import type {Cache} from './cache.js';
import {DEBUG_LOCK} from './debug-kernel.js';
import {BUILT_KERNELS} from './kernels.js';
import type {Progress} from './progress.js';
import {entriesInUse, isRunning, runsIn} from './runs.js';

/** Builds of the module that stay, of each kernel: those that were used last. */
const KEEP_BUILDS = 10;

/** Directories of what is made for a kernel's release; of what is made at all; and all that the runner has. */
const BUILDS: readonly string[] = ['modules', 'initramfs'];
const MADE: readonly string[] = ['kernels', ...BUILDS];
const OWN: readonly string[] = [...MADE, 'runs', 'apt', 'sources'];

const DAY_MS = 24 * 3600 * 1000;

/** Directories of tests and checks that remove them at their end. */
const SHORT_LIVED = /^(check|install|scripts)-/;

export interface Entry {
  /** Its path in the cache. */
  name: string;
  bytes: number;
}

/** Kernels that a newer version has taken the place of, with what was made for them. Under the lock. */
export async function removeSuperseded(cache: Cache, progress: Progress): Promise<void> {
  const old = supersededKernels(cache).filter((name) => !BUILT_KERNELS.some((built) => name.startsWith(built)));
  for (const {name, bytes} of await remove(cache, [...old.map((kernel) => `kernels/${kernel}`), ...madeForNone(cache)])) {
    progress.say(`removed ${name}, which nothing uses any more: ${inWords(bytes)}`);
  }
}

/** Builds of the module for `release` that were not used for longest. Under the lock. */
export async function removeOldBuilds(cache: Cache, release: string): Promise<void> {
  await remove(cache, oldBuilds(cache, KEEP_BUILDS).filter((name) => releaseOf(name) === release));
}

/** Everything that a next run would not use; with `all`, everything that no run uses now. */
export async function cleanCache(cache: Cache, all: boolean): Promise<{removed: Entry[]; kept: Entry[]}> {
  return await cache.locked(() => cache.locked(async () => {
    const ended: string[] = [];
    for (const name of entries(cache, 'runs')) {
      if (!(await isRunning(join(runsIn(cache), name)))) {
        ended.push(`runs/${name}`);
      }
    }
    const old = all
      ? [...MADE.flatMap((kind) => namesIn(cache, kind)), ...others(cache)]
      : [...supersededKernels(cache).map((name) => `kernels/${name}`), ...madeForNone(cache), ...oldBuilds(cache, 1)];
    const removed = await remove(cache, [...ended, ...old, ...namesIn(cache, 'apt'), 'sources', ...leftOvers(cache)]);
    const kept = [...MADE, 'runs'].flatMap((kind) => namesIn(cache, kind)).concat(others(cache));
    return {removed, kept: kept.map((name) => ({name, bytes: sizeOf(cache.path(name))}))};
  }), DEBUG_LOCK);
}

export function inWords(bytes: number): string {
  return bytes < 10 * 2 ** 20 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
}

/** The directories of kernels/ that no record names. */
function supersededKernels(cache: Cache): string[] {
  const names = entries(cache, 'kernels');
  const current = new Set(names.filter((name) => name.endsWith('.json')).map((name) => {
    const {directory, id} = JSON.parse(readFileSync(cache.path('kernels', name), 'utf8')) as {directory?: string; id?: string};
    return directory ?? id;
  }));
  return names.filter((name) => !name.endsWith('.json') && !name.endsWith('.part') && !current.has(name));
}

/** What was made for a release of which only a superseded kernel is, or was, in the cache. Another one may be this machine's own. */
function madeForNone(cache: Cache): string[] {
  const superseded = supersededKernels(cache);
  const current = entries(cache, 'kernels').filter((name) => !superseded.includes(name));
  const isOf = (release: string, kernel: string): boolean => kernel.startsWith(`${release}_`);
  return BUILDS.flatMap((kind) => namesIn(cache, kind)).filter((name) => {
    const release = releaseOf(name);
    return superseded.some((kernel) => isOf(release, kernel)) && !current.some((kernel) => isOf(release, kernel));
  });
}

/** All but the `keep` that were used last, of each release. */
function oldBuilds(cache: Cache, keep: number): string[] {
  const seen = new Map<string, number>();
  return BUILDS.flatMap((kind) => namesIn(cache, kind))
    .filter((name) => !name.endsWith('.part'))
    .map((name) => ({name, time: statSync(cache.path(name)).mtimeMs}))
    .sort((one, other) => other.time - one.time)
    .filter(({name}) => {
      const group = `${dirname(name)}/${releaseOf(name)}`;
      const count = (seen.get(group) ?? 0) + 1;
      seen.set(group, count);
      return count > keep;
    })
    .map(({name}) => name);
}

/** Their names are KIND/RELEASE-KEY. */
function releaseOf(name: string): string {
  return basename(name).replace(/-[0-9a-f]{16}$/, '');
}

function leftOvers(cache: Cache): string[] {
  const parts = MADE.flatMap((kind) => namesIn(cache, kind)).filter((name) => name.endsWith('.part'));
  const old = entries(cache, '.').filter((name) => SHORT_LIVED.test(name) && Date.now() - statSync(cache.path(name)).mtimeMs > DAY_MS);
  return [...parts, ...old];
}

/** What tests and checks have put there: npm's packages, checkpatch. */
function others(cache: Cache): string[] {
  return entries(cache, '.').filter((name) => isDirectory(cache.path(name)) && !OWN.includes(name) && !SHORT_LIVED.test(name));
}

/** Removes what is there, unless a run uses it. Of what runs do not name, such as npm's packages, only that they run is known. */
async function remove(cache: Cache, names: readonly string[]): Promise<Entry[]> {
  const there = names.filter((name) => existsSync(cache.path(name)));
  const used = there.length === 0 ? undefined : await entriesInUse(cache);
  const isFree = (name: string): boolean => {
    if (dirname(name) === 'runs') return true;
    if (used === undefined) return false;
    return MADE.includes(dirname(name)) && !name.endsWith('.json') ? !used.has(name) : used.size === 0 || dirname(name) === 'apt' || name === 'sources';
  };
  return there.filter(isFree).map((name) => {
    const bytes = sizeOf(cache.path(name));
    rmSync(cache.path(name), {recursive: true, force: true});
    return {name, bytes};
  });
}

function namesIn(cache: Cache, kind: string): string[] {
  return entries(cache, kind).map((name) => `${kind}/${name}`);
}

/** The names in a directory; none if it is another cache's, here by a link. */
function entries(cache: Cache, kind: string): string[] {
  return isDirectory(cache.path(kind)) ? readdirSync(cache.path(kind)) : [];
}

function isDirectory(path: string): boolean {
  return lstatSync(path, {throwIfNoEntry: false})?.isDirectory() ?? false;
}

function sizeOf(path: string): number {
  const stat = lstatSync(path, {throwIfNoEntry: false});
  if (stat === undefined) return 0;
  const own = stat.blocks * 512;
  return stat.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), own) : own;
}
