/** One of several threads that pin at the same time, each its own memory with its own vector. */
import {parentPort, workerData} from 'node:worker_threads';
import {info} from '../device.js';
import {Backing, type BackingName, type Region} from './backing.js';
import {ColdPins, ResidentPins, type Contestant} from './contestant.js';
import type {Case} from './result.js';
import {Samples} from './samples.js';

export interface ThreadData {
  /** How many threads have come to the start of the present slice; and of how many. */
  readonly gate: Int32Array;
  readonly threads: number;
}

export type ToThread =
  | {readonly kind: 'open'; readonly key: number; readonly of: Case & {readonly backing: BackingName}; readonly most: number}
  | {readonly kind: 'slice'; readonly key: number; readonly ns: number; readonly turn: number}
  | {readonly kind: 'close'; readonly key: number};

export interface FromThread {
  readonly error?: string;
  readonly pin?: Float64Array;
  readonly unpin?: Float64Array;
  readonly touch?: Float64Array;
}

/** Memory of one backing, of which each resident case has the beginning: it goes with the last of them. */
interface Shared {
  readonly backing: Backing;
  memory: Region | undefined;
  cases: number;
}

/** What one case has. */
interface Held {
  readonly contestant: Contestant;
  readonly name: BackingName;
}

function serve({gate, threads}: ThreadData, port: NonNullable<typeof parentPort>): void {
  const held = new Map<number, Held>();
  const shared = new Map<BackingName, Shared>();
  const samples = new Samples();

  const open = ({key, of, most}: Extract<ToThread, {kind: 'open'}>): void => {
    const {backing: name, pages, access, state} = of;
    const {pageSize} = info();
    // No huge page is reserved here: the main thread has reserved what all of them need.
    const mine = shared.get(name) ?? {backing: new Backing(name, most * pageSize, 0), memory: undefined, cases: 0};
    shared.set(name, mine);
    const write = access === 'write';
    if (state === 'cold') {
      held.set(key, {contestant: new ColdPins(mine.backing, pages, write, pageSize), name});
    } else {
      mine.memory ??= mine.backing.resident(most * pageSize);
      held.set(key, {contestant: new ResidentPins(mine.memory.bytes.subarray(0, pages * pageSize), pages, write), name});
    }
    mine.cases++;
  };

  const close = (key: number): void => {
    const {contestant, name} = held.get(key) ?? {};
    held.delete(key);
    void contestant?.close();
    const mine = name === undefined ? undefined : shared.get(name);
    if (name === undefined || mine === undefined || --mine.cases > 0) return;
    mine.memory?.[Symbol.dispose]();
    mine.backing[Symbol.dispose]();
    shared.delete(name);
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
      if (message.kind === 'open') open(message);
      else if (message.kind === 'slice') answer = slice(message.key, message.ns, message.turn);
      else close(message.key);
    } catch (error) {
      answer = {error: error instanceof Error ? error.message : String(error)};
    }
    port.postMessage(answer);
  });
}

if (parentPort !== null) serve(workerData as ThreadData, parentPort);
