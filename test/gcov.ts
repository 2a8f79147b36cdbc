/** Which lines of C or C++ were come by: what gcov says of the counts (.gcda) and notes (.gcno) of a build. */
import {execFileSync} from 'node:child_process';
import {cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {basename, join} from 'node:path';
import {gunzipSync} from 'node:zlib';
import {readFileSync} from 'node:fs';
import {markdownTable} from './table.js';

interface Report {
  files: {file: string; lines: {line_number: number; count: number}[]}[];
}

/** How often each line with code in it was executed, by source file. */
export type Coverage = Map<string, Map<number, number>>;

/** The files below a directory whose names end so. */
export function filesBelow(directory: string, ending: string): string[] {
  return readdirSync(directory, {recursive: true, encoding: 'utf8'}).filter(name => name.endsWith(ending)).map(name => join(directory, name));
}

/**
 * Adds up what runs of one build have counted. `name` says what a source file is called in the table; files of which it says nothing
 * are left out.
 */
export function coverageOf(notes: readonly string[], counts: readonly string[], name: (file: string) => string | undefined): Coverage {
  const coverage: Coverage = new Map();
  const directory = mkdtempSync(join(tmpdir(), 'framevec-gcov-'));
  counts.forEach((count, i) => {
    const notesOf = notes.find(file => basename(file, '.gcno') === basename(count, '.gcda'));
    if (notesOf === undefined) return;
    const place = join(directory, String(i));
    mkdirSync(place);
    cpSync(notesOf, join(place, basename(notesOf)));
    cpSync(count, join(place, basename(count)));
    execFileSync('gcov', ['--json-format', basename(count)], {cwd: place, stdio: ['ignore', 'ignore', 'pipe']});
    for (const file of filesBelow(place, '.gcov.json.gz')) {
      for (const {file: source, lines} of (JSON.parse(gunzipSync(readFileSync(file)).toString()) as Report).files) {
        const title = name(source);
        if (title === undefined) continue;
        const sum = coverage.get(title) ?? new Map<number, number>();
        coverage.set(title, sum);
        for (const line of lines) sum.set(line.line_number, (sum.get(line.line_number) ?? 0) + line.count);
      }
    }
  });
  rmSync(directory, {recursive: true});
  return coverage;
}

/** 3, 7-9: lines that nobody came by; a run goes on over lines without code. */
function uncovered(lines: Map<number, number>): string {
  const runs: [first: number, last: number][] = [];
  let open = false;
  for (const [line, count] of [...lines].sort(([a], [b]) => a - b)) {
    const last = runs.at(-1);
    if (count === 0 && open && last !== undefined) last[1] = line;
    else if (count === 0) runs.push([line, line]);
    open = count === 0;
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(', ');
}

export function coverageTable(coverage: Coverage): string {
  const share = (all: number, met: number): string => `${all === 0 ? 100 : Math.floor((met * 1000) / all) / 10} %`;
  const files = [...coverage].sort(([a], [b]) => a.localeCompare(b)).map(([file, lines]) => ({
    file, all: lines.size, met: [...lines.values()].filter(count => count > 0).length, missed: uncovered(lines),
  }));
  const sum = (key: 'all' | 'met'): number => files.reduce((total, file) => total + file[key], 0);
  return markdownTable([
    ['file', 'lines', 'covered', 'not covered'],
    ...files.map(({file, all, met, missed}) => [file, String(all), share(all, met), missed]),
    ['together', String(sum('all')), share(sum('all'), sum('met')), ''],
  ]);
}
