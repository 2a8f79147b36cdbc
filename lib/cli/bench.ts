/** `framevec bench`: what pinning costs, split, and beside what else one could use. */
import {Command, InvalidArgumentError, Option} from 'commander';
import {availableParallelism} from 'node:os';
import type {BenchOptions} from '../bench/command.js';
import {EXIT} from './exit.js';

/** Of command.error(), for what the parser does not see. */
const USAGE = {code: 'framevec.usage', exitCode: EXIT.usage};
const DEFAULT_SIZES = [1, 16, 256, 4096, 65_536];
const FIGURE_SIZES = [...DEFAULT_SIZES, 262_144];
const BACKINGS = ['4k', 'thp', 'hugetlb', 'memfd', 'file', 'device'];
const THREADS = [...new Set([1, Math.max(2, availableParallelism())])];

type BenchFlags = Omit<BenchOptions, 'figures'> & {readonly figures?: true; readonly grid: boolean; readonly compare?: true; readonly from?: string};

export function benchCommand(): Command {
  return new Command('bench')
    .description('measure what pinning costs, split it, and put it beside what else one could use')
    .argument('[results...]', 'with --compare: two files of --json, the earlier one first')
    .addOption(new Option('--sizes <pages>', 'pages, with commas between').default(DEFAULT_SIZES, DEFAULT_SIZES.join()).argParser(numbers))
    .addOption(new Option('--backing <kinds>', `of what memory: ${BACKINGS.join()}`).default(BACKINGS, 'all').argParser(some(BACKINGS)))
    .addOption(new Option('--access <kinds>', 'read,write: what the pin is for').default(['read', 'write'], 'both').argParser(some(['read', 'write'])))
    .addOption(new Option('--state <kinds>', 'resident,cold: whether it was touched before').default(['resident', 'cold'], 'both').argParser(some(['resident', 'cold'])))
    .addOption(new Option('--threads <counts>', 'threads that pin at the same time').default(THREADS, THREADS.join()).argParser(numbers))
    .option('--duration <ms>', 'of each row, or each side of a figure, all rounds together', milliseconds, 500)
    .option('--warmup <ms>', 'of each row before its first round, not counted', milliseconds, 50)
    .addOption(new Option('--rounds <count>', 'into how many rounds the duration is cut: rows take turns').default(10).argParser(atLeastFive))
    .option('--filter <pattern>', 'only rows whose name what/backing/pages/access/state/threads has it (a regular expression)', pattern)
    .option('--figures', 'the figures of docs/performance.md, too')
    .option('--no-grid', 'with --figures: nothing but them')
    .addOption(new Option('--figure-sizes <pages>', 'pages for them; 262144 is the 1 GiB that two of them are about').default(FIGURE_SIZES, FIGURE_SIZES.join()).argParser(numbers))
    .addOption(new Option('--heap-calls <count>', 'pins over which the heap is watched, for the figures').default(1_000_000).argParser(count))
    .option('--json [file]', 'write all that was measured (lib/bench/result.ts has the form); without a file to stdout, and no table')
    .option('--html <file>', 'write a report for a browser, which needs no network')
    .option('--from <results>', 'with --html: a report of what an earlier run wrote with --json; nothing is measured, and no module is needed')
    .option('--compare', 'compare two results: what has become slower or faster, and how sure that is; status 1 if something is slower')
    .addHelpText('after', `
Rows take turns, round by round, so that drift hits all alike. What this machine can't do is told as absent, with
the reason. In an emulated VM only ratios within a run count; \`framevec vm --icount\` counts instructions instead.
A verdict of --compare needs both: rounds that differ (Mann and Whitney, 5 % false verdicts by Benjamini and Hochberg)
and a 95 % interval of the ratio, by bootstrap, that excludes 1.

Examples:
  $ framevec vm --memory 4G -- npx framevec bench --backing 4k,thp --sizes 1,256
  $ framevec bench --filter '/resident/1t$' --json before.json
  $ framevec bench --figures --no-grid
  $ framevec bench --json results.json --html report.html
  $ framevec bench --from results.json --html report.html
  $ framevec bench --compare before.json after.json
`)
    .action(async (results: readonly string[], {figures, grid, compare, from, ...options}: BenchFlags, command: Command) => {
      if (compare === undefined && results.length > 0) command.error(`error: what is ${results[0] ?? ''} for? Files are compared with --compare.`, USAGE);
      if (compare !== undefined && results.length !== 2) command.error('error: --compare needs two files, the earlier one first.', USAGE);
      if (!grid && figures === undefined) command.error('error: --no-grid leaves nothing to do but with --figures.', USAGE);
      if (from !== undefined && options.html === undefined) command.error('error: --from makes a report: --html says where.', USAGE);
      // Not before: the addon may not be built, and `framevec vm` needs none.
      try {
        if (from !== undefined && options.html !== undefined) {
          const {reportFrom} = await import('../bench/report.js');
          reportFrom(from, options.html);
          return;
        }
        const {runBench, runCompare} = await import('../bench/command.js');
        const [before, after] = results;
        if (before !== undefined && after !== undefined) process.exitCode = runCompare(before, after, options.json === true);
        else await runBench({...options, ...(figures && {figures: grid ? 'also' as const : 'only' as const})}, process.argv.slice(2));
      } catch (error) {
        const expected = error instanceof RangeError || (error as NodeJS.ErrnoException).code === 'ENOENT';
        if (!expected) throw error;
        command.error(`framevec: ${(error as Error).message}`);
      }
    });
}

function count(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('It has to be a whole number from 1 on.');
  return number;
}

function atLeastFive(text: string): number {
  const number = count(text);
  if (number < 5) throw new InvalidArgumentError('Five at least are needed: intervals are made of the rounds.');
  return number;
}

function milliseconds(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s)?$/.exec(text) ?? [];
  const number = Number(digits) * (unit === 's' ? 1000 : 1);
  if (!(number > 0)) throw new InvalidArgumentError('It has to be a time, such as 500, 500ms or 2s.');
  return number;
}

function numbers(text: string): number[] {
  return [...new Set(text.split(',').map(count))].sort((a, b) => a - b);
}

function some(known: readonly string[]): (text: string) => string[] {
  return text => {
    const asked = text.split(',');
    if (asked.every(name => known.includes(name))) return known.filter(name => asked.includes(name));
    throw new InvalidArgumentError(`It has to be of ${known.join(', ')}, with commas between.`);
  };
}

function pattern(text: string): string {
  try {
    new RegExp(text);
    return text;
  } catch {
    throw new InvalidArgumentError('It has to be a regular expression.');
  }
}
