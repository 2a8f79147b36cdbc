/** What `framevec bench` does. */
import {readFileSync, writeFileSync} from 'node:fs';
import type {BackingName} from './backing.js';
import {compareResults, parseResult} from './compare.js';
import {environment, environmentInWords} from './environment.js';
import {measureFigures} from './figures.js';
import {runGrid} from './grid.js';
import {fitsOf, ratiosOf} from './relations.js';
import {reportPage, writeReport} from './report.js';
import {RESULT_SCHEMA, RESULT_VERSION, type Absent, type Access, type BenchResult, type Figure, type Row, type State} from './result.js';
import {absentLines, comparisonLines, figureLines, fitLines, ratioLines, splitLines, tableOf} from './table.js';

export interface BenchOptions {
  readonly sizes: readonly number[];
  readonly backing: readonly BackingName[];
  readonly access: readonly Access[];
  readonly state: readonly State[];
  readonly threads: readonly number[];
  /** Milliseconds. */
  readonly duration: number;
  readonly warmup: number;
  readonly rounds: number;
  readonly filter?: string;
  /** `'only'`: the figures and no grid. */
  readonly figures?: 'also' | 'only';
  readonly figureSizes: readonly number[];
  readonly heapCalls: number;
  /** A file; `true`: stdout, and the table is left out. */
  readonly json?: string | true;
  readonly html?: string;
}

/** Tells on stderr what is going on: in one line that is overwritten on a terminal, else now and then. */
class ProgressLine {
  readonly #terminal = process.stderr.isTTY;
  #said = -Infinity;

  say(text: string): void {
    const at = performance.now();
    if (at - this.#said < (this.#terminal ? 100 : 10_000)) return;
    this.#said = at;
    const seconds = `${(at / 1000).toFixed(0)} s`;
    process.stderr.write(this.#terminal ? `\r\x1b[K${seconds}  ${text}`.slice(0, (process.stderr.columns || 80) + 3) : `framevec: ${seconds}: ${text}\n`);
  }

  clear(): void {
    if (this.#terminal) process.stderr.write('\r\x1b[K');
  }
}

/**
 * Measures what was asked for and tells it.
 *
 * @throws RangeError - a report was asked for and can't be made; nothing was measured then
 */
export async function runBench(options: BenchOptions, command: readonly string[]): Promise<void> {
  if (options.html !== undefined) reportPage();
  const startedAt = new Date();
  const line = new ProgressLine();
  const tell = (lines: readonly string[]): void => {
    line.clear();
    if (options.json !== true && lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
  };
  const progress = (text: string): void => {
    line.say(text);
  };

  progress('looking about');
  const where = environment();
  tell([...environmentInWords(where), '']);
  const settings = {
    sizes: options.sizes, backings: options.backing, access: options.access, states: options.state, threads: options.threads,
    durationMs: options.duration, warmupMs: options.warmup, rounds: options.rounds,
    ...(options.filter !== undefined && {filter: options.filter}),
  };

  let rows: readonly Row[] = [];
  let absent: readonly Absent[] = [];
  if (options.figures !== 'only') {
    ({rows, absent} = await runGrid({...settings, environment: where, progress, told: (done, lacking) => {
      tell([...tableOf(done, lacking), ...(done.length + lacking.length > 0 ? [''] : [])]);
    }}));
  }
  const ratios = ratiosOf(rows);
  const fits = fitsOf(rows);
  for (const lines of [splitLines(rows), ratioLines(ratios), fitLines(fits)]) tell(lines.length === 0 ? [] : [...lines, '']);

  let figures: readonly Figure[] = [];
  if (options.figures !== undefined) {
    figures = measureFigures({
      environment: where, durationMs: options.duration, rounds: options.rounds, sizes: options.figureSizes, heapCalls: options.heapCalls, progress,
    }, figure => {
      tell(figureLines(figure));
    });
  }
  line.clear();

  const result: BenchResult = {
    schema: RESULT_SCHEMA, version: RESULT_VERSION, startedAt: startedAt.toISOString(),
    seconds: Math.round((Date.now() - startedAt.getTime()) / 100) / 10,
    command, environment: where, settings, rows, absent, ratios, fits, figures,
  };
  if (options.json !== undefined) {
    const text = `${JSON.stringify(result)}\n`;
    if (options.json === true) process.stdout.write(text);
    else writeFileSync(options.json, text);
  }
  if (options.html !== undefined) writeReport(result, options.html);
}

/**
 * Compares two results of earlier runs.
 *
 * @returns the exit status: 1 if something has become slower
 */
export function runCompare(before: string, after: string, json: boolean): number {
  const read = (path: string): BenchResult => parseResult(readFileSync(path, 'utf8'), path);
  const [a, b] = [read(before), read(after)];
  const comparison = compareResults(a, b);
  const absent = (of: BenchResult): string[] => absentLines(of.absent);
  const newlyAbsent = absent(b).filter(line => !absent(a).includes(line));
  process.stdout.write(json ? `${JSON.stringify(comparison)}\n`
    : `${[`before: Linux ${a.environment.kernel}, framevec ${a.environment.framevec}, ${a.startedAt}`,
      `after:  Linux ${b.environment.kernel}, framevec ${b.environment.framevec}, ${b.startedAt}`,
      ...comparisonLines(comparison), ...newlyAbsent].join('\n')}\n`);
  return comparison.rows.some(({verdict}) => verdict === 'slower') ? 1 : 0;
}
