/** framevec.ko for one kernel: built in the cache from a copy of kmod/, so that neither checkout nor package is written to. */
import {createHash} from 'node:crypto';
import {cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {join, relative} from 'node:path';
import {buildFailure} from '../module/build_log.js';
import {MODULE_SOURCES, sourceFiles} from '../module/sources.js';
import type {Cache} from './cache.js';
import {removeOldBuilds} from './clean.js';
import {EXIT, VmError} from './errors.js';
import type {Kernel} from './kernel.js';
import {findProgram, must, run} from './programs.js';
import type {Progress} from './progress.js';

const LOG = 'build.log';

export interface BuiltModule {
  path: string;
  /** What the compiler had to say; the build passes W=1. */
  warnings: string[];
}

export async function buildModule(cache: Cache, progress: Progress, kernel: Kernel, sources = MODULE_SOURCES): Promise<BuiltModule> {
  const plan = planBuild(kernel, sources);
  const key = createHash('sha256').update(JSON.stringify([kernel.id, kernel.headers, plan.makeArguments]));
  for (const file of plan.files) {
    key.update(file).update('\0').update(readFileSync(join(sources, file))).update('\0');
  }
  const final = cache.path('modules', `${kernel.release}-${key.digest('hex').slice(0, 16)}`);
  const directory = await cache.entry(final, async (temporary) => {
    await progress.step(`build framevec.ko for ${kernel.release}`, () => make(plan, temporary));
    removeIntermediates(temporary);
    await removeOldBuilds(cache, kernel.release);
  });
  return {path: join(directory, 'framevec.ko'), warnings: warningsIn(directory)};
}

/** A build for its warnings alone: the compiler's and sparse's. */
export async function checkModule(cache: Cache, progress: Progress, kernel: Kernel, sources = MODULE_SOURCES): Promise<string[]> {
  if (findProgram('sparse') === undefined) {
    throw new VmError('the program sparse is missing; install the package sparse');
  }
  const directory = mkdtempSync(cache.path('check-'));
  try {
    return await progress.step(`check framevec.ko with sparse for ${kernel.release}`, () =>
      compileModule(kernel, sources, directory, {makeArguments: ['C=2', 'CHECK=sparse']}),
    );
  } finally {
    rmSync(directory, {recursive: true, force: true});
  }
}

export interface Compilation {
  makeArguments?: readonly string[];
  /** Whose sources they are, for the message; framevec's own have a W=1. */
  what?: string;
}

/** Builds the sources in `directory`. Returns the compiler's warnings; fails with its output. */
export async function compileModule(kernel: Kernel, sources: string, directory: string, {makeArguments = [], what}: Compilation = {}): Promise<string[]> {
  const plan = planBuild(kernel, sources, what);
  await make({...plan, makeArguments: [...plan.makeArguments, ...makeArguments]}, directory);
  return warningsIn(directory);
}

/** What the compiler said of a build. */
export function warningsIn(directory: string): string[] {
  return findWarnings(readFileSync(join(directory, LOG), 'utf8'));
}

interface Plan {
  /** The module, as its user calls it. */
  what: string;
  release: string;
  headers: string;
  sources: string;
  files: readonly string[];
  makeArguments: readonly string[];
}

function planBuild(kernel: Kernel, sources: string, what?: string): Plan {
  if (what === undefined && !existsSync(join(sources, 'Kbuild'))) {
    throw new VmError(`there is no module to build: ${join(sources, 'Kbuild')} is missing (--no-module boots without)`);
  }
  if (kernel.headers === undefined) {
    throw new VmError(`there are no headers for ${kernel.release}, so the module cannot be built for it (--headers says where they are; --no-module boots without)`);
  }
  // Debian's headers name the compiler of their release; here it is this machine's.
  const compiler = findProgram('gcc-12') === undefined ? 'gcc' : 'gcc-12';
  return {
    what: what ?? 'the module',
    release: kernel.release,
    headers: kernel.headers,
    sources,
    files: sourceFiles(sources),
    makeArguments: [`CC=${compiler}`, ...(what === undefined ? ['W=1'] : []), ...kernel.makeArguments],
  };
}

/** Copies the sources to `directory`, where they differ, and makes them there. */
async function make({what, release, headers, sources, files, makeArguments}: Plan, directory: string): Promise<void> {
  for (const file of files) {
    const [from, to] = [join(sources, file), join(directory, file)];
    if (!existsSync(to) || !readFileSync(from).equals(readFileSync(to))) {
      cpSync(from, to, {recursive: true});
    }
  }
  const {status, stdout, stderr} = await run(
    'make',
    [
      ...['-C', headers, `M=${directory}`, `-j${availableParallelism()}`, ...makeArguments],
      // A kernel's warning names the file by the path it was compiled as.
      `KCFLAGS=-fmacro-prefix-map=${directory}/=kmod/`,
      'modules',
    ],
    // A make around this one has options and a job server of its own.
    {env: {MAKEFLAGS: undefined, MFLAGS: undefined, MAKEOVERRIDES: undefined, MAKELEVEL: undefined}},
  );
  // The paths are those that the reader can open.
  const log = `${stdout}${stderr}`.replaceAll(`${directory}/`, `${relative(process.cwd(), sources)}/`);
  writeFileSync(join(directory, LOG), log);
  if (status !== 0) {
    const cause = buildFailure(log) ?? `make ended with status ${status}`;
    throw new VmError(`${what} could not be built for ${release}: ${cause}`, undefined, log);
  }
}

/** Two thirds of a build: objects, and kbuild's notes for a next build, which there never is. */
export function removeIntermediates(directory: string): void {
  for (const path of readdirSync(directory, {recursive: true, encoding: 'utf8'})) {
    if (/(\.o|\.cmd|\.mod|\.mod\.c|\.o\.d|\.answer(\.log)?)$/.test(path)) {
      rmSync(join(directory, path), {force: true});
    }
  }
}

/** The kernel only remarks on a parameter that a module does not have, and loads it without. */
export async function checkParameters(path: string, parameters: readonly string[]): Promise<void> {
  if (parameters.length === 0) {
    return;
  }
  const stdout = await must('reading the parameters of framevec.ko', 'modinfo', ['-F', 'parm', path]);
  const known = stdout.split('\n').map((line) => line.replace(/:.*/, '')).filter(Boolean);
  const unknown = parameters.map((parameter) => parameter.replace(/=.*/s, '')).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new VmError(`framevec.ko has no parameter ${unknown}; it has ${known.join(', ') || 'none'}`, EXIT.moduleNotLoaded);
  }
}

export function findWarnings(log: string): string[] {
  // What the kernel's own makefile remarks about this machine's compiler and pahole is not about the module.
  return log.split('\n').filter((line) => /\bwarning:|^WARNING:/i.test(line) && !line.includes('differs from the one used to build the kernel'));
}
