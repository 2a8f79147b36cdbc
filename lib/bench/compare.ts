/**
 * Two results, row by row: what has become slower or faster, and how sure that is.
 *
 * Of each phase there are the medians of its rounds, in both runs. Whether they differ is Mann and Whitney's test; since
 * hundreds of rows are looked at, those that count as different are chosen as Benjamini and Hochberg do, so that of the
 * verdicts one in twenty is expected to be wrong. How much they differ is the ratio of the medians, with the interval
 * that a bootstrap over the rounds gives. A row has a verdict only if the test has chosen it and the interval excludes 1;
 * and its rounds must be five at least in both.
 *
 * What both methods can't see is what changes from boot to boot: where memory lies, say. Run twice before you blame.
 */
import {RESULT_SCHEMA, RESULT_VERSION, type BenchResult, type Estimate, type PhaseName, type Row} from './result.js';
import {discoveries, mannWhitney, ratioOfMedians} from './statistics.js';

/** The least rounds of which a verdict can be made. */
const LEAST_ROUNDS = 5;
/** The share of verdicts that may be false. */
export const FALSE_RATE = 0.05;

/** What can be said of a row: that it differs, and which way; or that the runs do not show it. */
export type Verdict = 'slower' | 'faster' | 'no difference shown' | 'too few rounds';

/** One phase of a row that both results have. */
export interface ComparedRow {
  readonly id: string;
  readonly phase: PhaseName;
  /** Medians, ns. */
  readonly before: number;
  readonly after: number;
  /** After over before. */
  readonly ratio: Estimate;
  /** Mann and Whitney's. */
  readonly p: number;
  readonly verdict: Verdict;
}

/** What {@link compareResults} tells. */
export interface Comparison {
  readonly rows: readonly ComparedRow[];
  /** Ids of rows that only one of the two has. */
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
  /** What keeps the two from being compared fairly. */
  readonly warnings: readonly string[];
}

/** Reads a result that was written by this version of the form. */
export function parseResult(text: string, name: string): BenchResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RangeError(`${name} is not JSON`);
  }
  const {schema, version} = (value ?? {}) as Partial<BenchResult>;
  if (schema !== RESULT_SCHEMA) throw new RangeError(`${name} is not a result of \`framevec bench --json\``);
  if (version !== RESULT_VERSION) throw new RangeError(`${name} is a result of version ${String(version)}, and this framevec reads version ${RESULT_VERSION}`);
  return value as BenchResult;
}

/** Compares two results, row by row; the top of docs/performance.md's "Two runs against each other" says how. */
export function compareResults(before: BenchResult, after: BenchResult): Comparison {
  const mates = new Map(after.rows.map(row => [row.id, row]));
  const found = before.rows.flatMap(row => {
    const mate = mates.get(row.id);
    return mate === undefined ? [] : phasesOf(row, mate);
  });
  const believed = discoveries(found.map(({p}) => p), FALSE_RATE);
  const known = new Set(before.rows.map(({id}) => id));
  return {
    rows: found.map(({enough, ...row}, i) => ({...row, verdict: enough ? verdict(row.ratio, believed[i] === true) : 'too few rounds'})),
    onlyBefore: before.rows.map(({id}) => id).filter(id => !mates.has(id)),
    onlyAfter: after.rows.map(({id}) => id).filter(id => !known.has(id)),
    warnings: warningsOf(before, after),
  };
}

function phasesOf(before: Row, after: Row): (Omit<ComparedRow, 'verdict'> & {enough: boolean})[] {
  return (['pin', 'unpin', 'pair'] as const).map(phase => {
    const [a, b] = [before.phases[phase], after.phases[phase]];
    const enough = Math.min(a.rounds.length, b.rounds.length) >= LEAST_ROUNDS;
    return {
      id: before.id, phase, before: a.p50, after: b.p50, enough,
      ratio: ratioOfMedians(a.rounds, b.rounds),
      p: enough ? mannWhitney(a.rounds, b.rounds) : 1,
    };
  });
}

function verdict({low, high}: Estimate, believed: boolean): Verdict {
  if (believed && low > 1) return 'slower';
  return believed && high < 1 ? 'faster' : 'no difference shown';
}

function warningsOf({environment: a, ...before}: BenchResult, {environment: b, ...after}: BenchResult): string[] {
  const differ = (what: string, x: unknown, y: unknown): string[] => (x === y ? [] : [`${what} differs: ${String(x)}, ${String(y)}`]);
  return [
    ...differ('the processor', a.cpu, b.cpu),
    ...differ('the number of processors', a.cpus, b.cpus),
    ...differ('the accelerator', a.accelerator, b.accelerator),
    ...differ('counting instructions (--icount)', a.icount, b.icount),
    ...differ('the governor', a.governor, b.governor),
    ...differ('THP', a.thp, b.thp),
    ...differ('the number of rounds', before.settings.rounds, after.settings.rounds),
    ...(a.onlyRatiosCount && !a.icount ? ['emulated: times of two runs differ by what else the host did; use --icount'] : []),
  ];
}
