/** How the `framevec` command can end: the one place where its exit statuses are. */
import type {Command} from 'commander';
import {EXIT as VM_EXIT} from '../vm/errors.js';

/** Statuses of every command; those of `framevec vm` beside them, and the command's own that it ran. */
export const EXIT = {
  /** What was asked for was done. */
  done: 0,
  /** It was not: the kernel refused, a check found a fault, a step failed. stderr says why. */
  failed: 1,
  /** The command line was wrong; nothing was tried. */
  usage: 2,
  /** Nobody reads stdout any more, as after `| head`: what a shell says of a program that SIGPIPE has ended. */
  outputClosed: 141,
} as const;

export const EXIT_HELP = `Exit status:
  ${EXIT.done}    what was asked for was done
  ${EXIT.failed}    it was not: the kernel refused, a check found a fault; stderr says why
  ${EXIT.usage}    the command line was wrong; nothing was tried
  ${EXIT.outputClosed}  the reader of stdout has closed it, as \`| head\` does
  framevec vm has the status of the command that it ran, and ${VM_EXIT.kernelComplained}-${VM_EXIT.moduleNotLoaded}, ${VM_EXIT.timeLimit}, ${VM_EXIT.runner}, ${VM_EXIT.interrupted} of its own: see its --help
`;

/** Ends a command with a status, after everything that it has written is out. */
export class Ended extends Error {
  constructor(readonly status: number) {
    super(`ended with ${status}`);
  }
}

/** Has a command and all below it end with `status` when its command line is wrong: by throwing {@link Ended}. */
export function wrongUseIs(status: number, command: Command): Command {
  command.exitOverride((error) => {
    // command.error() without a code of its own is no wrong use: the command's own failure, with its own status.
    throw new Ended(error.exitCode === 0 || error.code === 'commander.error' ? error.exitCode : status);
  });
  command.showHelpAfterError(`(framevec ${path(command)}--help has examples)`);
  for (const below of command.commands) wrongUseIs(status, below);
  return command;
}

/**
 * Ends a command whose option has a value that the library refuses, as a wrong use.
 *
 * @param flags - what the library calls a value, and the option of the command that it came by
 */
export function wrongValue(command: Command, error: Error, flags: Readonly<Record<string, string>>): never {
  const words = Object.entries(flags).reduce((text, [name, flag]) => text.replaceAll(`The value of "${name}"`, `The value of ${flag}`).replaceAll(`The "${name}" argument`, flag), error.message);
  command.error(`error: ${words}`, {exitCode: EXIT.usage});
}

function path(command: Command): string {
  return command.parent === null ? '' : `${path(command.parent)}${command.name()} `;
}
