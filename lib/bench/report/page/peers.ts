/** Contestants side by side: ratios with what they are worth. */
import {axisFy, axisX, axisY, dot, gridX, plot, ruleX, ruleY, text} from '@observablehq/plot';
import type {Ratio} from '../../result.js';
import type {ReportData} from '../shape.js';
import {logDomain, logTicks, ratioLabel, ticked} from './axes.js';
import {chosen, type Choice} from './choice.js';
import {inOrder, label, scales} from './contestants.js';
import {FRAME, TIP, type Drawn} from './frame.js';

const JAVASCRIPT = 'framevec';

function chosenRatios({ratios}: ReportData, choice: Choice): Ratio[] {
  return ratios.filter(ratio => chosen(ratio, choice));
}

/** Who a ratio is about: the one that is not our ioctls from C. */
const about = ({over, under}: Ratio): string => (over === JAVASCRIPT ? over : under);

function told(ratio: Ratio): string {
  const {over, under, pages, value, p25, p75, low, high} = ratio;
  return `${label(over)} over ${label(under)}\n${pages.toLocaleString('en')} pages: ${ratioLabel(value)}\nquartiles of the rounds ${ratioLabel(p25)} to ${ratioLabel(p75)}`
    + `\n95 % interval ${ratioLabel(low)} to ${ratioLabel(high)}`;
}

function draw(ratios: readonly Ratio[], width: number, axisLabel: string): Drawn {
  if (ratios.length === 0) return undefined;
  const whats = inOrder(ratios.map(about));
  const sizes = [...new Set(ratios.map(({pages}) => pages))];
  const domain = logDomain([1, ...ratios.flatMap(({low, high, p25, p75}) => [low, high, p25, p75])], 1.12);
  const {color, symbol} = scales(whats);
  const ticks = logTicks(...domain);
  return plot({
    ...FRAME, width, height: 60 + sizes.length * (14 + 24 * whats.length), marginTop: 8, marginLeft: 8 + 7 * Math.max(...whats.map(what => label(what).length)), marginRight: 150, ariaLabel: axisLabel,
    x: {type: 'log', domain}, y: {type: 'point', domain: whats, padding: 0.7}, fy: {domain: sizes, padding: 0.08}, color, symbol,
    marks: [
      gridX(ticks), axisX(ticks, {...ticked(ticks, ratioLabel, axisLabel)[1], anchor: 'bottom', labelAnchor: 'center', labelArrow: false}),
      axisY({anchor: 'left', tickSize: 0, tickFormat: label, label: null}),
      axisFy({anchor: 'right', dx: 64, tickFormat: (pages: number) => `${pages.toLocaleString('en')} ${pages === 1 ? 'page' : 'pages'}`, label: null, fontWeight: 600}),
      ruleX([1], {stroke: 'currentColor', strokeWidth: 1.5}),
      ruleY(ratios, {x1: 'low', x2: 'high', y: about, fy: 'pages', stroke: about, strokeWidth: 1.25}),
      ruleY(ratios, {x1: 'p25', x2: 'p75', y: about, fy: 'pages', stroke: about, strokeWidth: 6, strokeOpacity: 0.45}),
      dot(ratios, {x: 'value', y: about, fy: 'pages', fill: about, symbol: about, r: 5, title: told, tip: TIP}),
      text(ratios, {x: domain[1], y: about, fy: 'pages', text: ({value}: Ratio) => ratioLabel(value), textAnchor: 'start', dx: 8, fill: 'currentColor'}),
    ],
  });
}

export function againstPeers(data: ReportData, choice: Choice, width: number): Drawn {
  return draw(chosenRatios(data, choice).filter(({over}) => over !== JAVASCRIPT), width, 'ratio: left of 1, framevec is cheaper');
}

export function javascriptOverC(data: ReportData, choice: Choice, width: number): Drawn {
  return draw(chosenRatios(data, choice).filter(({over}) => over === JAVASCRIPT), width, 'ratio: JavaScript over C');
}
