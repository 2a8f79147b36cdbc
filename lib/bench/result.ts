/**
 * What `framevec bench --json` writes: one object, whose form is {@link RESULT_VERSION}'s. All times are nanoseconds,
 * all sizes bytes unless a name says pages; a number that is not known is absent, never zero.
 *
 * The version grows when a field changes its meaning or goes; a field that is added does not count.
 */
export const RESULT_SCHEMA = 'framevec-bench';
/** The version of the form. */
export const RESULT_VERSION = 1;

/** What one run of `framevec bench` came to. */
export interface BenchResult {
  readonly schema: typeof RESULT_SCHEMA;
  readonly version: typeof RESULT_VERSION;
  /** When it began, ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
  /** The command's arguments, as it was called. */
  readonly command: readonly string[];
  readonly environment: Environment;
  readonly settings: Settings;
  /** What was measured, one case each, in the order of the table. */
  readonly rows: readonly Row[];
  /** What could not be measured on this machine. Nothing is left out without its line here. */
  readonly absent: readonly Absent[];
  /** Two rows of the same case, the one over the other. */
  readonly ratios: readonly Ratio[];
  /** Cost over size, for rows that differ in nothing else. */
  readonly fits: readonly Fit[];
  /** The figures that docs/performance.md is about. */
  readonly figures: readonly Figure[];
}

/** Where it ran. */
export interface Environment {
  /** As `uname -r` has it. */
  readonly kernel: string;
  readonly kernelVersion: string;
  readonly machine: string;
  /** The model name of /proc/cpuinfo. */
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** scaling_governor of cpu0; absent in most guests. */
  readonly governor?: string;
  /** `bare`: no hypervisor shows itself. `tcg`: QEMU's emulation. */
  readonly accelerator: 'bare' | 'kvm' | 'tcg' | 'other hypervisor';
  /** How that is known. */
  readonly acceleratorReason: string;
  /** Only ratios within this run mean anything: the guest's clock does not tell a real machine's time. */
  readonly onlyRatiosCount: boolean;
  readonly clocksource: string;
  /** Time is a count of instructions (`framevec vm --icount`); known in the guest from the runner's word only. */
  readonly icount: boolean;
  /** The chosen word of transparent_hugepage/enabled; absent where the kernel has none. */
  readonly thp?: string;
  readonly pageSize: number;
  readonly node: string;
  readonly framevec: string;
  /** What one look at the clock costs from JavaScript: every phase contains one, a pair two. */
  readonly clock: Distribution;
  /** An ioctl that does nothing (INFO): from JavaScript, and by the bare C loop if there is one. */
  readonly emptyCall?: {readonly js: Distribution; readonly c?: Distribution};
}

/** What was asked for. */
export interface Settings {
  readonly sizes: readonly number[];
  readonly backings: readonly string[];
  readonly access: readonly Access[];
  readonly states: readonly State[];
  readonly threads: readonly number[];
  /** Of a row, all its rounds together. */
  readonly durationMs: number;
  /** Before the first round of a row; not counted. */
  readonly warmupMs: number;
  readonly rounds: number;
  readonly filter?: string;
}

/** Whether the frames are pinned for reading or for writing. */
export type Access = 'read' | 'write';
/**
 * `resident`: every page was touched before. `cold`: none was, in this mapping; so the pin has the page faults in it,
 * and the phase `touch` says what touching the same memory costs instead.
 */
export type State = 'cold' | 'resident';
/** What is timed: the two calls, both together, and a first touch without a pin. */
export type PhaseName = 'pin' | 'unpin' | 'pair' | 'touch';

/** What tells one case from another, apart from who did it. */
export interface Case {
  readonly backing: string;
  readonly pages: number;
  readonly access: Access;
  readonly state: State;
  readonly threads: number;
}

