/** Logarithmic axes, whose ticks are round numbers with units. */

/** Round numbers within a range: powers of ten, between them 2 and 5 times those, or even steps, the narrower it is. */
export function logTicks(low: number, high: number): number[] {
  const decades = Math.log10(high / low);
  if (decades < 0.6) return evenTicks(low, high);
  const steps = decades > 3 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    ticks.push(...steps.map(step => step * 10 ** power).filter(tick => tick >= low * 0.999 && tick <= high * 1.001));
  }
  return ticks;
}

function evenTicks(low: number, high: number): number[] {
  const power = 10 ** Math.floor(Math.log10((high - low) / 3));
  const step = [5, 2, 1].map(of => of * power).find(of => (high - low) / of >= 3) ?? power;
  const first = Math.ceil(low / step);
  return Array.from({length: Math.floor(high / step) - first + 1}, (_, i) => (first + i) * step);
}

/** An axis of these ticks, each with its label: Plot's own formatting of a logarithmic axis leaves some out. */
export function ticked(ticks: readonly number[], text: (tick: number) => string, label: string): [ticks: readonly number[], {text: (tick: number) => string; label: string}] {
  return [ticks, {text, label}];
}

/** The least and the largest, a little apart; never empty. */
export function logDomain(values: readonly number[], margin = 1.15): [number, number] {
  const positive = values.filter(value => value > 0 && Number.isFinite(value));
  if (positive.length === 0) return [1, 10];
  return [Math.min(...positive) / margin, Math.max(...positive) * margin];
}

export function timeLabel(ns: number): string {
  const [unit, size] = ns >= 1e9 ? ['s', 1e9] : ns >= 1e6 ? ['ms', 1e6] : ns >= 1e3 ? ['µs', 1e3] : ['ns', 1];
  return `${Number((ns / size).toPrecision(3))} ${unit}`;
}

/** Of a share, as many digits as it has: 99.95 %. */
export function shareLabel(share: number): string {
  return `${Number((share * 100).toPrecision(6))} %`;
}

export function ratioLabel(ratio: number): string {
  return `${Number(ratio.toPrecision(3))}×`;
}
