/** `framevec doctor`: one check after the other, each with what was found and what to do about it. */
import {styleText} from 'node:util';
import {skip, type Check, type Finding} from './check.js';
import {thisMachine, type Machine} from './machine.js';
import {hugepages, memlock, thp} from './memory.js';
import {abi, behaviour, built, device, loaded, pfns, vivid} from './module.js';
import {addon, headers, kernel, kvm, platform, signatures} from './platform.js';

/** In the order in which they build on each other. */
export const CHECKS: readonly Check[] = [
  {name: 'platform', look: platform},
  {name: 'addon', look: addon},
  {name: 'kernel', look: kernel},
  {name: 'headers', look: headers},
  {name: 'built', look: built},
  {name: 'loaded', needs: ['built'], look: loaded},
  {name: 'device', needs: ['loaded'], look: device},
  {name: 'abi', needs: ['addon', 'device'], look: abi},
  {name: 'behaviour', needs: ['abi'], look: behaviour},
  {name: 'pfns', look: pfns},
  {name: 'memlock', look: memlock},
  {name: 'thp', look: thp},
  {name: 'hugepages', look: hugepages},
  {name: 'kvm', look: kvm},
  {name: 'signatures', look: signatures},
  {name: 'vivid', look: vivid},
];

export interface Diagnosis {
  /** No check failed: this process can pin. */
  ok: boolean;
  checks: (Finding & {name: string})[];
}

export async function diagnose(machine: Machine = thisMachine()): Promise<Diagnosis> {
  const checks: Diagnosis['checks'] = [];
  /** The check that has failed, by the names of those which could not be made because of it, and its own. */
  const causes = new Map<string, string>();
  for (const {name, needs = [], look} of CHECKS) {
    const cause = needs.map((needed) => causes.get(needed)).find((failed) => failed !== undefined);
    const found = cause === undefined ? await look(machine) : skip(cause);
    if (cause !== undefined || found.status === 'fail') causes.set(name, cause ?? name);
    checks.push({name, ...found});
  }
  return {ok: checks.every(({status}) => status !== 'fail'), checks};
}

const MARKS = {ok: ['✔', 'green'], note: ['!', 'yellow'], fail: ['✘', 'red'], skip: ['·', 'gray']} as const;

export function diagnosisInWords({ok, checks}: Diagnosis, colours: boolean): string {
  const width = Math.max(...checks.map(({name}) => name.length));
  const lines = checks.flatMap(({name, status, text, remedy}) => {
    const [mark, colour] = MARKS[status];
    const shown = colours ? styleText(colour, mark, {validateStream: false}) : mark;
    const line = `${name.padEnd(width)}  ${text}`;
    return [`${shown} ${colours && status === 'skip' ? styleText(colour, line, {validateStream: false}) : line}`, ...(remedy === undefined ? [] : [`  ${''.padEnd(width)}  → ${remedy}`])];
  });
  const failed = checks.filter(({status}) => status === 'fail').length;
  const end = ok ? 'This process can pin.' : `This process can't pin: ${failed} ${failed === 1 ? 'check fails' : 'checks fail. Begin with the first'}.`;
  return [...lines, '', end].join('\n');
}
