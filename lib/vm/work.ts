/** A piece of work, and what every program that it starts has from it: the locks it holds, and the signal that ends it. */
import {AsyncLocalStorage} from 'node:async_hooks';
import {interruptedError} from './errors.js';

export interface Work {
  /** Descriptors of the locks. A program that outlives this process goes on holding them. */
  locks: readonly number[];
  signal: AbortSignal | undefined;
}

const current = new AsyncLocalStorage<Work>();

export function currentWork(): Work {
  return current.getStore() ?? {locks: [], signal: undefined};
}

export async function holding<T>(lock: number, work: () => Promise<T>): Promise<T> {
  const {locks, signal} = currentWork();
  return await current.run({locks: [...locks, lock], signal}, work);
}

/** Runs `work` until `signal` aborts: then its programs are ended, and it fails when they are gone. */
export async function interruptible<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  if (signal === undefined) return await work();
  const check = (): void => {
    if (signal.aborted) throw interruptedError();
  };
  check();
  const result = await current.run({locks: currentWork().locks, signal}, work);
  check();
  return result;
}
