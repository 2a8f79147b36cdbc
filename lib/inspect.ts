/** What console.log() shows of the library's objects. */
import {inspect, type InspectOptionsStylized} from 'node:util';

/**
 * `Name { ... }` as inspect() would show a plain object of these fields: at the depth, in the colours and
 * on the lines that were asked for. A string stands for an object that has nothing to show: `Name {closed}`.
 */
export function shown(name: string, fields: object | string, depth: number, options: InspectOptionsStylized): string {
  if (depth < 0) return options.stylize(`[${name}]`, 'special');
  if (typeof fields === 'string') return `${name} {${fields}}`;
  const left = options.depth === null ? null : depth;
  return `${name} ${inspect(fields, {...options, depth: left})}`;
}
