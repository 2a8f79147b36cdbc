/** How a run can end without a word from the command, and the status that says so. */
export const EXIT = {
  /** The command ended well, but the kernel complained. */
  kernelComplained: 120,
  /** The guest died under the command: a panic, a reset, a power-off. */
  guestDied: 121,
  /** The module, or one asked for by --with, did not load. */
  moduleNotLoaded: 122,
  /** The time limit, as timeout(1) has it. */
  timeLimit: 124,
  /** The runner itself could not do its part: a missing program, a failed fetch or build, a file that cannot be written, QEMU killed. */
  runner: 125,
  /** Ctrl-C, SIGTERM or SIGHUP. */
  interrupted: 130,
} as const;

/** An error worded for the person at the terminal: what failed, why, and what to do about it. */
export class VmError extends Error {
  override readonly name = 'VmError';

  constructor(
    message: string,
    readonly status: number = EXIT.runner,
    /** More to read below the line: a compiler's output, a package manager's complaint. */
    readonly details = '',
  ) {
    super(message);
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function interruptedError(): VmError {
  return new VmError('interrupted while setting up; what was done is kept', EXIT.interrupted);
}

/** A failed system call on a file, as a run's own error; undefined for anything else, which is a fault of this program. */
export function fileError(error: unknown): VmError | undefined {
  const {code, syscall, path} = error as NodeJS.ErrnoException;
  if (!(error instanceof Error) || code === undefined || syscall === undefined) return undefined;
  const remedy = path === undefined ? '' : ' (a file of the cache that another user owns? set FRAMEVEC_CACHE to a directory of your own)';
  return new VmError(`${error.message}${code === 'EACCES' || code === 'EPERM' ? remedy : ''}`);
}
