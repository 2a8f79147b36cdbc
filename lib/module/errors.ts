/** What stands in the way of the module on this machine, with the remedy. */

export class ModuleError extends Error {
  override readonly name = 'ModuleError';

  constructor(
    message: string,
    /** More to read above the line: a compiler's output. */
    readonly details = '',
  ) {
    super(message);
  }
}
