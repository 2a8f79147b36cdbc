/** What a run can be asked for. */
import type {Writable} from 'node:stream';
import type {OptionNames} from '../options.js';
import type {Accel} from './accel.js';
import type {Finding} from './log-scan.js';

/** Of memory and CPUs of the guest, and seconds until it is ended. */
export const DEFAULTS = {memory: '2G', cpus: 2, timeout: 600} as const;

export interface SetupOptions {
  /** A version of the table (6.1, 6.12-rt, ...), `host`, or the path of a kernel file. */
  kernel?: string | undefined;
  /** Where a kernel file's modules are. */
  modules?: string | undefined;
  /** Build framevec.ko, and load it; true unless said otherwise. */
  module?: boolean | undefined;
  /** Where a kernel file's headers are. */
  headers?: string | undefined;
  /** Directories of further modules to build and load, parameters after commas: ./driver,debug=1. */
  drivers?: readonly string[] | undefined;
  /** Install missing programs with apt-get. */
  install?: boolean | undefined;
  /** Look for a newer kernel than the one in the cache. */
  refresh?: boolean | undefined;
  /** Takes the lines about set-up steps; none by default. */
  progress?: ((text: string) => void) | undefined;
  /** Ends the set-up, and the VM. */
  signal?: AbortSignal | undefined;
}

export interface VmOptions extends SetupOptions {
  command: readonly string[];
  /** The command's working directory; this process's by default. */
  directory?: string | undefined;
  memory?: string | undefined;
  cpus?: number | undefined;
  /** Seconds until the VM is ended. */
  timeout?: number | undefined;
  /** More arguments for QEMU, and more of the kernel's command line. */
  qemu?: readonly string[] | undefined;
  append?: string | undefined;
  /** Parameters of framevec.ko: allow_force=1. */
  moduleParameters?: readonly string[] | undefined;
  /** Stock modules to load, options after commas: vivid,n_devs=2. */
  with?: readonly string[] | undefined;
  /** More environment variables for the command. */
  env?: Readonly<Record<string, string>> | undefined;
  /** Count time in instructions: one CPU, emulated, and the same numbers in each run. */
  icount?: boolean | undefined;
  /** The directory the command can write to as $FRAMEVEC_RUN; one of the run's own by default. */
  out?: string | undefined;
  /** A second place for the kernel log. */
  log?: string | undefined;
  stdout?: Writable | undefined;
  stderr?: Writable | undefined;
  /** Give the command a terminal: that of this process. */
  terminal?: boolean | undefined;
}

/** The names of {@link VmOptions}. */
export const VM_OPTIONS: OptionNames<VmOptions> = {
  kernel: true, modules: true, headers: true, module: true, drivers: true, install: true, refresh: true, progress: true, command: true, directory: true, memory: true,
  cpus: true, timeout: true, qemu: true, append: true, moduleParameters: true, with: true, env: true, icount: true, out: true, log: true,
  stdout: true, stderr: true, terminal: true, signal: true,
};

export type Ending = 'command' | 'kernel-complained' | 'guest-died' | 'qemu-died' | 'module-not-loaded' | 'time-limit' | 'interrupted';

export interface VmResult {
  /** What the run as a whole should exit with. */
  status: number;
  ending: Ending;
  /** One line about every ending but the command's own. */
  reason: string | undefined;
  /** The command's own status; undefined when it did not come to its end. */
  commandStatus: number | undefined;
  accel: Accel['accel'];
  accelReason: string;
  kernel: string;
  /** The path of the kernel log. */
  kernelLog: string;
  findings: Finding[];
  /** What the compiler said about the module. */
  buildWarnings: string[];
  /** The whole run; and how much of it passed before the command began, by the guest's own clock. */
  seconds: number;
  bootSeconds: number | undefined;
  /** What the command left in $FRAMEVEC_RUN. */
  out: string;
}
