/** The package as npm makes it and users get it: packed, installed in an empty project, without a compiler, under each Node. */
import {execFileSync, spawnSync} from 'node:child_process';
import {copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join, normalize} from 'node:path';
import test from 'ava';
import {MODULE_SOURCES, sourceFiles} from '../lib/module/sources.js';
import {PACKAGE_ROOT, VERSION} from '../lib/package.js';
import type {Diagnosis} from '../lib/doctor/index.js';
import {pages} from './docs/pages.js';
import {MAJORS, nodeOf, npmOf, OLDEST_TYPESCRIPT, tscOf} from './other_node.js';

const directory = mkdtempSync(join(tmpdir(), 'framevec-package-'));
const PREBUILT = 'dist/prebuilds/linux-x64-glibc/framevec.node';

/** What runs here was perhaps started by make and npm; what is started here is not theirs. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|MAKE|MFLAGS|NODE_OPTIONS|NODE_ENV|AVA_)/i.test(name)));

function run(program: string, args: string[], cwd: string): string {
  return execFileSync(program, args, {cwd, env: environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 24});
}

/** An empty project. */
function project(name: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  writeFileSync(join(path, 'package.json'), '{"name": "user", "private": true}\n');
  return path;
}

/** A program that a user may have begun with: it needs no module, only the addon. */
const USES = `
  const memory = framevec.FrameVector.alloc(8192);
  memory.bytes[0] = 1;
  let code = 'created';
  try { framevec.FrameVector.create(1).close(); } catch (error) { code = error.code; }
  console.log(JSON.stringify([Object.keys(framevec).includes('DeviceMemory'), memory.bytes.length, code]));
`;
const EXPECTED = [true, 8192, existsSync('/dev/framevec') ? 'created' : 'ENODEV'];

let tarball = '';
let installed = '';

test.before('npm packs it, with the addon that was built here, and installs it in an empty project with no script run', (t) => {
  t.timeout(600_000);
  const [{filename}] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', directory], PACKAGE_ROOT)) as [{filename: string}];
  tarball = join(directory, filename);
  installed = project('installed');
  run('npm', ['install', '--ignore-scripts', tarball], installed);
});

test.after.always('nothing is left behind', () => {
  rmSync(directory, {recursive: true, force: true});
});

