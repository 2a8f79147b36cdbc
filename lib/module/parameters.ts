/** The parameters that the module is loaded with: checked as the kernel checks them, before anything is written. */
import {parameterInvalid, parameterUnknown} from './errors.js';
import type {ModuleParameter} from './sources.js';

/** The width in bits of the kernel's integer types, on 64-bit machines. */
const BITS: Readonly<Record<string, number>> = {
  byte: 8, short: 16, ushort: 16, int: 32, uint: 32, hexint: 32, long: 64, ulong: 64, ullong: 64,
};
const SIGNED = new Set(['short', 'int', 'long']);

/** As kstrtol() with base 0 has it. */
function integer(text: string): bigint | undefined {
  const [, sign = '', digits = ''] = /^([+-]?)(0x[\da-f]+|0[0-7]*|[1-9]\d*)$/i.exec(text) ?? [];
  if (digits === '') return undefined;
  const octal = /^0[0-7]+$/.test(digits);
  const value = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  return sign === '-' ? -value : value;
}

/** What a value of the type has to be; undefined for a type that takes every text. */
function expectation(type: string): {words: string; fits: (value: string) => boolean} | undefined {
  if (type === 'bool') return {words: '1 or 0, Y or N, on or off', fits: (value) => /^([yn01]|yes|no|on|off)$/i.test(value)};
  const bits = BITS[type];
  if (bits === undefined) return undefined;
  const signed = SIGNED.has(type);
  const [least, most] = signed ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n] : [0n, 2n ** BigInt(bits) - 1n];
  return {
    words: `an integer from ${least} to ${most}, decimal or 0x...`,
    fits: (value) => {
      const number = integer(value);
      return number !== undefined && number >= least && number <= most && !(value.startsWith('-') && !signed);
    },
  };
}

/** Fails for a name that the module does not have, which the kernel would ignore, and for a value with which it does not load. */
export function checkParameters(known: readonly ModuleParameter[], parameters: readonly string[], source?: string): void {
  for (const parameter of parameters) {
    const [name = '', value = ''] = parameter.split(/=(.*)/s, 2);
    const found = known.find((candidate) => candidate.name === name);
    if (found === undefined) throw parameterUnknown(source === undefined ? parameter : `${parameter} (in ${source})`, known.map((one) => one.name));
    const expected = expectation(found.type);
    if (expected !== undefined && !expected.fits(value)) throw parameterInvalid(name, value, found.type, expected.words, source);
  }
}

const OPTIONS = /^[ \t]*options[ \t]+framevec[ \t]+(.*)\n?/gm;

/** A backslash at its end continues a line. */
const joined = (text: string): string => text.replace(/\\\n/g, ' ');

/** The parameters in a file of modprobe.d. */
export function parametersIn(text: string): string[] {
  return [...joined(text).matchAll(OPTIONS)].flatMap(([, words = '']) => words.split(/\s+/).filter(Boolean));
}

/** The file with these parameters in the place of those that it has; every other line stays. */
export function withParameters(text: string, parameters: readonly string[]): string {
  const lines = joined(text);
  const rest = lines.replace(OPTIONS, '');
  const found = lines.search(OPTIONS);
  const place = found === -1 ? rest.length : found;
  const before = rest.slice(0, place);
  const line = parameters.length === 0 ? '' : `options framevec ${parameters.join(' ')}\n`;
  return `${before}${before === '' || before.endsWith('\n') ? '' : '\n'}${line}${rest.slice(place)}`;
}

/** `later` overrides `earlier` name by name. */
export function overridden(earlier: readonly string[], later: readonly string[]): string[] {
  return [...new Map([...earlier, ...later].map((parameter) => [parameter.replace(/=.*/s, ''), parameter])).values()];
}
