/**
 * The grid: every case of a backing by everyone who can do it, in interleaved rounds. In each round every row of the
 * backing has its slice, neighbours in the table one right after the other, so that drift hits all alike.
 */
import {freemem} from 'node:os';
import {info} from '../device.js';
import {FrameVectorError} from '../errors.js';
import {Backing, bytesTaken, type BackingName, type Region} from './backing.js';
import {ColdPins, FRAMEVEC, ResidentPins, type Contestant} from './contestant.js';
import {openPeer, rowName} from './peer_contestant.js';
import {peers} from './peers.js';
import {rowId, type Absent, type Case, type Environment, type Row, type Settings} from './result.js';
import {PhaseRecorder, Samples, type PhaseTimes} from './samples.js';
import {SplitRecorder} from './split.js';
import {ThreadPool} from './threads.js';

type GridCase = Case & {readonly backing: BackingName};

export interface GridOptions extends Settings {
  readonly backings: readonly BackingName[];
  readonly environment: Environment;
  /** Called now and then with what is going on. */
  readonly progress: (text: string) => void;
  /** Called with the rows of a backing when they are done. */
  readonly told: (rows: readonly Row[], absent: readonly Absent[]) => void;
}

/** The kernel's timing gets a third of the time that the plain calls get. */
const TIMED_SHARE = 1 / 3;
/** Peers take memory that is there; they have no cold state and no threads of their own. */
const isPeerCase = ({state, threads}: Case): boolean => state === 'resident' && threads === 1;

/** A row in the making. */
class Lane {
  readonly id: string;
  readonly #times: PhaseTimes = {pin: new PhaseRecorder(), unpin: new PhaseRecorder(), pair: new PhaseRecorder(), touch: new PhaseRecorder()};
  readonly #split: SplitRecorder | undefined;

  constructor(readonly of: GridCase, readonly contestant: Contestant, environment: Environment, readonly extents: number | undefined) {
    this.id = rowId(contestant.what, of);
    this.#split = contestant.times ? new SplitRecorder(environment) : undefined;
  }

