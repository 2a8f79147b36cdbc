/** `framevec top`: the vectors of all processes, live. */
import {Command, InvalidArgumentError, Option} from 'commander';
import {ORDERS, table, type Order} from '../top/table.js';

interface TopFlags {
  readonly interval: number;
  readonly sort: Order;
  readonly once?: boolean;
  readonly json?: boolean;
}

export function topCommand(): Command {
  return new Command('top')
    .description('show the vectors of all processes, live: frames, kind, age, pinned memory against its limit')
    .option('--interval <seconds>', 'how often to look', seconds, 2)
    .addOption(new Option('--sort <order>', 'the largest first, or the lowest pid').choices(ORDERS).default('frames'))
    .option('--once', 'look once and print lines; so too if the output is not a terminal')
    .option('--json', 'look once and print one line of JSON')
    .addHelpText('after', `
q or Ctrl-C ends it. A vector that several processes have is a row in each, by the same ID, and is
counted once. FRAMES of kind pfns are noted, not pinned. PINNED is the process's VmPin, and LIMIT its
RLIMIT_MEMLOCK (-: none applies). Other users' processes are told to root only.

Examples:
  $ framevec top
  $ framevec top --interval 0.5 --sort age
  $ framevec top --once --json | jq '.totals.pages'
`)
    .action(async ({interval, sort, once, json}: TopFlags) => {
      const {survey} = await import('../top/survey.js');
      const {stdin: input, stdout: output} = process;
      if (json === true) {
        output.write(`${JSON.stringify(survey())}\n`);
      } else if (once === true || !output.isTTY) {
        const lines = table(survey(), {order: sort, colour: output.isTTY && output.hasColors()});
        output.write(`${lines.join('\n')}\n`);
      } else {
        const {show} = await import('../top/screen.js');
        const colour = output.hasColors();
        process.exitCode = await show((columns, rows) => table(survey(), {order: sort, colour, columns, rows}), {
          intervalMs: interval * 1000,
          input,
          output,
        });
      }
    });
}

function seconds(text: string): number {
  const value = Number(text);
  // setInterval() has no longer one.
  if (!(value >= 0.1 && value <= 86_400)) throw new InvalidArgumentError('It has to be a number of seconds from 0.1 to 86400.');
  return value;
}
