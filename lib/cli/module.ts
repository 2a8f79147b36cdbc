/** `framevec module`: the kernel module on this machine. */
import {Command, InvalidArgumentError} from 'commander';
import {ModuleError} from '../module/errors.js';
import {Progress} from '../vm/progress.js';
import {VmError} from '../vm/errors.js';
import {EXIT} from './exit.js';

interface InstallFlags {
  boot?: boolean;
  load: boolean;
  /** false: --no-param. */
  param?: string[] | false;
  json?: boolean;
}

export function moduleCommand(): Command {
  const command = new Command('module').description('install the kernel module on this machine with dkms, remove it, or show its status').addHelpText('after', `
Examples:
  $ sudo npx framevec module install --boot
  $ npx framevec module status
  $ sudo npx framevec module uninstall
`);
  command
    .command('install')
    .description('build the module for this kernel and those to come (dkms), add the udev rule, and load it')
    .option('--boot', 'load it at boot')
    .option('--no-boot', 'do not load it at boot')
    .option('--no-load', 'do not load it now')
    .option('--param <name=value>', 'load it with this parameter (repeatable): /etc/modprobe.d/framevec.conf', parameter)
    .option('--no-param', 'load it without parameters')
    .option('--json', 'print what was done as one line of JSON')
    .addHelpText('after', `
/dev/framevec is root's; where there is a group framevec, its members may open it too (mode 0660).
A kernel under Secure Boot loads it once dkms's key is enrolled: docs/install.md.

The installed module is replaced only after the new one has been built, and restored if the new one does not load.
Its parameters and whether it is loaded at boot stay, unless an option changes them.

Examples:
  $ sudo npx framevec module install
  $ sudo npx framevec module install --boot --param aperture_size=67108864
`)
    .action((flags: InstallFlags) => tried(async () => {
      const {installModule} = await import('../module/install.js');
      const done = await installModule({
        load: flags.load,
        ...(flags.boot !== undefined && {boot: flags.boot}),
        ...(flags.param !== undefined && {parameters: flags.param === false ? [] : flags.param}),
      }, progress());
      if (done.kept.length > 0) progress().say(`kept: ${done.kept.join('; ')}`);
      const who = done.node?.mode === '0660' ? 'the group framevec' : 'root only (docs/install.md: a group for others)';
      print(flags, done, `framevec ${done.version} is installed for ${done.kernel}${done.node === undefined ? '' : ` and loaded; /dev/framevec is for ${who}`}`);
    }));
  command
    .command('uninstall')
    .description('unload the module and remove everything the installation added')
    .option('--json', 'print what was removed as one line of JSON')
    .addHelpText('after', `
Directories in /usr/src and files in /etc that framevec did not write stay. If modprobe would still find a framevec.ko
afterwards, the command fails and names the file.

Examples:
  $ sudo npx framevec module uninstall
`)
    .action((flags: {json?: boolean}) => tried(async () => {
      const {uninstallModule} = await import('../module/uninstall.js');
      const done = await uninstallModule(progress());
      const {removed, kept} = done;
      if (kept.length > 0) progress().say(`kept, as \`framevec module install\` did not write it: ${kept.join(', ')}`);
      print(flags, done, removed.length === 0 ? 'nothing of framevec was installed' : `removed: ${removed.join(', ')}`);
    }));
  command
    .command('status')
    .description('say whether the module is installed for this kernel, and loaded')
    .option('--json', 'print it as one line of JSON')
    .addHelpText('after', `
The exit status is 0 if this version is installed for the running kernel, otherwise 1.

Examples:
  $ npx framevec module status --json
`)
    .action((flags: {json?: boolean}) => tried(async () => {
      const {moduleStatus, statusInWords} = await import('../module/status.js');
      const status = await moduleStatus();
      print(flags, status, statusInWords(status));
      if (!status.installed) process.exitCode = EXIT.failed;
    }));
  return command;
}

function progress(): Progress {
  return new Progress((text) => void process.stderr.write(text));
}

function print(flags: {json?: boolean}, value: object, words: string): void {
  process.stdout.write(`${flags.json === true ? JSON.stringify(value) : words}\n`);
}

async function tried(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const worded = error instanceof ModuleError || error instanceof VmError;
    // A file system that is full or read-only is no fault of this program: a line will do.
    if (!worded && !(error instanceof Error && 'syscall' in error)) throw error;
    if (worded && error.details !== '') process.stderr.write(`${error.details.trimEnd()}\n`);
    process.stderr.write(`framevec: ${error.message}\n`);
    process.exitCode = EXIT.failed;
  }
}

function parameter(value: string, previous: readonly string[] | false = []): string[] {
  if (!/^\w+=\S+$/.test(value)) throw new InvalidArgumentError('It has to be NAME=VALUE.');
  return [...(previous === false ? [] : previous), value];
}
