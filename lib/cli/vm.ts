/** `framevec vm`: a command in a disposable VM with a real kernel and the module. */
import {writeFileSync} from 'node:fs';
import {Command, InvalidArgumentError, Option} from 'commander';
import {EXIT, VmError, messageOf} from '../vm/errors.js';
import {DEFAULT_KERNEL, KERNEL_NAMES} from '../vm/kernels.js';
import {DEFAULTS, type Ending, type VmResult} from '../vm/options.js';
import type * as vmRunner from '../vm/index.js';
import {isName, splitWords} from '../vm/shell.js';

type Runner = typeof vmRunner;

interface VmFlags {
  kernel: string;
  kernels?: string;
  modules?: string;
  headers?: string;
  junit?: string;
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
  clean?: true | 'all';
  quiet?: boolean;
}

const HELP = `
The command sees this machine's own files, can change none of them, and runs as root. Files for the host go to
the directory in $FRAMEVEC_RUN. Its stdin is the terminal if stdout is one, and empty otherwise. Of the caller's
environment it gets what says how programs behave (PATH, HOME, TERM, LANG, LC_*, NODE_OPTIONS, FRAMEVEC_*, ...)
and no other; --env adds to that. Everything that a run needs is kept in $FRAMEVEC_CACHE (~/.cache/framevec).

Exit status:
  the command's own, or
  ${EXIT.kernelComplained}  the command ended well, but the kernel complained (BUG, WARNING, KASAN, lockdep, a leak, ...)
  ${EXIT.guestDied}  the guest went down: a panic, a reset, a boot that failed
  ${EXIT.moduleNotLoaded}  framevec.ko or a module of --with did not load
  ${EXIT.timeLimit}  the time limit
  ${EXIT.runner}  the runner could not do its part: wrong options, a program is missing, a kernel cannot be fetched,
       the build fails, a file cannot be written, something killed QEMU
  ${EXIT.interrupted}  Ctrl-C (three times in a second if the command handles it), SIGTERM or SIGHUP

Examples:
  $ framevec vm --prepare --install            everything that takes long, once
  $ framevec vm -- node -e 'console.log(1)'
  $ framevec vm --kernel 6.12 --timeout 60 -- npm test
  $ framevec vm --with vivid,n_devs=2 --module-param allow_force=1 -- v4l2-ctl --list-devices
  $ framevec vm --append hugepages=64 --memory 4G -- sh -c 'grep Huge /proc/meminfo'
  $ framevec vm -- bash                        a shell in the guest
  $ framevec vm --module ./driver,debug=1 --kernels all --junit results.xml -- ./test-driver
  $ framevec vm --kernel /boot/vmlinuz-6.8.0-45-generic --headers /usr/src/linux-headers-6.8.0-45-generic -- uname -r
  $ framevec vm --clean                        remove from the cache what no run needs any more
`;

/** --module DIRECTORY and --no-module are apart, though commander has one flag for them: whoever needs no framevec.ko can load a module too. */
interface Modules {
  framevec: boolean;
  drivers: string[];
}

export function vmCommand(): Command {
  const modules: Modules = {framevec: true, drivers: []};
  return new Command('vm')
    .description("run a command on a real kernel with the module loaded: in a disposable VM over this machine's own files")
    .argument('[command...]', 'the command and its arguments, after --')
    .option('--kernel <kernel>', `${KERNEL_NAMES.join(', ')}, or a kernel file`, DEFAULT_KERNEL)
    .option('--kernels <kernel,...>', "run the command on each of these, one after the other, and print a row for each; 'all': every stock kernel")
    .option('--modules <directory>', "where a kernel file's modules are")
    .option('--headers <directory>', "where a kernel file's headers are")
    .option('--module <directory[,name=value...]>', 'build the module in this directory, and load it after framevec.ko (repeatable)', (value: string) => modules.drivers.push(value))
    .option('--no-module', 'boot without framevec.ko')
    .on('option:no-module', () => { modules.framevec = false; })
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
    .option('--json <file>', 'write how the run went to this file; with --kernels, an array of runs')
    .option('--junit <file>', 'with --kernels: write how the runs went to this file, in the form of JUnit')
    .option('--prepare', 'only set up: programs, kernel, module, initramfs')
    .option('--check-module', 'only build the module, with sparse, and show what is wrong with it; status 1 if something is')
    .option('--install', 'install missing programs with apt-get')
    .option('--refresh', 'look for a newer version of the kernel')
    .addOption(new Option('--clean [all]', "remove superseded kernels, old builds and ended runs from the cache, and say how much that was; with 'all', everything that no run uses now").choices(['all']))
    .option('-q, --quiet', 'say nothing about set-up and machine')
    .addHelpText('after', HELP)
    .action(async (command: string[], flags: VmFlags) => {
      process.exitCode = await vm(command, flags, modules);
    });
}

const say = (text: string): void => void process.stderr.write(`framevec: ${text}\n`);

