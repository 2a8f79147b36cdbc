/** The runner's cache: whatever is in it is complete, because it is made aside and renamed into place under a lock. */
import {randomBytes} from 'node:crypto';
import {accessSync, constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync} from 'node:fs';
import {homedir} from 'node:os';
import {basename, dirname, join, resolve} from 'node:path';
import {VmError, messageOf} from './errors.js';
import {FileLock} from './lock.js';
import {Progress} from './progress.js';
import {holding} from './work.js';

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

/** What make(1) and a kernel's makefiles cannot have in a path. */
const NOT_FOR_MAKE = /[\s:#$%'"\\]/;

/** How the directory is called in which something is being made. */
const PART = '.part';

export class Cache {
  constructor(
    readonly directory: string,
    private readonly progress = new Progress(undefined),
  ) {
    if (isHiddenInGuest(directory)) {
      throw new VmError(`the cache ${directory} would not be seen in the guest; set FRAMEVEC_CACHE to a directory elsewhere`);
    }
    const character = NOT_FOR_MAKE.exec(directory)?.[0];
    if (character !== undefined) {
      const name = /\s/.test(character) ? 'white space' : character;
      throw new VmError(`the cache '${directory}' has ${name} in its path, with which no module can be built; set FRAMEVEC_CACHE to a directory without`);
    }
    try {
      mkdirSync(directory, {recursive: true});
      accessSync(directory, constants.W_OK | constants.X_OK);
    } catch (error) {
      throw new VmError(`the cache cannot be used: ${messageOf(error)}${ownerOf(directory)}; set FRAMEVEC_CACHE to a writable directory`);
    }
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  /** A directory of the cache, made by `fill` unless it is there. An interrupted `fill` leaves nothing behind that counts. */
  async entry(path: string, fill: (temporary: string) => Promise<void>, lock?: string): Promise<string> {
    if (existsSync(path)) {
      used(path);
      return path;
    }
    return await this.locked(async () => {
      if (!existsSync(path)) {
        await this.make(path, fill);
      }
      return path;
    }, lock);
  }

  /** Makes a directory of the cache, for whoever holds the lock. */
  async make(path: string, fill: (temporary: string) => Promise<void>): Promise<void> {
    mkdirSync(dirname(path), {recursive: true});
    // The lock is ours, and programs of an earlier holder had it too: a left-over belongs to nobody.
    for (const name of readdirSync(dirname(path))) {
      if (name.startsWith(`${basename(path)}.`) && name.endsWith(PART)) {
        rmSync(join(dirname(path), name), {recursive: true, force: true});
      }
    }
    const temporary = `${path}.${randomBytes(4).toString('hex')}${PART}`;
    mkdirSync(temporary);
    try {
      await fill(temporary);
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, {recursive: true, force: true});
      throw error;
    }
  }

  writeJson(path: string, value: unknown): void {
    mkdirSync(dirname(path), {recursive: true});
    const temporary = `${path}.${process.pid}${PART}`;
    writeFileSync(temporary, `${JSON.stringify(value, undefined, 2)}\n`);
    renameSync(temporary, path);
  }

  /**
   * Runs `work` while no other process sets anything up. Programs that `work` starts hold the lock too. What takes many minutes has a lock
   * of its own, so that nobody else waits for it; in `work` under that one the general lock may be taken, not the other way round.
   */
  async locked<T>(work: () => Promise<T>, name = 'lock'): Promise<T> {
    const path = this.path(name);
    const lock = await FileLock.acquire(path, () => {
      this.progress.say(`waiting: another framevec, or a program that it started, is setting up in this cache (it holds ${path})`);
    });
    try {
      return await holding(lock.descriptor, work);
    } finally {
      lock.release();
    }
  }
}

function ownerOf(directory: string): string {
  try {
    const {uid} = statSync(directory);
    return uid === process.getuid?.() ? '' : ` (it belongs to user ${uid})`;
  } catch {
    return '';
  }
}

/** What has not been used for long may be removed. */
function used(path: string): void {
  try {
    const now = new Date();
    utimesSync(path, now, now);
  } catch {
    // Another user's.
  }
}
