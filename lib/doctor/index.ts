/** `framevec doctor`: one check after the other, each with what was found and what to do about it. */
import {styleText} from 'node:util';
import type {Check, Finding} from './check.js';
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
  {name: 'loaded', look: loaded},
  {name: 'abi', look: abi},
  {name: 'device', look: device},
  {name: 'behaviour', look: behaviour},
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
  const checks = [];
  for (const {name, look} of CHECKS) checks.push({name, ...(await look(machine))});
  return {ok: checks.every(({status}) => status !== 'fail'), checks};
}

const MARKS = {ok: ['✔', 'green'], note: ['!', 'yellow'], fail: ['✘', 'red']} as const;

export function diagnosisInWords({ok, checks}: Diagnosis, colours: boolean): string {
  const width = Math.max(...checks.map(({name}) => name.length));
  const lines = checks.flatMap(({name, status, text, remedy}) => {
    const [mark, colour] = MARKS[status];
    const shown = colours ? styleText(colour, mark, {validateStream: false}) : mark;
    return [`${shown} ${name.padEnd(width)}  ${text}`, ...(remedy === undefined ? [] : [`  ${''.padEnd(width)}  → ${remedy}`])];
  });
  const failed = checks.filter(({status}) => status === 'fail').length;
  const end = ok ? 'This process can pin.' : `This process can't pin: ${failed} ${failed === 1 ? 'check fails' : 'checks fail'}, and the first is the one to begin with.`;
  return [...lines, '', end].join('\n');
}
