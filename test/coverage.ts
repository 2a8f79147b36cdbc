/**
 * `make coverage`: all tests, with the library's lines counted by V8 (c8 tells of them) and the addon's by gcov. The module's are counted
 * on the sanitizing kernel: `make test-debug` ends with them.
 */
import {spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {GUEST} from '../lib/vm/guest.js';
import {coverageOf, coverageTable, filesBelow} from './gcov.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const {values: options, positionals: only} = parseArgs({
  allowPositionals: true,
  options: {
    kernel: {type: 'string', default: '6.1'},
    /** Where the tables are written, too. */
    table: {type: 'string'},
  },
});

/** About the package and its documentation: they run copies of the library that are not counted. */
const OTHERS = ['package', 'install', 'build', 'docs', 'abi_page', 'examples'].flatMap(name => ['--without', name]);

const directory = mkdtempSync(join(tmpdir(), 'framevec-coverage-'));
const node = (args: readonly string[], stdio: 'inherit' | 'pipe', env: NodeJS.ProcessEnv = {}): {ok: boolean; stdout: string} => {
  const {status, stdout} = spawnSync(process.execPath, args, {cwd: root, encoding: 'utf8', stdio: ['ignore', stdio, 'inherit'], maxBuffer: 2 ** 28, env: {...process.env, ...env}});
  return {ok: status === 0, stdout};
};

/** Where a run's counts go: `place` is the directory as that run sees it. */
function run(where: string, place: string): boolean {
  return node([
    'dist/test/run.js', where, '--kernel', options.kernel, '--memory', '4G', '--out', directory,
    '--env', `NODE_V8_COVERAGE=${place}/v8`, '--env', `GCOV_PREFIX=${place}/gcov${where}`, ...OTHERS, ...only,
    // What runs the guest is the library's, too.
  ], 'inherit', {NODE_V8_COVERAGE: join(directory, 'v8')}).ok;
}

mkdirSync(join(directory, 'v8'));
const passed = [run('--host', directory), run('--guest', GUEST.out)].every(Boolean);

const library = node([
  'node_modules/c8/bin/c8.js', 'report', '--temp-directory', join(directory, 'v8'), '--include', 'dist/lib/**', '--include', 'lib/**',
  '--exclude', '**/page/**', '--exclude', '**/*.d.ts', '--exclude-after-remap=false', '--reporter', 'text', '--all',
], 'pipe');

// node-gyp compiles in build/.
const addon = coverageTable(coverageOf(
  filesBelow(join(root, 'build/Release/obj.target'), '.gcno'), filesBelow(directory, '.gcda'), file => /^\.\.\/(native\/[^/]+)$/.exec(file)?.[1],
));
rmSync(directory, {recursive: true, force: true});
process.stdout.write(`\nThe library\n\n${library.stdout}\nThe addon\n\n${addon}\n`);
if (options.table !== undefined) writeFileSync(options.table, `${library.stdout}\n${addon}\n`);
process.exitCode = passed && library.ok ? 0 : 1;
