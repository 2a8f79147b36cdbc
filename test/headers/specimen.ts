/**
 * Header trees of kernels that Debian does not have, made at test time of those that it has: each differs from its base where the module
 * looks. One file of this folder is one specimen, and says where its differences were seen.
 */
import {cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Kernel} from '../../lib/vm/kernel.js';
import {must} from '../../lib/vm/programs.js';

/** A change of one file below include/; what it replaces has to be there exactly once. */
export interface Edit {
  file: string;
  replace: string | RegExp;
  with: string;
}

export interface Specimen {
  /** As it is told in the test's name. */
  name: string;
  /** What --kernel calls the kernel whose headers are changed. */
  base: string;
  /** What its version.h says. */
  version: readonly [major: number, minor: number, patch: number];
  /** Where the differences can be seen. */
  source: string;
  edits: readonly Edit[];
  /** Of Module.symvers. `none`: there is no such file. */
  symbols?: 'none' | {remove?: readonly string[]; add?: readonly string[]};
  /** Options of the configuration that are switched off: CONFIG_COMPAT. */
  without?: readonly string[];
  /** The questions of kmod/probe/ that have to be answered with yes; all others with no. */
  yes: readonly string[];
}

const versionText = ([major, minor, patch]: Specimen['version']): string => `#define LINUX_VERSION_CODE ${major * 65536 + minor * 256 + Math.min(patch, 255)}
#define KERNEL_VERSION(a,b,c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define LINUX_VERSION_MAJOR ${major}
#define LINUX_VERSION_PATCHLEVEL ${minor}
#define LINUX_VERSION_SUBLEVEL ${patch}
`;

/** Another tree of `base`'s headers in `directory`. Files are links until they are changed. */
export async function forge(base: Kernel, directory: string, changes: Partial<Pick<Specimen, 'version' | 'edits' | 'symbols' | 'without'>>): Promise<Kernel> {
  if (base.headers === undefined) throw new Error(`${base.name} has no headers`);
  mkdirSync(join(directory, 'usr'), {recursive: true});
  await must('copying the headers', 'cp', ['-al', join(base.modulesRoot, 'usr/src'), join(directory, 'usr/src')]);
  symlinkSync(join(base.modulesRoot, 'usr/lib'), join(directory, 'usr/lib'));
  const sources = join(directory, 'usr/src');
  const [common = ''] = readdirSync(sources).filter((name) => name.endsWith('-common'));
  const headers = base.headers.replace(base.modulesRoot, directory);

  change(join(headers, 'Makefile'), (text) => text.replaceAll(`${base.modulesRoot}/`, `${directory}/`));
  const {version, edits = [], without = []} = changes;
  if (version !== undefined) change(join(headers, 'include/generated/uapi/linux/version.h'), () => versionText(version));
  for (const option of without) {
    for (const [file, line] of [['generated/autoconf.h', `#define ${option} 1\n`], ['config/auto.conf', `${option}=y\n`]] as const) {
      change(join(headers, 'include', file), (old) => {
        if (!old.includes(line)) throw new Error(`${base.release}: ${option} is not in ${file}`);
        return old.replace(line, '');
      });
    }
  }
  for (const {file, replace, with: text} of edits) {
    change(join(sources, common, file), (old) => {
      const parts = old.split(replace);
      if (parts.length !== 2) throw new Error(`${base.release}: ${file} has ${parts.length - 1} times what an edit replaces: ${String(replace)}`);
      return parts.join(text);
    });
  }
  const symvers = join(headers, 'Module.symvers');
  if (changes.symbols === 'none') rmSync(symvers);
  else if (changes.symbols !== undefined) {
    const {remove = [], add = []} = changes.symbols;
    change(symvers, (text) => [
      ...text.split('\n').filter((line) => !remove.includes(line.split('\t')[1] ?? '')).slice(0, -1),
      ...add.map((name) => `0x12345678\t${name}\tvmlinux\tEXPORT_SYMBOL_GPL\t`),
      '',
    ].join('\n'));
  }
  return {...base, headers, modulesRoot: directory};
}

/** The old file may be another tree's too. */
function change(path: string, edit: (text: string) => string): void {
  const text = edit(readFileSync(path, 'utf8'));
  rmSync(path);
  writeFileSync(path, text);
}

/** The questions that were answered with yes in a directory where the module was built, sorted. */
export function answersIn(directory: string): string[] {
  const file = join(directory, 'config.h');
  if (!existsSync(file)) return [];
  return [...readFileSync(file, 'utf8').matchAll(/^#define FRAMEVEC_HAS_(\w+) 1$/gm)].map(([, name = '']) => name.toLowerCase()).sort();
}

/** All questions, without the controls. */
export function questions(sources: string): string[] {
  return readdirSync(join(sources, 'probe')).filter((name) => name.endsWith('.c') && !name.startsWith('control_')).map((name) => name.slice(0, -2)).sort();
}

/** A copy of the module's sources, to be changed. */
export function copyOf(sources: string, directory: string): string {
  cpSync(sources, directory, {recursive: true});
  return directory;
}
