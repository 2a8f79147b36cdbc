/**
 * AVA in some twenty files instead of four hundred, into dist/node_modules, where the compiled tests find it before the one that npm
 * installed. Every test file has a thread of its own, which on an emulated processor took twenty seconds to load them.
 */
import {chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build} from 'esbuild';

const root = fileURLToPath(new URL('../../', import.meta.url));
const from = join(root, 'node_modules/ava');
const to = join(root, 'dist/node_modules/ava');

/** What is run, what the tests import, and what finds its neighbours by its own place. */
const ENTRIES = ['entrypoints/cli.mjs', 'entrypoints/main.mjs', 'lib/cli.js', 'lib/worker/base.js'];

const {outputFiles} = await build({
  entryPoints: ENTRIES.map(entry => join(from, entry)),
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  outdir: to,
  outbase: from,
  chunkNames: 'lib/[name]-[hash]',
  // For watching files only.
  external: ['@vercel/nft'],
  // An ES module has no require(), which CommonJS in it asks for what comes with Node.
  banner: {js: "import {createRequire as createRequireOfBundle} from 'node:module'; const requireOfBundle = createRequireOfBundle(import.meta.url);"},
  write: false,
  logLevel: 'warning',
});

rmSync(to, {recursive: true, force: true});
for (const {path, text} of outputFiles) {
  mkdirSync(dirname(path), {recursive: true});
  writeFileSync(path, text.replaceAll('__require(', 'requireOfBundle('));
}
const {name, version, license} = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as Record<string, string>;
writeFileSync(join(to, 'package.json'), JSON.stringify({name, version, license, type: 'module', exports: './entrypoints/main.js'}));
chmodSync(join(to, 'entrypoints/cli.js'), 0o755);
