/** `framevec v4l2`: frames of a video device, straight into the memory of this process. */
import {Command, InvalidArgumentError} from 'commander';
import type {V4l2CommandOptions} from '../v4l2/command.js';

export function v4l2Command(): Command {
  return new Command('v4l2')
    .description('stream from a video device into memory of this process (V4L2 USERPTR), and tell what it costs')
    .argument('<device>', 'the device, such as /dev/video0')
    .option('--buffers <count>', 'buffers to stream with', whole, 4)
    .option('--frames <count>', 'frames to take', whole, 100)
    .option('--fps <rate>', 'frames a second to ask for', Number)
    .option('--backing <memory>', 'thp: transparent huge pages; 4k; memfd: shared memory; device:PATH: device memory', backing, 'thp')
    .option('--hold', 'pin the buffers with framevec too, compact memory, and watch whether a frame moves')
    .option('--save <frame.png>', 'write the last frame as a picture')
    .option('--json', 'print what was seen as one line of JSON')
    .addHelpText('after', `
Examples:
  $ framevec vm --with vivid -- npx framevec v4l2 /dev/video0 --frames 100 --hold
  $ framevec v4l2 /dev/video0 --save frame.png
  $ framevec v4l2 /dev/video0 --backing device:/sys/bus/pci/devices/0000:00:04.0/resource2
`)
    .action(async (device: string, flags: V4l2CommandOptions) => {
      // Not before: the addon may not be built, and `framevec vm` needs none.
      const {v4l2Stream} = await import('../v4l2/command.js');
      process.exitCode = await v4l2Stream(device, flags);
    });
}

function whole(value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('It has to be a whole number from 1 on.');
  return number;
}

function backing(value: string): string {
  if (!/^(thp|4k|memfd|device:.+)$/.test(value)) throw new InvalidArgumentError('It has to be thp, 4k, memfd or device:PATH.');
  return value;
}
