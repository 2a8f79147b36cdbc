/**
 * `framevec/bench`: what `framevec bench` measures with, for a driver's own calls.
 *
 * ```ts
 * import {bench} from 'framevec/bench';
 * const {p50, p99} = bench.measure('MY_IOCTL', () => device.doIt());
 * const {ratios} = bench.race([{name: 'old', call: old}, {name: 'new', call: renewed}]);
 * ```
 */
import {measure, race} from './measure.js';

/** The two by which one measures calls of one's own. */
export const bench = {
  /** See {@link measure}. */
  measure,
  /** See {@link race}. */
  race,
} as const;
export {measure, race, type Entrant, type Measurement, type MeasureOptions, type Race} from './measure.js';
export {compareResults, type Comparison, type ComparedRow, type Verdict} from './compare.js';
export {RESULT_SCHEMA, RESULT_VERSION, type Absent, type Access, type BenchResult, type Distribution, type Environment, type Estimate, type Figure,
  type Fit, type Phase, type PhaseName, type Ratio, type Row, type Settings, type Split, type State} from './result.js';
export {type PairedRatio} from './statistics.js';
