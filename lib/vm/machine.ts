/** One QEMU process: started, its two streams passed on, and its end told. */
import {spawn, type ChildProcess} from 'node:child_process';
import type {Duplex, Writable} from 'node:stream';
import type {EndMark} from './end-mark.js';
import {VmError} from './errors.js';
import {findProgram} from './programs.js';
import {STREAM_FD} from './qemu.js';

export interface QemuEnd {
  /** What QEMU had to say for itself. */
  complaints: string;
  /** Why it ended, if neither the guest nor this process ended it. */
  failure: string | undefined;
}

export class QemuProcess {
  private readonly child: ChildProcess;
  private complaints = '';
  private endedHere = false;
  /** Settles when the process is gone. */
  readonly gone: Promise<QemuEnd>;

  /** QEMU holds `lock`, a descriptor, as long as it runs. */
  constructor(args: readonly string[], lock: number) {
    const qemu = findProgram('qemu-system-x86_64') ?? 'qemu-system-x86_64';
    // However this process ends, no machine of its own stays behind.
    const setpriv = findProgram('setpriv');
    const [program, ...first] = setpriv === undefined ? [qemu] : [setpriv, '--pdeathsig', 'KILL', qemu];
    // In a process group of its own it does not get the terminal's Ctrl-C: this process decides.
    this.child = spawn(program, [...first, ...args], {stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe', lock], detached: true});
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.complaints += text));
    this.gone = new Promise((resolve, reject) => {
      this.child.on('error', (error) => { reject(new VmError(`QEMU could not be started: ${error.message}`)); });
      this.child.on('close', (status, signal) => {
        const complaints = this.complaints.trim();
        resolve({complaints, failure: this.endedHere ? undefined : failureOf(complaints, status, signal)});
      });
    });
    // Whoever awaits it hears of it; until then it must not end the process.
    this.gone.catch(() => undefined);
  }

  stream(name: keyof typeof STREAM_FD): Duplex {
    return this.child.stdio[STREAM_FD[name]] as Duplex;
  }

  async end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null && this.child.pid !== undefined) {
      this.endedHere = true;
      this.child.kill('SIGKILL');
    }
    await this.gone;
  }
}

/** A guest that resets or powers off ends QEMU with status 0 and without a word. */
function failureOf(complaints: string, status: number | null, signal: NodeJS.Signals | null): string | undefined {
  if (signal !== null) return `QEMU was ended by ${signal}`;
  // Of these it ends by itself, with status 0.
  const asked = /terminating on signal (\d+)/.exec(complaints)?.[1];
  if (asked !== undefined) return `QEMU was ended by signal ${asked}`;
  return status === 0 ? undefined : `QEMU failed with status ${status}: ${complaints.split('\n').at(-1)}`;
}

/** Passes a stream on, in the sink's own pace, up to the mark; true when it came to the mark. */
export async function passOn(from: Duplex, mark: EndMark, to: Writable | undefined): Promise<boolean> {
  const write = async (data: Buffer): Promise<void> => {
    if (data.length > 0 && to !== undefined && to.writable && !to.write(data)) {
      await roomIn(to);
    }
  };
  try {
    for await (const chunk of from.iterator({destroyOnReturn: false}) as AsyncIterable<Buffer>) {
      await write(mark.push(chunk));
      if (mark.found) {
        // Nobody reads on, and a child of the command may still write.
        from.resume();
        return true;
      }
    }
  } catch {
    // A reset connection is an end like any other: the machine is gone.
  }
  await write(mark.rest());
  return false;
}

/** A sink that fails or closes has room for everything: it is all thrown away. */
function roomIn(sink: Writable): Promise<void> {
  return new Promise((resolve) => {
    const events = ['drain', 'error', 'close'] as const;
    const done = (): void => {
      events.forEach((event) => sink.off(event, done));
      resolve();
    };
    events.forEach((event) => sink.on(event, done));
  });
}
