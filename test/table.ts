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