  async warm(samples: Samples, ns: number): Promise<void> {
    await this.contestant.slice(samples, ns, false);
    if (this.#split !== undefined) await this.contestant.slice(samples, ns * TIMED_SHARE, true);
  }

  async round(samples: Samples, ns: number): Promise<void> {
    await this.contestant.slice(samples, ns, false);
    samples.record(this.#times, this.contestant.touches);
    if (this.#split === undefined) return;
    await this.contestant.slice(samples, ns * TIMED_SHARE, true);
    this.#split.add(samples);
  }

  row(): Row {
    const {pin, unpin, pair, touch} = this.#times;
    return {
      id: this.id, what: this.contestant.what, ...this.of, calls: this.contestant.calls,
      phases: {pin: pin.phase(), unpin: unpin.phase(), pair: pair.phase(), ...(this.contestant.touches && {touch: touch.phase()})},
      ...(this.extents !== undefined && {extents: this.extents}),
      ...(this.#split && {split: this.#split.split()}),
    };
  }
}

/** Measures all of it. */
export async function runGrid(options: GridOptions): Promise<{rows: Row[]; absent: Absent[]}> {
  const rows: Row[] = [];
  const absent: Absent[] = peersThatLack(options);
  options.told([], absent);
  const pools = new Map<number, ThreadPool>();
  try {
    for (const name of options.backings) {
      const done = await new BackingRun(name, options, pools).run();
      rows.push(...done.rows);
      absent.push(...done.absent);
      options.told(done.rows, done.absent);
    }
  } finally {
    for (const pool of pools.values()) await pool.end();
  }
  return {rows, absent};
}

const rivals = peers.filter(({kind}) => kind !== 'floor').filter(({name}) => name !== 'framevec-timed');

/** Peers that this kernel does not have at all are said once, and not for every case. */
function peersThatLack({filter, states, threads}: Settings): Absent[] {
  if (!states.includes('resident') || !threads.includes(1)) return [];
  return rivals.flatMap(peer => {
    const what = rowName(peer.name);
    if (filter !== undefined && !matches(filter, `${what}/`) && namesOther(filter, what)) return [];
    const found = peer.available();
    return found.ok ? [] : [{what, reason: found.reason}];
  });
}

/** Whether a filter is for another contestant's rows. */
function namesOther(filter: string, what: string): boolean {
  return [FRAMEVEC, ...rivals.map(({name}) => rowName(name))].some(name => name !== what && matches(filter, `${name}/`));
}

/** A part of a row's id, or a regular expression. */
export function matches(filter: string | undefined, id: string): boolean {
  return filter === undefined || new RegExp(filter).test(id);
}

/** All rows of one backing. */
class BackingRun {
  readonly #absent: Absent[] = [];
  #lanes: Lane[] = [];
  readonly #failed = new Set<Lane>();
  readonly #samples = new Samples();
  readonly #pageSize = info().pageSize;
  /** Pages of the largest case. */
  #most = 1;
  #backing: Backing | undefined;
  #memory: Region | undefined;

  constructor(readonly name: BackingName, readonly options: GridOptions, readonly pools: Map<number, ThreadPool>) {}

  async run(): Promise<{rows: Row[]; absent: Absent[]}> {
    const {rounds, durationMs, warmupMs, progress} = this.options;
    try {
      await this.#open();
      for (const [i, lane] of this.#lanes.entries()) {
        progress(`${this.name}: warming up ${i + 1} of ${this.#lanes.length}: ${lane.id}`);
        await this.#warm(lane, warmupMs * 1e6);
      }
      this.#lanes = this.#lanes.filter(lane => !this.#failed.has(lane));
      for (let round = 1; round <= rounds; round++) {
        for (const [i, lane] of this.#lanes.entries()) {
          progress(`${this.name}: round ${round} of ${rounds}, row ${i + 1} of ${this.#lanes.length}: ${lane.id}`);
          await lane.round(this.#samples, (durationMs / rounds) * 1e6);
        }
        // Memory that was given back in this round is let go by its finalizers now.
        await new Promise(setImmediate);
      }
      return {rows: this.#lanes.map(lane => lane.row()), absent: this.#absent};
    } finally {
      await this.#close();
    }
  }

  /** What fails does so the first time: it is absent then. */
  async #warm(lane: Lane, ns: number): Promise<void> {
    try {
      await lane.warm(this.#samples, ns);
    } catch (error) {
      this.#failed.add(lane);
      this.#lacks(lane.contestant.what, lane.of, error instanceof Error ? error.message : String(error));
      await lane.contestant.close();
    }
  }

  #cases(): GridCase[] {
    const {sizes, access, states, threads} = this.options;
    return sizes.flatMap(pages => access.flatMap(way => states.flatMap(state => threads.map(count =>
      ({backing: this.name, pages, access: way, state, threads: count})))));
  }

  async #open(): Promise<void> {
    const {sizes, threads, states, filter} = this.options;
    // What exists at once: the memory of all resident rows, one cold, and each thread's.
    const regions = 1 + (states.includes('cold') ? 1 : 0) + Math.max(0, ...threads.filter(count => count > 1)) * states.length;
    const fitting = sizes.filter(pages => this.#fits(pages, regions));
    const backing = this.#backing = new Backing(this.name, Math.max(1, ...fitting) * this.#pageSize, regions);
    const cases = this.#cases().filter(of => fitting.includes(of.pages) && this.#has(backing, of));
    this.#most = Math.max(1, ...cases.map(({pages}) => pages));
    const largest = Math.max(0, ...cases.filter(({threads: count, state}) => count === 1 && state === 'resident').map(({pages}) => pages));
    if (largest > 0) this.#memory = backing.resident(largest * this.#pageSize);
    for (const of of cases) {
      this.options.progress(`${this.name}: setting up ${of.pages} pages`);
      if (matches(filter, rowId(FRAMEVEC, of))) await this.#openFramevec(backing, of);
      if (isPeerCase(of)) this.#openPeers(of);
    }
  }

  #fits(pages: number, regions: number): boolean {
    const need = bytesTaken(this.name, pages * this.#pageSize) * regions * (this.name === 'file' ? 2 : 1);
    const free = freemem();
    if (this.name === 'device' || need < free * 0.8) return true;
    const mib = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;
    this.#absent.push({
      what: 'all', backing: this.name, pages,
      reason: `${mib(need)} of memory are needed at once and ${mib(free)} are free: \`framevec vm --memory\`, or fewer \`--threads\``,
    });
    return false;
  }

  #has(backing: Backing, of: GridCase): boolean {
    const reason = backing.lacks(of.pages * this.#pageSize);
    if (reason === undefined) return true;
    if (!this.#absent.some(({pages, reason: said}) => pages === of.pages && said === reason)) {
      this.#absent.push({what: 'all', backing: this.name, pages: of.pages, reason});
    }
    return false;
  }

  #target(pages: number): Uint8Array {
    if (this.#memory === undefined) throw new Error('there is no resident memory');
    return this.#memory.bytes.subarray(0, pages * this.#pageSize);
  }

  async #openFramevec(backing: Backing, of: GridCase): Promise<void> {
    const write = of.access === 'write';
    try {
      if (of.threads > 1) {
        const pool = this.pools.get(of.threads) ?? new ThreadPool(of.threads);
        this.pools.set(of.threads, pool);
        this.#add(of, await pool.open(of, this.#most), undefined);
      } else if (of.state === 'cold') {
        this.#add(of, new ColdPins(backing, of.pages, write, this.#pageSize), undefined);
      } else {
        const pins = new ResidentPins(this.#target(of.pages), of.pages, write);
        this.#add(of, pins, pins.extents());
      }
    } catch (error) {
      this.#lacks(FRAMEVEC, of, error instanceof Error ? error.message : String(error));
    }
  }

  #openPeers(of: GridCase): void {
    for (const peer of rivals) {
      const what = rowName(peer.name);
      if (!matches(this.options.filter, rowId(what, of)) || !peer.available().ok) continue;
      const opened = openPeer(peer, this.#target(of.pages), of.access === 'write');
      if ('reason' in opened) {
        this.#lacks(what, of, opened.reason);
        continue;
      }
      try {
        opened.slice(this.#samples, 0);
        this.#add(of, opened, undefined);
      } catch (error) {
        opened.close();
        if (!(error instanceof FrameVectorError)) throw error;
        this.#lacks(what, of, error.message);
      }
    }
  }

  #add(of: GridCase, contestant: Contestant, extents: number | undefined): void {
    this.#lanes.push(new Lane(of, contestant, this.options.environment, extents));
  }

  #lacks(what: string, of: GridCase, reason: string): void {
    this.#absent.push({what, ...of, reason});
  }

  async #close(): Promise<void> {
    // The last first, as nested scopes end.
    for (const lane of this.#lanes.reverse()) await lane.contestant.close();
    this.#memory?.[Symbol.dispose]();
    this.#backing?.[Symbol.dispose]();
  }
}
