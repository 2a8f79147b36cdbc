import {EXIT, VmError} from './errors.js';

/** Tells on stderr what a set-up step is and how long it took: one line a step, nothing for a step that was done before. */
export class Progress {
  constructor(private readonly write: ((text: string) => void) | undefined) {}

  async step<T>(what: string, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    this.write?.(`framevec: ${what} ... `);
    try {
      const result = await work();
      this.write?.(`${((performance.now() - start) / 1000).toFixed(1)} s\n`);
      return result;
    } catch (error) {
      this.write?.(error instanceof VmError && error.status === EXIT.interrupted ? 'interrupted\n' : 'failed\n');
      throw error;
    }
  }

  say(text: string): void {
    this.write?.(`framevec: ${text}\n`);
  }
}
