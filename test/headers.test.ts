/**
 * The module against headers that Debian does not have (test/headers/): it builds whatever the version number says, and a build whose
 * questions can't be answered stops. Nothing is booted here.
 */
import {createHash} from 'node:crypto';
import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {MODULE_SOURCES} from '../lib/module/sources.js';
import {Cache, cacheDirectory} from '../lib/vm/cache.js';
import {VmError} from '../lib/vm/errors.js';
import {findKernel, type Kernel} from '../lib/vm/kernel.js';
import {compileModule} from '../lib/vm/module.js';
import {Progress} from '../lib/vm/progress.js';
import {SINCE_6_3} from './headers/edits.js';
import {answersIn, copyOf, forge, questions} from './headers/specimen.js';
import {SPECIMENS} from './headers/zoo.js';

/** Debian's kernels, and the questions that each answers with yes. */
const BASES: readonly (readonly [name: string, yes: readonly string[]])[] = [
  ['5.10', ['follow_pte_mm']],
  ['6.1', ['fault_flag_unshare', 'follow_pte_mm', 'unpin_range', 'vma_lookup']],
  ['6.12', [...SINCE_6_3, 'follow_pfnmap']],
  // The newest kernel has its own form of everything.
  ['7.x', questions(MODULE_SOURCES).filter((name) => !name.startsWith('follow_pte'))],
];

/** Builds are one after the other: each has a make with a job for each processor. */
const TIMEOUT = 600_000;

/** A number that no kernel of the range has. */
const NONSENSE = [2, 6, 23] as const;

const cache = new Cache(cacheDirectory());
// The trees are links to the cache's files, so they are on its file system.
const work = mkdtempSync(cache.path('check-'));
test.after.always('nothing is left behind', () => {
  rmSync(work, {recursive: true, force: true});
});

const kernels = new Map<string, Promise<Kernel>>();
function kernel(name: string): Promise<Kernel> {
  const found = kernels.get(name) ?? findKernel(cache, new Progress((text) => void process.stderr.write(text)), {name});
  kernels.set(name, found);
  return found;
}

let counter = 0;
function place(): string {
  counter += 1;
  return join(work, String(counter));
}

interface Build {
  directory: string;
  warnings: string[];
  answers: string[];
  /** Of a build that failed: all of its output. */
  failure?: string;
}

async function build(tree: Kernel, sources = MODULE_SOURCES, makeArguments: readonly string[] = []): Promise<Build> {
  const directory = place();
  mkdirSync(directory);
  try {
    const warnings = await compileModule(tree, sources, directory, {makeArguments});
    return {directory, warnings, answers: answersIn(directory)};
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return {directory, warnings: [], answers: answersIn(directory), failure: `${error.message}\n${error.details}`};
  }
}

/** The instructions, without the name of the file. */
function instructions({directory}: Build): string {
  const text = execFileSync('objdump', ['-d', join(directory, 'framevec.ko')], {encoding: 'utf8', maxBuffer: 2 ** 28});
  return createHash('sha256').update(text.slice(text.indexOf('\n', 1))).digest('hex');
}

for (const specimen of SPECIMENS) {
  test.serial(`the module builds without a warning against the headers of ${specimen.name}`, async (t) => {
    t.timeout(TIMEOUT);
    const tree = await forge(await kernel(specimen.base), place(), specimen);
    const {failure, warnings, answers} = await build(tree);
    t.is(failure, undefined);
    t.deepEqual(warnings, []);
    t.deepEqual(answers, [...specimen.yes].sort());
    rmSync(tree.modulesRoot, {recursive: true});
  });
}

for (const [base, yes] of BASES) {
  test.serial(`a version number that is nonsense changes no instruction of the module for ${base}`, async (t) => {
    t.timeout(TIMEOUT);
    const real = await kernel(base);
    const tree = await forge(real, place(), {version: NONSENSE});
    const [one, other] = [await build(real), await build(tree)];
    t.is(one.failure, undefined);
    t.is(other.failure, undefined);
    t.deepEqual(one.answers, [...yes].sort());
    t.deepEqual(other.answers, one.answers);
    t.deepEqual([...one.warnings, ...other.warnings], []);
    t.is(instructions(other), instructions(one));
    rmSync(tree.modulesRoot, {recursive: true});
  });
}

/** The module needs none of these; after each, the options that depend on it or select it. */
const OPTIONAL = [
  ['CONFIG_TRANSPARENT_HUGEPAGE'],
  ['CONFIG_COMPAT', 'CONFIG_IA32_EMULATION', 'CONFIG_X86_X32_ABI'],
  ['CONFIG_HUGETLB_PAGE', 'CONFIG_HUGETLBFS'],
  ['CONFIG_MEMORY_FAILURE'],
];

