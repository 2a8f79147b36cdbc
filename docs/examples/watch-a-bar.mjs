// Watches the memory of a PCI device, and notices when its mapping changes.
//
//     npx framevec vm --qemu '-object memory-backend-ram,id=iv,size=16M,share=on -device ivshmem-plain,memdev=iv' \
//       -- node docs/examples/watch-a-bar.mjs
//     node docs/examples/watch-a-bar.mjs /sys/bus/pci/devices/0000:00:04.0/resource2
//
// Without an argument it takes the memory BAR of QEMU's ivshmem-plain if there is one, else the
// module's own aperture, /dev/framevec. The frames of a BAR belong to the device, so there is
// nothing that could be pinned: the vector has the frame numbers of a moment, a snapshot. When the
// mapping goes, the vector is stale: it says ESTALE and never an old number.
import {existsSync, readFileSync, readdirSync, writeFileSync} from 'node:fs';
import {once} from 'node:events';
import {DeviceMemory, FrameVector, FrameVectorError} from 'framevec';

const BUS = '/sys/bus/pci/devices';

/** The memory BAR of the first ivshmem-plain, which has to be enabled where no driver has done so. */
function sharedMemoryDevice() {
  if (!existsSync(BUS)) return undefined;
  const found = readdirSync(BUS).find(name => {
    const id = ['vendor', 'device'].map(file => readFileSync(`${BUS}/${name}/${file}`, 'utf8').trim());
    return id.join() === '0x1af4,0x1110' && existsSync(`${BUS}/${name}/resource2`);
  });
  if (found === undefined) return undefined;
  writeFileSync(`${BUS}/${found}/enable`, '1');
  return `${BUS}/${found}/resource2`;
}

const path = process.argv[2] ?? sharedMemoryDevice() ?? '/dev/framevec';
const memory = DeviceMemory.map(path, {write: true});
console.log(`${path}: ${memory.byteLength} bytes`);

// An accessor is one access of exactly that width. What JavaScript makes of memory.bytes is not.
memory.writeUint32(0x10, 0xfeedf00d);
console.log(`32 bits at 0x10: 0x${memory.readUint32(0x10).toString(16)}`);

const vector = FrameVector.pin(memory, {write: true});
const {pfns, counts} = vector.extents();
console.log(`kind ${vector.kind}: ${vector.frames} frames in ${counts.length} ${counts.length === 1 ? 'run' : 'runs'}`);
console.log(`first frame: 0x${pfns[0]?.toString(16)}`);
console.log(`stale: ${vector.stale}`);

// The kernel wakes the event loop; nobody polls. The signal alone does not keep the process alive.
const alive = setInterval(() => undefined, 1000);
const gone = once(vector.staleSignal, 'abort');
// This could be the driver's doing as well: a reset, an unplugged device.
memory.close();
await gone;
clearInterval(alive);
console.log(`stale: ${vector.stale}`);
try {
  vector.pfns();
} catch (error) {
  if (!(error instanceof FrameVectorError)) throw error;
  console.log(`pfns(): ${error.code}`);
}
console.log(`let go: ${vector.unpin()} frames`);
vector.close();
