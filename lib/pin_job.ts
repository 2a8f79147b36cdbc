/** A pin on another thread: from its place in the queue to its end, whichever way it ends. */
import type {AbortSignalLike} from './pin_options.js';
import {ended, enqueue, withdraw} from './pin_queue.js';

/** The vector's part of a {@link PinJob}. */
export interface PinJobParts {
  /** Starts it in the addon. If it does not start, this returns the addon's answer, which is negative. */
  readonly begin: (done: (answer: number) => void) => number;
  /**
   * Called once, at the end, and synchronously when the addon answers, so that the exchange is the pin's
   * own. `answer` is undefined if the job was given up before it started.
   *
   * @returns what the promise resolves with
   * @throws what it rejects with
   */
  readonly end: (answer: number | undefined) => number;
}

/** One pin. Of the vector it is the only job at a time. */
export class PinJob {
  readonly #parts: PinJobParts;
  readonly #signal: AbortSignalLike | undefined;
  #resolve!: (frames: number) => void;
  #reject!: (reason: Error) => void;
  #promise: Promise<number>;
  #closing = false;

  constructor(signal: AbortSignalLike | undefined, parts: PinJobParts) {
    this.#parts = parts;
    this.#signal = signal;
    this.#promise = new Promise<number>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    signal?.addEventListener('abort', this.#giveUp, {once: true});
  }

  /** Whether the vector was closed meanwhile. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Starts it, or puts it in the queue. */
  run(): Promise<number> {
    const signal = this.#signal;
    if (signal !== undefined) {
      const forget = (): void => {
        signal.removeEventListener('abort', this.#giveUp);
      };
      void this.#promise.then(forget, forget);
    }
    enqueue(this.#start);
    return this.#promise;
  }

  /** Has the vector closed at the end of it, which is now if it has not started. */
  close(): void {
    this.#closing = true;
    this.#giveUp();
  }

  /** Resolves when it has ended, whichever way. */
  async over(): Promise<void> {
    try {
      await this.#promise;
    } catch {
      // Who has asked for the pin is told.
    }
  }

  readonly #start = (): void => {
    const answer = this.#parts.begin(this.#done);
    if (answer < 0) this.#done(answer);
  };

  readonly #done = (answer: number): void => {
    this.#settle(answer);
    // Not before: the next one to start uses the exchange.
    ended();
  };

  readonly #giveUp = (): void => {
    if (withdraw(this.#start)) this.#settle(undefined);
  };

  #settle(answer: number | undefined): void {
    try {
      this.#resolve(this.#parts.end(answer));
    } catch (error) {
      this.#reject(error as Error);
    }
  }
}
