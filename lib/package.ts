/** This package itself: where it is, and what its package.json says. */
import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

/** dist/lib lies two below it, in a checkout as in an installed package. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../../', import.meta.url));

export const {version: VERSION, description: DESCRIPTION} = JSON.parse(readFileSync(`${PACKAGE_ROOT}package.json`, 'utf8')) as {
  version: string;
  description: string;
};
