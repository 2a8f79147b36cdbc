/** Makes what the page draws out of a result: histograms become curves of some sixty points, so that a page stays small. */
import {decodeFromCompressedBase64} from 'hdr-histogram-js';
import type {BenchResult, Phase, PhaseName, Row} from '../result.js';
import type {Curve, DrawnRow, ReportData} from './shape.js';

const PHASES = ['pin', 'unpin', 'pair', 'touch'] as const satisfies readonly PhaseName[];

/** Steps of two hundredths, and finer towards 1, where the tail is: to one call in a million. */
const SHARES: readonly number[] = [
  ...Array.from({length: 50}, (_, i) => i / 50),
  ...[2, 3, 4, 5, 6].flatMap(nines => [1, 0.5, 0.2].map(rest => Math.round(1e8 * (1 - rest * 10 ** -nines)) / 1e8)),
  1,
].sort((a, b) => a - b);

export function reportData({rows, ratios, fits}: BenchResult): ReportData {
  const whats = new Map(rows.map(({id, what}) => [id, what]));
  return {
    shares: SHARES,
    rows: rows.map(drawn),
    ratios: ratios.map(ratio => ({...ratio, over: whats.get(ratio.over) ?? ratio.over, under: whats.get(ratio.under) ?? ratio.under})),
    fits,
  };
}

function drawn({id, what, backing, pages, access, state, threads, split, phases}: Row): DrawnRow {
  const curves = PHASES.flatMap(name => {
    const phase = phases[name];
    return phase === undefined ? [] : [[name, curve(phase)] as const];
  });
  return {id, what, backing, pages, access, state, threads, ...(split && {split}), phases: Object.fromEntries(curves)};
}

function curve({hdr, count, p50, min, max}: Phase): Curve {
  const histogram = decodeFromCompressedBase64(hdr);
  // A bucket is told by its upper end, which may be beyond the largest value.
  return {count, p50, ns: SHARES.map(share => (share === 0 ? min : Math.min(histogram.getValueAtPercentile(share * 100), max)))};
}
