/** The virtual video devices that test/run.ts has the VM load (vivid): real videobuf2 queues. */
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {V4l2Device, type Direction} from '../../lib/index.js';

/** What test/run.ts asks for, in this order. */
const INSTANCES = {single: 'vivid-000', multi: 'vivid-001', contiguous: 'vivid-002'} as const;
export type Instance = keyof typeof INSTANCES;

/** The device file of an instance's queue, by the name that the driver gives it. */
export function vivid(instance: Instance, direction: Direction): string {
  const name = `${INSTANCES[instance]}-vid-${direction === 'capture' ? 'cap' : 'out'}`;
  const found = readdirSync('/sys/class/video4linux').find(
    node => readFileSync(`/sys/class/video4linux/${node}/name`, 'utf8').trim() === name,
  );
  if (found === undefined) throw new Error(`the VM has no ${name}: framevec vm --with vivid`);
  return `/dev/${found}`;
}

/** A capture device of known format, quick enough for a test. */
export function capture(instance: Instance = 'single', size = {width: 320, height: 180}): V4l2Device {
  const device = V4l2Device.open(vivid(instance, 'capture'));
  device.setFormat({...size, fourcc: 'YUYV'});
  device.setFrameRate(30);
  return device;
}

/** Takes the driver from its devices, or gives it back: what unplugging is to hardware. */
export function drive(action: 'bind' | 'unbind'): void {
  writeFileSync(`/sys/bus/platform/drivers/vivid/${action}`, 'vivid.0');
}
