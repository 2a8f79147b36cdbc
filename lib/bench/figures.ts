/** The figures of docs/performance.md: what framevec claims of itself, measured, and whether it is so. */
import {FrameVectorError} from '../errors.js';
import {AGAINST_IO_URING, againstIoUring} from './against_io_uring.js';
import {HEAP, javascriptAllocations, KERNEL, kernelAllocations} from './allocation.js';
import {CALL, callPath, PAIR, pairAgainstC} from './call_path.js';
import {notMeasured, type Claim, type FigureOptions} from './figure.js';
import {EXTENTS, extentsAgainstNumbers, LINEAR, linearity} from './linearity.js';
import {moduleShare, ONE_PAGE, onePage, SHARE} from './module_share.js';
import type {Figure} from './result.js';

const FIGURES: readonly (readonly [Claim, (options: FigureOptions) => Figure])[] = [
  [SHARE, moduleShare],
  [ONE_PAGE, onePage],
  [AGAINST_IO_URING, againstIoUring],
  [CALL, callPath],
  [PAIR, pairAgainstC],
  [HEAP, javascriptAllocations],
  [KERNEL, kernelAllocations],
  [LINEAR, linearity],
  [EXTENTS, extentsAgainstNumbers],
];

/** Measures one after the other; what can't be measured here says why. */
export function measureFigures(options: FigureOptions, told: (figure: Figure) => void): Figure[] {
  return FIGURES.map(([claim, measure]) => {
    const figure = measureOne(claim, measure, options);
    told(figure);
    return figure;
  });
}

function measureOne(claim: Claim, measure: (options: FigureOptions) => Figure, options: FigureOptions): Figure {
  try {
    return measure(options);
  } catch (error) {
    // No module, no memory: the next figure may need neither.
    if (!(error instanceof FrameVectorError)) throw error;
    return notMeasured(claim, error.message);
  }
}
