/** The report's tables: every number that a chart is drawn of, for those who read rather than look. */
import type {BenchResult, Case, PhaseName, Split} from '../result.js';
import {html, number, ratio, share, table, time, type Cell, type Markup} from './markup.js';

const CASE = ['backing', 'pages', 'access', 'state', 'threads'];
const PHASES = ['pin', 'unpin', 'pair', 'touch'] as const satisfies readonly PhaseName[];

function caseCells({backing, pages, access, state, threads}: Case): Cell[] {
  return [backing, number(pages), access, state, number(threads)];
}

/** A closed drawer: tables are long. */
function drawer(summary: string, content: Markup): Markup {
  return html`<details class="table"><summary>${summary}</summary>${content}</details>`;
}

export function latencyTable({rows}: BenchResult): Markup {
  const body = rows.flatMap(row => PHASES.flatMap(name => {
    const phase = row.phases[name];
    if (phase === undefined) return [];
    const call = name === 'pin' || name === 'unpin' ? ` (${row.calls[name]})` : '';
    return [[row.what, `${name}${call}`, ...caseCells(row), time(phase.min), time(phase.p50), time(phase.p90), time(phase.p99), time(phase.p999), time(phase.max), number(phase.count)]];
  }));
  return drawer(`All percentiles: ${rows.length} rows`, table('latencies', 'What one call took. “pair” is both calls of one iteration; “touch” is the first touch of the same memory without a pin.',
    ['who', 'phase', ...CASE, 'min', 'p50', 'p90', 'p99', 'p99.9', 'max', 'calls'], body));
}

export function fitTable({fits}: BenchResult): Markup {
  if (fits.length === 0) return html``;
  return drawer('The fitted lines as a table', table('fits', 'time = fixed + pages × per page, with 95 % intervals by bootstrap over the rounds; relative errors are least',
    ['who', 'phase', 'backing', 'access', 'state', 'threads', 'fixed', 'from', 'to', 'a page', 'from', 'to', 'largest distance'],
    fits.map(({what, phase, backing, access, state, threads, fixed, perPage, worst}) => [what, phase, backing, access, state, number(threads),
      time(fixed.value), time(fixed.low), time(fixed.high), time(perPage.value), time(perPage.low), time(perPage.high), share(worst)])));
}

export function splitTable({rows}: BenchResult): Markup {
  const parts = ({gup, module, syscall, addon}: Split): Cell[] => [time(gup), time(module), time(syscall), time(addon)];
  const body = rows.flatMap(({split, ...of}) => split === undefined ? [] : (['pin', 'unpin'] as const).map(name =>
    [name, ...caseCells(of), ...parts(split[name]), number(split[name].count)]));
  return drawer('The split as a table', table('splits', 'Medians of calls with the kernel’s timing on, which are not those of the percentiles; the looks at the clock are taken off',
    ['call', ...CASE, 'GUP', 'rest of the module', 'system call', 'addon and JavaScript', 'calls'], body));
}

export function ratioTable({ratios}: BenchResult): Markup {
  return drawer('The ratios as a table', table('ratios', 'Round by round the one over the other: the median, the quartiles of the rounds, and the 95 % interval of the median by bootstrap',
    ['over', 'under', 'median', 'p25', 'p75', 'from', 'to', 'rounds'],
    ratios.map(({over, under, value, p25, p75, low, high, rounds}) => [over, under, ratio(value), ratio(p25), ratio(p75), ratio(low), ratio(high), number(rounds.length)])));
}

/** Not in a drawer: what is missing is said as loudly as what is there. */
export function absentTable({absent}: BenchResult): Markup {
  if (absent.length === 0) return html`<p>Nothing: all that was asked for could be measured.</p>`;
  return table('absent', 'What this machine could not do, and why', ['who', 'where', 'reason'],
    absent.map(({what, backing, pages, access, state, threads, reason}) => [
      what,
      [backing, pages === undefined ? undefined : `${pages.toLocaleString('en')} ${pages === 1 ? 'page' : 'pages'}`, access, state, threads === undefined ? undefined : `${threads}t`]
        .filter(part => part !== undefined).join(', ') || 'everywhere',
      reason,
    ]));
}
