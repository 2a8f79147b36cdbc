/** Logarithmic axes, whose ticks are round numbers with units. */

/** The powers of ten within a range, and where there are few of them 2 and 5 times those, too. */
export function logTicks(low: number, high: number): number[] {
  const decades = Math.log10(high / low);
  const steps = decades > 3 ? [1] : decades > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    ticks.push(...steps.map(step => step * 10 ** power).filter(tick => tick >= low * 0.999 && tick <= high * 1.001));
  }
  return ticks;
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
