/** Modules of other people: built in the cache for one kernel, beside framevec.ko, and loaded after it. */
import {createHash} from 'node:crypto';
import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {basename, dirname, join, resolve} from 'node:path';
import {sourceFiles} from '../module/sources.js';
import type {Cache} from './cache.js';
import {removeOldBuilds} from './clean.js';
import {VmError} from './errors.js';
import type {Kernel} from './kernel.js';
import {compileModule, removeIntermediates, warningsIn, type BuiltModule} from './module.js';
import {must} from './programs.js';
import type {Progress} from './progress.js';

export interface LoadableModule {
  /** As lsmod has it. */
  name: string;
  path: string;
  parameters: readonly string[];
  /** Of the kernel's own modules, those that have to be there before. */
  needs: readonly string[];
}

export interface BuiltDriver {
  directory: string;
  /** In the order of loading. */
  modules: readonly LoadableModule[];
  warnings: readonly string[];
}

/** A module's name has an underscore where its file, and another module's list of what it depends on, may have a hyphen. */
const nameOf = (path: string): string => basename(path, '.ko').replaceAll('-', '_');

/** `asked` is the directory, then parameters after commas: ./driver,debug=1 */
export async function buildDriver(cache: Cache, progress: Progress, kernel: Kernel, framevec: BuiltModule | undefined, asked: string): Promise<BuiltDriver> {
  const [named = '', ...parameters] = asked.split(/,(?=[a-z_])/i);
  const sources = resolve(named);
  if (!['Kbuild', 'Makefile'].some((file) => existsSync(join(sources, file)))) {
    throw new VmError(`--module ${named}: there is neither a Kbuild nor a Makefile in ${sources}`);
  }
  const files = sourceFiles(sources);
  const beside = framevec === undefined ? undefined : dirname(framevec.path);
  const key = createHash('sha256').update(JSON.stringify([kernel.id, kernel.headers, kernel.makeArguments, sources, beside]));
  for (const file of files) key.update(file).update('\0').update(readFileSync(join(sources, file))).update('\0');
  const directory = await cache.entry(cache.path('modules', `${kernel.release}-${key.digest('hex').slice(0, 16)}`), async (temporary) => {
    await progress.step(`build ${named} for ${kernel.release}`, () => compileModule(kernel, sources, temporary, {
      what: named,
      // A driver that uses frame vectors finds their headers and symbols; the others do not look.
      makeArguments: beside === undefined ? [] : [`FRAMEVEC_KMOD=${beside}`, `KBUILD_EXTRA_SYMBOLS=${join(beside, 'Module.symvers')}`],
    }));
    if (builtIn(temporary).length === 0) throw new VmError(`--module ${named}: make built no module there; a Kbuild or Makefile for kbuild has a line such as obj-m := driver.o`);
    removeIntermediates(temporary);
    await removeOldBuilds(cache, kernel.release);
  });
  const modules = inOrder(await Promise.all(builtIn(directory).map(async (path) => ({path, ...(await modinfo(path))}))));
  for (const parameter of parameters) {
    const name = parameter.replace(/=.*/s, '');
    if (!modules.some(({known}) => known.includes(name))) {
      const known = modules.flatMap((one) => one.known);
      throw new VmError(`--module ${asked}: no module of ${named} has a parameter ${name}; ${known.length === 0 ? 'there are none' : `there are ${known.join(', ')}`}`);
    }
  }
  return {
    directory,
    modules: modules.map(({path, depends, known}) => ({
      name: nameOf(path),
      path,
      parameters: parameters.filter((parameter) => known.includes(parameter.replace(/=.*/s, ''))),
      needs: depends.filter((name) => name !== 'framevec' && !modules.some((other) => nameOf(other.path) === name)),
    })),
    warnings: warningsIn(directory),
  };
}

function builtIn(directory: string): string[] {
  return readdirSync(directory, {recursive: true, encoding: 'utf8'}).filter((path) => path.endsWith('.ko')).sort().map((path) => join(directory, path));
}

async function modinfo(path: string): Promise<{depends: string[]; known: string[]}> {
  const field = async (name: string): Promise<string[]> => (await must(`reading ${basename(path)}`, 'modinfo', ['-F', name, path])).split('\n').filter(Boolean);
  return {
    depends: (await field('depends')).flatMap((line) => line.split(',')).filter(Boolean).map(nameOf),
    known: (await field('parm')).map((line) => line.replace(/:.*/s, '')),
  };
}

/** What another one needs comes before it. modpost has refused circles. */
export function inOrder<T extends {path: string; depends: readonly string[]}>(modules: readonly T[]): T[] {
  const ordered: T[] = [];
  const add = (module: T): void => {
    if (ordered.includes(module)) return;
    for (const other of modules) if (other !== module && module.depends.includes(nameOf(other.path))) add(other);
    ordered.push(module);
  };
  modules.forEach(add);
  return ordered;
}