/** One case, done by one of the contestants. */
export interface Row extends Case {
  /** `what/backing/pages/access/state/threads`: the same in every run, so that runs can be compared. */
  readonly id: string;
  /** `framevec`: the library. `c-loop`: the same ioctls from C. Others: peers, by name. */
  readonly what: string;
  /** How the pair is called there: `register`, `mlock`, `QBUF`, ... */
  readonly calls: {readonly pin: string; readonly unpin: string};
  /** `pair` is pin and unpin of one iteration together; `touch` is there for cold rows of framevec. */
  readonly phases: {readonly pin: Phase; readonly unpin: Phase; readonly pair: Phase; readonly touch?: Phase};
  /** Runs of neighbouring frames that the memory had: what its backing came to. Of framevec's rows. */
  readonly extents?: number;
  /** Of framevec's single-threaded rows: where the time goes. */
  readonly split?: {readonly pin: Split; readonly unpin: Split};
}

/** A distribution of times. Percentiles are HdrHistogram's, of three significant digits. */
export interface Distribution {
  readonly count: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Phase extends Distribution {
  /** The median of each round, in the order of time: what ratios, fits and comparisons are made of. */
  readonly rounds: readonly number[];
  /** [time, share of calls that took at most so long], rising, from the fastest to 1: to draw a CDF of. */
  readonly cdf: readonly (readonly [ns: number, share: number])[];
  /** The whole histogram, HdrHistogram V2, compressed, base64. */
  readonly hdr: string;
}

/**
 * The median of each part, of calls with the kernel's timing on, which are not those of the phases. Together they are
 * about the median of the phase.
 */
export interface Split {
  /** In pin_user_pages() or unpin_user_pages() alone: `gup_ns`. */
  readonly gup: number;
  /** In the rest of framevec.ko: `call_ns` less `gup_ns`. */
  readonly module: number;
  /** Into the kernel and back with a struct: the C loop's empty ioctl. Absent without a C loop: it is in `addon` then. */
  readonly syscall?: number;
  /** The addon, JavaScript and what timing itself costs: the rest. */
  readonly addon: number;
  /** The look at the clock that the phase contains. */
  readonly clock: number;
  readonly count: number;
}

/** A case, or a contestant, that this machine can't do. */
export interface Absent {
  readonly what: string;
  /** What is missing applies to these only; absent: to all. */
  readonly backing?: string;
  readonly pages?: number;
  readonly access?: Access;
  readonly state?: State;
  readonly threads?: number;
  /** In words: what is missing, and if known what helps. */
  readonly reason: string;
}

/** An estimate with the interval in which it lies. */
export interface Estimate {
  readonly value: number;
  /** Of {@link confidence}, by bootstrap over the rounds. */
  readonly low: number;
  readonly high: number;
  readonly confidence: number;
}

/** Row `over` / row `under`, round by round: rounds of the same number ran one right after the other. */
export interface Ratio extends Case, Estimate {
  readonly phase: PhaseName;
  /** Ids of rows. */
  readonly over: string;
  readonly under: string;
  /** The quartiles of the rounds' ratios; `value` is their median. */
  readonly p25: number;
  readonly p75: number;
  readonly rounds: readonly number[];
}

/** time = fixed + perPage * pages, fitted to the medians so that relative errors are least. */
export interface Fit extends Omit<Case, 'pages'> {
  readonly what: string;
  readonly phase: PhaseName;
  readonly fixed: Estimate;
  readonly perPage: Estimate;
  /** The largest |measured / fitted - 1|. */
  readonly worst: number;
  readonly points: readonly (readonly [pages: number, ns: number])[];
}

/** One of the things that framevec claims of itself. */
export interface Figure {
  /** `1a`, `1b`, `2`, ...: as in docs/performance.md. */
  readonly id: string;
  readonly claim: string;
  /** Such as `1.05x`, or `absent`. */
  readonly target: string;
  /** Absent: it could not be measured, and `reason` says why. */
  readonly measured?: {readonly value: number; readonly words: string; readonly low?: number; readonly high?: number};
  readonly reached?: boolean;
  readonly reason?: string;
  /** What it is made of, one line each. */
  readonly details: readonly string[];
}

/** The id of a row. */
export function rowId(what: string, {backing, pages, access, state, threads}: Case): string {
  return [what, backing, pages, access, state, `${threads}t`].join('/');
}
