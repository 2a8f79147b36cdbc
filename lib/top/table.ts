/** The view as lines for a reader. */
import type {ProcessVector, ProcessView, View} from './survey.js';

/** What the rows are sorted by; the largest is first, of `pid` the lowest. */
export const ORDERS = ['frames', 'age', 'pid'] as const;
export type Order = (typeof ORDERS)[number];

export interface TableOptions {
  readonly order: Order;
  readonly colour: boolean;
  /** Characters in a line; what is longer is cut, and ends with an ellipsis. */
  readonly columns?: number;
  /** Lines; rows that have no place are counted in the last one. */
  readonly rows?: number;
  /** Whether the reader of /proc is root already. */
  readonly asRoot?: boolean;
}

interface Row {
  readonly process: ProcessView;
  readonly vector: ProcessVector;
}

interface Column {
  readonly title: string;
  readonly left?: boolean;
  readonly text: (row: Row) => string;
}

const COLUMNS: readonly Column[] = [
  {title: 'PID', text: ({process}) => String(process.pid)},
  {title: 'NAME', left: true, text: ({process}) => process.name},
  {title: 'FD', text: ({vector}) => vector.fds.join(',')},
  {title: 'ID', text: ({vector}) => String(vector.id)},
  {title: 'KIND', left: true, text: ({vector}) => vector.kind ?? 'busy'},
  {title: 'FRAMES', text: ({vector}) => (vector.frames === undefined ? '-' : String(vector.frames))},
  {title: 'BYTES', text: ({vector}) => (vector.bytes === undefined ? '-' : brief(vector.bytes))},
  {title: 'AGE', text: ({vector}) => (vector.ageMs === undefined ? '-' : age(vector.ageMs))},
  {title: 'PINNED/LIMIT', text: ({process}) => `${brief(process.pinnedBytes)}/${process.memlockBytes === null ? '-' : brief(process.memlockBytes)}`},
  {title: 'NOTES', left: true, text: row => notes(row).join(', ')},
];

const BOLD = '\x1b[1m';
const RED = '\x1b[31m';
const INVERSE = '\x1b[7m';
const PLAIN = '\x1b[0m';

/** The lines, without line ends. */
export function table(view: View, options: TableOptions): string[] {
  const {columns = Infinity, rows = Infinity, colour, asRoot = process.geteuid?.() === 0} = options;
  const cut = (text: string): string => (text.length > columns ? `${text.slice(0, columns - 1)}…` : text);
  const paint = (code: string, text: string): string => (colour && code !== '' ? `${code}${cut(text)}${PLAIN}` : cut(text));

  const sorted = sort(view, options.order);
  const cells = sorted.map(row => COLUMNS.map(column => column.text(row)));
  const widths = COLUMNS.map(({title}, i) => Math.max(title.length, ...cells.map(row => row[i]?.length ?? 0)));
  const line = (texts: readonly string[]): string =>
    texts.map((text, i) => (COLUMNS[i]?.left === true ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join('  ').trimEnd();

  const head = summary(view, asRoot).map(text => paint(BOLD, text));
  if (sorted.length === 0) return head;
  head.push('', paint(INVERSE, line(COLUMNS.map(({title}) => title))));
  const body = cells.map((texts, i) => paint(sorted[i]?.vector.stale === true ? RED : '', line(texts)));
  const room = Math.max(rows - head.length, 1);
  if (body.length <= room) return [...head, ...body];
  return [...head, ...body.slice(0, room - 1), cut(`and ${body.length - room + 1} more`)];
}

function summary({loaded, processes, totals, unreadable, vanished}: View, asRoot: boolean): string[] {
  const {vectors, pages, pfns, bytes, stale, busy} = totals;
  const lines = [
    `framevec: ${count(vectors, 'vector')} in ${count(processes.length, 'process', 'processes')}: ` +
      `${count(pages, 'frame')} pinned, ${pfns} noted, ${brief(bytes)} in all` +
      `${stale > 0 ? `, ${stale} stale` : ''}${busy > 0 ? `, ${busy} busy` : ''}`,
  ];
  if (!loaded) lines.push('the module is not loaded: `npx framevec doctor` says how to load it, and `npx framevec vm` has it');
  if (unreadable > 0) lines.push(`${count(unreadable, 'process', 'processes')} not readable: ${asRoot ? 'the process may have ended, or this root has no CAP_SYS_PTRACE' : 'run as root'}`);
  if (vanished > 0) lines.push(`${count(vanished, 'process', 'processes')} ended meanwhile`);
  return lines;
}

function sort({processes}: View, order: Order): Row[] {
  const key = {
    frames: ({vector}: Row) => -(vector.frames ?? 0),
    age: ({vector}: Row) => -(vector.ageMs ?? 0),
    pid: ({process}: Row) => process.pid,
  }[order];
  return processes
    .flatMap(process => process.vectors.map(vector => ({process, vector})))
    .sort((a, b) => key(a) - key(b) || a.process.pid - b.process.pid || a.vector.id - b.vector.id);
}

function notes({process, vector}: Row): string[] {
  return [
    ...(vector.stale === true ? ['stale'] : []),
    ...(vector.write === true ? ['write'] : []),
    ...(vector.shared ? ['shared'] : []),
    ...(vector.owner === process.pid ? [] : [`charged to ${vector.owner === 0 ? 'another PID namespace' : vector.owner}`]),
  ];
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** Bytes in few characters: 4K, 1.5M, 12G. */
export function brief(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < 5) {
    value /= 1024;
    unit++;
  }
  const digits = value < 10 && !Number.isInteger(value) ? value.toFixed(1) : String(Math.round(value));
  return `${digits}${' KMGTP'.charAt(unit).trim()}`;
}

/** A span of time in few characters: 0.4s, 59s, 2m05s, 3h07m, 12d04h. */
export function age(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const pair = (high: number, unit: string, low: number, lower: string): string => `${high}${unit}${String(low).padStart(2, '0')}${lower}`;
  if (seconds < 10) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`;
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return pair(minutes, 'm', seconds % 60, 's');
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? pair(hours, 'h', minutes % 60, 'm') : pair(Math.floor(hours / 24), 'd', hours % 24, 'h');
}
