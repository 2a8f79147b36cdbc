/** Who is drawn how: the same colour and sign in every chart and every report. */
import {legend, type ScaleOptions} from '@observablehq/plot';

/** In the order of a legend; the colours are style.css's. */
const KNOWN = [
  ['framevec', 'circle'], ['c-loop', 'diamond'], ['io_uring', 'square'], ['mlock', 'triangle'], ['v4l2', 'star'], ['rdma_rxe', 'cross'],
  ['af_xdp', 'wye'], ['udmabuf', 'hexagon'],
] as const;

const NAMES: Readonly<Record<string, string>> = {'framevec': 'framevec (JavaScript)', 'c-loop': 'framevec from C'};

export function label(what: string): string {
  return NAMES[what] ?? what;
}

const colour = (what: string): string => `var(--who-${KNOWN.some(([name]) => name === what) ? what : 'other'})`;

/** Those who are there, ours first. */
export function inOrder(whats: Iterable<string>): string[] {
  const place = (what: string): number => (KNOWN.findIndex(([name]) => name === what) + KNOWN.length) % KNOWN.length;
  return [...new Set(whats)].sort((a, b) => place(a) - place(b) || a.localeCompare(b));
}

/** Scales of colour and sign for those who are there. */
export function scales(whats: Iterable<string>): {color: ScaleOptions; symbol: ScaleOptions} {
  const domain = inOrder(whats);
  return {
    color: {type: 'ordinal', domain, range: domain.map(colour)},
    symbol: {type: 'ordinal', domain, range: domain.map(what => KNOWN.find(([name]) => name === what)?.[1] ?? 'circle')},
  };
}

export function legendOf(whats: Iterable<string>): Element {
  const {color, symbol} = scales(whats);
  return legend({color, symbol: {...symbol, tickFormat: label}, fill: 'color', stroke: 'color'});
}
