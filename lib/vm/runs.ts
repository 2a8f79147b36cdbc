/** The directories of the last runs: each one's kernel log, and what its command left for the host. */
import {existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Cache} from './cache.js';

const KEEP = 20;
const OWNER = 'pid';

export interface RunDirectory {
  path: string;
  kernelLog: string;
  /** What the guest sees of it. */
  share: string;
  out: string;
}

export function newRun(cache: Cache): RunDirectory {
  const runs = cache.path('runs');
  mkdirSync(runs, {recursive: true});
  prune(runs);
  const stamp = new Date().toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  const path = mkdtempSync(join(runs, `${stamp}-`));
  writeFileSync(join(path, OWNER), String(process.pid));
  const directory = {path, kernelLog: join(path, 'kernel.log'), share: join(path, 'guest'), out: join(path, 'out')};
  mkdirSync(directory.share);
  mkdirSync(directory.out);
  return directory;
}

export function endRun({path, share}: RunDirectory): void {
  rmSync(join(path, OWNER), {force: true});
  rmSync(share, {recursive: true, force: true});
}

/** The names begin with the time, so they sort by age. */
function prune(runs: string): void {
  for (const name of readdirSync(runs).sort().slice(0, -(KEEP - 1))) {
    const path = join(runs, name);
    if (!isRunning(path)) {
      rmSync(path, {recursive: true, force: true});
    }
  }
}

function isRunning(path: string): boolean {
  const owner = join(path, OWNER);
  if (!existsSync(owner)) {
    return false;
  }
  try {
    process.kill(Number(readFileSync(owner, 'utf8')), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