async function vm(command: readonly string[], flags: VmFlags, modules: Modules): Promise<number> {
  const runner = await import('../vm/index.js');
  const stop = new AbortController();
  const onSignal = (): void => { stop.abort(); };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  signals.forEach((signal) => process.on(signal, onSignal));
  let json: string | undefined;
  try {
    if (flags.json !== undefined) {
      runner.requireFile('--json', flags.json);
      json = flags.json;
    }
    if (flags.junit !== undefined) runner.requireFile('--junit', flags.junit);
    return await act(runner, command, flags, modules, stop);
  } catch (error) {
    const known = error instanceof VmError ? error : runner.fileError(error);
    const status = known?.status ?? EXIT.runner;
    if (known === undefined) {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    } else {
      if (known.details !== '') {
        process.stderr.write(`${known.details.trimEnd()}\n`);
      }
      say(known.message);
    }
    if (json !== undefined) {
      try {
        writeJson(json, {status, ending: ENDINGS.get(status) ?? 'runner', reason: messageOf(error)});
      } catch (failure) {
        say(messageOf(failure));
      }
    }
    return status;
  } finally {
    signals.forEach((signal) => process.off(signal, onSignal));
  }
}

/** Of a run that did not come to its VM. */
const ENDINGS: ReadonlyMap<number, Ending> = new Map([[EXIT.interrupted, 'interrupted'], [EXIT.moduleNotLoaded, 'module-not-loaded']]);

async function act(
  {Cache, Progress, cacheDirectory, checkModuleFor, cleanCache, inWords, kernelNames, prepareVm, rowsAsJUnit, rowsInWords, runOnKernels, runVm, worstStatus}: Runner,
  command: readonly string[],
  flags: VmFlags,
  modules: Modules,
  stop: AbortController,
): Promise<number> {
  const progress = flags.quiet ? undefined : (text: string): void => void process.stderr.write(text);
  const setup = {
    kernel: flags.kernel,
    modules: flags.modules,
    headers: flags.headers,
    module: modules.framevec,
    drivers: modules.drivers,
    install: flags.install,
    refresh: flags.refresh,
    progress,
    signal: stop.signal,
  };
  if (flags.clean !== undefined) {
    const cache = new Cache(cacheDirectory(), new Progress(progress));
    const {removed, kept} = await cleanCache(cache, flags.clean === 'all');
    const total = (entries: readonly {bytes: number}[]): string => inWords(entries.reduce((sum, {bytes}) => sum + bytes, 0));
    for (const [what, entries] of [['removed', removed], ['kept', kept]] as const) {
      if (!flags.quiet) {
        entries.forEach(({name, bytes}) => void process.stdout.write(`${what.padEnd(8)}${inWords(bytes).padStart(10)}  ${name}\n`));
      }
    }
    process.stdout.write(`${cache.directory}: ${total(removed)} removed, ${total(kept)} kept\n`);
    return 0;
  }
  if (flags.checkModule) {
    const warnings = await checkModuleFor(setup);
    tellWarnings(warnings);
    return warnings.length === 0 ? 0 : 1;
  }
  if (flags.prepare) {
    const {kernel, accel, module, drivers} = await prepareVm(setup);
    tellWarnings([...(module?.warnings ?? []), ...drivers.flatMap(({warnings}) => warnings)]);
    if (!flags.quiet) {
      say(`ready: ${kernel.release}, ${describeAccel(accel.accel, accel.reason)}`);
    }
    return 0;
  }
  if (command.length === 0) {
    say('there is no command to run; it stands after --, as in: framevec vm -- node -e 1');
    return EXIT.runner;
  }

  // Whoever reads the output has gone, as after `| head`: the rest of the command is of no use.
  process.stdout.on('error', () => { stop.abort(); });
  const run = {
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
  };
  if (flags.kernels !== undefined) {
    const unfit = (['out', 'log', 'headers', 'modules'] as const).filter((name) => flags[name] !== undefined);
    if (unfit.length > 0) throw new VmError(`--kernels runs the command several times, and --${unfit.join(' and --')} is for one run`);
    const names = kernelNames(flags.kernels);
    const rows = await runOnKernels(names, {...run, terminal: false}, ({name, result, reason}) => {
      tellWarnings(result?.buildWarnings ?? []);
      if (reason !== undefined) say(`${name}: ${reason}${result === undefined ? '' : `; kernel log: ${result.kernelLog}`}`);
    });
    process.stdout.write(`${rowsInWords(rows)}\n`);
    if (flags.json !== undefined) writeJson(flags.json, rows.map(({name, status, ending, reason, seconds, result}) => ({name, ...result, status, ending, reason, seconds})));
    if (flags.junit !== undefined) writeFileSync(flags.junit, rowsAsJUnit(rows, command));
    return worstStatus(rows);
  }
  if (flags.junit !== undefined) throw new VmError('--junit goes with --kernels: --json tells of one run');
  const result = await runVm({...run, terminal: process.stdout.isTTY});
  tell(result, flags);
  return result.status;
}

function tell(result: VmResult, flags: VmFlags): void {
  tellWarnings(result.buildWarnings);
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

function tellWarnings(warnings: readonly string[]): void {
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
