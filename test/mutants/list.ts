/** The mutants: test/mutants/NAME.patch, each a diff of kmod/ below a few lines of text about it. */
import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {basename, join} from 'node:path';

export interface Mutant {
  name: string;
  /** The diff itself. */
  diff: string;
  /** What is wrong with the module. */
  what: string;
  /** Test files that have to fail. */
  files: readonly string[];
  /** Titles of the tests in these files that are run, as AVA's --match takes them; none: all tests. */
  matches: readonly string[];
  /** Why no test can fail. */
  survives: string | undefined;
  /** The kernels on which the changed code is compiled, and does anything; undefined: all. */
  kernels: readonly string[] | undefined;
}

const FIELDS = ['Tests', 'Match', 'Survives', 'Kernels'] as const;
type Field = (typeof FIELDS)[number];

const FIELD = new RegExp(`^(${FIELDS.join('|')}): (.*)$`);

/** Fields may go on in lines that are indented. */
function parse(name: string, header: string): {what: string; fields: ReadonlyMap<Field, string[]>} {
  const fields = new Map<Field, string[]>();
  const what: string[] = [];
  let last: string[] | undefined;
  for (const line of header.split('\n')) {
    const [, field, value = ''] = FIELD.exec(line) ?? [];
    if (field !== undefined) {
      last = fields.get(field as Field) ?? [];
      last.push(value);
      fields.set(field as Field, last);
    } else if (last !== undefined && /^\s+\S/.test(line)) {
      last.push(`${last.pop() ?? ''} ${line.trim()}`);
    } else if (line.trim() !== '') {
      if (last !== undefined) throw new Error(`${name}: "${line}" is neither a field nor the continuation of one`);
      what.push(line.trim());
    }
  }
  return {what: what.join(' '), fields};
}

function readMutant(folder: string, root: string, file: string): Mutant {
  const name = basename(file, '.patch');
  const [header = '', diff] = readFileSync(join(folder, file), 'utf8').split(/^(?=--- a\/kmod\/)/m, 2);
  if (diff === undefined) throw new Error(`${file} has no diff of kmod/`);
  const {what, fields} = parse(name, header);
  const words = (field: Field): string[] => (fields.get(field) ?? []).flatMap(value => value.split(/[\s,]+/)).filter(Boolean);
  const files = words('Tests');
  const missing = files.find(test => !existsSync(join(root, `test/guest/${test}.test.ts`)));
  if (what === '' || files.length === 0) throw new Error(`${file} has to say what is wrong, and "Tests:"`);
  if (missing !== undefined) throw new Error(`${file} names ${missing}, and there is no test/guest/${missing}.test.ts`);
  return {
    name, diff, what, files,
    matches: fields.get('Match') ?? [],
    survives: fields.get('Survives')?.join(' '),
    kernels: fields.has('Kernels') ? words('Kernels') : undefined,
  };
}

/** All of them, or those that were asked for by parts of their names. */
export function readMutants(root: string, only: readonly string[]): Mutant[] {
  const folder = join(root, 'test/mutants');
  return readdirSync(folder)
    .filter(file => file.endsWith('.patch') && (only.length === 0 || only.some(part => file.includes(part))))
    .sort()
    .map(file => readMutant(folder, root, file));
}
