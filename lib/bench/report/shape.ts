/** What the report's page draws: the result, with curves in place of histograms. Types alone: the browser's side has them, too. */
import type {Case, Fit, PhaseName, Ratio, Row} from '../result.js';

export interface ReportData {
  /** The shares of calls, from 0 to 1, at which every curve has its time. */
  readonly shares: readonly number[];
  readonly rows: readonly DrawnRow[];
  /** `over` and `under` are contestants here, not ids. */
  readonly ratios: readonly Ratio[];
  readonly fits: readonly Fit[];
}

export interface DrawnRow extends Case, Pick<Row, 'id' | 'what' | 'split'> {
  readonly phases: Readonly<Partial<Record<PhaseName, Curve>>>;
}

export interface Curve {
  readonly count: number;
  readonly p50: number;
  /** The time that so large a share of calls took at most, ns: one for each of {@link ReportData.shares}. */
  readonly ns: readonly number[];
}
