/** `framevec vm`: a command in a disposable VM with a real kernel and the module. */
import {writeFileSync} from 'node:fs';
import {Command, InvalidArgumentError, Option} from 'commander';
import {EXIT, VmError} from '../vm/errors.js';
import {DEFAULT_KERNEL, KERNEL_NAMES} from '../vm/kernels.js';
import {DEFAULTS, type VmResult} from '../vm/options.js';
import {isName, splitWords} from '../vm/shell.js';

interface VmFlags {
  kernel: string;
  modules?: string;
  module: boolean;
  moduleParam?: string[];
  with?: string[];
  memory: string;
  cpus: number;
  timeout: number;
  append?: string;
  qemu?: string[];
  icount?: boolean;
  env?: Record<string, string>;
  out?: string;
  log?: string;
  json?: string;
  prepare?: boolean;
  checkModule?: boolean;
  install?: boolean;
  refresh?: boolean;
  quiet?: boolean;
}

const HELP = `
The command sees this machine's own files, can change none of them, and runs as root. Files for the host go
to the directory in $FRAMEVEC_RUN. Everything that a run needs is kept in $FRAMEVEC_CACHE (~/.cache/framevec).

Exit status:
  the command's own, or
  ${EXIT.kernelComplained}  the command ended well, but the kernel complained (BUG, WARNING, KASAN, lockdep, a leak, ...)
  ${EXIT.guestDied}  the guest went down: a panic, a reset
  ${EXIT.moduleNotLoaded}  framevec.ko or a module of --with did not load
  ${EXIT.timeLimit}  the time limit
  ${EXIT.runner}  the runner could not do its part: a program is missing, a kernel cannot be fetched, the build fails
  ${EXIT.interrupted}  Ctrl-C (three times in a second if the command handles it)

Examples:
  $ framevec vm --prepare --install            everything that takes long, once
  $ framevec vm -- node -e 'console.log(1)'
  $ framevec vm --kernel 6.12 --timeout 60 -- npm test
  $ framevec vm --with vivid,n_devs=2 --module-param allow_force=1 -- v4l2-ctl --list-devices
  $ framevec vm --append hugepages=64 --memory 4G -- sh -c 'grep Huge /proc/meminfo'
  $ framevec vm -- bash                        a shell in the guest
`;

export function vmCommand(): Command {
  return new Command('vm')
    .description("run a command on a real kernel with the module loaded: in a disposable VM over this machine's own files")
    .argument('[command...]', 'the command and its arguments, after --')
    .option('--kernel <kernel>', `${KERNEL_NAMES.join(', ')}, or a kernel file`, DEFAULT_KERNEL)
    .option('--modules <directory>', "where a kernel file's modules are")
    .option('--no-module', 'boot without framevec.ko')
    .option('--module-param <name=value>', 'a parameter of framevec.ko (repeatable)', collect)
    .option('--with <module[,option...]>', "load one of the kernel's own modules: vivid,n_devs=2 (repeatable)", collect)
    .option('--memory <size>', "the guest's memory", memorySize, DEFAULTS.memory)
    .option('--cpus <count>', "the guest's CPUs", positive, DEFAULTS.cpus)
    .option('--timeout <seconds>', 'end the VM after this time', positive, DEFAULTS.timeout)
    .option('--append <arguments>', "more of the kernel's command line")
    .addOption(new Option('--qemu <arguments>', 'more arguments for QEMU, quoted as for a shell').argParser(rawArguments))
    .option('--icount', 'count time in instructions, so that timings repeat: one CPU, emulated')
    .option('--env <name=value>', 'an environment variable for the command (repeatable)', variable)
    .option('--out <directory>', 'what the command sees as $FRAMEVEC_RUN and may write to')
    .option('--log <file>', 'write the kernel log here too')
    .option('--json <file>', 'write how the run went to this file')
    .option('--prepare', 'only set up: programs, kernel, module, initramfs')
    .option('--check-module', 'only build the module, with sparse, and show what is wrong with it; status 1 if something is')
    .option('--install', 'install missing programs with apt-get')
    .option('--refresh', 'look for a newer version of the kernel')
    .option('-q, --quiet', 'say nothing about set-up and machine')
    .addHelpText('after', HELP)
    .action(async (command: string[], flags: VmFlags) => {
      process.exitCode = await vm(command, flags);
    });
}

