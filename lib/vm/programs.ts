/** The host's programs: finding them, running them, and installing the ones that are missing. */
import {spawn} from 'node:child_process';
import {accessSync, constants, existsSync, readFileSync, readdirSync, statSync} from 'node:fs';
import {delimiter, join} from 'node:path';
import {VmError, interruptedError} from './errors.js';
import {currentWork} from './work.js';
import type {Progress} from './progress.js';
import {isStaticElf} from './elf.js';

/** A user's PATH often lacks these, and depmod lives there. */
const SYSTEM_DIRECTORIES = ['/usr/sbin', '/sbin', '/usr/bin', '/bin'];

const LISTS = '/var/lib/apt/lists';
const LISTS_STALE_AFTER_MS = 7 * 24 * 3600 * 1000;

export function findProgram(name: string): string | undefined {
  const directories = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...SYSTEM_DIRECTORIES];
  return directories.map((directory) => join(directory, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}

export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string | undefined>;
  /** latin1 keeps every byte of a binary output. */
  encoding?: 'utf8' | 'latin1';
  /** Open files that the program has as descriptor 3 and up. */
  descriptors?: readonly number[];
  /** Not to be ended half way when the work is interrupted, and not cut off from the terminal, where it may ask for a password. */
  toItsEnd?: boolean;
}

/** How long a program may take to end when it is asked to. */
const END_MS = 2000;

/**
 * Runs a program to its end; only a program that cannot start is an error, or work that is interrupted. What it starts in turn holds the
 * work's locks too, so nobody takes over while a compiler still writes.
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const {locks, signal} = currentWork();
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(interruptedError());
      return;
    }
    const path = findProgram(program) ?? program;
    // In a process group of its own it can be ended together with all that it has started.
    const group = signal !== undefined && options.toItsEnd !== true;
    const child = spawn(path, args, {
      stdio: ['ignore', 'pipe', 'pipe', ...(options.descriptors ?? []), ...locks],
      cwd: options.cwd,
      // One language for every message that is read here.
      env: {...process.env, LC_ALL: 'C.UTF-8', ...options.env},
      detached: group,
    });
    const {pid} = child;
    let timer: NodeJS.Timeout | undefined;
    const end = (): void => {
      killGroup(pid, 'SIGTERM');
      timer = setTimeout(() => { killGroup(pid, 'SIGKILL'); }, END_MS);
    };
    if (group) {
      signal.addEventListener('abort', end, {once: true});
    }
    const ended = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
    };
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding(options.encoding ?? 'utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', (error) => {
      ended();
      reject(new VmError(`${program} could not be started: ${error.message}`));
    });
    child.on('close', (status) => {
      ended();
      if (group && signal.aborted) {
        reject(interruptedError());
      } else {
        resolve({status: status ?? 1, stdout, stderr});
      }
    });
  });
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It is gone already.
  }
}

/** Runs a program that has to succeed; what it printed on stdout. */
export async function must(what: string, program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const {status, stdout, stderr} = await run(program, args, options);
  if (status !== 0) {
    const lines = stderr.trim().split('\n');
    const telling = lines.find((line) => /^(E|error|fatal)\b/i.test(line)) ?? lines.at(-1) ?? '';
    throw new VmError(`${what} failed (${program}, status ${status}): ${telling}`, undefined, stderr);
  }
  return stdout;
}

interface Need {
  package: string;
  isThere: () => boolean;
}

const program = (name: string, packageName: string): Need => ({
  package: packageName,
  isThere: () => findProgram(name) !== undefined,
});

const TO_BOOT: readonly Need[] = [
  program('qemu-system-x86_64', 'qemu-system-x86'),
  {package: 'busybox-static', isThere: () => findStaticBusybox() !== undefined},
  program('depmod', 'kmod'),
  program('xz', 'xz-utils'),
  program('zstd', 'zstd'),
];

const TO_BUILD: readonly Need[] = [
  program('make', 'make'),
  program('gcc', 'gcc'),
  {package: 'libelf1', isThere: () => hasLibrary('libelf.so.1')},
];

/** The initramfs has no libc, so only a static busybox will do. */
export function findStaticBusybox(): string | undefined {
  return ['/bin/busybox', '/usr/bin/busybox', findProgram('busybox')].find(
    (path) => path !== undefined && existsSync(path) && isStaticElf(readFileSync(path)),
  );
}

function hasLibrary(name: string): boolean {
  return ['/usr/lib/x86_64-linux-gnu', '/lib/x86_64-linux-gnu', '/usr/lib64'].some((directory) => existsSync(join(directory, name)));
}

export function missingPackages(build: boolean): string[] {
  return [...TO_BOOT, ...(build ? TO_BUILD : [])].filter((need) => !need.isThere()).map((need) => need.package);
}

/** The commands that bring `packages` in; the same words go to the user and to the shell. */
export function installCommands(packages: readonly string[], root: boolean, updateFirst: boolean): string[][] {
  const sudo = root ? [] : ['sudo'];
  const install = [...sudo, 'apt-get', 'install', '-y', '-o', 'DPkg::Lock::Timeout=600', '--no-install-recommends', ...packages];
  return updateFirst ? [[...sudo, 'apt-get', 'update'], install] : [install];
}

function listsAreFresh(): boolean {
  try {
    const lists = readdirSync(LISTS).filter((name) => name.includes('_Packages') || name.includes('InRelease'));
    return lists.length > 0 && Date.now() - statSync(LISTS).mtimeMs < LISTS_STALE_AFTER_MS;
  } catch {
    return false;
  }
}

/** Sees to it that the programs are there: installs them when allowed to, otherwise says how to. */
export async function requirePrograms(progress: Progress, {build, install}: {build: boolean; install: boolean}): Promise<void> {
  const missing = missingPackages(build);
  if (missing.length === 0) {
    return;
  }

  const commands = installCommands(missing, process.getuid?.() === 0, !listsAreFresh());
  if (!install) {
    const remedy = commands.map((command) => command.join(' ')).join(' && ');
    throw new VmError(`programs are missing on this machine; install them with --install, or: ${remedy}`);
  }

  await progress.step(`install ${missing.join(' ')}`, async () => {
    for (const [name = '', ...args] of commands) {
      await must(`installing ${missing.join(' ')}`, name, args, {env: {DEBIAN_FRONTEND: 'noninteractive'}, toItsEnd: true});
    }
  });
  const still = missingPackages(build);
  if (still.length > 0) {
    throw new VmError(`apt-get installed ${still.join(' ')}, but the programs are still not found`);
  }
}
