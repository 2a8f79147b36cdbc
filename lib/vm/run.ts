/** One run: boot, command, end, and what it all came to. */
import {randomBytes} from 'node:crypto';
import {copyFileSync, existsSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {checkOptions} from '../options.js';
import {Cache, cacheDirectory, isHiddenInGuest} from './cache.js';
import {knownFrequency, noteFrequency} from './clock.js';
import {EndMark} from './end-mark.js';
import {EXIT, VmError, messageOf} from './errors.js';
import {BOOT_FAILED, FILES, commandScript, guestEnvironment, initScript, type Terminal} from './guest.js';
import {headline, scanLog, withoutStamp, type Finding} from './log-scan.js';
import {QemuProcess, passOn, type QemuEnd} from './machine.js';
import {checkParameters} from './module.js';
import {DEFAULTS, VM_OPTIONS, type Ending, type VmOptions, type VmResult} from './options.js';
import {qemuArguments} from './qemu.js';
import {requireDirectory, requireFile} from './outputs.js';
import {Progress} from './progress.js';
import {endRun, newRun, noteUses, type RunDirectory} from './runs.js';
import {prepareVm, type Setup} from './setup.js';
import {HostTerminal} from './terminal.js';

/** How long the last lines of the kernel log may take to come out. */
const LOG_END_MS = 5000;

/** And the last output, once the machine is gone. */
const LAST_OUTPUT_MS = 2000;

/** A kernel that boots prints something all the time, also when it is emulated on a busy machine. */
const BOOT_SILENCE_MS = 120_000;

/** setTimeout() takes no more, and fires at once when it is asked for more. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;

export async function runVm(options: VmOptions): Promise<VmResult> {
  checkOptions(options, VM_OPTIONS);
  if (options.command.length === 0) {
    throw new VmError('there is no command to run; it stands after --');
  }
  const directory = resolve(options.directory ?? '.');
  if (isHiddenInGuest(directory)) {
    throw new VmError(`the working directory ${directory} is not seen in the guest, which has a file system of its own there`);
  }
  if (options.out !== undefined) requireDirectory('--out', options.out);
  if (options.log !== undefined) requireFile('--log', options.log);
  const cache = new Cache(cacheDirectory());
  const run = await newRun(cache);
  try {
    const setup = await prepareVm(options);
    noteUses(run, setup.uses);
    if (setup.module !== undefined) {
      await checkParameters(setup.module.path, options.moduleParameters ?? []);
    }
    const first = await boot(options, setup, run, directory);
    const stalled = first.event === 'boot-stalled';
    if (first.result.accel !== 'tcg' || first.result.bootSeconds !== undefined || !(stalled || isEmulatorsFault(readLog(run.kernelLog)))) {
      return first.result;
    }
    // The command has not begun, so nothing is done twice.
    new Progress(options.progress).say(`the boot ${stalled ? 'stood still' : 'failed'}, most likely because QEMU ran an instruction that the kernel had replaced; booting again`);
    return (await boot(options, setup, run, directory)).result;
  } finally {
    endRun(run);
  }
}

/** What ended the wait: both streams came to their mark, QEMU went away, the time was up, the boot stood still, somebody wanted it. */
type Event = 'finished' | 'gone' | 'time-limit' | 'boot-stalled' | 'interrupted';

async function boot(options: VmOptions, setup: Setup, run: RunDirectory, directory: string): Promise<{result: VmResult; event: Event}> {
  const start = performance.now();
  const out = options.out === undefined ? run.out : resolve(options.out);
  const terminal: Terminal | undefined = options.terminal
    ? {rows: process.stdout.rows || 24, columns: process.stdout.columns || 80, stderr: process.stderr.isTTY}
    : undefined;
  const endMark = `framevec-end-${randomBytes(16).toString('hex')}`;
  writeGuestFiles(options, setup, run, {directory, terminal, endMark});

  const qemu = new QemuProcess(
    qemuArguments({
      accel: options.icount ? 'tcg' : setup.accel.accel,
      icount: options.icount ?? false,
      memory: options.memory ?? DEFAULTS.memory,
      cpus: options.cpus ?? DEFAULTS.cpus,
      image: setup.kernel.image,
      initramfs: setup.initramfs,
      tscFrequency: knownFrequency(setup.cache),
      append: [setup.kernel.commandLine, options.append].filter(Boolean).join(' '),
      extra: options.qemu ?? [],
      kernelLog: run.kernelLog,
      share: run.share,
      out,
      terminal: terminal !== undefined,
    }),
    run.lock.descriptor,
  );
  const host = terminal && new HostTerminal(qemu.stream('stdout'), () => existsSync(join(run.share, FILES.started)));
  const timer = new AbortController();
  try {
    const marks = {stdout: new EndMark(endMark), stderr: new EndMark(endMark)};
    const streams = Promise.all([
      passOn(qemu.stream('stdout'), marks.stdout, options.stdout),
      // With both on the terminal the second channel stays empty.
      passOn(qemu.stream('stderr'), marks.stderr, options.stderr),
    ]);
    const finished = terminal?.stderr ? untilMark(marks.stdout, timer.signal) : streams.then((ends) => (ends.every(Boolean) ? true : undefined));
    const event = await Promise.race([
      finished.then((ended): Event | Promise<Event> => (ended ? 'finished' : qemu.gone.then((): Event => 'gone'))),
      qemu.gone.then((): Event => 'gone'),
      timeIsUp(options.timeout ?? DEFAULTS.timeout, timer.signal).then((): Event => 'time-limit'),
      ...(setup.accel.accel === 'tcg' ? [bootStalls(run.kernelLog, BOOT_SILENCE_MS, timer.signal).then((): Event => 'boot-stalled')] : []),
      ...(host ? [host.interrupted.then((): Event => 'interrupted')] : []),
      ...(options.signal ? [aborted(options.signal).then((): Event => 'interrupted')] : []),
    ]);
    if (event === 'finished') {
      await logEnds(run.kernelLog, endMark);
    }
    await qemu.end();
    // What is left of the output is still passed on, but a reader that has stopped reading must not keep this from ending.
    await Promise.race([streams, sleep(LAST_OUTPUT_MS, undefined, {ref: false})]);
    return {result: conclude(options, setup, run, {event, qemu: await qemu.gone, out, start}), event};
  } finally {
    timer.abort();
    host?.restore();
    await qemu.end().catch(() => undefined);
  }
}

function writeGuestFiles(
  options: VmOptions,
  {kernel, module, drivers}: Setup,
  {share}: RunDirectory,
  {directory, terminal, endMark}: {directory: string; terminal: Terminal | undefined; endMark: string},
): void {
  const environment = guestEnvironment(process.env, {
    ...options.env,
    // The guest can't tell, and its clock means something else then.
    ...(options.icount === true && {FRAMEVEC_ICOUNT: '1'}),
    // Further modules of kmod/ are built beside it, for a command to load.
    ...(module && {FRAMEVEC_KMOD: dirname(module.path)}),
    ...(drivers.length > 0 && {FRAMEVEC_DRIVERS: drivers.map(({directory}) => directory).join(':')}),
  });
  const guest = {
    command: options.command,
    directory,
    environment,
    modulesDirectory: kernel.modulesRoot === '/' ? undefined : join(kernel.modulesRoot, 'lib/modules'),
    headers: kernel.headers,
    moduleParameters: module && (options.moduleParameters ?? []),
    with: (options.with ?? []).map((item) => item.split(/,(?=[a-z_])/i)),
    drivers: drivers.flatMap(({modules}) => modules),
    terminal,
    endMark,
  };
  writeFileSync(join(share, FILES.init), initScript(guest));
  writeFileSync(join(share, FILES.command), commandScript(guest), {mode: 0o600});
  if (module !== undefined) {
    copyFileSync(module.path, join(share, FILES.module));
  }
}

async function timeIsUp(seconds: number, signal: AbortSignal): Promise<void> {
  const end = performance.now() + seconds * 1000;
  for (let left = end - performance.now(); left > 0; left = end - performance.now()) {
    await sleep(Math.min(left, LONGEST_SLEEP_MS), undefined, {signal});
  }
}

/** Ends when a kernel has printed nothing for so long before its first process runs; never, if that process runs. */
export async function bootStalls(log: string, silenceMs: number, signal: AbortSignal): Promise<void> {
  let length = -1;
  let since = performance.now();
  for (;;) {
    await sleep(Math.min(1000, silenceMs / 4), undefined, {signal});
    const text = readLog(log);
    if (INIT_RUNS.test(text)) {
      return await new Promise<never>(() => undefined);
    }
    if (text.length !== length) {
      length = text.length;
      since = performance.now();
    } else if (performance.now() - since > silenceMs) {
      return;
    }
  }
}

async function untilMark(mark: EndMark, signal: AbortSignal): Promise<boolean> {
  while (!mark.found) {
    if (signal.aborted) {
      return false;
    }
    await sleep(20);
  }
  return true;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    }
    signal.addEventListener('abort', () => { resolve(); }, {once: true});
  });
}

