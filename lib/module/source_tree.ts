/** The module's sources below /usr/src, where dkms takes them from by name and version. */
import {lstatSync, readFileSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import {makeDirectory, writeSystemFile} from './files.js';
import {sourceFiles} from './sources.js';

const SOURCE_TREES = '/usr/src';

export const sourceTree = (version: string): string => join(SOURCE_TREES, `framevec-${version}`);

/** Whether something is at the path, even a link that leads nowhere. */
export function isThere(path: string): boolean {
  return lstatSync(path, {throwIfNoEntry: false}) !== undefined;
}

/** The whole of a version, as package.json has it: a directory framevec-2-mywork is somebody's own. */
const NAME = /^framevec-(\d+\.\d+\.\d+(?:-[\w.]+)?)$/;

/** Whether the directory is one that an installation made: its dkms.conf has to say framevec and the version of its name. */
export function isOurTree(path: string): boolean {
  const version = NAME.exec(path.slice(path.lastIndexOf('/') + 1))?.[1];
  if (version === undefined) return false;
  try {
    const conf = readFileSync(join(path, 'dkms.conf'), 'utf8');
    const value = (name: string): string | undefined => new RegExp(`^${name}=["']?([^"'\\n]*)["']?$`, 'm').exec(conf)?.[1];
    return value('PACKAGE_NAME') === 'framevec' && value('PACKAGE_VERSION') === version;
  } catch {
    return false;
  }
}

/** Those that installations of any version made. */
export function ourTrees(directory = SOURCE_TREES): string[] {
  let names: string[] = [];
  try {
    names = readdirSync(directory);
  } catch {
    // A machine without kernel sources may not have the directory.
  }
  return names.map((name) => join(directory, name)).filter(isOurTree).sort();
}

/** Copies the module's sources. dkms compiles them as root, so they get modes of their own and not those of the package. */
export function copySources(from: string, to: string): void {
  makeDirectory(to);
  for (const file of sourceFiles(from)) {
    writeSystemFile(join(to, file), readFileSync(join(from, file)));
  }
}
