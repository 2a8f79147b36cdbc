/** Where the time of a pin and an unpin goes: GUP, the rest of the module, the syscall, the addon and JavaScript. */
import type {Environment, Split} from './result.js';
import {medianOfFirst, type Samples} from './samples.js';
import {median} from './statistics.js';

/** The medians of one part, by round. */
interface Parts {
  readonly gup: number[];
  readonly module: number[];
  /** What the module does not see: the whole less `call_ns`. */
  readonly outside: number[];
}

const parts = (): Parts => ({gup: [], module: [], outside: []});

/** Gathers rounds of calls with the kernel's timing on. */
export class SplitRecorder {
  readonly #environment: Environment;
  readonly #pin = parts();
  readonly #unpin = parts();
  #count = 0;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  add(samples: Samples): void {
    const {count} = samples;
    const less = (whole: Float64Array, part: Float64Array): Float64Array => whole.subarray(0, count).map((ns, i) => ns - (part[i] ?? 0));
    const addTo = (to: Parts, whole: Float64Array, call: Float64Array, gup: Float64Array): void => {
      to.gup.push(medianOfFirst(gup, count));
      to.module.push(medianOfFirst(less(call, gup), count));
      to.outside.push(medianOfFirst(less(whole, call), count));
    };
    addTo(this.#pin, samples.pin, samples.pinCall, samples.pinGup);
    addTo(this.#unpin, samples.unpin, samples.unpinCall, samples.unpinGup);
    this.#count += count;
  }

  split(): {pin: Split; unpin: Split} {
    return {pin: this.#of(this.#pin), unpin: this.#of(this.#unpin)};
  }

  #of({gup, module, outside}: Parts): Split {
    const {clock, emptyCall} = this.#environment;
    const syscall = emptyCall?.c?.p50;
    return {
      gup: median(gup), module: median(module),
      ...(syscall !== undefined && {syscall}),
      addon: Math.max(0, median(outside) - (syscall ?? 0) - clock.p50),
      clock: clock.p50, count: this.#count,
    };
  }
}
