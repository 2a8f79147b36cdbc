/** Sums up rounds: medians, intervals by bootstrap, fits, and whether two sets of rounds differ. */
import {errorFunction, median, quantileSorted, sampleWithReplacement} from 'simple-statistics';
import type {Estimate} from './result.js';

export {median};

/** Resamples of a bootstrap: enough for the ends of a 99 % interval. */
const RESAMPLES = 2000;
export const CONFIDENCE = 0.95;

/** A generator of numbers in [0, 1) that starts anew at each call, so that an interval is the same each time it is asked for. */
export function seeded(seed = 0x9e3779b9): () => number {
  let state = seed >>> 0;
  // splitmix32
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** The p-quantiles of numbers in any order. */
export function quantiles(values: readonly number[], ...ps: readonly number[]): number[] {
  const sorted = Float64Array.from(values).sort();
  return ps.map(p => quantileSorted(Array.from(sorted), p));
}

/** The interval of a statistic over resamples: percentile bootstrap. */
export function interval(value: number, resample: (random: () => number) => number, confidence = CONFIDENCE): Estimate {
  const random = seeded();
  const estimates = Array.from({length: RESAMPLES}, () => resample(random));
  const tail = (1 - confidence) / 2;
  const [low = value, high = value] = quantiles(estimates, tail, 1 - tail);
  return {value, low: Math.min(low, value), high: Math.max(high, value), confidence};
}

/** The median of some rounds, with its interval. */
export function medianOf(rounds: readonly number[], confidence = CONFIDENCE): Estimate {
  const values = [...rounds];
  return interval(median(values), random => median(sampleWithReplacement(values, values.length, random)), confidence);
}

export interface PairedRatio extends Estimate {
  readonly p25: number;
  readonly p75: number;
  readonly rounds: readonly number[];
}

/** Round by round the one over the other: drift, which both share, goes out. */
export function pairedRatio(over: readonly number[], under: readonly number[]): PairedRatio {
  const rounds = over.slice(0, under.length).map((value, i) => value / (under[i] ?? Number.NaN));
  const [p25 = Number.NaN, p75 = Number.NaN] = quantiles(rounds, 0.25, 0.75);
  return {...medianOf(rounds), p25, p75, rounds};
}

export interface Line {
  readonly fixed: number;
  readonly perPage: number;
  /** The largest |measured / fitted - 1|. */
  readonly worst: number;
}

/**
 * A line through points of (pages, ns), weighted by 1 / ns^2: relative errors count alike, or a size of a millisecond
 * would drown one of a microsecond. At least two sizes are needed.
 */
export function fitLine(points: readonly (readonly [pages: number, ns: number])[]): Line {
  let w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
  for (const [x, y] of points) {
    const weight = 1 / (y * y);
    w += weight;
    wx += weight * x;
    wy += weight * y;
    wxx += weight * x * x;
    wxy += weight * x * y;
  }
  const perPage = (w * wxy - wx * wy) / (w * wxx - wx * wx);
  const fixed = (wy - perPage * wx) / w;
  const worst = Math.max(...points.map(([x, y]) => Math.abs(y / (fixed + perPage * x) - 1)));
  return {fixed, perPage, worst};
}

/** The same with intervals: rounds are drawn anew for each size. */
export function fitRounds(sizes: readonly {readonly pages: number; readonly rounds: readonly number[]}[]): {
  fixed: Estimate; perPage: Estimate; worst: number; points: (readonly [pages: number, ns: number])[];
} {
  const points = sizes.map(({pages, rounds}) => [pages, median([...rounds])] as const);
  const line = fitLine(points);
  const drawn = (random: () => number): Line => fitLine(sizes.map(({pages, rounds}) =>
    [pages, median(sampleWithReplacement([...rounds], rounds.length, random))] as const));
  return {
    fixed: interval(line.fixed, random => drawn(random).fixed),
    perPage: interval(line.perPage, random => drawn(random).perPage),
    worst: line.worst,
    points,
  };
}

/**
 * The two-sided p-value of Mann and Whitney's U: how likely rounds as different as these, or more so, were if both
 * came of one distribution. By the normal approximation, corrected for ties and continuity.
 */
export function mannWhitney(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map(value => ({value, mine: true})), ...b.map(value => ({value, mine: false}))].sort((x, y) => x.value - y.value);
  let rankSum = 0;
  let ties = 0;
  for (let i = 0; i < all.length;) {
    let end = i;
    while (end < all.length && all[end]?.value === all[i]?.value) end++;
    const rank = (i + 1 + end) / 2;
    for (let k = i; k < end; k++) if (all[k]?.mine === true) rankSum += rank;
    ties += (end - i) ** 3 - (end - i);
    i = end;
  }
  const n = all.length;
  const u = rankSum - (a.length * (a.length + 1)) / 2;
  const mean = (a.length * b.length) / 2;
  const variance = ((a.length * b.length) / 12) * (n + 1 - ties / (n * (n - 1)));
  if (variance === 0) return 1;
  const z = Math.max(Math.abs(u - mean) - 0.5, 0) / Math.sqrt(variance);
  return Math.min(1, Math.max(0, 1 - errorFunction(z / Math.SQRT2)));
}

/**
 * Benjamini and Hochberg: which of many findings to believe, so that of those at most the share `rate` is expected to
 * be false.
 */
export function discoveries(pValues: readonly number[], rate: number): boolean[] {
  const order = pValues.map((p, i) => ({p, i})).sort((x, y) => x.p - y.p);
  let last = -1;
  order.forEach(({p}, k) => {
    if (p <= ((k + 1) / order.length) * rate) last = k;
  });
  const believed = new Array<boolean>(pValues.length).fill(false);
  for (const {i} of order.slice(0, last + 1)) believed[i] = true;
  return believed;
}

/** The ratio of two independent sets of rounds, `b` over `a`. */
export function ratioOfMedians(a: readonly number[], b: readonly number[], confidence = CONFIDENCE): Estimate {
  const [before, after] = [[...a], [...b]];
  return interval(
    median(after) / median(before),
    random => median(sampleWithReplacement(after, after.length, random)) / median(sampleWithReplacement(before, before.length, random)),
    confidence,
  );
}