/** The log's own lines come by a slower way than the streams: some kernels print them from a thread. */
async function logEnds(path: string, mark: string): Promise<void> {
  const deadline = performance.now() + LOG_END_MS;
  while (!readLog(path).includes(mark) && performance.now() < deadline) {
    await sleep(20);
  }
}

function readLog(path: string): string {
  try {
    return readFileSync(path, 'utf8').replaceAll('\r', '');
  } catch {
    return '';
  }
}

interface Outcome {
  event: Event;
  qemu: QemuEnd;
  out: string;
  start: number;
}

function conclude(options: VmOptions, setup: Setup, run: RunDirectory, {event, qemu, out, start}: Outcome): VmResult {
  const report = (name: string): string | undefined => {
    try {
      return readFileSync(join(run.share, name), 'utf8').trim();
    } catch {
      return undefined;
    }
  };
  const log = readLog(run.kernelLog);
  if (event === 'gone' && log === '' && qemu.failure !== undefined && qemu.complaints !== '') {
    throw new VmError(`QEMU could not run the VM: ${qemu.complaints.split('\n').at(-1)}`, undefined, qemu.complaints);
  }
  if (options.log !== undefined) {
    copyLog(run.kernelLog, options.log);
  }

  if (setup.accel.accel === 'tcg' && !options.icount) {
    noteFrequency(setup.cache, log);
  }

  const started = report(FILES.started);
  const status = report(FILES.status);
  const findings = scanLog(log);
  const commandStatus = status === undefined || status === '' ? undefined : Number(status);
  return {
    ...judge({
      event,
      started: started !== undefined,
      commandStatus,
      bootFailure: report(FILES.bootFailure) ?? bootFailureIn(log),
      moduleFailure: report(FILES.moduleFailure),
      qemuFailure: qemu.failure,
      findings,
      log,
      timeout: options.timeout ?? DEFAULTS.timeout,
    }),
    commandStatus,
    accel: options.icount ? 'tcg' : setup.accel.accel,
    accelReason: options.icount ? 'counted time needs it' : setup.accel.reason,
    kernel: setup.kernel.release,
    kernelLog: options.log === undefined ? run.kernelLog : resolve(options.log),
    findings,
    buildWarnings: [...(setup.module?.warnings ?? []), ...setup.drivers.flatMap(({warnings}) => warnings)],
    seconds: (performance.now() - start) / 1000,
    bootSeconds: started === undefined ? undefined : Number(started),
    out,
  };
}

