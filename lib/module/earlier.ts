/** What is installed before an installation begins: kept aside, and put back if the new one fails. */
import {cpSync, rmSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {depmod, dkmsPaths, moduleFiles, removeModuleFiles} from './dkms_tree.js';
import {FILES, makeDirectory} from './files.js';
import {isThere, ourTrees} from './source_tree.js';

/** Links are copied as links: dkms's own lead to other parts of what is kept. */
const COPY = {recursive: true, verbatimSymlinks: true, preserveTimestamps: true};

/** Everything of framevec on this machine; `tree` is where the new sources go. */
function everything(tree: string): string[] {
  return [...new Set([...dkmsPaths(), ...ourTrees(), tree, ...FILES])].filter(isThere);
}

export class Earlier {
  private readonly paths: readonly string[];

  /** Copies everything to `directory`. */
  constructor(
    private readonly directory: string,
    private readonly tree: string,
  ) {
    this.paths = everything(tree);
    for (const path of this.paths) cpSync(path, join(directory, path), COPY);
  }

  /** Removes what is there now, and puts back what was kept. */
  async restore(): Promise<void> {
    const files = moduleFiles();
    removeModuleFiles(files);
    for (const path of everything(this.tree)) rmSync(path, {recursive: true});
    for (const path of this.paths) {
      makeDirectory(dirname(path));
      cpSync(join(this.directory, path), path, COPY);
    }
    await depmod([...files, ...moduleFiles()].map(({kernel}) => kernel));
  }
}
