/** What people read: the table, the comparison. */
import {styleText} from 'node:util';
import type {Comparison} from './compare.js';
import {figureInWords} from './figure.js';
import type {Absent, Figure, Fit, Phase, Ratio, Row, Split} from './result.js';

const HEADER = `${'what'.padEnd(11)} ${'backing'.padEnd(8)} ${'pages'.padStart(7)} ${'access'.padEnd(6)} ${'state'.padEnd(9)}${'thr'.padStart(3)}`
  + ['pin p50', 'p99', 'unpin p50', 'p99', 'pair p50', 'p99', 'p99.9', 'max', 'count'].map(name => name.padStart(11)).join('');

/** Four digits, in µs: the unit of the table. */
function us(ns: number): string {
  const value = ns / 1000;
  return (value >= 1000 ? value.toFixed(0) : value >= 100 ? value.toFixed(1) : value.toFixed(2)).padStart(11);
}

function dim(text: string): string {
  return process.stdout.isTTY && process.stdout.hasColors() ? styleText('dim', text) : text;
}

const of = ({p50, p99}: Phase): string => us(p50) + us(p99);

/** The rows of a backing, with what each adds. */
export function tableOf(rows: readonly Row[], absent: readonly Absent[]): string[] {
  const lines = rows.length === 0 ? [] : [dim(HEADER)];
  for (const {what, backing, pages, access, state, threads, phases, extents} of rows) {
    const {pin, unpin, pair, touch} = phases;
    lines.push(`${what.padEnd(11)} ${backing.padEnd(8)} ${String(pages).padStart(7)} ${access.padEnd(6)} ${state.padEnd(9)}${String(threads).padStart(3)}`
      + `${of(pin)}${of(unpin)}${of(pair)}${us(pair.p999)}${us(pair.max)}${String(pair.count).padStart(11)}`
      + (touch === undefined ? '' : `  first touch alone ${us(touch.p50).trim()}`)
      + (extents === undefined ? '' : dim(`  ${extents} ${extents === 1 ? 'run' : 'runs'}`)));
  }
  return [...lines, ...absentLines(absent)];
}

export function absentLines(absent: readonly Absent[]): string[] {
  return absent.map(({what, backing, pages, access, state, threads, reason}) => {
    const where = [backing, pages, access, state, threads === undefined ? undefined : `${threads}t`].filter(part => part !== undefined).join('/');
    return `absent: ${what}${where === '' ? '' : ` ${where}`}: ${reason}`;
  });
}

/** Where the time goes, for rows that know it. */
export function splitLines(rows: readonly Row[]): string[] {
  const part = ({gup, module, syscall, addon}: Split): string => us(gup) + us(module) + (syscall === undefined ? '-'.padStart(11) : us(syscall)) + us(addon);
  const lines = rows.flatMap(({backing, pages, access, state, split}) => split === undefined ? [] : [
    `${backing.padEnd(8)} ${String(pages).padStart(7)} ${access.padEnd(6)} ${state.padEnd(9)}${part(split.pin)}${part(split.unpin)}`]);
  if (lines.length === 0) return [];
  const names = ['GUP', 'module', 'syscall', 'addon + JS'].map(name => name.padStart(11)).join('');
  return [
    'Where the time goes, in µs, the looks at the clock apart: of a pin, then of an unpin',
    dim(`${'backing'.padEnd(8)} ${'pages'.padStart(7)} ${'access'.padEnd(6)} ${'state'.padEnd(9)}${names}${names}`),
    ...lines,
  ];
}

export function ratioLines(ratios: readonly Ratio[]): string[] {
  if (ratios.length === 0) return [];
  return [
    'Pairs, round by round the one over the other: median, quartiles, 95 % interval of the median',
    ...ratios.map(({over, under, value, p25, p75, low, high}) =>
      `${over} / ${under}: ${value.toFixed(3)}x  [${p25.toFixed(3)}, ${p75.toFixed(3)}]  ${low.toFixed(3)} to ${high.toFixed(3)}`),
  ];
}

export function fitLines(fits: readonly Fit[]): string[] {
  const pairs = fits.filter(({phase}) => phase === 'pair');
  if (pairs.length === 0) return [];
  return [
    'Cost of a pair = fixed + pages * per page, in ns, with 95 % intervals; and the largest distance from it',
    ...pairs.map(({what, backing, access, state, threads, fixed, perPage, worst}) =>
      `${`${what}/${backing}/${access}/${state}/${threads}t`.padEnd(40)} ${fixed.value.toFixed(0)} (${fixed.low.toFixed(0)} to ${fixed.high.toFixed(0)})`
      + ` + ${perPage.value.toFixed(2)} (${perPage.low.toFixed(2)} to ${perPage.high.toFixed(2)}) a page, ${(worst * 100).toFixed(0)} %`),
  ];
}

export function figureLines(figure: Figure): string[] {
  return [figureInWords(figure), ...figure.details.map(line => dim(`     ${line}`))];
}

/** Of a comparison all verdicts, and how many rows have none. */
export function comparisonLines({rows, onlyBefore, onlyAfter, warnings}: Comparison): string[] {
  const count = (name: string): number => rows.filter(({verdict}) => verdict === name).length;
  const missing = (ids: readonly string[], where: string): string[] => (ids.length === 0 ? [] : [`only ${where}: ${ids.join(', ')}`]);
  return [
    ...warnings.map(text => `mind: ${text}`),
    ...rows.filter(({verdict}) => verdict === 'slower' || verdict === 'faster').map(({id, phase, before, after, ratio, p, verdict}) =>
      `${verdict}: ${id} ${phase}: ${us(before).trim()} to ${us(after).trim()} µs, ${ratio.value.toFixed(3)}x (${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)}), p ${p.toPrecision(2)}`),
    `${rows.length} phases compared: ${count('slower')} slower, ${count('faster')} faster, ${count('no difference shown')} show no difference, ${count('too few rounds')} have too few rounds`,
    ...missing(onlyBefore, 'before'), ...missing(onlyAfter, 'after'),
  ];
}