test('the package has the addon, the library with its types, and all that the module and the addon are built of', (t) => {
  const files = run('tar', ['-tzf', tarball], directory).split('\n').map((path) => path.replace(/^package\//, ''));
  for (const file of [
    PREBUILT, 'README.md', 'CHANGELOG.md', 'LICENSE', 'binding.gyp', 'native/addon.cc', 'dist/lib/index.js', 'dist/lib/index.d.ts', 'dist/lib/cli/main.js', 'docs/man/framevec.4', 'docs/api.md',
    'docs/examples/pin-a-buffer.mjs',
    ...sourceFiles(MODULE_SOURCES).map((path) => `kmod/${path}`),
  ]) t.true(files.includes(file), file);
  t.deepEqual(files.filter((path) => /^(test|dist\/test|build|node_modules|\.ci)\/|\.(o|ko|mod|mod\.c|cmd)$/.test(path)), []);
});

/** What names the checkout on purpose: for those who work on framevec. */
const FOR_CONTRIBUTORS = /^(CONTRIBUTING|CHANGELOG|docs\/(testing|design|performance|kernels))/;

test('every file that a page of the package links to, or that a message names, is in the package', (t) => {
  const files = new Set(run('tar', ['-tzf', tarball], directory).split('\n').map((path) => path.replace(/^package\//, '')));
  const isThere = (path: string): boolean => files.has(path) || [...files].some((file) => file.startsWith(path.endsWith('/') ? path : `${path}/`));
  let seen = 0;
  for (const {path, links, codes} of pages) {
    t.true(files.has(path), path);
    for (const link of links.filter((target) => !/^(https?:|#)/.test(target))) {
      seen++;
      const target = normalize(join(dirname(path), decodeURI(link).replace(/#.*/, '')));
      t.true(isThere(target), `${path} links to ${link}`);
    }
    if (FOR_CONTRIBUTORS.test(path)) continue;
    for (const code of codes.filter((text) => /^(docs|kmod|native|lib(?!\/modules)|dist)\/[\w./-]+$/.test(text))) t.true(isThere(code), `${path} names ${code}`);
  }
  for (const source of readdirSync(join(PACKAGE_ROOT, 'lib'), {recursive: true, encoding: 'utf8'}).filter((name) => name.endsWith('.ts'))) {
    for (const [name] of readFileSync(join(PACKAGE_ROOT, 'lib', source), 'utf8').matchAll(/\bdocs\/[\w/-]+\.\w+/g)) {
      seen++;
      t.true(isThere(name), `lib/${source} names ${name}`);
    }
  }
  t.true(seen > 60, String(seen));
});

test('the README has fewer than 900 words, and the contributing guide fits one page', (t) => {
  const words = (path: string): number => readFileSync(join(PACKAGE_ROOT, path), 'utf8').split(/\s+/).length;
  t.true(words('README.md') < 900, `${words('README.md')} words`);
  t.true(words('CONTRIBUTING.md') < 700, `${words('CONTRIBUTING.md')} words`);
});

test('the prebuilt addon is stripped, and asks for no newer C library than Node itself', (t) => {
  const path = join(installed, 'node_modules/framevec', PREBUILT);
  t.notRegex(run('readelf', ['--sections', '--wide', path], directory), /\.symtab|\.debug_/);
  const versions = [...run('readelf', ['--version-info', '--wide', path], directory).matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  t.true(Math.max(...versions) <= 28, `GLIBC_2.${Math.max(...versions)}`);
});

for (const major of MAJORS) {
  test(`under Node ${major} it is imported, required, and run as a command`, async (t) => {
    t.timeout(600_000);
    const node = await nodeOf(major);
    t.is(run(node, ['-p', 'process.versions.node.split(".")[0]'], installed).trim(), String(major));
    t.deepEqual(JSON.parse(run(node, ['--input-type=module', '-e', `import * as framevec from 'framevec';${USES}`], installed)), EXPECTED);
    t.deepEqual(JSON.parse(run(node, ['--no-warnings', '--input-type=commonjs', '-e', `const framevec = require('framevec');${USES}`], installed)), EXPECTED);
    const main = join(installed, 'node_modules/framevec/dist/lib/cli/main.js');
    t.is(run(node, [main, '--version'], installed), `${VERSION}\n`);
    const {checks} = JSON.parse(spawnSync(node, [main, 'doctor', '--json'], {cwd: installed, env: environment, encoding: 'utf8'}).stdout) as Diagnosis;
    t.like(checks.find(({name}) => name === 'addon'), {status: 'ok', text: `prebuilt: ${join(installed, 'node_modules/framevec', PREBUILT)}`});
  });
}

test('npm 12, which runs no script of a dependency, installs a package that works', async (t) => {
  t.timeout(600_000);
  const node = await nodeOf(24);
  const path = project('npm-12');
  const npm = await npmOf(12);
  t.regex(run(node, [npm, '--version'], path), /^12\./);
  run(node, [npm, 'install', tarball], path);
  t.false(existsSync(join(path, 'node_modules/framevec/build')));
  t.deepEqual(JSON.parse(run(node, ['--input-type=module', '-e', `import * as framevec from 'framevec';${USES}`], path)), EXPECTED);
});

test('npm with scripts allowed builds nothing where the prebuilt addon loads, and builds where there is none', (t) => {
  t.timeout(600_000);
  const path = join(installed, 'node_modules/framevec');
  const script = (JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as {scripts: {install: string}}).scripts.install;
  // Only what the script would run is watched for: building takes long, and `make build` has done it.
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'node-gyp'), '#!/bin/sh\necho "node-gyp $*"\n', {mode: 0o755});
  const shell = (): {stdout: string; stderr: string} =>
    spawnSync('sh', ['-c', script], {cwd: path, env: {...environment, PATH: `${bin}:${environment.PATH ?? ''}`}, encoding: 'utf8'});
  t.is(shell().stdout, '');
  const copy = join(directory, 'kept.node');
  copyFileSync(join(path, PREBUILT), copy);
  rmSync(join(path, PREBUILT));
  try {
    const {stdout, stderr} = shell();
    t.is(stdout, 'node-gyp rebuild\n');
    t.regex(stderr, /no prebuilt addon loads here: building it/);
    const {message} = JSON.parse(run(process.execPath, ['--input-type=module', '-e', `import('framevec').catch((error) => console.log(JSON.stringify({message: error.message})))`], installed)) as {message: string};
    t.regex(message, /has none that was built for linux-x64(.|\n)*npx node-gyp rebuild -C /);
  } finally {
    copyFileSync(copy, join(path, PREBUILT));
  }
});

test('in a bundle it says that it must be external, and as an external package it works', (t) => {
  t.timeout(600_000);
  const program = join(installed, 'bundled.mjs');
  writeFileSync(program, `import * as framevec from 'framevec';${USES}`);
  const bundle = (...options: string[]): string => {
    const out = join(installed, 'bundle/out/program.mjs');
    run(process.execPath, [join(PACKAGE_ROOT, 'node_modules/esbuild/bin/esbuild'), program, '--bundle', '--platform=node', '--format=esm', `--outfile=${out}`, ...options,
      '--banner:js=import {createRequire} from "node:module"; const require = createRequire(import.meta.url);'], installed);
    return out;
  };
  const {status, stderr} = spawnSync(process.execPath, [bundle()], {encoding: 'utf8', env: environment});
  t.not(status, 0);
  t.regex(stderr, /framevec was bundled into .*program\.mjs, and its addon is not beside that\. Mark it external/);
  t.regex(stderr, /ERR_FRAMEVEC_BUNDLED/);
  t.deepEqual(JSON.parse(run(process.execPath, [bundle('--external:framevec')], installed)), EXPECTED);
});

/** TypeScript's compiler: this checkout's, and the oldest that the README promises. */
const compilers: Record<string, () => Promise<string>> = {
  'the newest TypeScript': () => Promise.resolve(join(PACKAGE_ROOT, 'node_modules/typescript/bin/tsc')),
  [`TypeScript ${OLDEST_TYPESCRIPT}`]: () => tscOf(OLDEST_TYPESCRIPT),
};

for (const [name, compiler] of Object.entries(compilers)) {
  for (const nodeTypes of [true, false]) {
    test(`its types compile with ${name}, ${nodeTypes ? 'with' : 'without'} @types/node, in a strict project that checks every library's`, async (t) => {
      t.timeout(600_000);
      const path = project(`typed-${name}-${nodeTypes}`.replaceAll(/[^a-z0-9-]/gi, '-'));
      run('npm', ['install', '--ignore-scripts', tarball], path);
      if (nodeTypes) {
        mkdirSync(join(path, 'node_modules/@types'));
        for (const types of ['@types/node', 'undici-types']) {
          // The checkout's own, so that nothing is fetched for this.
          execFileSync('cp', ['-r', join(PACKAGE_ROOT, 'node_modules', types), join(path, 'node_modules', dirname(types) === '.' ? '' : dirname(types))]);
        }
      }
      copyFileSync(join(PACKAGE_ROOT, 'test/types/consumer.ts'), join(path, 'consumer.mts'));
      const compilerOptions = {
        target: 'ES2022', lib: ['ES2023'], module: 'NodeNext', types: nodeTypes ? ['node'] : [], strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true,
      };
      writeFileSync(join(path, 'tsconfig.json'), JSON.stringify({compilerOptions, files: ['consumer.mts']}));
      const {status, stdout} = spawnSync(process.execPath, [await compiler()], {cwd: path, encoding: 'utf8'});
      t.is(stdout, '');
      t.is(status, 0);
    });
  }
}

for (const [name, args] of [
  ['publint', ['publint', '--strict']],
  ['are the types wrong?', ['attw', '--profile', 'esm-only']],
] as const) {
  test(`${name} finds nothing`, (t) => {
    t.timeout(300_000);
    const [program, ...options] = args;
    const {status, stdout, stderr} = spawnSync(join(PACKAGE_ROOT, 'node_modules/.bin', program), [tarball, ...options], {encoding: 'utf8'});
    t.is(status, 0, `${stdout}${stderr}`);
  });
}
