// Makes a scatter list for an FPGA: bus addresses and lengths that its DMA engine can take.
//
//     npx framevec vm -- node docs/examples/scatter-list.mjs [BYTES]
//
// The runs of frames that follow each other are what a descriptor of a DMA engine can name. Engines
// have rules of their own; those of this one are below: where a segment may begin, how long it may
// be, and how many there may be. The memory is pinned for as long as the list is in use.
//
// A bus address is a physical address only where there is no IOMMU between the device and the
// memory, and where the device reaches all memory. With an IOMMU the driver has to map the pages:
// dma_map_sg(). See docs/guide-device-memory.md.
import {FrameVector} from 'framevec';

/** Bytes in a frame. */
const PAGE = 4096n;

const RULES = {
  /** A segment begins at a multiple of this, bytes. */
  alignment: 64n,
  /** The longest segment, bytes: a multiple of the alignment, so that the next one may follow it. */
  longest: 2n ** 20n,
  /** Descriptors that the engine has. */
  most: 1024,
};

/**
 * The segments of what a vector holds.
 * @param {FrameVector} vector
 * @param {typeof RULES} rules
 * @returns {{address: bigint, bytes: bigint}[]} bus addresses and lengths, in bytes
 */
function segmentsOf(vector, {alignment, longest, most}) {
  const {pfns, counts} = vector.extents();
  /** @type {{address: bigint, bytes: bigint}[]} */
  const segments = [];
  let left = BigInt(vector.byteLength);
  // The first run begins within its first frame, the last one ends within its last.
  let skip = BigInt(vector.offset);
  pfns.forEach((pfn, run) => {
    let address = pfn * PAGE + skip;
    let bytes = BigInt(counts[run] ?? 0) * PAGE - skip;
    skip = 0n;
    if (bytes > left) bytes = left;
    left -= bytes;
    while (bytes > 0n) {
      if (address % alignment !== 0n) throw new Error(`a segment would begin at 0x${address.toString(16)}, no multiple of ${alignment} bytes`);
      const length = bytes > longest ? longest : bytes;
      segments.push({address, bytes: length});
      address += length;
      bytes -= length;
    }
  });
  if (segments.length > most) throw new Error(`${segments.length} segments, and the engine has ${most} descriptors: use huge pages`);
  return segments;
}

const bytes = Number(process.argv[2] ?? 4 * 2 ** 20);
const memory = FrameVector.alloc(bytes);
const vector = FrameVector.pin(memory, {write: true, unaligned: true});
try {
  const segments = segmentsOf(vector, RULES);
  for (const {address, bytes: length} of segments) {
    console.log(`0x${address.toString(16).padStart(12, '0')}  ${length} bytes`);
  }
  const total = segments.reduce((sum, {bytes: length}) => sum + length, 0n);
  console.log(`${segments.length} segments, ${total} of ${bytes} bytes`);
} finally {
  vector.close();
  memory.close();
}
