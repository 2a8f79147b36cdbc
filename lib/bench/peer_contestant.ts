/** A peer as a contestant: its loop is in C, so it is told how often, and not how long. */
import type {Contestant} from './contestant.js';
import type {Peer, PeerAbsence, PeerName, PeerSession} from './peers.js';
import {now, SLICE_CALLS, type Samples} from './samples.js';

/** What a row calls our own ioctls from C: the peers call them framevec, which here is the library. */
export const C_LOOP = 'c-loop';

export function rowName(name: PeerName): string {
  return name === 'framevec' ? C_LOOP : name;
}

/** Sets a peer up on memory, or says why not. */
export function openPeer(peer: Peer, memory: Uint8Array, write: boolean): PeerContestant | PeerAbsence {
  const session = peer.open(memory, {write});
  return session.ok ? new PeerContestant(peer, session) : session;
}

export class PeerContestant implements Contestant {
  readonly what: string;
  readonly calls: {readonly pin: string; readonly unpin: string};
  readonly touches = false;
  readonly times = false;
  readonly #session: PeerSession;
  readonly #columns: number;
  readonly #raw: Float64Array;
  /** Of a pair with all that it needs, ns, as it was last. */
  #pairNs = 0;

  constructor(peer: Peer, session: PeerSession) {
    this.what = rowName(peer.name);
    this.calls = {pin: peer.acquire, unpin: peer.release};
    this.#session = session;
    this.#columns = peer.columns.length;
    this.#raw = new Float64Array(SLICE_CALLS * this.#columns);
  }

  slice(samples: Samples, ns: number): void {
    const raw = this.#raw;
    const columns = this.#columns;
    // The first time it is not known how long a pair takes.
    let room = this.#pairNs === 0 ? 1 : Math.max(1, Math.min(SLICE_CALLS, Math.round(ns / this.#pairNs)));
    let count = 0;
    const began = now();
    for (let gone = 0; count < SLICE_CALLS && gone < ns; room = Math.max(1, Math.min(room * 2, SLICE_CALLS - count))) {
      const part = raw.subarray(count * columns, (count + room) * columns);
      this.#session.measure(room, part);
      count += room;
      gone = now() - began;
      this.#pairNs = gone / count;
    }
    for (let i = 0; i < count; i++) {
      samples.pin[i] = raw[i * columns] ?? 0;
      samples.unpin[i] = raw[i * columns + 1] ?? 0;
    }
    samples.count = count;
  }

  close(): void {
    this.#session.close();
  }
}
