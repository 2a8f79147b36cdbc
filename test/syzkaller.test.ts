/**
 * test/syzkaller/dev_framevec.txt against kmod/uapi/framevec.h: what the fuzzer is told is what there is. This reads both as text;
 * syzkaller's own compiler, which Debian does not have, has not seen the description.
 */
import {readFileSync} from 'node:fs';
import test from 'ava';
import * as uapi from '../lib/uapi.js';
import {headerStructs, type Field} from './header.js';

// dist/test is two below the package.
const text = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const description = text('test/syzkaller/dev_framevec.txt').replaceAll(/^#.*\n/mg, '');

/** What is between brackets, at the top level. */
function options(type: string): string[] {
  const parts = [''];
  let depth = 0;
  for (const char of type.slice(type.indexOf('[') + 1, -1)) {
    if (char === ',' && depth === 0) {
      parts.push('');
      continue;
    }
    depth += char === '[' ? 1 : char === ']' ? -1 : 0;
    parts.push(`${parts.pop() ?? ''}${char}`);
  }
  return parts.map(part => part.trim());
}

function bytesOf(type: string): number {
  if (/^(?:vma64$|ptr64\[)/.test(type)) return 8;
  if (type.startsWith("fd_")) return 4;
  const int = /^int(\d+)/.exec(type) ?? /^int(\d+)$/.exec(options(type).at(-1) ?? '');
  if (int?.[1] === undefined) throw new Error(`the test can't tell the size of ${type}`);
  return Number(int[1]) / 8;
}

interface DescribedField extends Field {
  type: string;
}

const described = new Map([...description.matchAll(/^(\w+) \{\n([^}]*)\}/mg)].map(([, name = '', body = '']) => [
  name,
  body.trim().split('\n').map((line): DescribedField => {
    const [field = '', type = '', direction] = line.trim().split(/\t+/);
    return {name: field, type, bytes: bytesOf(type), out: direction === '(out)'};
  }),
]));

const sets = new Map([...description.matchAll(/^(\w+) = (.*)$/mg)].map(([, name = '', values = '']) => [name, values.split(', ')]));

interface Call {
  name: string;
  variant: string;
  args: Map<string, string>;
  gives: string | undefined;
}

const calls = [...description.matchAll(/^(\w+)\$(\w+)\((.*)\)(?: (\w+))?$/mg)].map(([, name = '', variant = '', args = '', gives]): Call => ({
  name,
  variant,
  args: new Map(options(`[${args}]`).map(arg => arg.split(/ (.*)/s) as [string, string])),
  gives,
}));

const constants = Object.keys(uapi).filter(name => name.startsWith('FRAMEVEC_'));

test('every struct of the header is described, field by field: names, widths, order, and who writes', t => {
  const structs = headerStructs();
  t.is(structs.size, 8, 'the test reads the header');
  for (const [name, {fields}] of structs) {
    t.deepEqual(described.get(name)?.map(({name: field, bytes, out}) => ({name: field, bytes, out})), fields, name);
  }
});

test('every struct has the size that the module takes for its first', t => {
  const asserted = [...text('kmod/ioctl.c').matchAll(/static_assert\(sizeof\(struct (\w+)\) == (\d+)\)/g)];
  t.is(asserted.length, 8);
  for (const [, name = '', size] of asserted) {
    let end = 0;
    for (const {name: field, bytes} of described.get(name) ?? []) {
      t.is(end % bytes, 0, `${name}.${field} would be padded`);
      end += bytes;
    }
    t.is(end, Number(size), name);
  }
});

test('every ioctl of the header is described, on its descriptor, with its struct', t => {
  const ioctls = calls.filter(({name}) => name === 'ioctl');
  const expected = constants.filter(name => name.startsWith('FRAMEVEC_IOC_') && name !== 'FRAMEVEC_IOC_TYPE');
  t.deepEqual(ioctls.map(({variant}) => variant).sort(), expected.sort());
  for (const {variant, args} of ioctls) {
    const [struct] = [...headerStructs()].find(([, {ioctls: numbers}]) => numbers.includes(variant)) ?? [];
    t.is(args.get('arg'), `ptr[inout, ${struct ?? '?'}]`);
    t.is(args.get('cmd'), `const[${variant}]`);
    // Numbers below 0x10 are the device's.
    const ofDevice = (uapi[variant as 'FRAMEVEC_IOC_INFO'] & 0xff) < 0x10;
    t.is(args.get('fd'), ofDevice ? 'fd_framevec' : 'fd_framevec_vector', variant);
  }
});

test('every flag and every number of an enum is in a set, and nothing else is', t => {
  const ours = [...sets].filter(([name]) => name !== 'framevec_poll_events').flatMap(([, values]) => values);
  const expected = constants.filter(name => /^FRAMEVEC_(?:KIND|REASON|FEATURE|PIN|UNPIN|STATE)_/.test(name));
  t.true(expected.length > 25);
  t.deepEqual(ours.sort(), expected.sort());
});

test('a set is used where the header says that its numbers go', t => {
  const uses = [...described].flatMap(([struct, fields]) => fields.flatMap(({name, type}) =>
    type.startsWith('flags[') ? [`${struct}.${name}: ${options(type)[0] ?? ''}`] : []));
  t.deepEqual(uses.sort(), [
    'framevec_convert.reason: framevec_reason',
    'framevec_info.features: framevec_features',
    'framevec_pin.flags: framevec_pin_flags',
    'framevec_pin.kind: framevec_kind',
    'framevec_pin.reason: framevec_reason',
    'framevec_pollfd.events: framevec_poll_events',
    'framevec_stat.kind: framevec_kind',
    'framevec_stat.state: framevec_state',
    'framevec_unpin.flags: framevec_unpin_flags',
  ]);
  for (const name of uses.map(use => use.split(': ')[1] ?? '')) t.true(sets.has(name), name);
});

test('a flags field without flags, and a reserved field, is zero; a size is that of its struct', t => {
  for (const [struct, fields] of described) {
    for (const {name, type, bytes} of fields) {
      if (name === 'size') t.is(type, 'bytesize[parent, int32]', struct);
      if (name === 'reserved' || (name === 'flags' && !type.startsWith('flags['))) t.is(type, `const[0, int${bytes * 8}]`, `${struct}.${name}`);
    }
  }
});

test('a resource is made by one call and used by others; mmap, read, write and poll are described', t => {
  const resources = [...description.matchAll(/^resource (\w+)\[fd\]$/mg)].map(([, name = '']) => name);
  t.deepEqual(resources, ['fd_framevec', 'fd_framevec_vector']);
  t.is(calls.find(({gives}) => gives === 'fd_framevec')?.name, 'openat');
  t.is(calls.find(({name}) => name === 'openat')?.args.get('file'), `ptr[in, string["${uapi.FRAMEVEC_DEVICE}"]]`);
  t.deepEqual(described.get('framevec_create')?.filter(({type}) => type === 'fd_framevec_vector').map(({out}) => out), [true]);
  t.is(calls.find(({name}) => name === 'mmap')?.args.get('fd'), 'fd_framevec');
  for (const name of ['read', 'write', 'pread64', 'pwrite64', 'lseek']) {
    t.is(calls.find(call => call.name === name)?.args.get('fd'), 'fd_framevec_vector', name);
  }
  t.is(calls.find(({name}) => name === 'poll')?.args.get('fds'), 'ptr[inout, array[framevec_pollfd, 1:2]]');
});
