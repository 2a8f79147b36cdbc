/** The directories of the last runs: each one's kernel log, and what its command left for the host. */
import {existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Cache} from './cache.js';
import {FileLock} from './lock.js';

const KEEP = 20;

/** Files in a run's directory: locked while the run lasts; the PID, which tells older runners as much; what of the cache it uses. */
const IN_USE = 'in-use';
const PID = 'pid';
const USES = 'uses.json';

/** A directory is a moment older than its lock. */
const NEW_MS = 60_000;

export interface RunDirectory {
  path: string;
  kernelLog: string;
  /** What the guest sees of it. */
  share: string;
  out: string;
  /** Held while the run lasts; QEMU has it too. */
  lock: FileLock;
}

/** Made before the set-up, so that nobody removes from the cache what this run is about to use. */
export async function newRun(cache: Cache): Promise<RunDirectory> {
  const runs = runsIn(cache);
  mkdirSync(runs, {recursive: true});
  // The names begin with the time, so they sort by age.
  for (const name of readdirSync(runs).sort().slice(0, -(KEEP - 1))) {
    if (!(await isRunning(join(runs, name)))) {
      rmSync(join(runs, name), {recursive: true, force: true});
    }
  }
  const stamp = new Date().toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  const path = mkdtempSync(join(runs, `${stamp}-`));
  const lock = await FileLock.acquire(join(path, IN_USE), () => undefined);
  writeFileSync(join(path, PID), String(process.pid));
  const directory = {path, kernelLog: join(path, 'kernel.log'), share: join(path, 'guest'), out: join(path, 'out'), lock};
  mkdirSync(directory.share);
  mkdirSync(directory.out);
  return directory;
}

/** Names entries of the cache, by the paths that they have in it. Until then the run uses everything. */
export function noteUses({path}: RunDirectory, entries: readonly string[]): void {
  writeFileSync(join(path, USES), JSON.stringify(entries));
}

/** Of a run that did not come to its VM nothing is worth keeping. */
export function endRun({path, share, kernelLog, lock}: RunDirectory): void {
  if (existsSync(kernelLog)) {
    for (const name of [PID, IN_USE, USES]) {
      rmSync(join(path, name), {force: true});
    }
    rmSync(share, {recursive: true, force: true});
  } else {
    rmSync(path, {recursive: true, force: true});
  }
  lock.release();
}

export function runsIn(cache: Cache): string {
  return cache.path('runs');
}

/** What the runs that last now use of the cache; undefined when one of them may use anything. */
export async function entriesInUse(cache: Cache): Promise<Set<string> | undefined> {
  const used = new Set<string>();
  const runs = runsIn(cache);
  for (const name of existsSync(runs) ? readdirSync(runs) : []) {
    const path = join(runs, name);
    if (!(await isRunning(path))) {
      continue;
    }
    try {
      (JSON.parse(readFileSync(join(path, USES), 'utf8')) as string[]).forEach((entry) => used.add(entry));
    } catch {
      return undefined;
    }
  }
  return used;
}

export async function isRunning(path: string): Promise<boolean> {
  const isNew = Date.now() - statSync(path).mtimeMs < NEW_MS;
  const files = readdirSync(path);
  if (files.includes(IN_USE)) {
    try {
      const lock = await FileLock.tryToAcquire(join(path, IN_USE));
      lock?.release();
      return lock === undefined || (isNew && !files.includes(PID));
    } catch {
      // Another user's.
      return true;
    }
  }
  return files.includes(PID) ? isAlive(Number(readFileSync(join(path, PID), 'utf8'))) : isNew && files.length === 0;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
