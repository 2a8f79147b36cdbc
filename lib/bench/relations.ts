/** What follows from rows: ratios between contestants, and cost over size. */
import {FRAMEVEC} from './contestant.js';
import {C_LOOP} from './peer_contestant.js';
import type {Fit, PhaseName, Ratio, Row} from './result.js';
import {fitRounds, pairedRatio} from './statistics.js';

const PHASES = ['pin', 'unpin', 'pair'] as const satisfies readonly PhaseName[];

function caseOf({backing, pages, access, state, threads}: Row): Pick<Row, 'backing' | 'pages' | 'access' | 'state' | 'threads'> {
  return {backing, pages, access, state, threads};
}

/** Of each case: the library over the C loop, which is what JavaScript adds, and the C loop over each peer; C against C. */
export function ratiosOf(rows: readonly Row[]): Ratio[] {
  return groups(rows, row => JSON.stringify(caseOf(row))).flatMap(group => {
    const c = group.find(({what}) => what === C_LOOP);
    const pairs = group.flatMap(row => {
      if (row.what === C_LOOP || c === undefined) return [];
      return [row.what === FRAMEVEC ? {over: row, under: c} : {over: c, under: row}];
    });
    return pairs.map(({over, under}) => ({
      ...caseOf(over), phase: 'pair' as const, over: over.id, under: under.id,
      ...pairedRatio(over.phases.pair.rounds, under.phases.pair.rounds),
    }));
  });
}

/** For rows that differ in their size alone, where there are three of them at least. */
export function fitsOf(rows: readonly Row[]): Fit[] {
  return groups(rows, ({what, backing, access, state, threads}) => JSON.stringify([what, backing, access, state, threads])).flatMap(group => {
    const [first] = group;
    if (first === undefined || group.length < 3) return [];
    const {what, backing, access, state, threads} = first;
    return PHASES.map(phase => ({
      what, backing, access, state, threads, phase,
      ...fitRounds(group.map(row => ({pages: row.pages, rounds: row.phases[phase].rounds}))),
    }));
  });
}

function groups(rows: readonly Row[], keyOf: (row: Row) => string): Row[][] {
  const found = new Map<string, Row[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = found.get(key);
    if (group === undefined) found.set(key, [row]);
    else group.push(row);
  }
  return [...found.values()];
}