for (const options of [OPTIONAL, OPTIONAL.slice(0, 1)]) {
  test.serial(`the module builds without a warning for a kernel without ${options.map(([name]) => name).join(', ')}`, async (t) => {
    t.timeout(TIMEOUT);
    const {failure, warnings} = await build(await forge(await kernel('7.x'), place(), {without: options.flat()}));
    t.is(failure, undefined);
    t.deepEqual(warnings, []);
  });
}

for (const option of ['CONFIG_MMU_NOTIFIER', 'CONFIG_IRQ_WORK']) {
  test.serial(`for a kernel without ${option} the build fails, and says that it is required`, async (t) => {
    t.timeout(TIMEOUT);
    const {failure} = await build(await forge(await kernel('6.12'), place(), {without: [option]}));
    t.regex(failure ?? '', new RegExp(`^the module could not be built for 6\\.12\\S*: .*framevec requires a kernel with ${option}=y`));
  });
}

test('no version number is in the sources of the module', (t) => {
  for (const name of readdirSync(MODULE_SOURCES, {recursive: true, encoding: 'utf8'}).filter((file) => /\.[ch]$|Kbuild$/.test(file))) {
    t.notRegex(readFileSync(join(MODULE_SOURCES, name), 'utf8'), /LINUX_VERSION_CODE|RHEL_RELEASE_CODE|KERNEL_VERSION\(/, name);
  }
});

test('each question is answered with yes by one kernel of these, and with no by another', (t) => {
  const answers = [...SPECIMENS.map(({yes}) => yes), ...BASES.map(([, yes]) => yes)];
  for (const question of questions(MODULE_SOURCES)) {
    t.true(answers.some((yes) => yes.includes(question)), `${question}: yes`);
    t.true(answers.some((yes) => !yes.includes(question)), `${question}: no`);
  }
});

/** The sources with a broken question; then what a specimen is tested for must not hold. */
async function withBroken(t: ExecutionContext, name: string, text: string): Promise<Build> {
  const sources = copyOf(MODULE_SOURCES, place());
  writeFileSync(join(sources, 'probe', `${name}.c`), text);
  const result = await build(await kernel('6.12'), sources);
  t.timeout(TIMEOUT);
  return result;
}

test.serial('a question that is broken on purpose, and so answers no, is found', async (t) => {
  const {answers, failure} = await withBroken(t, 'vm_flags_set', '#include "probe.h"\nFRAMEVEC_DECLARED(vm_flags_set;\n');
  t.false(answers.includes('vm_flags_set'));
  t.regex(failure ?? '', /redefinition of .vm_flags_set/);
});

test.serial('a question that always answers yes is found', async (t) => {
  const {answers, failure} = await withBroken(t, 'ioremap_prot_pgprot', '#include "probe.h"\n');
  t.true(answers.includes('ioremap_prot_pgprot'));
  t.regex(failure ?? '', /ioremap_prot/);
});

test.serial('headers that do not compile stop the build with the message of the compiler', async (t) => {
  t.timeout(TIMEOUT);
  const tree = await forge(await kernel('6.12'), place(), {
    version: NONSENSE,
    edits: [{file: 'include/linux/io.h', replace: /#ifndef _LINUX_IO_H\n/, with: '#ifndef _LINUX_IO_H\n#error "this header is broken on purpose"\n'}],
  });
  const {failure, answers} = await build(tree);
  t.regex(failure ?? '', /^the module could not be built for 6\.12\S*: .*this header is broken on purpose/);
  t.regex(failure ?? '', /framevec: error: the compiler \(gcc\S*\) cannot use the headers of kernel 6\.12/);
  t.deepEqual(answers, []);
});

/** A compiler that does something else than its work when it is asked a question. */
function compiler(script: string): string {
  const path = place();
  writeFileSync(path, `#!/bin/sh\ncase " $* " in *" -fsyntax-only "*) ${script};; esac\nexec gcc "$@"\n`, {mode: 0o755});
  return `CC=${path}`;
}

test.serial('a compiler that does not work stops the build with its own message', async (t) => {
  t.timeout(TIMEOUT);
  const {failure, answers} = await build(await kernel('6.1'), MODULE_SOURCES, [compiler('echo "cc1: error: it is broken on purpose" >&2; exit 1')]);
  t.regex(failure ?? '', /^the module could not be built for 6\.1\S*: cc1: error: it is broken on purpose/);
  t.deepEqual(answers, []);
});

test.serial('a compiler that accepts everything stops the build', async (t) => {
  t.timeout(TIMEOUT);
  const {failure, answers} = await build(await kernel('6.1'), MODULE_SOURCES, [compiler('exit 0')]);
  t.regex(failure ?? '', /accepts a function that does not exist/);
  t.deepEqual(answers, []);
});

test.serial('without Module.symvers a declared symbol counts as exported', async (t) => {
  t.timeout(TIMEOUT);
  const tree = await forge(await kernel('6.12'), place(), {symbols: 'none'});
  // modpost, which comes last, needs the file; the answers are there before.
  const {answers} = await build(tree);
  t.true(answers.includes('follow_pfnmap'));
});
