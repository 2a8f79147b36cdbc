/** kbuild's own programs of a newer Debian release, made to run here: through that release's own loader and libraries. */
import {chmodSync, existsSync, readdirSync, renameSync, writeFileSync} from 'node:fs';
import {join, relative} from 'node:path';
import type {Cache} from './cache.js';
import {VmError} from './errors.js';
import {PackageSource} from './packages.js';
import {must, run} from './programs.js';
import type {Progress} from './progress.js';
import {quote} from './shell.js';

/** Of all programs in linux-kbuild, the two that a module's build runs and that depend on their release. */
const PROGRAMS = /\/(modpost\.real-lsb-64|objtool\.real-x86)$/;

const PACKAGES = ['libc6', 'libelf1t64', 'zlib1g', 'libzstd1'];

/** `tree` is a kernel's unpacked packages, which will stand at `final`. */
export async function prepareKbuildPrograms(cache: Cache, progress: Progress, release: string, tree: string, final: string): Promise<void> {
  const library = join(tree, 'usr/lib');
  const programs = readdirSync(library, {recursive: true, encoding: 'utf8'})
    .filter((path) => path.startsWith('linux-kbuild-') && PROGRAMS.test(path))
    .map((path) => join(library, path));
  const strangers: string[] = [];
  for (const program of programs) {
    if (!(await runsHere(program))) {
      strangers.push(program);
    }
  }
  if (strangers.length === 0) {
    return;
  }

  const source = new PackageSource(cache, progress, {release, part: 'main'});
  await source.update();
  const root = join(tree, 'kbuild-libc');
  await progress.step(`fetch ${release}'s libc for the module build`, async () => {
    for (const name of PACKAGES) {
      await must(`unpacking ${name}`, 'dpkg-deb', ['-x', await source.download({name}, join(root, 'download')), root]);
    }
  });
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
  if (!existsSync(join(libraries, 'ld-linux-x86-64.so.2'))) {
    throw new VmError(`${release}'s libc6 holds no loader where it is looked for, so modules cannot be built for this kernel`);
  }
  const placed = join(final, relative(tree, libraries));
  for (const program of strangers) {
    renameSync(program, `${program}.elf`);
    writeFileSync(program, `#!/bin/sh\nexec ${quote(join(placed, 'ld-linux-x86-64.so.2'))} --library-path ${quote(placed)} "$0.elf" "$@"\n`);
    chmodSync(program, 0o755);
  }
}

/** The loader's own word: every library found, and each new enough. */
async function runsHere(program: string): Promise<boolean> {
  const {status, stdout, stderr} = await run('ldd', [program]);
  return status === 0 && !(stdout + stderr).includes('not found');
}
