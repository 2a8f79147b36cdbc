// Measures a call of one's own, and compares two ways to make it.
//
//     npx framevec vm -- node docs/examples/bench-your-ioctl.mjs
//
// The calls here are a pin of 1 MiB for reading and for writing. Put your driver's ioctl in their
// place: any synchronous function will do. What undoes a call, here unpin(), is not in its time.
// In an emulated VM only the ratio counts, and that roughly: docs/performance.md.
import {FrameVector} from 'framevec';
import {bench} from 'framevec/bench';

const BYTES = 2 ** 20;

const memory = FrameVector.alloc(BYTES, {hugepages: false});
memory.bytes.fill(1);
const vector = FrameVector.create(BYTES / 4096);
const after = () => void vector.unpin();

/** @param {number} ns */
const us = ns => (ns / 1000).toFixed(1);

try {
  const {p50, p99, count, median} = bench.measure('pin', () => vector.pin(memory, {write: true}), {after, durationMs: 500});
  console.log(`pin for writing: p50 ${us(p50)} µs, p99 ${us(p99)} µs, ${count} calls`);
  console.log(`median of the rounds: ${us(median.value)} µs, 95 % interval ${us(median.low)} to ${us(median.high)} µs`);

  // In turn, A B A B, so that what drifts hits both alike.
  const {ratios} = bench.race([
    {name: 'write', call: () => vector.pin(memory, {write: true}), after},
    {name: 'read', call: () => vector.pin(memory), after},
  ], {durationMs: 500});
  for (const {over, under, value, low, high} of ratios) {
    console.log(`${over} over ${under}: ${value.toFixed(2)}, 95 % interval ${low.toFixed(2)} to ${high.toFixed(2)}`);
  }
} finally {
  vector.close();
  memory.close();
}
