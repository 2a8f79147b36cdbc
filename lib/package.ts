/** This package itself: where it is, and what its package.json says. */
import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {packageBundled} from './errors.js';

/** dist/lib lies two below it, in a checkout as in an installed package. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Manifest {
  name: string;
  version: string;
  description: string;
}

function readManifest(): Manifest {
  let manifest: Manifest | undefined;
  try {
    manifest = JSON.parse(readFileSync(`${PACKAGE_ROOT}package.json`, 'utf8')) as Manifest;
  } catch {
    // None there, or somebody else's: told below.
  }
  if (manifest?.name !== 'framevec') throw packageBundled(fileURLToPath(import.meta.url));
  return manifest;
}

export const {version: VERSION, description: DESCRIPTION} = readManifest();
