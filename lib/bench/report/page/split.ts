/** Where the time of framevec's own calls goes: a bar for each size, whole, and how long it is in words. */
import {axisX, axisY, barX, gridX, legend, plot, text} from '@observablehq/plot';
import type {Split} from '../../result.js';
import type {DrawnRow, ReportData} from '../shape.js';
import {shareLabel, timeLabel} from './axes.js';
import {chosen, type Choice} from './choice.js';
import {FRAME, TIP, type Drawn} from './frame.js';

/** From the kernel outwards. */
const PARTS = [
  ['gup', 'GUP', 'var(--part-gup)'], ['module', 'rest of the module', 'var(--part-module)'],
  ['syscall', 'system call', 'var(--part-syscall)'], ['addon', 'addon and JavaScript', 'var(--part-addon)'],
] as const;
const COLOUR = {type: 'ordinal', domain: PARTS.map(([, name]) => name), range: PARTS.map(([,, colour]) => colour)} as const;

export function splitRows({rows}: ReportData, choice: Choice): DrawnRow[] {
  return rows.filter(row => chosen(row, choice) && row.split !== undefined);
}

export function splitLegend(): Element {
  return legend({color: COLOUR});
}

function whole(split: Split): number {
  return PARTS.reduce((sum, [key]) => sum + (split[key] ?? 0), 0);
}

export function splitOf(call: 'pin' | 'unpin', data: ReportData, choice: Choice, width: number): Drawn {
  const bars = splitRows(data, choice).flatMap(({pages, split}) => split === undefined ? [] : [{pages, split: split[call]}]);
  if (bars.length === 0) return undefined;
  const parts = bars.flatMap(({pages, split}) => {
    let before = 0;
    return PARTS.map(([key, name]) => {
      const ns = split[key] ?? 0;
      const share = ns / whole(split);
      const part = {pages, name, ns, share, from: before, to: before + share};
      before += share;
      return part;
    });
  });
  return plot({
    ...FRAME, width, marginTop: 8, height: 56 + 44 * bars.length, marginLeft: 64, marginRight: 84, ariaLabel: `Where the time of ${call} goes`,
    x: {domain: [0, 1]}, y: {type: 'band', domain: bars.map(({pages}) => pages), padding: 0.25}, color: COLOUR,
    marks: [
      gridX({ticks: 5}),
      axisX({ticks: 5, tickFormat: shareLabel, label: 'share of the call'}), axisY({tickSize: 0, tickFormat: (pages: number) => pages.toLocaleString('en'), label: 'pages'}),
      barX(parts, {
        x1: 'from', x2: 'to', y: 'pages', fill: 'name', stroke: 'var(--card)', strokeWidth: 1,
        title: ({name, ns, share}: typeof parts[number]) => `${name}\n${timeLabel(ns)}\n${shareLabel(Number(share.toPrecision(3)))} of the call`, tip: TIP,
      }),
      text(parts.filter(({share}) => share >= 0.09), {
        x: ({from, to}: typeof parts[number]) => (from + to) / 2, y: 'pages', text: ({share}: typeof parts[number]) => `${Math.round(share * 100)} %`, fill: 'var(--on-part)', fontWeight: 600,
      }),
      text(bars, {x: 1, y: 'pages', text: ({split}: typeof bars[number]) => timeLabel(whole(split)), textAnchor: 'start', dx: 8, fill: 'currentColor'}),
    ],
  });
}