async function vm(command: readonly string[], flags: VmFlags): Promise<number> {
  const {checkModuleFor, prepareVm, runVm} = await import('../vm/index.js');
  const say = (text: string): void => void process.stderr.write(`framevec: ${text}\n`);
  const setup = {
    kernel: flags.kernel,
    modules: flags.modules,
    module: flags.module,
    install: flags.install,
    refresh: flags.refresh,
    progress: flags.quiet ? undefined : (text: string): void => void process.stderr.write(text),
  };
  const stop = new AbortController();
  const onSignal = (): void => { stop.abort(); };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  try {
    if (flags.checkModule) {
      const warnings = await checkModuleFor(setup);
      tellWarnings(warnings, say);
      return warnings.length === 0 ? 0 : 1;
    }
    if (flags.prepare) {
      const {kernel, accel, module} = await prepareVm(setup);
      tellWarnings(module?.warnings ?? [], say);
      if (!flags.quiet) {
        say(`ready: ${kernel.release}, ${describeAccel(accel.accel, accel.reason)}`);
      }
      return 0;
    }
    if (command.length === 0) {
      say('there is no command to run; it stands after --, as in: framevec vm -- node -e 1');
      return EXIT.runner;
    }

    signals.forEach((signal) => process.on(signal, onSignal));
    // Whoever reads the output has gone, as after `| head`: the rest of the command is of no use.
    process.stdout.on('error', onSignal);
    const result = await runVm({
      ...setup,
      command,
      memory: flags.memory,
      cpus: flags.cpus,
      timeout: flags.timeout,
      append: flags.append,
      qemu: flags.qemu,
      moduleParameters: flags.moduleParam,
      with: flags.with,
      env: flags.env,
      icount: flags.icount,
      out: flags.out,
      log: flags.log,
      stdout: process.stdout,
      stderr: process.stderr,
      terminal: process.stdout.isTTY,
      signal: stop.signal,
    });
    tell(result, flags, say);
    return result.status;
  } catch (error) {
    if (!(error instanceof VmError)) {
      throw error;
    }
    if (error.details !== '') {
      process.stderr.write(`${error.details.trimEnd()}\n`);
    }
    say(error.message);
    if (flags.json !== undefined) {
      writeJson(flags.json, {status: error.status, ending: 'runner', reason: error.message});
    }
    return error.status;
  } finally {
    signals.forEach((signal) => process.off(signal, onSignal));
  }
}

function tell(result: VmResult, flags: VmFlags, say: (text: string) => void): void {
  tellWarnings(result.buildWarnings, say);
  if (result.reason !== undefined) {
    say(`${result.reason}; kernel log: ${result.kernelLog}`);
  }
  if (!flags.quiet && process.stderr.isTTY) {
    say(`${result.kernel}, ${describeAccel(result.accel, result.accelReason)}: ${result.seconds.toFixed(1)} s`);
  }
  if (flags.json !== undefined) {
    writeJson(flags.json, result);
  }
}

function writeJson(path: string, value: object): void {
  writeFileSync(path, `${JSON.stringify(value)}\n`);
}

function tellWarnings(warnings: readonly string[], say: (text: string) => void): void {
  for (const warning of warnings) {
    say(`building the module: ${warning}`);
  }
}

function describeAccel(accel: VmResult['accel'], reason: string): string {
  return accel === 'kvm' ? 'KVM' : `emulated (${reason})`;
}

function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

function positive(value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1) {
    throw new InvalidArgumentError('It has to be a whole number from 1 on.');
  }
  return number;
}

function memorySize(value: string): string {
  if (!/^[1-9]\d*[MG]$/i.test(value)) {
    throw new InvalidArgumentError('It has to be a size such as 512M or 2G.');
  }
  return value.toUpperCase();
}

function rawArguments(value: string): string[] {
  const words = splitWords(value);
  if (words === undefined) {
    throw new InvalidArgumentError('A quote is not closed.');
  }
  return words;
}

function variable(value: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const [name = '', text] = value.split(/=(.*)/s);
  if (text === undefined || !isName(name)) {
    throw new InvalidArgumentError('It has to be NAME=VALUE.');
  }
  return {...previous, [name]: text};
}
