/** How long one call takes: the share of calls up to a time, and the tail on two logarithmic axes. */
import {axisX, axisY, gridX, gridY, line, plot, pointer, tip} from '@observablehq/plot';
import type {DrawnRow, ReportData} from '../shape.js';
import {logDomain, logTicks, shareLabel, ticked, timeLabel} from './axes.js';
import {chosen, type Choice} from './choice.js';
import {label, scales} from './contestants.js';
import {FRAME, TIP, type Drawn} from './frame.js';

interface Point {
  readonly what: string;
  readonly ns: number;
  /** Of calls that took at most so long. */
  readonly share: number;
  /** Of calls that took so long or longer: the slowest itself is one of them. */
  readonly rarer: number;
}

export function latencyRows({rows}: ReportData, choice: Choice): DrawnRow[] {
  return rows.filter(row => chosen(row, choice) && row.pages === choice.pages && row.phases[choice.phase] !== undefined);
}

function pointsOf({shares}: ReportData, rows: readonly DrawnRow[], {phase}: Choice): Point[] {
  return rows.flatMap(({what, phases}) => {
    const {count = 1, ns = []} = phases[phase] ?? {};
    return ns.map((time, i) => {
      const share = shares[i] ?? 1;
      return {what, ns: time, share, rarer: Math.max(1 - share, 1 / count)};
    });
  });
}

const told = ({what, ns, share, rarer}: Point): string =>
  `${label(what)}\n${shareLabel(share)} take at most ${timeLabel(ns)}\n${shareLabel(Number(rarer.toPrecision(3)))} take so long or longer`;

/** Ours are drawn last, and thicker: above the others. */
function lines(points: readonly Point[], y: 'share' | 'rarer') {
  const ours = (what: string): boolean => what === 'framevec' || what === 'c-loop';
  const of = (which: readonly Point[], strokeWidth: number) => line(which, {x: 'ns', y, z: 'what', stroke: 'what', strokeWidth, clip: true});
  return [of(points.filter(({what}) => !ours(what)), 1.5), of(points.filter(({what}) => ours(what)), 2.75)];
}

export function latencyBody(data: ReportData, choice: Choice, width: number): Drawn {
  const rows = latencyRows(data, choice);
  const points = pointsOf(data, rows, choice);
  const domain = logDomain(points.filter(({share}) => share <= 0.98).map(({ns}) => ns), 1.05);
  return rows.length === 0 ? undefined : plot({
    ...FRAME, width, height: 340, marginLeft: 52, ariaLabel: 'Cumulative distribution of latencies',
    x: {type: 'log', domain}, y: {domain: [0, 1]}, color: scales(rows.map(({what}) => what)).color,
    marks: [
      gridX(logTicks(...domain)), gridY({ticks: 5}),
      axisX(...ticked(logTicks(...domain), timeLabel, 'time of a call')), axisY({ticks: 5, tickFormat: shareLabel, label: 'share of calls'}),
      ...lines(points, 'share'), tip(points, pointer({...TIP, x: 'ns', y: 'share', title: told})),
    ],
  });
}

export function latencyTail(data: ReportData, choice: Choice, width: number): Drawn {
  const rows = latencyRows(data, choice);
  const points = pointsOf(data, rows, choice);
  const domain = logDomain(points.map(({ns}) => ns), 1.1);
  const rarest = Math.min(0.1, ...points.map(({rarer}) => rarer));
  return rows.length === 0 ? undefined : plot({
    ...FRAME, width, height: 340, marginLeft: 64, ariaLabel: 'Tail of the latencies',
    x: {type: 'log', domain}, y: {type: 'log', domain: [rarest, 1]}, color: scales(rows.map(({what}) => what)).color,
    marks: [
      gridX(logTicks(...domain)), gridY(logTicks(rarest, 1)),
      axisX(...ticked(logTicks(...domain), timeLabel, 'time of a call')),
      axisY(...ticked(logTicks(rarest, 1), shareLabel, 'share of calls')),
      ...lines(points, 'rarer'), tip(points, pointer({...TIP, x: 'ns', y: 'rarer', title: told})),
    ],
  });
}