/** The kernel's line before its first process. */
const INIT_RUNS = /^(?:\[.*\] )?Run \S+ as init process/m;

/**
 * On several processors QEMU's emulation may run an old translation of code that another processor has just replaced. While the kernel
 * boots, and switches its jump labels, that is a breakpoint which nobody has set, or one that is run for ever. No kernel that boots
 * elsewhere does so by itself.
 */
export function isEmulatorsFault(log: string): boolean {
  const lines = log.split('\n').map(withoutStamp);
  const init = lines.findIndex((line) => INIT_RUNS.test(line));
  return lines.slice(0, init < 0 ? undefined : init).some((line) => /^(Oops: )?int3: /.test(line));
}

function bootFailureIn(log: string): string | undefined {
  const line = log.split('\n').map(withoutStamp).find((text) => text.startsWith(BOOT_FAILED));
  return line?.slice(BOOT_FAILED.length);
}

function copyLog(from: string, to: string): void {
  try {
    copyFileSync(from, to);
  } catch (error) {
    throw new VmError(`the kernel log could not be written to ${to}: ${messageOf(error)}; it is in ${from}`);
  }
}

export interface Evidence {
  event: Event;
  started: boolean;
  commandStatus: number | undefined;
  /** What kept the guest from coming to the command, in its own words. */
  bootFailure: string | undefined;
  moduleFailure: string | undefined;
  /** Why QEMU ended, if the guest did not end it. */
  qemuFailure: string | undefined;
  findings: readonly Finding[];
  log: string;
  timeout: number;
}

