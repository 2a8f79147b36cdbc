/** The modules with each mutant in them, built on the host. What does not apply or does not build is a mistake of the list. */
import {createHash} from 'node:crypto';
import {cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {MODULE_SOURCES, sourceFiles} from '../../lib/module/sources.js';
import type {Kernel} from '../../lib/vm/kernel.js';
import {compileModule} from '../../lib/vm/module.js';
import {must} from '../../lib/vm/programs.js';
import type {Mutant} from './list.js';

const MODULE = 'framevec.ko';

/** The driver that tests load besides. It is of the unchanged sources: no mutant is in it, and none changes what it calls. */
const SAMPLES = ['sample/framevec_sample.ko'];

const isOfModule = (file: string): boolean => !file.startsWith('sample/');

export class Builder {
  readonly #folder: string;
  readonly #sources: readonly string[] = sourceFiles(MODULE_SOURCES);

  constructor(private readonly kernel: Kernel, root: string) {
    this.#folder = join(root, 'build/mutants', kernel.id);
    mkdirSync(this.#folder, {recursive: true});
  }

  #key(patch: string | undefined): string {
    const key = createHash('sha256').update(patch ?? '');
    for (const file of this.#sources.filter(name => patch === undefined || isOfModule(name))) key.update(file).update('\0').update(readFileSync(join(MODULE_SOURCES, file)));
    return key.digest('hex');
  }

  /** The unchanged module, and the drivers. */
  async control(): Promise<string> {
    return await this.#build('.control', [MODULE, ...SAMPLES]);
  }

  /** To be called after that of the unchanged module. */
  async mutant({name, diff}: Mutant): Promise<string> {
    const out = await this.#build(name, [MODULE], diff);
    mkdirSync(join(out, 'sample'), {recursive: true});
    for (const sample of SAMPLES) cpSync(join(this.#folder, '.control', sample), join(out, sample));
    return out;
  }

  /** Returns the directory; it is kept for the next run. */
  async #build(name: string, modules: readonly string[], patch?: string): Promise<string> {
    const out = join(this.#folder, name);
    const key = this.#key(patch);
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
    await compileModule(this.kernel, join(sources, 'kmod'), made);
    rmSync(out, {recursive: true, force: true});
    for (const module of modules) {
      mkdirSync(dirname(join(out, module)), {recursive: true});
      cpSync(join(made, module), join(out, module));
    }
    writeFileSync(keyPath, key);
    return out;
  }
}
