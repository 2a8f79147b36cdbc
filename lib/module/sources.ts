/** The module's sources: where they are, and which files they are. */
import {readFileSync, readdirSync} from 'node:fs';
import {join, relative} from 'node:path';
import {PACKAGE_ROOT} from '../package.js';

/** kmod/ beside dist/, in a checkout as in the installed package. */
export const MODULE_SOURCES = join(PACKAGE_ROOT, 'kmod');

/** Whatever a build leaves behind must neither be copied nor change the key of a cache. */
const BUILD_PRODUCT = /(^|\/)(\.[^/]*|[^/]*\.(o|ko|mod|mod\.c|a|order|symvers|answer(\.log)?))$|\.cmd$|^config\.h$/;

/** The paths of the sources below `directory`, sorted. */
export function sourceFiles(directory: string): string[] {
  return readdirSync(directory, {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .filter((path) => !BUILD_PRODUCT.test(path))
    .sort();
}

export interface ModuleParameter {
  name: string;
  /** As module_param() has it: bool, ulong, ... */
  type: string;
}

/** What the module can be loaded with. */
export function moduleParameters(directory: string): ModuleParameter[] {
  const sources = sourceFiles(directory).filter((path) => /^[^/]*\.c$/.test(path));
  return sources.flatMap((path) =>
    [...readFileSync(join(directory, path), 'utf8').matchAll(/^module_param\((\w+), (\w+),/gm)].map(([, name = '', type = '']) => ({name, type})),
  );
}
