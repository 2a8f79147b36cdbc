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
  /** The runner itself could not do its part: a missing program, a failed fetch or build. */
  runner: 125,
  /** Ctrl-C. */
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
