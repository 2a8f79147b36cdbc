/** The memory of ivshmem-plain, a PCI device of the tests' VM: device memory that is no RAM of the kernel's. */
import {readFileSync, readdirSync, writeFileSync} from 'node:fs';

const BUS = '/sys/bus/pci/devices';

/** The path of its BAR in sysfs, which maps it uncached; the same with `_wc` behind it maps it write-combining. */
export function ivshmemMemory(): string {
  const device = readdirSync(BUS).map(name => `${BUS}/${name}`)
    .find(path => readFileSync(`${path}/vendor`, 'utf8').trim() === '0x1af4' && readFileSync(`${path}/device`, 'utf8').trim() === '0x1110');
  if (device === undefined) throw new Error('the VM has no ivshmem-plain');
  writeFileSync(`${device}/enable`, '1');
  return `${device}/resource2`;
}
