/** The vectors of all processes, as /proc tells. */
import {existsSync, readFileSync, readdirSync, readlinkSync} from 'node:fs';
import {parseFdinfo, type Holding} from '../fdinfo.js';

/** A vector in a process that has it open. */
export interface ProcessVector extends Partial<Holding> {
  readonly id: number;
  /** The process's descriptors of it, in rising order. */
  readonly fds: readonly number[];
  /** The process whose VmPin its frames are charged to; 0 if this PID namespace does not know it. */
  readonly owner: number;
  /** Other processes have it open, too. */
  readonly shared: boolean;
  /** A call was at work on it, so that what it holds could not be seen. */
  readonly busy: boolean;
  /** Frames it can hold. */
  readonly capacity: number;
}

/** A process that has vectors open. */
export interface ProcessView {
  readonly pid: number;
  readonly name: string;
  /** VmPin: all that is charged to the process as pinned, by framevec and others; bytes. */
  readonly pinnedBytes: number;
  /** RLIMIT_MEMLOCK, bytes; null: none, or CAP_IPC_LOCK, which has none. */
  readonly memlockBytes: number | null;
  readonly vectors: readonly ProcessVector[];
}

/** What there is at one moment. With `--json` this is what is printed. */
export interface View {
  /** Of this form: fields may be added to it. */
  readonly version: 1;
  /** ISO 8601. */
  readonly time: string;
  /** Whether the module is loaded. */
  readonly loaded: boolean;
  readonly processes: readonly ProcessView[];
  /** Each vector counted once, however many processes have it. */
  readonly totals: {
    readonly vectors: number;
    /** Pinned frames. */
    readonly pages: number;
    /** Frames of snapshots: noted, not pinned. */
    readonly pfns: number;
    readonly bytes: number;
    readonly stale: number;
    readonly busy: number;
  };
  /** Processes whose descriptors this user may not see. */
  readonly unreadable: number;
  /** Processes that ended while they were looked at. */
  readonly vanished: number;
}

const LINK = 'anon_inode:[framevec]';
const CAP_IPC_LOCK = 14n;

type Found = Omit<ProcessVector, 'shared'>;
type FoundProcess = Omit<ProcessView, 'vectors'> & {vectors: Found[]};

/** Looks through /proc. */
export function survey(): View {
  const found: FoundProcess[] = [];
  let unreadable = 0;
  let vanished = 0;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const vectors = vectorsOf(entry);
      if (vectors.length > 0) found.push({...processOf(entry), vectors});
    } catch (error) {
      const {code} = error as NodeJS.ErrnoException;
      if (code === 'EACCES' || code === 'EPERM') unreadable++;
      else if (code === 'ENOENT' || code === 'ESRCH') vanished++;
      else throw error;
    }
  }
  return {
    version: 1,
    time: new Date().toISOString(),
    loaded: existsSync('/sys/module/framevec'),
    ...summed(found),
    unreadable,
    vanished,
  };
}

/** Marks what is shared, and counts each vector once. */
export function summed(found: readonly FoundProcess[]): Pick<View, 'processes' | 'totals'> {
  const holders = new Map<number, number>();
  const distinct = new Map<number, Found>();
  for (const vector of found.flatMap(({vectors}) => vectors)) {
    holders.set(vector.id, (holders.get(vector.id) ?? 0) + 1);
    // It may have been busy at one look and not at the other.
    if (distinct.get(vector.id)?.busy !== false) distinct.set(vector.id, vector);
  }
  const all = [...distinct.values()];
  const sum = (of: (vector: Found) => number | undefined): number => all.reduce((total, vector) => total + (of(vector) ?? 0), 0);
  return {
    processes: found.map(one => ({...one, vectors: one.vectors.map(vector => ({...vector, shared: (holders.get(vector.id) ?? 0) > 1}))})),
    totals: {
      vectors: all.length,
      // A snapshot that was turned into pages is not pinned for that.
      pages: sum(vector => (vector.gotRef === true ? vector.frames : 0)),
      pfns: sum(vector => (vector.gotRef === true ? 0 : vector.frames)),
      bytes: sum(vector => vector.bytes),
      stale: sum(vector => Number(vector.stale === true)),
      busy: sum(vector => Number(vector.busy)),
    },
  };
}

function vectorsOf(pid: string): Found[] {
  const vectors = new Map<number, Found>();
  const fds = readdirSync(`/proc/${pid}/fd`).map(Number);
  for (const fd of fds.sort((a, b) => a - b)) {
    const info = unlessClosed(() =>
      readlinkSync(`/proc/${pid}/fd/${fd}`) === LINK ? parseFdinfo(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8')) : undefined,
    );
    if (info === undefined) continue;
    const {id, owner, capacity, holding} = info;
    const before = vectors.get(id)?.fds ?? [];
    vectors.set(id, {id, fds: [...before, fd], owner, busy: holding === undefined, capacity, ...holding});
  }
  return [...vectors.values()];
}

/** A descriptor that is closed meanwhile is none; a process that has ended is noticed by what is asked next. */
function unlessClosed<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function processOf(pid: string): Omit<ProcessView, 'vectors'> {
  const read = (name: string): string => readFileSync(`/proc/${pid}/${name}`, 'utf8');
  return {
    pid: Number(pid),
    name: printable(read('comm').trimEnd()),
    pinnedBytes: pinnedBytes(read('status')),
    memlockBytes: memlockBytes(read('limits'), read('status')),
  };
}

/** VmPin of /proc/PID/status, in bytes; 0 of a process that has no memory any more. */
export function pinnedBytes(status: string): number {
  return Number(/^VmPin:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** The limit that /proc/PID/limits tells, unless /proc/PID/status says that the process has a way around it. */
export function memlockBytes(limits: string, status: string): number | null {
  const capabilities = BigInt(`0x${/^CapEff:\s+([\da-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  if (((capabilities >> CAP_IPC_LOCK) & 1n) === 1n) return null;
  const soft = /^Max locked memory\s+(\d+|unlimited)\s/m.exec(limits)?.[1];
  return soft === undefined || soft === 'unlimited' ? null : Number(soft);
}

/** A process gives itself its name: no escape sequence of it shall reach the terminal. */
export function printable(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '?');
}
