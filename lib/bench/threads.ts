/** N threads that pin at once (worker_threads), as one contestant. */
import {once} from 'node:events';
import {Worker} from 'node:worker_threads';
import type {BackingName} from './backing.js';
import {FRAMEVEC, type Contestant} from './contestant.js';
import type {Case} from './result.js';
import {SLICE_CALLS, type Samples} from './samples.js';
import type {FromThread, ThreadData, ToThread} from './thread.js';

/** The threads, which stay for all the cases of a run: to start one is dear. */
export class ThreadPool {
  readonly threads: number;
  readonly #workers: readonly Worker[];
  #cases = 0;
  #turn = 0;

  constructor(threads: number) {
    const data: ThreadData = {gate: new Int32Array(new SharedArrayBuffer(4)), threads};
    this.threads = threads;
    this.#workers = Array.from({length: threads}, () => new Worker(new URL('thread.js', import.meta.url), {workerData: data}));
  }

  /**
   * Sets a case up in each thread.
   *
   * @param most - pages of the largest case of this backing: all share one memory of each thread
   * @throws Error - what stood in the way in one of them
   */
  async open(of: Case & {readonly backing: BackingName}, most: number): Promise<Contestant> {
    const key = this.#cases++;
    const close = async (): Promise<void> => {
      await this.#ask({kind: 'close', key});
    };
    try {
      await this.#ask({kind: 'open', key, of, most});
    } catch (error) {
      await close();
      throw error;
    }
    return {
      what: FRAMEVEC,
      calls: {pin: 'vector.pin()', unpin: 'vector.unpin()'},
      touches: of.state === 'cold',
      times: false,
      slice: async (samples, ns) => {
        merge(samples, await this.#ask({kind: 'slice', key, ns, turn: ++this.#turn}));
      },
      close,
    };
  }

  async end(): Promise<void> {
    await Promise.all(this.#workers.map(async worker => worker.terminate()));
  }

  async #ask(message: ToThread): Promise<FromThread[]> {
    const answers = await Promise.all(this.#workers.map(async worker => {
      const answered = once(worker, 'message') as Promise<[FromThread]>;
      worker.postMessage(message);
      return (await answered)[0];
    }));
    const failed = answers.find(({error}) => error !== undefined);
    if (failed?.error !== undefined) throw new Error(failed.error);
    return answers;
  }
}

/** The calls of all threads, as many of each. */
function merge(samples: Samples, answers: readonly FromThread[]): void {
  const share = Math.floor(SLICE_CALLS / answers.length);
  samples.count = 0;
  for (const {pin, unpin, touch} of answers) {
    if (pin === undefined || unpin === undefined) continue;
    const count = Math.min(pin.length, share);
    samples.pin.set(pin.subarray(0, count), samples.count);
    samples.unpin.set(unpin.subarray(0, count), samples.count);
    if (touch !== undefined) samples.touch.set(touch.subarray(0, count), samples.count);
    samples.count += count;
  }
}
