/** Which lines and branches of C or C++ were executed: what gcov says of the counts (.gcda) and notes (.gcno) of a build. */
import {execFileSync} from 'node:child_process';
import {cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {basename, join} from 'node:path';
import {gunzipSync} from 'node:zlib';
import {readFileSync} from 'node:fs';
import {markdownTable} from './table.js';

interface Report {
  files: {file: string; lines: {line_number: number; count: number; branches: {count: number}[]}[]}[];
}

/** How often a line was executed, and how often each way out of its conditions was taken. */
interface Line {
  count: number;
  branches: number[];
}

/** The lines with code in them, by source file and number. */
export type Coverage = Map<string, Map<number, Line>>;

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
    execFileSync('gcov', ['--json-format', '--branch-probabilities', basename(count)], {cwd: place, stdio: ['ignore', 'ignore', 'pipe']});
    for (const file of filesBelow(place, '.gcov.json.gz')) {
      for (const {file: source, lines} of (JSON.parse(gunzipSync(readFileSync(file)).toString()) as Report).files) {
        const title = name(source);
        if (title === undefined) continue;
        const sum = coverage.get(title) ?? new Map<number, Line>();
        coverage.set(title, sum);
        for (const {line_number: number, count: times, branches} of lines) {
          const line = sum.get(number) ?? {count: 0, branches: []};
          sum.set(number, line);
          line.count += times;
          branches.forEach((branch, way) => { line.branches[way] = (line.branches[way] ?? 0) + branch.count; });
        }
      }
    }
  });
  rmSync(directory, {recursive: true});
  return coverage;
}

/** 3, 7-9: the lines that do not hold; a run goes on over lines without code. */
function runsOf(lines: Map<number, Line>, missed: (line: Line) => boolean): string {
  const runs: [first: number, last: number][] = [];
  let open = false;
  for (const [number, line] of [...lines].sort(([a], [b]) => a - b)) {
    const miss = missed(line);
    const last = runs.at(-1);
    if (miss && open && last !== undefined) last[1] = number;
    else if (miss) runs.push([number, number]);
    open = miss;
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(', ');
}

/** How many of the lines, or of the branches, were met. */
interface Share {
  all: number;
  met: number;
}

function shareOf(counts: readonly number[]): Share {
  return {all: counts.length, met: counts.filter(count => count > 0).length};
}

const percent = ({all, met}: Share): string => `${all === 0 ? 100 : Math.floor((met * 1000) / all) / 10} %`;

/** With branches: the ways out of conditions too, of lines that were executed at all. */
export function coverageTable(coverage: Coverage, {branches = false} = {}): string {
  const files = [...coverage].sort(([a], [b]) => a.localeCompare(b)).map(([file, lines]) => {
    const all = [...lines.values()];
    return {file, lines, line: shareOf(all.map(({count}) => count)), branch: shareOf(all.flatMap(line => line.branches))};
  });
  const together = (key: 'line' | 'branch'): Share => ({
    all: files.reduce((sum, file) => sum + file[key].all, 0), met: files.reduce((sum, file) => sum + file[key].met, 0),
  });
  const row = (file: string, line: Share, branch: Share, missed: readonly string[]): string[] =>
    branches ? [file, String(line.all), percent(line), String(branch.all), percent(branch), ...missed] : [file, String(line.all), percent(line), missed[0] ?? ''];
  return markdownTable([
    branches ? ['file', 'lines', 'covered', 'branches', 'covered', 'lines not covered', 'lines with a branch not covered'] : ['file', 'lines', 'covered', 'not covered'],
    ...files.map(({file, lines, line, branch}) => row(file, line, branch, [
      runsOf(lines, ({count}) => count === 0), runsOf(lines, ({count, branches: ways}) => count > 0 && ways.includes(0)),
    ])),
    row('together', together('line'), together('branch'), ['', '']),
  ]);
}
