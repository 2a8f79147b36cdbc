/**
 * Batches: many calls between two looks at the clock. For figures that compare two ways of doing the same, where the
 * clock would be a part of both; the distribution is the grid's.
 */
import type {FrameVector} from '../frame_vector.js';
import type {PinOptions} from '../pin_options.js';
import {freemem} from 'node:os';
import {info} from '../device.js';
import {Backing, bytesTaken, type BackingName} from './backing.js';
import {peerNamed, type PeerAbsence, type PeerName, type PeerSession} from './peers.js';
import {now} from './samples.js';
import {median} from './statistics.js';

/** Does it so many times, and tells the ns of all together. */
export type Batch = (times: number) => number;

/** pin() and unpin() of a reused vector. */
export function pairs(vector: FrameVector, target: Uint8Array, options: PinOptions): Batch {
  return times => {
    const began = now();
    for (let i = 0; i < times; i++) {
      vector.pin(target, options);
      vector.unpin();
    }
    return now() - began;
  };
}

/** A call of any kind. */
export function repeated(call: () => unknown): Batch {
  return times => {
    const began = now();
    for (let i = 0; i < times; i++) call();
    return now() - began;
  };
}

/** A peer's own loop, in C. */
export function looped(session: PeerSession): Batch {
  return times => session.loop(times);
}

export interface InterleaveOptions {
  readonly durationMs: number;
  readonly rounds: number;
}

/** Turns that a round is cut into: what else the machine does hits some of them, and the median is of the others. */
const TURNS = 8;
/** Unless one call takes longer than this, ns: its turn would make a round too long. */
const LONGEST_TURN = 100e6;

/** Runs the batches in turn, A B A B, each for its share of the time: ns of one call, by round, for each of them. */
export function interleave(batches: readonly Batch[], {durationMs, rounds}: InterleaveOptions): number[][] {
  const turnNs = ((durationMs / rounds) * 1e6) / TURNS;
  let longest = 0;
  const times = batches.map(batch => {
    // Warm, and see how many fill a turn.
    let enough = 1;
    let ns = batch(1);
    while (ns < turnNs && enough < 2 ** 20) {
      enough = Math.ceil(enough * Math.min(8, Math.max(1.5, turnNs / Math.max(ns, 1))));
      ns = batch(enough);
    }
    longest = Math.max(longest, ns);
    return enough;
  });
  const turns = longest > LONGEST_TURN ? 1 : TURNS;
  const found: number[][] = batches.map(() => []);
  for (let round = 0; round < rounds; round++) {
    const ofRound: number[][] = batches.map(() => []);
    for (let turn = 0; turn < turns; turn++) {
      batches.forEach((batch, i) => ofRound[i]?.push(batch(times[i] ?? 1) / (times[i] ?? 1)));
    }
    ofRound.forEach((ns, i) => found[i]?.push(median(ns)));
  }
  return found;
}

/** Calls with memory of a backing that is there; or says why there is none. */
export function withMemory<T>(name: BackingName, pages: number, use: (bytes: Uint8Array) => T, lacking: (reason: string) => T): T {
  const bytes = pages * info().pageSize;
  if (name !== 'device' && bytesTaken(name, bytes) > freemem() * 0.8) {
    return lacking(`${bytes / 2 ** 20} MiB are needed and ${Math.floor(freemem() / 2 ** 20)} MiB are free: \`framevec vm --memory\``);
  }
  using backing = new Backing(name, bytes, 1);
  const reason = backing.lacks(bytes);
  if (reason !== undefined) return lacking(reason);
  using region = backing.resident(bytes);
  return use(region.bytes);
}

/** Calls with peers that are set up on the memory; or says why one of them is not to be had. */
export function withPeers<T>(
  names: readonly PeerName[], memory: Uint8Array, use: (sessions: readonly PeerSession[]) => T, lacking: (reason: string) => T, write = true,
): T {
  const opened: (PeerSession | PeerAbsence)[] = [];
  try {
    for (const name of names) {
      const session = peerNamed(name).open(memory, {write});
      opened.push(session);
      if (!session.ok) return lacking(`${name}: ${session.reason}`);
    }
    return use(opened.filter((session): session is PeerSession => session.ok));
  } finally {
    for (const session of opened.reverse()) if (session.ok) session.close();
  }
}

/** Of a time in ns, for details. */
export function microseconds(ns: number): string {
  return ns >= 1e5 ? `${(ns / 1e3).toFixed(0)} µs` : `${(ns / 1e3).toPrecision(3)} µs`;
}
