/** Cost over size: the medians of the rounds, and the line that was fitted to them. */
import {axisX, axisY, dot, gridX, gridY, line, plot, pointer, tip} from '@observablehq/plot';
import type {Fit} from '../../result.js';
import type {DrawnRow, ReportData} from '../shape.js';
import {logDomain, logTicks, ticked, timeLabel} from './axes.js';
import {BUT_SIZE, chosen, type Choice} from './choice.js';
import {label, scales} from './contestants.js';
import {FRAME, TIP, type Drawn} from './frame.js';

const STEPS = 60;

interface Point {
  readonly what: string;
  readonly pages: number;
  readonly ns: number;
  readonly fit: Fit | undefined;
}

export function costRows({rows}: ReportData, choice: Choice): DrawnRow[] {
  return rows.filter(row => chosen(row, choice) && row.phases[choice.phase] !== undefined);
}

/** `by` is what a time is told by: the call, or each of its pages. */
function draw(data: ReportData, choice: Choice, width: number, by: (pages: number) => number, axisLabel: string): Drawn {
  const rows = costRows(data, choice);
  if (rows.length === 0) return undefined;
  const fits = data.fits.filter(fit => fit.phase === choice.phase && BUT_SIZE.every(field => fit[field] === choice[field]));
  const points: Point[] = rows.map(({what, pages, phases}) => {
    const fit = fits.find(fit => fit.what === what);
    // The median of the rounds, as the line was fitted to; without a line that of all calls.
    const ns = fit?.points.find(([size]) => size === pages)?.[1] ?? phases[choice.phase]?.p50 ?? Number.NaN;
    return {what, pages, ns: ns / by(pages), fit};
  });
  const fitted = fits.flatMap(({what, fixed, perPage, points: measured}) => {
    const [low, high] = [Math.min(...measured.map(([pages]) => pages)), Math.max(...measured.map(([pages]) => pages))];
    return Array.from({length: STEPS + 1}, (_, i) => {
      const pages = low * (high / low) ** (i / STEPS);
      return {what, pages, ns: (fixed.value + perPage.value * pages) / by(pages)};
    }).filter(({ns}) => ns > 0);
  });
  const sizes = [...new Set(points.map(({pages}) => pages))];
  const x = logDomain(sizes, 1.5);
  const y = logDomain([...points, ...fitted].map(({ns}) => ns));
  const {color, symbol} = scales(rows.map(({what}) => what));
  return plot({
    ...FRAME, width, height: 360, marginLeft: 58, ariaLabel: axisLabel,
    x: {type: 'log', domain: x}, y: {type: 'log', domain: y}, color, symbol,
    marks: [
      gridX(sizes), gridY(logTicks(...y)),
      axisX(...ticked(sizes, pages => pages.toLocaleString('en'), 'pages')),
      axisY(...ticked(logTicks(...y), timeLabel, axisLabel)),
      line(fitted, {x: 'pages', y: 'ns', z: 'what', stroke: 'what', strokeWidth: 1.5, strokeOpacity: 0.75, clip: true}),
      dot(points, {x: 'pages', y: 'ns', fill: 'what', symbol: 'what', r: 4.5}),
      tip(points, pointer({...TIP, x: 'pages', y: 'ns', title: told})),
    ],
  });
}

function told({what, pages, ns, fit}: Point): string {
  const line = fit === undefined ? '' : `\nfitted: ${timeLabel(fit.fixed.value)} + ${timeLabel(fit.perPage.value)} a page`;
  return `${label(what)}\n${pages.toLocaleString('en')} pages: ${timeLabel(ns)}${line}`;
}

export function costOfCall(data: ReportData, choice: Choice, width: number): Drawn {
  return draw(data, choice, width, () => 1, 'time of a call');
}

export function costByPage(data: ReportData, choice: Choice, width: number): Drawn {
  return draw(data, choice, width, pages => pages, 'time by page');
}
