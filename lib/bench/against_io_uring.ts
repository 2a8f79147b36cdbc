/** Figure 2: our ioctls against io_uring's registered buffers, both from C, on the same memory. */
import {interleave, looped, microseconds, withMemory, withPeers} from './batch.js';
import {atMost, notMeasured, type Claim, type FigureOptions} from './figure.js';
import type {Figure} from './result.js';
import {median, pairedRatio, type PairedRatio} from './statistics.js';

export const AGAINST_IO_URING: Claim = {
  id: '2', target: 'at most 0.8x at every size',
  claim: 'PIN and UNPIN over io_uring\'s REGISTER_BUFFERS and UNREGISTER_BUFFERS, both from C, worst of all sizes, 4K and THP',
};
const MOST = 0.8;

export function againstIoUring(options: FigureOptions): Figure {
  const details: string[] = [];
  let worst: PairedRatio | undefined;
  let reason = 'no size was asked for';
  for (const backing of ['4k', 'thp'] as const) {
    for (const pages of options.sizes) {
      options.progress(`figure 2: ${backing}, ${pages} pages`);
      const found = withMemory<PairedRatio | string>(backing, pages, memory => withPeers<PairedRatio | string>(['framevec', 'io_uring'], memory, sessions => {
        const [ours = [], theirs = []] = interleave(sessions.map(looped), options);
        const ratio = pairedRatio(ours, theirs);
        details.push(`${backing}, ${pages} pages: ${microseconds(median(ours))} against ${microseconds(median(theirs))}: ${ratio.value.toFixed(3)}x (quartiles ${ratio.p25.toFixed(3)}, ${ratio.p75.toFixed(3)})`);
        return ratio;
      }, why => why), why => why);
      if (typeof found === 'string') {
        details.push(`${backing}, ${pages} pages: ${found}`);
        reason = found;
      } else if (worst === undefined || found.value > worst.value) {
        worst = found;
      }
    }
  }
  return worst === undefined ? notMeasured(AGAINST_IO_URING, reason, details) : atMost(AGAINST_IO_URING, MOST, worst, 'x', details);
}
