import test from 'ava';
import * as uapi from '../lib/uapi.js';
import {header} from './header.js';

function evaluate(value: string, known: Map<string, number | string>): number | string {
  const text = /^"(.*)"$/.exec(value);
  if (text?.[1] !== undefined) return text[1];
  const ioctl = /^_IO\((\w+), (0x[0-9a-f]+)\)$/i.exec(value);
  if (ioctl?.[1] !== undefined) return Number(known.get(ioctl[1])) * 256 + Number(ioctl[2]);
  const number = Number(value.replace(/U?L{0,2}$/, ''));
  if (Number.isNaN(number)) throw new Error(`the test can't read ${value}`);
  return number;
}

function headerConstants(): Map<string, number | string> {
  const constants = new Map<string, number | string>();
  for (const line of header.split('\n')) {
    const definition = /^#define (FRAMEVEC_\w+)\s+(.*?)\s*(?:\/\*.*)?$/.exec(line) ?? /^\t(FRAMEVEC_\w+)\s*= (\d+),/.exec(line);
    const [, name, value] = definition ?? [];
    if (name !== undefined && value !== undefined) constants.set(name, evaluate(value, constants));
  }
  return constants;
}

function enumNames(prefix: string): string[] {
  const names: string[] = [];
  for (const [name, value] of headerConstants()) {
    if (name.startsWith(prefix)) names[value as number] = name.slice(prefix.length).toLowerCase().replaceAll('_', '-');
  }
  return names;
}

test('every constant of the header is in the library, with its value, and no other', t => {
  const library = Object.entries(uapi).filter(([name]) => name.startsWith('FRAMEVEC_'));
  const fromHeader = headerConstants();
  t.true(fromHeader.size > 30, 'the test reads the header');
  t.deepEqual(new Map(library.sort()), new Map([...fromHeader].sort()));
});

test('kinds, reasons and scopes of a limit are named as the header names them', t => {
  t.deepEqual([...uapi.KINDS] as string[], enumNames('FRAMEVEC_KIND_'));
  t.deepEqual([...uapi.REASONS] as string[], enumNames('FRAMEVEC_REASON_'));
  t.deepEqual([...uapi.MEMLOCK_SCOPES] as string[], enumNames('FRAMEVEC_MEMLOCK_'));
});
