/**
 * Locks on files. They are flock(2)'s: the kernel releases one when the last process that holds it is gone, however that ended and in
 * whichever PID namespace it ran. A PID in a file tells neither.
 */
import {closeSync, openSync} from 'node:fs';
import {VmError, messageOf} from './errors.js';
import {findProgram, run} from './programs.js';

/** What flock(1) is told to end with when somebody else has the lock. */
const BUSY = 75;

export class FileLock {
  private constructor(readonly descriptor: number) {}

  /** Waits for the lock; calls `onWait` before, if it has to. */
  static async acquire(path: string, onWait: () => void): Promise<FileLock> {
    const lock = FileLock.open(path);
    try {
      if (!(await lock.flock(path, '--nonblock'))) {
        onWait();
        await lock.flock(path);
      }
      return lock;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** undefined when somebody has it. */
  static async tryToAcquire(path: string): Promise<FileLock | undefined> {
    const lock = FileLock.open(path, 'r');
    if (await lock.flock(path, '--nonblock')) return lock;
    lock.release();
    return undefined;
  }

  release(): void {
    closeSync(this.descriptor);
  }

  private static open(path: string, flags = 'a'): FileLock {
    try {
      return new FileLock(openSync(path, flags));
    } catch (error) {
      throw new VmError(`the lock cannot be opened: ${messageOf(error)}; set FRAMEVEC_CACHE to a directory of your own`);
    }
  }

  /** The lock belongs to the open file, which this process and flock(1) share: it stays when flock(1) has ended. */
  private async flock(path: string, ...options: string[]): Promise<boolean> {
    if (findProgram('flock') === undefined) {
      throw new VmError('the program flock is missing; install the package util-linux');
    }
    const {status, stderr} = await run('flock', ['--exclusive', '--conflict-exit-code', String(BUSY), ...options, '3'], {descriptors: [this.descriptor]});
    if (status !== 0 && status !== BUSY) {
      throw new VmError(`the lock ${path} cannot be taken: ${stderr.trim()}`);
    }
    return status === 0;
  }
}
