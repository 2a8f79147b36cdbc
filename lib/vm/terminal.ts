/** This process's terminal, lent to the guest: every key goes there, and the third Ctrl-C in a second ends the machine. */
import type {Duplex} from 'node:stream';

const CTRL_C = 3;
const KEYS = 3;
const WITHIN_MS = 1000;

export class HostTerminal {
  readonly interrupted: Promise<void>;
  private readonly onData: ((chunk: Buffer) => void) | undefined;

  constructor(guest: Duplex, hasStarted: () => boolean) {
    // Without a terminal for input there is nothing to lend, and Ctrl-C is a signal as usual.
    if (!process.stdin.isTTY) {
      this.interrupted = new Promise(() => undefined);
      return;
    }
    let presses: number[] = [];
    let interrupt = (): void => undefined;
    this.interrupted = new Promise((resolve) => (interrupt = resolve));
    this.onData = (chunk: Buffer): void => {
      if (chunk.includes(CTRL_C)) {
        // A command may have its own use for the key. Before there is one, nobody has.
        const now = performance.now();
        // Keys that were pressed in haste come together.
        const pressed = chunk.filter((byte) => byte === CTRL_C);
        presses = [...presses.filter((time) => now - time < WITHIN_MS), ...Array.from(pressed, () => now)];
        if (!hasStarted() || presses.length >= KEYS) {
          interrupt();
          return;
        }
      }
      guest.write(chunk);
    };
    guest.on('error', () => undefined);
    process.stdin.setRawMode(true);
    process.stdin.on('data', this.onData).resume();
  }

  restore(): void {
    if (this.onData !== undefined) {
      process.stdin.off('data', this.onData).pause();
      process.stdin.setRawMode(false);
    }
  }
}
