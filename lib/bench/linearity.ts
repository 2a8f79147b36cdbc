/** Figure 5: cost by size, and the runs of huge pages against the frame numbers one by one. */
import {FrameVector} from '../frame_vector.js';
import {interleave, microseconds, pairs, repeated, withMemory} from './batch.js';
import {atLeast, atMost, notMeasured, type Claim, type FigureOptions} from './figure.js';
import type {Figure} from './result.js';
import {fitRounds, median, medianOf, pairedRatio} from './statistics.js';

export const LINEAR: Claim = {
  id: '5a', target: 'within 10 %',
  claim: 'cost of pin and unpin over pages, 256 to 262,144 resident 4K pages: largest distance from the fitted line',
};
const MOST_OFF = 0.1;
/** Four times as many each: to 1 GiB. */
const SIZES = [256, 1024, 4096, 16_384, 65_536, 262_144];

export const EXTENTS: Claim = {
  id: '5b', target: 'at least 50x',
  claim: 'the frame numbers of 1 GiB of 2M pages, one by one, over its extents',
};
const LEAST_CHEAPER = 50;
const GIBIBYTE_PAGES = 262_144;

export function linearity(options: FigureOptions): Figure {
  const details: string[] = [];
  const sizes = SIZES.filter(pages => pages <= Math.max(...options.sizes, 0));
  const most = sizes.at(-1);
  if (most === undefined || sizes.length < 3) return notMeasured(LINEAR, `three sizes of ${SIZES.join(', ')} are needed, as with --figure-sizes 256,4096`);
  options.progress(`figure 5a: ${most} pages`);
  return withMemory('4k', most, memory => {
    using vector = FrameVector.create(most);
    const perPage = memory.length / most;
    const rounds = interleave(sizes.map(pages => pairs(vector, memory.subarray(0, pages * perPage), {write: true})), options);
    const fit = fitRounds(sizes.map((pages, i) => ({pages, rounds: rounds[i] ?? []})));
    for (const [pages, ns] of fit.points) {
      const fitted = fit.fixed.value + fit.perPage.value * pages;
      details.push(`${pages} pages: ${microseconds(ns)}, ${(ns / pages).toFixed(2)} ns a page, ${((ns / fitted - 1) * 100).toFixed(1)} % from the line`);
    }
    details.push(`the line: ${fit.fixed.value.toFixed(0)} ns and ${fit.perPage.value.toFixed(2)} ns a page (${fit.perPage.low.toFixed(2)} to ${fit.perPage.high.toFixed(2)})`);
    if (most < GIBIBYTE_PAGES) return notMeasured(LINEAR, `only up to ${most} pages were asked for: --figure-sizes ...,${GIBIBYTE_PAGES}`, details);
    // Round by round, so that there is an interval too.
    const offs = Array.from({length: options.rounds}, (_, round) =>
      fitRounds(sizes.map((pages, i) => ({pages, rounds: [rounds[i]?.[round] ?? Number.NaN]}))).worst * 100);
    return atMost(LINEAR, MOST_OFF * 100, {...medianOf(offs), value: fit.worst * 100}, ' %', details);
  }, reason => notMeasured(LINEAR, reason));
}

export function extentsAgainstNumbers(options: FigureOptions): Figure {
  if (Math.max(...options.sizes, 0) < GIBIBYTE_PAGES) return notMeasured(EXTENTS, `1 GiB was not asked for: --figure-sizes ...,${GIBIBYTE_PAGES}`);
  options.progress('figure 5b: 1 GiB of huge pages');
  return withMemory('hugetlb', GIBIBYTE_PAGES, memory => {
    using vector = FrameVector.create(GIBIBYTE_PAGES);
    vector.pin(memory, {write: true});
    const into = new BigUint64Array(GIBIBYTE_PAGES);
    const {counts} = vector.extents();
    const [numbers = [], extents = []] = interleave([repeated(() => vector.pfns(into)), repeated(() => vector.extents())], options);
    vector.unpin();
    return atLeast(EXTENTS, LEAST_CHEAPER, pairedRatio(numbers, extents), 'x', [
      `READ_PFNS ${microseconds(median(numbers))}, EXTENTS ${microseconds(median(extents))} for ${counts.length} runs, both from JavaScript`,
    ]);
  }, reason => notMeasured(EXTENTS, reason));
}
