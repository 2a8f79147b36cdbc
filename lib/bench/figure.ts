/** One figure: what is claimed, against which target, and what came of it. */
import type {Environment, Estimate, Figure} from './result.js';

export interface FigureOptions {
  readonly environment: Environment;
  /** Milliseconds for each thing that a figure compares, all rounds together. */
  readonly durationMs: number;
  readonly rounds: number;
  /** Pages for figures over sizes, largest last; larger ones than there is memory for are said to be left out. */
  readonly sizes: readonly number[];
  /** Calls over which the heap is watched. */
  readonly heapCalls: number;
  readonly progress: (text: string) => void;
}

/** What a figure is about, whatever comes of it. */
export type Claim = Pick<Figure, 'id' | 'claim' | 'target'>;

/** A figure that could not be measured. */
export function notMeasured(claim: Claim, reason: string, details: readonly string[] = []): Figure {
  return {...claim, reason, details};
}

/** A figure that is to be at most so much: it is reached if the estimate is, and the interval is told beside. */
export function atMost(claim: Claim, most: number, {value, low, high}: Estimate, unit: string, details: readonly string[]): Figure {
  return {...claim, measured: {value, low, high, words: inWords(value, low, high, unit)}, reached: value <= most, details};
}

/** The same the other way round. */
export function atLeast(claim: Claim, least: number, {value, low, high}: Estimate, unit: string, details: readonly string[]): Figure {
  return {...claim, measured: {value, low, high, words: inWords(value, low, high, unit)}, reached: value >= least, details};
}

const short = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));

function inWords(value: number, low: number, high: number, unit: string): string {
  return `${short(value)}${unit} (${short(low)} to ${short(high)})`;
}

/** One line for a reader. */
export function figureInWords({id, claim, target, measured, reached, reason}: Figure): string {
  const verdict = measured === undefined ? `not measured: ${reason ?? ''}` : `${measured.words}: ${reached === true ? 'reached' : 'NOT REACHED'}`;
  return `${id.padEnd(3)}${claim}; target ${target}; ${verdict}`;
}
