/** Figure 4: what a pin of a reused vector allocates, in JavaScript and in the kernel. */
import {getHeapStatistics} from 'node:v8';
import {info} from '../device.js';
import {FrameVector} from '../frame_vector.js';
import {withMemory} from './batch.js';
import {notMeasured, type Claim, type FigureOptions} from './figure.js';
import {AllocationTrace, type Traced} from './allocation_trace.js';
import type {Figure} from './result.js';
import {median} from './statistics.js';

export const HEAP: Claim = {
  id: '4a', target: '0: below 0.1 in the median of batches of 10,000 (an object has 16 and more)',
  claim: 'bytes of the JavaScript heap per reused pin() and unpin()',
};
/**
 * The engine makes some objects of its own now and then, and many when it compiles, which is in few batches; an object a call would be
 * in each of them.
 */
const MOST_BYTES = 0.1;
/** Between two looks at the heap: few enough that no collection comes in between, were there an object a call. */
const BATCH = 10_000;
const PAGES = 16;

export const KERNEL: Claim = {
  id: '4b', target: '0 allocations',
  claim: 'allocations by the kernel, of any size, in reused PIN and UNPIN of framevec (kmem:kmalloc*, kmem:kmem_cache_alloc*, kmem:mm_page_alloc)',
};
const TRACED_CALLS = 10_000;

/** Bytes that the heap grows by over so many calls; of a batch that was collected in between nothing is known. */
function growth(call: () => void, calls: number): {bytes: number; batches: number[]; collections: number} {
  const batches: number[] = [];
  let collections = 0;
  for (let done = 0; done < calls; done += BATCH) {
    const before = getHeapStatistics().used_heap_size;
    for (let i = 0; i < BATCH; i++) call();
    const grown = getHeapStatistics().used_heap_size - before;
    if (grown < 0) collections++;
    else batches.push(grown);
  }
  return {bytes: batches.reduce((sum, grown) => sum + grown, 0), batches, collections};
}

export function javascriptAllocations({heapCalls, progress}: FigureOptions): Figure {
  progress(`figure 4a: ${heapCalls} reused pins`);
  return withMemory('4k', PAGES, memory => {
    using vector = FrameVector.create(PAGES);
    const options = {write: true};
    const pair = (): void => {
      vector.pin(memory, options);
      vector.unpin();
    };
    const nothing = (): void => undefined;
    const kept: object[] = [];
    // What an allocation would look like: an object of two fields for each call, which the engine may not do without.
    const witness = (): void => {
      kept[0] = {a: memory, b: vector};
    };
    for (const call of [pair, nothing, witness]) growth(call, 5 * BATCH);
    const ours = growth(pair, heapCalls);
    const looking = growth(nothing, heapCalls);
    const seen = growth(witness, 10 * BATCH);
    const perCall = Math.max(0, ours.bytes - looking.bytes) / heapCalls;
    const usual = median(ours.batches) - median(looking.batches);
    const details = [
      `${heapCalls} pairs: the heap grew by ${ours.bytes} bytes in ${ours.batches.filter(grown => grown > 0).length} of ${ours.batches.length} batches, in ${heapCalls} calls of nothing by ${looking.bytes}, in ${10 * BATCH} that make one object each by ${seen.bytes}; collections ${ours.collections}, ${looking.collections}, ${seen.collections}`,
    ];
    if (seen.bytes < 10 * BATCH) return notMeasured(HEAP, 'the heap statistics do not show what is known to be allocated', details);
    return {...HEAP, measured: {value: perCall, words: `${usual} in the median batch of ${BATCH}, ${perCall.toFixed(4)} bytes a call in all`}, reached: usual <= MOST_BYTES * BATCH, details};
  }, reason => notMeasured(HEAP, reason));
}

export function kernelAllocations({progress}: FigureOptions): Figure {
  progress(`figure 4b: ${TRACED_CALLS} pins traced`);
  try {
    using trace = AllocationTrace.start();
    return traced(trace);
  } catch (error) {
    return notMeasured(KERNEL, `tracefs: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function traced(trace: AllocationTrace): Figure {
  return withMemory('4k', PAGES, memory => {
    using vector = FrameVector.create(PAGES);
    const pairs = (calls: number): void => {
      for (let i = 0; i < calls; i++) {
        vector.pin(memory, {write: true});
        vector.unpin();
      }
    };
    pairs(100);
    const known = trace.during(() => {
      FrameVector.create(PAGES).close();
    });
    const ours = trace.during(() => {
      pairs(TRACED_CALLS);
    });
    const details = [
      `CREATE, of which it is known, once: ${inWords(known)}`,
      `${TRACED_CALLS} PIN and UNPIN of ${PAGES} pages of ${info().pageSize} bytes: ${inWords(ours)}`,
    ];
    if (known.framevec === 0) return notMeasured(KERNEL, 'the trace does not show what CREATE allocates', details);
    if (ours.lost > 0) return notMeasured(KERNEL, `${ours.lost} events were lost`, details);
    return {
      ...KERNEL, measured: {value: ours.framevec, words: `${ours.framevec} in ${TRACED_CALLS} pairs`},
      reached: ours.framevec === 0, details,
    };
  }, reason => notMeasured(KERNEL, reason));
}

function inWords({framevec, others, where}: Traced): string {
  return `${framevec} with framevec in their stack, ${others} of this thread without${where.length === 0 ? '' : ` (${where.join(', ')})`}`;
}
