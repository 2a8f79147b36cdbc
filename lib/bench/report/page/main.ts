/** The page's script: draws every chart for what the reader chose, and anew when the choice or the width changes. */
import type {ReportData} from '../shape.js';
import {inWords, offerChoices, type Choice} from './choice.js';
import {legendOf} from './contestants.js';
import {costByPage, costOfCall, costRows} from './cost.js';
import type {Drawn} from './frame.js';
import {latencyBody, latencyRows, latencyTail} from './latency.js';
import {againstPeers, javascriptOverC} from './peers.js';
import {splitLegend, splitOf} from './split.js';

type Chart = (data: ReportData, choice: Choice, width: number) => Drawn;

const CHARTS: Readonly<Record<string, Chart>> = {
  'latency-body': latencyBody, 'latency-tail': latencyTail,
  'cost-whole': costOfCall, 'cost-page': costByPage,
  'split-pin': (...of) => splitOf('pin', ...of), 'split-unpin': (...of) => splitOf('unpin', ...of),
  'peers-ratio': againstPeers, 'peers-javascript': javascriptOverC,
};

const LEGENDS: Readonly<Record<string, (data: ReportData, choice: Choice) => Element>> = {
  latency: (data, choice) => legendOf(latencyRows(data, choice).map(({what}) => what)),
  cost: (data, choice) => legendOf(costRows(data, choice).map(({what}) => what)),
  split: splitLegend,
};

/** What of the choice a section goes by. */
const SHOWS: Readonly<Record<string, {pages: boolean; phase: boolean}>> = {
  latency: {pages: true, phase: true}, cost: {pages: false, phase: true}, split: {pages: false, phase: false}, peers: {pages: false, phase: false},
};

function each(attribute: string, act: (element: HTMLElement, name: string) => void): void {
  for (const element of document.querySelectorAll<HTMLElement>(`[data-${attribute}]`)) act(element, element.dataset[attribute] ?? '');
}

function nothing(): Element {
  const note = document.createElement('p');
  note.className = 'nothing';
  note.textContent = 'Nothing was measured for this choice; the reason is under “Absent”, if it was asked for.';
  return note;
}

function draw(data: ReportData, choice: Choice): void {
  each('choice', (element, name) => {
    element.textContent = inWords(choice, SHOWS[name] ?? {pages: true, phase: true});
  });
  each('legend', (element, name) => {
    element.replaceChildren(LEGENDS[name]?.(data, choice) ?? '');
  });
  each('chart', (element, name) => {
    element.replaceChildren(CHARTS[name]?.(data, choice, element.clientWidth) ?? nothing());
  });
}

function start(): void {
  const form = document.querySelector<HTMLFormElement>('#choices');
  if (form === null) return;
  const data = JSON.parse(document.querySelector('#data')?.textContent ?? '') as ReportData;
  let choice: Choice | undefined;
  let width = document.body.clientWidth;
  offerChoices(form, data, chosen => {
    choice = chosen;
    draw(data, chosen);
  });
  const redraw = (): void => {
    if (choice === undefined || document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    draw(data, choice);
  };
  addEventListener('resize', redraw);
  matchMedia('print').addEventListener('change', redraw);
}

start();
