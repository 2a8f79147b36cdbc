/** What a slice of measuring leaves behind, and what is made of it: percentiles, rounds, a curve. */
import {build, encodeIntoCompressedBase64, JsHistogram} from 'hdr-histogram-js';
import type {Distribution, Phase, PhaseName} from './result.js';

/** Calls of a slice at most: their times are kept until it is over, so that measuring allocates nothing. */
export const SLICE_CALLS = 16_384;

/** The clock of every measurement, ns. It returns a double, so it makes no garbage. */
export function now(): number {
  return performance.now() * 1e6;
}

/** Times of one slice, ns, by call: filled from the start, `count` of them. */
export class Samples {
  count = 0;
  readonly pin = new Float64Array(SLICE_CALLS);
  readonly unpin = new Float64Array(SLICE_CALLS);
  readonly touch = new Float64Array(SLICE_CALLS);
  /** With the kernel's timing: what it says of itself. */
  readonly pinGup = new Float64Array(SLICE_CALLS);
  readonly pinCall = new Float64Array(SLICE_CALLS);
  readonly unpinGup = new Float64Array(SLICE_CALLS);
  readonly unpinCall = new Float64Array(SLICE_CALLS);
  readonly #pair = new Float64Array(SLICE_CALLS);

  /** Adds them to those of a row, as one round. */
  record(to: PhaseTimes, touches: boolean): void {
    for (let i = 0; i < this.count; i++) this.#pair[i] = (this.pin[i] ?? 0) + (this.unpin[i] ?? 0);
    to.pin.add(this.pin, this.count);
    to.unpin.add(this.unpin, this.count);
    to.pair.add(this.#pair, this.count);
    if (touches) to.touch.add(this.touch, this.count);
  }
}

/** The phases of a row in the making. */
export type PhaseTimes = Readonly<Record<PhaseName, PhaseRecorder>>;

/** The median of the first `count`; a copy is sorted. */
export function medianOfFirst(values: Float64Array, count: number): number {
  const sorted = values.slice(0, count).sort();
  const middle = count >> 1;
  return count % 2 === 1 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

function newHistogram(): JsHistogram {
  const histogram = build({bitBucketSize: 32, autoResize: true, numberOfSignificantValueDigits: 3});
  if (!(histogram instanceof JsHistogram)) throw new TypeError('hdr-histogram-js made a histogram of another kind');
  return histogram;
}

/** Gathers the rounds of one phase. */
export class PhaseRecorder {
  readonly rounds: number[] = [];
  readonly #histogram = newHistogram();
  #min = Infinity;
  #max = 0;

  /** A round of it. */
  add(values: Float64Array, count: number): void {
    if (count === 0) return;
    for (let i = 0; i < count; i++) {
      const ns = values[i] ?? 0;
      if (ns < this.#min) this.#min = ns;
      if (ns > this.#max) this.#max = ns;
      this.#histogram.recordValue(Math.max(1, Math.round(ns)));
    }
    this.rounds.push(medianOfFirst(values, count));
  }

  distribution(): Distribution {
    // HdrHistogram tells the upper end of a bucket, which may be beyond the largest value.
    const at = (percentile: number): number => Math.min(this.#histogram.getValueAtPercentile(percentile), Math.round(this.#max));
    return {
      count: this.#histogram.totalCount,
      min: Math.round(this.#min),
      p50: at(50), p90: at(90), p99: at(99), p999: at(99.9),
      max: Math.round(this.#max),
    };
  }

  phase(): Phase {
    return {
      ...this.distribution(),
      rounds: this.rounds.map(ns => Math.round(ns * 10) / 10),
      cdf: curve(this.#histogram),
      hdr: encodeIntoCompressedBase64(this.#histogram),
    };
  }
}

/** Steps of a hundredth and a half, and finer the nearer to 1: a tail is seen on a logarithmic axis. */
function curve(histogram: JsHistogram): (readonly [ns: number, share: number])[] {
  const points: (readonly [number, number])[] = [];
  const total = histogram.totalCount;
  const values = histogram.recordedValuesIterator;
  values.reset();
  let told = 0;
  while (values.hasNext()) {
    const {valueIteratedTo, totalCountToThisValue} = values.next();
    const share = totalCountToThisValue / total;
    if (points.length > 0 && share < 1 && share - told < Math.min(0.015, (1 - told) / 4)) continue;
    told = share;
    points.push([valueIteratedTo, Math.round(share * 1e6) / 1e6]);
  }
  return points;
}
