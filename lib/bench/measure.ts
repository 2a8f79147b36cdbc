/** The library's half of the benchmark: how long a call of one's own takes, and one against another. */
import {invalidArgType, outOfRange} from '../errors.js';
import {checkOptions, type OptionNames} from '../options.js';
import type {Distribution, Phase} from './result.js';
import {now, PhaseRecorder, SLICE_CALLS} from './samples.js';
import {medianOf, pairedRatio, type PairedRatio} from './statistics.js';
import type {Estimate} from './result.js';

/** Options of {@link measure} and {@link race}. */
export interface MeasureOptions {
  /** Milliseconds of measuring, all rounds together. Default: 1000. */
  readonly durationMs?: number | undefined;
  /** Milliseconds before it that are not counted: the compiler's. Default: 100. */
  readonly warmupMs?: number | undefined;
  /** Into how many rounds the time is cut; intervals are made of their medians. At least 5. Default: 20. */
  readonly rounds?: number | undefined;
  /** Called after each call, outside of the time that is measured: to undo what it did. */
  readonly after?: (() => void) | undefined;
}

/** What {@link measure} tells. Times in ns, with the price of one look at the clock in them. */
export interface Measurement extends Phase {
  readonly name: string;
  /** Of the medians of the rounds. */
  readonly median: Estimate;
  /** One look at the clock, measured in between. */
  readonly clock: Distribution;
}

/** One of two or more that are measured in turn. */
export interface Entrant {
  readonly name: string;
  /** What is timed. */
  readonly call: () => unknown;
  /** Called after each call, outside of the time that is measured. Default: the option of the same name. */
  readonly after?: (() => void) | undefined;
}

/** What {@link race} tells. */
export interface Race {
  readonly measurements: readonly Measurement[];
  /** Of each but the first over the first, round by round. */
  readonly ratios: readonly (PairedRatio & {readonly over: string; readonly under: string})[];
}

const MEASURE_OPTIONS: OptionNames<MeasureOptions> = {durationMs: true, warmupMs: true, rounds: true, after: true};
const ENTRANT_FIELDS: OptionNames<Entrant> = {name: true, call: true, after: true};

/** `after`, where there is none. */
const nothing = (): void => undefined;

class Lane {
  readonly recorder = new PhaseRecorder();
  readonly #times = new Float64Array(SLICE_CALLS);
  readonly #call: () => unknown;
  readonly #after: () => void;

  constructor(readonly name: string, {call, after}: Omit<Entrant, 'name'>) {
    this.#call = call;
    this.#after = after ?? nothing;
  }

  /** Calls for so many ns, once at least. */
  slice(ns: number): number {
    const call = this.#call;
    const after = this.#after;
    const times = this.#times;
    const end = now() + ns;
    let count = 0;
    for (let done = 0; count < SLICE_CALLS && done < end; count++) {
      const before = now();
      call();
      done = now();
      times[count] = done - before;
      after();
    }
    return count;
  }

  round(ns: number): void {
    this.recorder.add(this.#times, this.slice(ns));
  }
}

/**
 * Measures how long a synchronous call takes, such as a driver's ioctl.
 *
 * ```ts
 * import {bench} from 'framevec/bench';
 * const queued = bench.measure('QBUF', () => camera.qbuf(0, memory), {after: () => camera.streamoff()});
 * console.log(queued.p50, queued.p99, queued.median.low, queued.median.high);
 * ```
 *
 * @param name - for the result
 * @param call - what is timed; what it throws ends the measurement
 * @throws TypeError, RangeError - wrong arguments
 */
export function measure(name: string, call: () => unknown, options: MeasureOptions = {}): Measurement {
  checkOptions(options, MEASURE_OPTIONS);
  const [measurement] = race([{name, call, after: options.after}], options).measurements;
  if (measurement === undefined) throw outOfRange('entrants.length', '>= 1', 0);
  return measurement;
}

/**
 * Measures several calls in turn, A B A B, so that what drifts hits all alike, and says how each compares with the first:
 * the median of the rounds' ratios, with its interval.
 *
 * @throws TypeError, RangeError - wrong arguments
 */
export function race(entrants: readonly Entrant[], options: MeasureOptions = {}): Race {
  checkOptions(options, MEASURE_OPTIONS);
  requireArray('entrants', entrants);
  if (entrants.length === 0) throw outOfRange('entrants.length', '>= 1', 0);
  const {durationMs = 1000, warmupMs = 100, rounds = 20} = options;
  requireNumber('durationMs', durationMs, 0);
  requireNumber('warmupMs', warmupMs, 0);
  requireNumber('rounds', rounds, 5);
  if (!Number.isInteger(rounds)) throw outOfRange('options.rounds', 'an integer', rounds);

  const lanes = entrants.map((entrant, i) => {
    checkOptions(entrant, ENTRANT_FIELDS, `entrants[${i}]`);
    const {name, call, after} = entrant;
    if (typeof name !== 'string') throw invalidArgType('name', 'of type string', name);
    if (typeof call !== 'function') throw invalidArgType('call', 'of type function', call);
    if (after !== undefined && typeof after !== 'function') throw invalidArgType('after', 'of type function', after);
    return new Lane(name, {call, after: after ?? options.after});
  });
  const clock = new Lane('clock', {call: nothing});
  for (const lane of [clock, ...lanes]) lane.slice(warmupMs * 1e6);
  for (let round = 0; round < rounds; round++) {
    clock.round(0.1e6);
    for (const lane of lanes) lane.round((durationMs / rounds) * 1e6);
  }
  const measurements = lanes.map(({name, recorder}) =>
    ({name, ...recorder.phase(), median: medianOf(recorder.rounds), clock: clock.recorder.distribution()}));
  const [first, ...others] = lanes;
  const ratios = first === undefined ? [] : others.map(({name, recorder}) =>
    ({over: name, under: first.name, ...pairedRatio(recorder.rounds, first.recorder.rounds)}));
  return {measurements, ratios};
}

function requireNumber(name: string, value: unknown, least: number): void {
  if (typeof value !== 'number') throw invalidArgType(`options.${name}`, 'of type number', value);
  if (!(value >= least && value < Infinity)) throw outOfRange(`options.${name}`, `>= ${least}`, value);
}

function requireArray(name: string, value: unknown): void {
  if (!Array.isArray(value)) throw invalidArgType(name, 'an Array', value);
}
