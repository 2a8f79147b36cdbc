/** Figure 3: what JavaScript and the addon add to C. */
import {addon} from '../addon.js';
import {FrameVector} from '../frame_vector.js';
import {interleave, looped, microseconds, pairs, repeated, withMemory, withPeers} from './batch.js';
import {atMost, notMeasured, type Claim, type FigureOptions} from './figure.js';
import type {Figure} from './result.js';
import {median, medianOf, pairedRatio} from './statistics.js';

export const CALL: Claim = {
  id: '3a', target: 'at most 100 ns, natively',
  claim: 'what a call from JavaScript adds to the same ioctl from C, INFO or, without the module, one that says EBADF',
};
const MOST_CALL = 100;

export const PAIR: Claim = {
  id: '3b', target: 'at most 1.10x',
  claim: 'pin() and unpin() of 256 resident 4K pages over the same ioctls from C',
};
const MOST_PAIR = 1.1;
const PAIR_PAGES = 256;

/** Emulated, a nanosecond is none: the figure is told, and not held against its target. */
export function callPath(options: FigureOptions): Figure {
  options.progress('figure 3a: an empty call');
  const bare = addon.info() < 0;
  return withPeers<Figure>([bare ? 'bad-descriptor' : 'empty'], new Uint8Array(addon.pageSize), ([c]) => {
    if (c === undefined) return notMeasured(CALL, 'the C loop is missing');
    // The C loop's is a pair.
    const [js = [], pair = []] = interleave([repeated(addon.info), looped(c)], options);
    const added = medianOf(js.map((ns, i) => ns - (pair[i] ?? 0) / 2));
    const details = [`${bare ? 'EBADF' : 'INFO'}: ${median(js).toFixed(0)} ns from JavaScript, ${(median(pair) / 2).toFixed(0)} ns from C`];
    if (!options.environment.onlyRatiosCount) return atMost(CALL, MOST_CALL, added, ' ns', details);
    return notMeasured(CALL, `emulated: ${added.value.toFixed(0)} ns here are none of a real machine; on the host: npx framevec bench --figures`, details);
  }, reason => notMeasured(CALL, reason));
}

export function pairAgainstC(options: FigureOptions): Figure {
  options.progress(`figure 3b: ${PAIR_PAGES} pages`);
  return withMemory('4k', PAIR_PAGES, memory => withPeers<Figure>(['framevec'], memory, ([c]) => {
    if (c === undefined) return notMeasured(PAIR, 'the C loop is missing');
    using vector = FrameVector.create(PAIR_PAGES);
    const [js = [], bare = []] = interleave([pairs(vector, memory, {write: true}), looped(c)], options);
    return atMost(PAIR, MOST_PAIR, pairedRatio(js, bare), 'x', [
      `${microseconds(median(js))} from JavaScript, ${microseconds(median(bare))} from C: ${(median(js) - median(bare)).toFixed(0)} ns more for two calls`,
    ]);
  }, reason => notMeasured(PAIR, reason)), reason => notMeasured(PAIR, reason));
}
