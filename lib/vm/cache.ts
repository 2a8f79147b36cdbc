/** The runner's cache: whatever is in it is complete, because it is made aside and renamed into place under a lock. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {homedir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {VmError, messageOf} from './errors.js';
import {findProgram} from './programs.js';

/** In the guest these are other file systems, so a cache there could not be seen. */
const HIDDEN_IN_GUEST = ['/run', '/var/run', '/dev', '/proc', '/sys'];

export function cacheDirectory(env: Record<string, string | undefined> = process.env): string {
  // An empty variable is as good as none.
  const [own, shared] = [env.FRAMEVEC_CACHE, env.XDG_CACHE_HOME].map((value) => (value === '' ? undefined : value));
  return resolve(own ?? join(shared ?? join(homedir(), '.cache'), 'framevec'));
}

export function isHiddenInGuest(path: string): boolean {
  return HIDDEN_IN_GUEST.some((root) => path === root || path.startsWith(`${root}/`));
}

export class Cache {
  constructor(readonly directory: string) {
    if (isHiddenInGuest(directory)) {
      throw new VmError(`the cache ${directory} would not be seen in the guest; set FRAMEVEC_CACHE to a directory elsewhere`);
    }
    try {
      mkdirSync(directory, {recursive: true});
    } catch (error) {
      throw new VmError(`the cache cannot be made: ${messageOf(error)}; set FRAMEVEC_CACHE to a writable directory`);
    }
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  /** A directory of the cache, made by `fill` unless it is there. An interrupted `fill` leaves nothing behind that counts. */
  async entry(path: string, fill: (temporary: string) => Promise<void>, lock?: string): Promise<string> {
    if (existsSync(path)) {
      return path;
    }
    return await this.locked(async () => {
      if (!existsSync(path)) {
        // The lock is ours, so a left-over belongs to nobody.
        const temporary = `${path}.part`;
        rmSync(temporary, {recursive: true, force: true});
        mkdirSync(temporary, {recursive: true});
        await fill(temporary);
        renameSync(temporary, path);
      }
      return path;
    }, lock);
  }

  writeJson(path: string, value: unknown): void {
    mkdirSync(dirname(path), {recursive: true});
    const temporary = `${path}.${process.pid}.part`;
    writeFileSync(temporary, `${JSON.stringify(value, undefined, 2)}\n`);
    renameSync(temporary, path);
  }

  /**
   * Runs `work` while no other process sets anything up. flock(1) holds the lock, so the kernel releases it however this
   * process ends. Not to be nested. What takes many minutes has a lock of its own, so that nobody else waits for it.
   */
  async locked<T>(work: () => Promise<T>, lock = 'lock'): Promise<T> {
    const flock = findProgram('flock');
    if (flock === undefined) {
      throw new VmError('the program flock is missing; install the package util-linux');
    }
    // It holds the lock until its stdin closes, which happens when this process ends too.
    const holder = spawn(flock, [this.path(lock), 'sh', '-c', 'echo; exec cat >/dev/null'], {stdio: ['pipe', 'pipe', 'ignore']});
    await once(holder.stdout, 'data');
    try {
      return await work();
    } finally {
      holder.stdin.end();
    }
  }
}
