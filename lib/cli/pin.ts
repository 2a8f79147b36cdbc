/** `framevec pin`: what pinning one buffer comes to. */
import {Command, InvalidArgumentError, Option} from 'commander';
import type {PinRequest} from '../pin_report.js';
import {wrongValue} from './exit.js';

const BACKINGS = ['anon', 'thp', 'hugetlb', 'memfd', 'file:PATH', 'device:PATH'];

export function pinCommand(): Command {
  return new Command('pin')
    .description('pin one buffer and report the result: frames, contiguous runs, offset, time; or the reason of the failure')
    .option('--size <bytes>', 'size of the buffer, with a unit of K, M or G (default: 1M, or the whole file or device)', bytes)
    .addOption(new Option('--backing <kind>', `memory to pin: ${BACKINGS.join(', ')}`).default('anon').argParser(backing))
    .option('--offset <bytes>', 'start in the file or device, or in the first page; may be within a page', bytes, 0)
    .option('--write', 'pin for device writes')
    .option('--partial', 'accept a partial pin')
    .option('--json', 'print one line of JSON')
    .addHelpText('after', `
Frame numbers require CAP_SYS_ADMIN and are omitted without it. The exit status is 1 if the kernel
refuses the pin.

Examples:
  $ framevec pin --size 64M --backing thp --write
  $ framevec pin --backing file:/usr/bin/env
  $ framevec pin --backing device:/sys/bus/pci/devices/0000:00:04.0/resource2 --offset 1M --size 64K
  $ framevec pin --backing device:/dev/framevec --json
`)
    .action(async (flags: PinRequest & {json?: boolean}, command: Command) => {
      // Not before: the addon may not be built, and `framevec vm` needs none.
      const {pinReport, reportInWords} = await import('../pin_report.js');
      try {
        const report = pinReport(flags);
        process.stdout.write(`${flags.json === true ? JSON.stringify(report) : reportInWords(report)}\n`);
      } catch (error) {
        // A size or an offset that no buffer can have; what the kernel refuses is main's.
        if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
        wrongValue(command, error, {bytes: '--size', 'options.length': '--size', 'options.offset': '--offset'});
      }
    });
}

function bytes(text: string): number {
  const [, digits, unit = ''] = /^(\d+)([KMG]?)(?:i?B)?$/i.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('A number of bytes is needed, such as 4096, 64K, 1M or 1G.');
  return Number(digits) * 1024 ** ' KMG'.indexOf(unit.toUpperCase() || ' ');
}

function backing(text: string): string {
  if (['anon', 'thp', 'hugetlb', 'memfd'].includes(text) || /^(file|device):./.test(text)) return text;
  throw new InvalidArgumentError(`It must be one of ${BACKINGS.join(', ')}.`);
}
