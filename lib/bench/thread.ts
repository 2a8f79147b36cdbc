/** One of several threads that pin at the same time, each its own memory with its own vector. */
import {parentPort, workerData} from 'node:worker_threads';
import {info} from '../device.js';
import {Backing, type BackingName} from './backing.js';
import {ColdPins, ResidentPins, type Contestant} from './contestant.js';
import type {Case} from './result.js';
import {Samples} from './samples.js';

export interface ThreadData {
  /** How many threads have come to the start of the present slice; and of how many. */
  readonly gate: Int32Array;
  readonly threads: number;
}

export type ToThread =
  | {readonly kind: 'open'; readonly key: number; readonly of: Case & {readonly backing: BackingName}}
  | {readonly kind: 'slice'; readonly key: number; readonly ns: number; readonly turn: number}
  | {readonly kind: 'close'; readonly key: number};

export interface FromThread {
  readonly error?: string;
  readonly pin?: Float64Array;
  readonly unpin?: Float64Array;
  readonly touch?: Float64Array;
}

/** What one case has: closed in this order. */
interface Held {
  readonly contestant: Contestant;
  readonly memory: Disposable | undefined;
  readonly backing: Backing;
}

function serve({gate, threads}: ThreadData, port: NonNullable<typeof parentPort>): void {
  const held = new Map<number, Held>();
  const samples = new Samples();

  const open = (key: number, {backing: name, pages, access, state}: Extract<ToThread, {kind: 'open'}>['of']): void => {
    const {pageSize} = info();
    // One region only: the main thread has reserved what huge pages all of them need.
    const backing = new Backing(name, pages * pageSize, 0);
    const missing = backing.lacks(pages * pageSize);
    if (missing !== undefined) throw new Error(missing);
    if (state === 'cold') {
      held.set(key, {contestant: new ColdPins(backing, pages, access === 'write', pageSize), memory: undefined, backing});
      return;
    }
    const memory = backing.resident(pages * pageSize);
    held.set(key, {contestant: new ResidentPins(memory.bytes, pages, access === 'write'), memory, backing});
  };

  /** Waits until all have come: a slice in which the others have not begun would be of one thread. */
  const start = (turn: number): void => {
    const come = Atomics.add(gate, 0, 1) + 1;
    if (come === turn * threads) Atomics.notify(gate, 0);
    for (let seen = Atomics.load(gate, 0); seen < turn * threads; seen = Atomics.load(gate, 0)) Atomics.wait(gate, 0, seen, 1000);
  };

  const slice = (key: number, ns: number, turn: number): FromThread => {
    const contestant = held.get(key)?.contestant;
    start(turn);
    if (contestant === undefined) throw new Error('this case is not open');
    void contestant.slice(samples, ns, false);
    const {count} = samples;
    return {
      pin: samples.pin.slice(0, count),
      unpin: samples.unpin.slice(0, count),
      ...(contestant.touches && {touch: samples.touch.slice(0, count)}),
    };
  };

  port.on('message', (message: ToThread) => {
    let answer: FromThread = {};
    try {
      if (message.kind === 'open') open(message.key, message.of);
      else if (message.kind === 'slice') answer = slice(message.key, message.ns, message.turn);
      else {
        const {contestant, memory, backing} = held.get(message.key) ?? {};
        held.delete(message.key);
        void contestant?.close();
        memory?.[Symbol.dispose]();
        backing?.[Symbol.dispose]();
      }
    } catch (error) {
      answer = {error: error instanceof Error ? error.message : String(error)};
    }
    port.postMessage(answer);
  });
}

if (parentPort !== null) serve(workerData as ThreadData, parentPort);
