/** What stands in the way of the module on this machine, with the remedy. */

export class ModuleError extends Error {
  override readonly name: string = 'ModuleError';

  constructor(
    message: string,
    /** More to read above the line: a compiler's output. */
    readonly details = '',
  ) {
    super(message);
  }
}

/** The kernel loads signed modules only, and does not know the key. The module is well: enrolling the key is what is missing. */
export class SignatureError extends ModuleError {
  override readonly name = 'SignatureError';
}

export function parameterUnknown(name: string, known: readonly string[]): ModuleError {
  return new ModuleError(`framevec.ko has no parameter ${name}; it has ${known.join(', ')}`);
}

export function parameterInvalid(name: string, value: string, type: string, expected: string, source: string | undefined): ModuleError {
  const where = source === undefined ? '' : ` (in ${source}: edit it, or install with --no-param)`;
  return new ModuleError(`"${value}" is no value for the parameter ${name} of framevec.ko${where}: it is ${type}: ${expected}`);
}

/** `log` is where the whole output of make can be read. */
export function buildFailed(release: string, cause: string, log: string | undefined, details: string): ModuleError {
  return new ModuleError(`dkms could not build the module for kernel ${release}: ${cause}${log === undefined ? '' : `; the log of the build: ${log}`}`, details);
}

export function moduleInUse(): ModuleError {
  return new ModuleError('the module is in use: end the programs that have a vector or /dev/framevec open (`fuser -v /dev/framevec`), and try again');
}

export function foreignTree(path: string): ModuleError {
  return new ModuleError(`${path} exists and does not belong to framevec (its dkms.conf has another PACKAGE_NAME or PACKAGE_VERSION, or is missing): move it away, then install again`);
}

export function otherVersionLoaded(found: string | undefined, version: string): ModuleError {
  return new ModuleError(
    `modprobe loaded version ${found ?? 'unknown'} of framevec and not ${version}: there is another framevec.ko (\`modinfo -n framevec\`), or a file in /etc/modprobe.d loads it: remove it, then install again`,
  );
}

export function stillInstalled(path: string, kernel: string): ModuleError {
  return new ModuleError(`${path} is still installed, and dkms did not put it there: remove it with \`rm ${path} && depmod ${kernel}\`, then uninstall again`);
}

export function interrupted(restored: boolean): ModuleError {
  return new ModuleError(restored ? 'interrupted: the previous state was restored' : 'interrupted: nothing was changed');
}

/** An installation failed after the switch, and so did the way back. */
export function notRestored(first: string, second: string): ModuleError {
  return new ModuleError(`${first}. Restoring the previous state failed, too: ${second}. Install again, or remove everything with \`framevec module uninstall\``);
}