/** The verdict, from everything that is known at the end. A command's own failure counts before the kernel's complaints. */
export function judge(evidence: Evidence): {ending: Ending; status: number; reason: string | undefined} {
  const {event, started, commandStatus, bootFailure, moduleFailure, qemuFailure, findings, log, timeout} = evidence;
  const complaint = headline(findings);
  // Only then all of the command's output was passed on, too.
  if (commandStatus !== undefined && event === 'finished') {
    if (complaint === undefined) {
      return {ending: 'command', status: commandStatus, reason: undefined};
    }
    const more = findings.length > 1 ? ` (and ${findings.length - 1} more)` : '';
    return {
      ending: 'kernel-complained',
      status: commandStatus === 0 ? EXIT.kernelComplained : commandStatus,
      reason: `the kernel complained: ${complaint.text}${more}`,
    };
  }
  const panic = findings.find(({kind}) => kind === 'panic');
  if (panic !== undefined) {
    // "Fatal exception" alone tells nobody anything.
    const cause = complaint === undefined || complaint === panic ? '' : `, after: ${complaint.text}`;
    return {ending: 'guest-died', status: EXIT.guestDied, reason: `the kernel panicked: ${panic.text.replace(/^Kernel panic - (not syncing: )?/, '')}${cause}`};
  }
  if (moduleFailure !== undefined) {
    return {ending: 'module-not-loaded', status: EXIT.moduleNotLoaded, reason: `a module did not load: ${moduleFailure}`};
  }
  if (bootFailure !== undefined && !started) {
    return {ending: 'guest-died', status: EXIT.guestDied, reason: `the boot failed: ${bootFailure}`};
  }
  const what = commandStatus !== undefined ? `the output of the command (status ${commandStatus})` : started ? 'the command' : 'the boot';
  switch (event) {
    case 'interrupted':
      return {ending: 'interrupted', status: EXIT.interrupted, reason: 'interrupted'};
    case 'boot-stalled':
      return {ending: 'guest-died', status: EXIT.guestDied, reason: `the boot failed: the kernel printed nothing for ${BOOT_SILENCE_MS / 1000} s`};
    case 'time-limit':
      return {
        ending: 'time-limit',
        status: EXIT.timeLimit,
        reason: `${what} did not end within ${timeout} s (--timeout)${complaint === undefined ? '' : `; the kernel said: ${complaint.text}`}`,
      };
    default: {
      if (qemuFailure !== undefined) {
        return {ending: 'qemu-died', status: EXIT.runner, reason: `${qemuFailure} before ${what} ended; dmesg tells if this machine ran out of memory`};
      }
      const last = log.split('\n').map(withoutStamp).filter(Boolean).at(-1) ?? 'nothing';
      return {
        ending: 'guest-died',
        status: EXIT.guestDied,
        reason: `the guest went down before ${what} ended; its last word was: ${complaint?.text ?? last}`,
      };
    }
  }
}
