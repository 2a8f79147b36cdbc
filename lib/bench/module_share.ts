/** Figure 1: of the kernel's time, how much is the module's own. */
import {looped, interleave, microseconds, withMemory, withPeers} from './batch.js';
import {ResidentPins} from './contestant.js';
import {atMost, notMeasured, type Claim, type FigureOptions} from './figure.js';
import type {Figure} from './result.js';
import {medianOfFirst, Samples} from './samples.js';
import {median, medianOf, pairedRatio} from './statistics.js';

export const SHARE: Claim = {
  id: '1a', target: 'at most 1.05x',
  claim: 'time in the module per pin and unpin over the time in get_user_pages() and unpin_user_pages() within it, 256 resident 4K pages and more',
};
const MOST_SHARE = 1.05;

export const ONE_PAGE: Claim = {
  id: '1b', target: 'at most 2x',
  claim: 'a pair of ioctls for 1 page, from C, over a pair of empty ioctls and GUP',
};
const MOST_ONE_PAGE = 2;

/** The module's time over GUP's, of the same calls, by round. */
function shareOf(pages: number, {durationMs, rounds}: FigureOptions): {ratio: number[]; gupNs: number; callNs: number} | string {
  return withMemory<{ratio: number[]; gupNs: number; callNs: number} | string>('4k', pages, memory => {
    const samples = new Samples();
    const pins = new ResidentPins(memory, pages, true);
    const ratio: number[] = [];
    const gup: number[] = [];
    const call: number[] = [];
    pins.slice(samples, 20e6, true);
    for (let round = 0; round < rounds; round++) {
      pins.slice(samples, (durationMs / rounds) * 1e6, true);
      const {count} = samples;
      const calls = samples.pinCall.map((ns, i) => ns + (samples.unpinCall[i] ?? 0));
      const gups = samples.pinGup.map((ns, i) => ns + (samples.unpinGup[i] ?? 0));
      ratio.push(medianOfFirst(calls.map((ns, i) => ns / (gups[i] ?? 1)), count));
      gup.push(medianOfFirst(gups, count));
      call.push(medianOfFirst(calls, count));
    }
    pins.close();
    return {ratio, gupNs: median(gup), callNs: median(call)};
  }, reason => reason);
}

export function moduleShare(options: FigureOptions): Figure {
  const details: string[] = [];
  let worst = medianOf([0]);
  for (const pages of options.sizes.filter(size => size >= 256)) {
    options.progress(`figure 1a: ${pages} pages`);
    const found = shareOf(pages, options);
    if (typeof found === 'string') {
      details.push(`${pages} pages: ${found}`);
      continue;
    }
    const share = medianOf(found.ratio);
    details.push(`${pages} pages: module ${microseconds(found.callNs)}, of them GUP ${microseconds(found.gupNs)}: ${share.value.toFixed(4)}x (${share.low.toFixed(4)} to ${share.high.toFixed(4)})`);
    if (share.value > worst.value) worst = share;
  }
  return worst.value === 0 ? notMeasured(SHARE, 'no size could be measured', details) : atMost(SHARE, MOST_SHARE, worst, 'x', details);
}

export function onePage(options: FigureOptions): Figure {
  options.progress('figure 1b: one page');
  return withMemory('4k', 1, memory => withPeers<Figure>(['framevec', 'empty', 'framevec-timed'], memory, ([ours, empty, timed]) => {
    if (ours === undefined || empty === undefined || timed === undefined) return notMeasured(ONE_PAGE, 'a peer is missing');
    const raw = new Float64Array(6 * 256);
    const [pair = [], nothing = [], gup = []] = interleave([
      looped(ours), looped(empty),
      times => {
        let all = 0;
        for (let done = 0; done < times;) {
          const n = Math.min(256, times - done);
          timed.measure(n, raw);
          for (let i = 0; i < n; i++) all += (raw[i * 6 + 2] ?? 0) + (raw[i * 6 + 4] ?? 0);
          done += n;
        }
        return all;
      },
    ], options);
    const floor = nothing.map((ns, i) => ns + (gup[i] ?? 0));
    return atMost(ONE_PAGE, MOST_ONE_PAGE, pairedRatio(pair, floor), 'x', [
      `pin and unpin ${microseconds(median(pair))}, two empty ioctls ${microseconds(median(nothing))}, GUP of both ${microseconds(median(gup))}`,
    ]);
  }, reason => notMeasured(ONE_PAGE, reason)), reason => notMeasured(ONE_PAGE, reason));
}
