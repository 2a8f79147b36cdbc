/** The modules with each mutant in them, built on the host. What does not apply or does not build is a mistake of the list. */
import {createHash} from 'node:crypto';
import {cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {MODULE_SOURCES, sourceFiles} from '../../lib/module/sources.js';
import type {Kernel} from '../../lib/vm/kernel.js';
import {makeModule} from '../../lib/vm/module.js';
import {must} from '../../lib/vm/programs.js';
import type {Mutant} from './list.js';

/** What a test loads: the module, and the drivers of kmod/sample/. */
const MODULES = ['framevec.ko', 'sample/framevec_odd.ko', 'sample/framevec_sample.ko'];

export class Builder {
  readonly #folder: string;
  readonly #sources: readonly string[] = sourceFiles(MODULE_SOURCES);

  constructor(private readonly kernel: Kernel, root: string) {
    this.#folder = join(root, 'build/mutants', kernel.id);
    mkdirSync(this.#folder, {recursive: true});
  }

  #key(patch: string): string {
    const key = createHash('sha256').update(patch);
    for (const file of this.#sources) key.update(file).update('\0').update(readFileSync(join(MODULE_SOURCES, file)));
    return key.digest('hex');
  }

  /** Builds the unchanged module, or one with a patch. Returns the directory; it is kept for the next run. */
  async build(name: string, patch?: string): Promise<string> {
    const out = join(this.#folder, name);
    const key = this.#key(patch ?? '');
    const keyPath = join(out, 'key');
    if (existsSync(keyPath) && readFileSync(keyPath, 'utf8') === key) return out;

    const sources = join(this.#folder, '.sources');
    rmSync(sources, {recursive: true, force: true});
    for (const file of this.#sources) cpSync(join(MODULE_SOURCES, file), join(sources, 'kmod', file));
    if (patch !== undefined) {
      const path = join(sources, 'patch');
      writeFileSync(path, patch);
      await must(`applying ${name}.patch`, 'patch', ['-d', sources, '-p1', '--fuzz=0', '--batch', '--no-backup-if-mismatch', '-i', path]);
    }
    // In one directory, so that only what differs is compiled.
    const made = join(this.#folder, '.made');
    mkdirSync(made, {recursive: true});
    await makeModule(this.kernel, join(sources, 'kmod'), made);
    rmSync(out, {recursive: true, force: true});
    for (const module of MODULES) {
      mkdirSync(dirname(join(out, module)), {recursive: true});
      cpSync(join(made, module), join(out, module));
    }
    writeFileSync(keyPath, key);
    return out;
  }

  async mutant({name, path}: Mutant): Promise<string> {
    return await this.build(name, readFileSync(path, 'utf8'));
  }
}
