/**
 * The memory of the second ivshmem-plain, a PCI device of the tests' VM: device memory that is no RAM of the kernel's. Tests at random
 * map it in two caching modes, and unmap it in parts. The kernel (x86/PAT) does not forget the mode of every page then, and refuses
 * to map it in another one: so the first such device is for all other tests.
 */
import {readFileSync, readdirSync, writeFileSync} from 'node:fs';

const BUS = '/sys/bus/pci/devices';

/** The path of its BAR in sysfs, or of that of the first, which is larger, which maps it uncached; the same with `_wc` behind it maps it write-combining. */
export function ivshmemMemory(which: 'first' | 'last' = 'last'): string {
  const devices = readdirSync(BUS).sort().map(name => `${BUS}/${name}`)
    .filter(path => readFileSync(`${path}/vendor`, 'utf8').trim() === '0x1af4' && readFileSync(`${path}/device`, 'utf8').trim() === '0x1110');
  const device = devices.at(which === 'first' ? 0 : -1);
  if (device === undefined) throw new Error('the VM has no ivshmem-plain');
  writeFileSync(`${device}/enable`, '1');
  return `${device}/resource2`;
}
