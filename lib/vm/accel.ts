/** Whether KVM truly works here. /dev/kvm can exist, open, and even run code on a host where no stock kernel boots. */
import {spawn} from 'node:child_process';
import {closeSync, existsSync, openSync, readFileSync} from 'node:fs';
import type {Cache} from './cache.js';
import {findProgram} from './programs.js';

export interface Accel {
  accel: 'kvm' | 'tcg';
  /** Why, in words that follow "emulation: ". */
  reason: string;
}

export interface HostFacts {
  /** undefined when /dev/kvm opens for reading and writing, otherwise why it does not. */
  deviceError: string | undefined;
  cpuFlags: readonly string[];
  /** Names in /sys/module that begin with kvm. */
  kvmModules: readonly string[];
}

/** Why KVM cannot work; undefined when a boot has to tell. */
export function objection({deviceError, cpuFlags, kvmModules}: HostFacts): string | undefined {
  if (deviceError !== undefined) {
    return deviceError;
  }
  if (!cpuFlags.some((flag) => flag === 'vmx' || flag === 'svm')) {
    return 'the processor shows neither vmx nor svm';
  }
  if (!kvmModules.some((name) => name === 'kvm_intel' || name === 'kvm_amd')) {
    return 'neither kvm_intel nor kvm_amd is loaded';
  }
  return undefined;
}

export function hostFacts(): HostFacts {
  return {
    deviceError: deviceError('/dev/kvm'),
    cpuFlags: /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim().split(/\s+/) ?? [],
    kvmModules: ['kvm_intel', 'kvm_amd'].filter((name) => existsSync(`/sys/module/${name}`)),
  };
}

function deviceError(path: string): string | undefined {
  try {
    closeSync(openSync(path, 'r+'));
    return undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return code === 'ENOENT' ? `there is no ${path}` : `${path} does not open (${code})`;
  }
}

/** Long enough for the first line of a kernel's log, which comes in a fraction of this where KVM works. */
const FIRST_BYTE_MS = 3000;

/** The answer holds until the machine boots anew. */
export async function chooseAccel(cache: Cache, image: string): Promise<Accel> {
  const why = objection(hostFacts());
  if (why !== undefined) {
    return {accel: 'tcg', reason: why};
  }
  const path = cache.path('accel.json');
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  try {
    const known = JSON.parse(readFileSync(path, 'utf8')) as Accel & {boot: string};
    if (known.boot === boot) {
      return {accel: known.accel, reason: known.reason};
    }
  } catch {
    // Not asked yet.
  }
  const answer: Accel = (await bootsUnderKvm(image))
    ? {accel: 'kvm', reason: 'a kernel boots with it'}
    : {accel: 'tcg', reason: '/dev/kvm is there, but no kernel boots with it'};
  cache.writeJson(path, {...answer, boot});
  return answer;
}

/** A kernel without a root panics soon; all that counts is that it says something. */
function bootsUnderKvm(image: string): Promise<boolean> {
  const qemu = findProgram('qemu-system-x86_64') ?? 'qemu-system-x86_64';
  const child = spawn(
    qemu,
    [
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-M', 'q35', '-m', '512M', '-accel', 'kvm', '-cpu', 'host'],
      ...['-kernel', image, '-append', 'console=ttyS0 earlyprintk=serial panic=-1', '-serial', 'stdio'],
    ],
    {stdio: ['ignore', 'pipe', 'ignore']},
  );
  return new Promise((resolve) => {
    const answer = (boots: boolean): void => {
      clearTimeout(timer);
      resolve(boots);
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => { answer(false); }, FIRST_BYTE_MS);
    // A firmware may speak before the kernel does, so a kernel's word is asked for.
    child.stdout.on('data', (chunk: Buffer) => {
      if (chunk.includes('Linux version')) {
        answer(true);
      }
    });
    child.on('error', () => { answer(false); });
    child.on('close', () => { answer(false); });
  });
}
