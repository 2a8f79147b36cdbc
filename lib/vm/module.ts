/** framevec.ko for one kernel: built in the cache from a copy of kmod/, so that neither checkout nor package is written to. */
import {createHash} from 'node:crypto';
import {cpSync, existsSync, readFileSync, readdirSync, writeFileSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {Cache} from './cache.js';
import {EXIT, VmError} from './errors.js';
import type {Kernel} from './kernel.js';
import {findProgram, must, run} from './programs.js';
import type {Progress} from './progress.js';

/** kmod/ beside dist/, in a checkout as in the installed package. */
export const MODULE_SOURCES = fileURLToPath(new URL('../../../kmod', import.meta.url));

const LOG = 'build.log';

export interface BuiltModule {
  path: string;
  /** What the compiler had to say; the build passes W=1. */
  warnings: string[];
}

export async function buildModule(cache: Cache, progress: Progress, kernel: Kernel, sources = MODULE_SOURCES): Promise<BuiltModule> {
  if (!existsSync(join(sources, 'Kbuild'))) {
    throw new VmError(`there is no module to build: ${join(sources, 'Kbuild')} is missing (--no-module boots without)`);
  }
  if (kernel.headers === undefined) {
    throw new VmError(`there are no headers for ${kernel.release}, so the module cannot be built for it (--no-module boots without)`);
  }

  const files = sourceFiles(sources);
  // Debian's headers name the compiler of their release; here it is this machine's.
  const compiler = findProgram('gcc-12') === undefined ? 'gcc' : 'gcc-12';
  const makeArguments = [`CC=${compiler}`, 'W=1', ...kernel.makeArguments];
  const key = createHash('sha256').update(JSON.stringify([kernel.id, makeArguments]));
  for (const file of files) {
    key.update(file).update('\0').update(readFileSync(join(sources, file))).update('\0');
  }

  const final = cache.path('modules', `${kernel.release}-${key.digest('hex').slice(0, 16)}`);
  const directory = await cache.entry(final, (temporary) =>
    progress.step(`build framevec.ko for ${kernel.release}`, async () => {
      for (const file of files) {
        cpSync(join(sources, file), join(temporary, file), {recursive: true});
      }
      const {status, stdout, stderr} = await run('make', [
        '-C',
        kernel.headers as string,
        `M=${temporary}`,
        `-j${availableParallelism()}`,
        ...makeArguments,
        'modules',
      ]);
      const log = `${stdout}${stderr}`.replaceAll(`${temporary}/`, `${relative(process.cwd(), sources)}/`);
      writeFileSync(join(temporary, LOG), log);
      if (status !== 0 || !existsSync(join(temporary, 'framevec.ko'))) {
        const first = /^.*(error|undefined!|No rule|Stop\.).*$/im.exec(stderr)?.[0] ?? `make ended with status ${status}`;
        throw new VmError(`the module could not be built for ${kernel.release}: ${first.replaceAll(`${temporary}/`, 'kmod/')}`, undefined, log);
      }
    }),
  );
  return {path: join(directory, 'framevec.ko'), warnings: findWarnings(readFileSync(join(directory, LOG), 'utf8'))};
}

/** The kernel only remarks on a parameter that a module does not have, and loads it without. */
export async function checkParameters(path: string, parameters: readonly string[]): Promise<void> {
  if (parameters.length === 0) {
    return;
  }
  const stdout = await must('reading the parameters of framevec.ko', 'modinfo', ['-F', 'parm', path]);
  const known = stdout.split('\n').map((line) => line.split(':')[0] as string).filter(Boolean);
  const unknown = parameters.map((parameter) => parameter.split('=')[0] as string).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new VmError(`framevec.ko has no parameter ${unknown}; it has ${known.join(', ') || 'none'}`, EXIT.moduleNotLoaded);
  }
}

/** Whatever a build leaves behind must neither be copied nor change the key. */
const BUILD_PRODUCT = /(^|\/)(\.[^/]*|[^/]*\.(o|ko|mod|mod\.c|a|order|symvers))$|\.cmd$/;

function sourceFiles(sources: string): string[] {
  return readdirSync(sources, {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile())
    .map((entry) => relative(sources, join(entry.parentPath, entry.name)))
    .filter((path) => !BUILD_PRODUCT.test(path))
    .sort();
}

export function findWarnings(log: string): string[] {
  // What the kernel's own makefile remarks about this machine's compiler and pahole is not about the module.
  return log.split('\n').filter((line) => /\bwarning:|^WARNING:/i.test(line) && !/differs from the one used to build the kernel/.test(line));
}
