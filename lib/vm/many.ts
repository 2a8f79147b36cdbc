/** One command on several kernels, one after the other, and what it came to on each. */
import {EXIT, VmError, fileError, messageOf} from './errors.js';
import {KERNELS} from './kernels.js';
import type {Ending, VmOptions, VmResult} from './options.js';
import {runVm} from './run.js';

export interface KernelRow {
  /** As --kernels named it. */
  name: string;
  /** What the run exited with. */
  status: number;
  ending: Ending | 'runner';
  /** Why it did not end with the command's own status. */
  reason: string | undefined;
  /** The whole of it, with a first fetch and build. */
  seconds: number;
  /** Undefined if it did not come to a VM. */
  result: VmResult | undefined;
}

/** The kernels of `--kernels`: `all` is the table; otherwise names or files with commas between. */
export function kernelNames(text: string): string[] {
  const names = text.split(',').filter(Boolean);
  const all = names.flatMap((name) => (name === 'all' ? KERNELS.map((kernel) => kernel.name) : [name]));
  if (all.length === 0) throw new VmError('--kernels: there is none; as in --kernels all, or --kernels 6.1,7.x-rt');
  return [...new Set(all)];
}

/** A kernel on which the run fails does not keep the next from its turn; only an interruption does. */
export async function runOnKernels(names: readonly string[], options: VmOptions, told: (row: KernelRow) => void = () => undefined): Promise<KernelRow[]> {
  const rows: KernelRow[] = [];
  for (const name of names) {
    const began = performance.now();
    const run = await runOn(name, {...options, kernel: name});
    const row = {...run, seconds: (performance.now() - began) / 1000};
    rows.push(row);
    told(row);
    if (row.status === EXIT.interrupted) break;
  }
  return rows;
}

async function runOn(name: string, options: VmOptions): Promise<Omit<KernelRow, 'seconds'>> {
  try {
    const result = await runVm(options);
    return {name, status: result.status, ending: result.ending, reason: result.reason, result};
  } catch (error) {
    const known = error instanceof VmError ? error : fileError(error);
    if (known === undefined) throw error;
    const ending = known.status === EXIT.interrupted ? 'interrupted' : known.status === EXIT.moduleNotLoaded ? 'module-not-loaded' : 'runner';
    return {name, status: known.status, ending, reason: messageOf(known), result: undefined};
  }
}

/** 0 if all of them are; otherwise that of the first that failed. */
export function worstStatus(rows: readonly KernelRow[]): number {
  return rows.find(({status}) => status !== 0)?.status ?? 0;
}

const HEAD = ['kernel', 'release', 'status', 'ending', 'seconds'] as const;

/** The reason, if there is one, is at the end of its line. */
export function rowsInWords(rows: readonly KernelRow[]): string {
  const lines = [HEAD, ...rows.map(({name, status, ending, reason, seconds, result}) =>
    [name, result?.kernel ?? '-', String(status), reason === undefined ? ending : `${ending}: ${reason}`, seconds.toFixed(1)])];
  // The ending may be long, so it stands last.
  const columns = [0, 1, 2, 4, 3];
  const widths = columns.map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines.map((line) => columns.map((column, i) => (line[column] ?? '').padEnd(i === columns.length - 1 ? 0 : (widths[i] ?? 0))).join('  ')).join('\n');
}

const ESCAPES: Readonly<Record<string, string>> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;'};

/** XML has no place for most control characters, escaped or not. */
// eslint-disable-next-line no-control-regex
const xml = (text: string): string => text.replace(/[\0-\x08\v\f\x0e-\x1f]/g, '?').replace(/[&<>"]/g, (character) => ESCAPES[character] ?? character);

/** JUnit's form, as CI servers read it: a test case for each kernel. */
export function rowsAsJUnit(rows: readonly KernelRow[], command: readonly string[]): string {
  const broken = rows.filter(({status, ending}) => status !== 0 && ending !== 'command' && ending !== 'kernel-complained').length;
  const failed = rows.filter(({status}) => status !== 0).length - broken;
  const seconds = rows.reduce((sum, row) => sum + row.seconds, 0);
  const cases = rows.map(({name, status, ending, reason, seconds: time, result}) => {
    const text = xml(reason ?? `the command ended with status ${status}`);
    const findings = (result?.findings ?? []).map(({text: line}) => line).join('\n');
    const kind = ending === 'command' || ending === 'kernel-complained' ? 'failure' : 'error';
    const body = status === 0 ? '' : `\n      <${kind} message="${text}" type="${ending}">${xml(findings)}</${kind}>\n    `;
    return `    <testcase classname="${xml(command.join(' '))}" name="${xml(name)}${result === undefined ? '' : ` (${xml(result.kernel)})`}" time="${time.toFixed(3)}">${body}</testcase>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="framevec vm" tests="${rows.length}" failures="${failed}" errors="${broken}" time="${seconds.toFixed(3)}">
${cases.join('\n')}
  </testsuite>
</testsuites>
`;
}
