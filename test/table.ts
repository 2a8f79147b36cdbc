import {readFileSync, writeFileSync} from 'node:fs';

/** Ends what a command has written. */
const END = '<!-- up to here. -->';

/** Puts what a command found between its two lines of a page: `<!-- Written by COMMAND: -->` and `<!-- up to here. -->`. */
export function writeResults(path: string, command: string, text: string): void {
  const page = readFileSync(path, 'utf8');
  const begin = `<!-- Written by ${command}: -->`;
  const from = page.indexOf(begin);
  const to = page.indexOf(END, from);
  if (from < 0 || to < 0) throw new Error(`${path} has no line "${begin}" before a line "${END}"`);
  writeFileSync(path, `${page.slice(0, from + begin.length)}\n\n${text.trim()}\n\n${page.slice(to)}`);
}

/** A table in Markdown: the first line is its head. */
export function markdownTable(cells: readonly (readonly string[])[]): string {
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map(line => line[column]?.length ?? 0))) ?? [];
  const lines = cells.map(line => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  const rule = `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`;
  return [lines[0], rule, ...lines.slice(1)].join('\n');
}

/** How many tests did what, as run.ts writes it to the file of --summary. */
export interface Summary {
  passed: number;
  failed: number;
  skipped: number;
  seconds: number;
}
