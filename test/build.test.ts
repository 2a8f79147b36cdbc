/** The build itself: that it fails while something is wrong, and makes no more than the sources say. In a copy with few sources. */
import {spawn, spawnSync} from 'node:child_process';
import {cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync} from 'node:fs';
import {once} from 'node:events';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test from 'ava';
import {PACKAGE_ROOT} from '../lib/package.js';

const directory = mkdtempSync(join(tmpdir(), 'framevec-build-'));

test.after.always('nothing is left behind', () => {
  rmSync(directory, {recursive: true, force: true});
});

/** What runs here was perhaps started by make and npm; what is started here is not theirs. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|MAKE|MFLAGS|NODE_OPTIONS|AVA_)/i.test(name)));

class Copy {
  readonly path: string;

  constructor(name: string) {
    this.path = join(directory, name);
    for (const file of ['Makefile', '.ci', 'tsconfig.json', 'package.json', 'test/browser/tsconfig.json', 'kmod', 'test/native/common.h', 'test/native/oracle.h', 'test/native/fuzz.c', 'test/native/compat.c']) {
      cpSync(join(PACKAGE_ROOT, file), join(this.path, file), {recursive: true, preserveTimestamps: true});
    }
    // Not a link to the whole: the build writes a link into .bin.
    for (const folder of ['node_modules', 'node_modules/.bin']) {
      mkdirSync(join(this.path, folder));
      for (const entry of readdirSync(join(PACKAGE_ROOT, folder)).filter((entry) => entry !== '.bin')) symlinkSync(join(PACKAGE_ROOT, folder, entry), join(this.path, folder, entry));
    }
    this.write('lib/cli/main.ts', "import {half} from '../half.js';\nprocess.stdout.write(`${half(4)}\\n`);\n");
    this.write('lib/half.ts', 'export function half(whole: number): number {\n  return whole / 2;\n}\n');
    this.write('lib/alone.ts', 'export const alone = 1;\n');
    this.write('test/browser/page.test.ts', 'export const title: string = document.title;\n');
  }

  write(file: string, text: string): void {
    mkdirSync(dirname(join(this.path, file)), {recursive: true});
    writeFileSync(join(this.path, file), text);
  }

  remove(file: string): void {
    rmSync(join(this.path, file));
  }

  has(file: string): boolean {
    return existsSync(join(this.path, file));
  }

  read(file: string): string {
    return readFileSync(join(this.path, file), 'utf8');
  }

  /** A program that comes before the machine's own. */
  program(name: string, text: string): void {
    mkdirSync(join(this.path, 'bin'), {recursive: true});
    writeFileSync(join(this.path, 'bin', name), `#!/bin/sh\n${text}`, {mode: 0o755});
  }

  get environment(): Record<string, string | undefined> {
    return {...environment, PATH: `${join(this.path, 'bin')}:${process.env.PATH ?? ''}`};
  }

  run(program: string, args: readonly string[], more: Record<string, string> = {}): {status: number | null; stdout: string; stderr: string} {
    return spawnSync(program, args, {cwd: this.path, env: {...this.environment, ...more}, encoding: 'utf8'});
  }

  /** `make build` of what is TypeScript. */
  build(): {status: number | null; stdout: string; stderr: string} {
    const others = ['build/Release/framevec.node', 'dist/lib/bench/report/page/main.js', 'node_modules/.package-lock.json'];
    return this.run('make', [...others.flatMap((file) => ['-o', file]), 'build']);
  }
}

test('an error of the compiler fails every make until it is cured', (t) => {
  t.timeout(900_000);
  const copy = new Copy('error');
  const first = copy.build();
  t.is(first.status, 0, first.stderr);
  t.is(copy.run('node', ['dist/lib/cli/main.js']).stdout, '2\n');
  copy.write('lib/half.ts', 'export function half(whole: number): string {\n  return whole / 3;\n}\n');
  for (const round of [1, 2]) {
    const {status, stderr} = copy.build();
    t.not(status, 0, `make ${round}`);
    t.regex(stderr, /half\.ts\(2,3\): error TS2322/, `make ${round}`);
  }
  copy.write('lib/half.ts', 'export function half(whole: number): number {\n  return whole / 4;\n}\n');
  copy.write('test/browser/page.test.ts', 'export const title: number = document.title;\n');
  for (const round of [1, 2]) {
    const {status, stderr} = copy.build();
    t.not(status, 0, `make ${round}, of the second compilation`);
    t.regex(stderr, /page\.test\.ts\(1,14\): error TS2322/);
  }
  copy.write('test/browser/page.test.ts', 'export const title: string = document.title;\n');
  t.is(copy.build().status, 0);
  t.is(copy.run('node', ['dist/lib/cli/main.js']).stdout, '1\n');
});

test('what was compiled of a source that is gone leaves dist and the package, and what needs it fails', (t) => {
  t.timeout(900_000);
  const copy = new Copy('gone');
  t.is(copy.build().status, 0);
  t.true(copy.has('dist/lib/alone.js'));
  copy.remove('lib/alone.ts');
  t.is(copy.build().status, 0);
  t.deepEqual(['js', 'js.map', 'd.ts'].filter((suffix) => copy.has(`dist/lib/alone.${suffix}`)), []);
  // However it came there.
  copy.write('dist/lib/old/stray.js', '');
  copy.write('dist/lib/old/stray.d.ts', '');
  t.is(copy.build().status, 0);
  const {stdout} = copy.run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts']);
  const [{files}] = JSON.parse(stdout) as [{files: {path: string}[]}];
  t.deepEqual(files.map(({path}) => path).filter((path) => path.startsWith('dist/')).sort(), ['cli/main', 'half'].flatMap((name) => ['d.ts', 'js', 'js.map'].map((suffix) => `dist/lib/${name}.${suffix}`)));
  copy.remove('lib/half.ts');
  for (const round of [1, 2]) {
    const {status, stderr} = copy.build();
    t.not(status, 0, `make ${round}`);
    t.regex(stderr, /main\.ts\(1,20\): error TS2307/);
  }
});

test('an edit of one source compiles that one, and no edit compiles nothing', (t) => {
  t.timeout(900_000);
  const copy = new Copy('edit');
  t.is(copy.build().status, 0);
  const long = new Date(0);
  const outputs = ['half', 'alone', 'cli/main'].map((name) => join(copy.path, 'dist/lib', `${name}.js`));
  for (const path of outputs) utimesSync(path, long, long);
  t.notRegex(copy.build().stderr, /tsc/);
  copy.write('lib/half.ts', 'export function half(whole: number): number {\n  return whole / 8;\n}\n');
  t.regex(copy.build().stderr, /tsc/);
  t.deepEqual(outputs.map((path) => statSync(path).mtimeMs === 0), [false, true, true]);
});

test('a step of the build shows the warnings of what succeeded, everything of what failed, and nothing else', (t) => {
  const step = (script: string): {status: number | null; stderr: string} => spawnSync(join(PACKAGE_ROOT, '.ci/step'), ['name', 'sh', '-c', script], {encoding: 'utf8'});
  t.regex(step('echo gcc -Wall -Wno-warning; echo "0 warnings"; echo more >&2').stderr, /^name \.\.\. +\d+\.\d s\n$/);
  const warned = step('echo quiet; echo "a.c:1:2: warning: unused" >&2; echo "npm warn deprecated x"; echo "W: lists"');
  t.is(warned.status, 0);
  t.regex(warned.stderr, /s\na\.c:1:2: warning: unused\nnpm warn deprecated x\nW: lists\n$/);
  const failed = step('echo out; echo err >&2; exit 3');
  t.is(failed.status, 3);
  t.regex(failed.stderr, /failed \(status 3\)(.|\n)*out\nerr\n$/);
});

/** Programs that say when two of them run at once, and remember what was installed. */
function withDebian(copy: Copy): void {
  const state = copy.path;
  copy.program('dpkg-query', `for last; do :; done\ngrep -qx "$last" ${state}/installed && echo installed\n`);
  copy.program('sudo', 'exec "$@"\n');
  copy.program('apt-get', `
[ "$1" = -s ] && exit 1
echo "$*" >>${state}/calls
mkdir ${state}/apt-runs || { echo "E: Could not get lock" >&2; exit 100; }
sleep 1
if [ "$1" = install ]; then for last; do :; done; echo "$last" >>${state}/installed; fi
rmdir ${state}/apt-runs
`);
  copy.write('installed', '');
  copy.write('calls', '');
}

test('packages that several targets need at once are installed one after the other, and each once', async (t) => {
  t.timeout(300_000);
  const copy = new Copy('apt');
  withDebian(copy);
  const runs = ['one', 'two', 'one'].map((name) => spawn(join(copy.path, '.ci/packages'), [name], {env: copy.environment, stdio: ['ignore', 'ignore', 'pipe']}));
  const statuses = await Promise.all(runs.map(async (run) => ((await once(run, 'exit')) as [number])[0]));
  t.deepEqual(statuses, [0, 0, 0]);
  t.deepEqual(copy.read('installed').trim().split('\n').sort(), ['one', 'two']);
  t.is(copy.read('calls').split('\n').filter((line) => line.startsWith('install')).length, 2);
});

test('where npm builds a dependency no package is installed, and no sudo is asked', (t) => {
  const copy = new Copy('prepack');
  withDebian(copy);
  const {status, stderr} = copy.run(join(copy.path, '.ci/packages'), ['one', 'two'], {npm_lifecycle_event: 'prepack'});
  t.is(status, 0);
  t.regex(stderr, /^framevec: npm installs no Debian packages; building without one two$/m);
  t.is(copy.read('calls'), '');
});

test('whatever is compiled waits for the compiler to be installed', (t) => {
  t.timeout(300_000);
  const copy = new Copy('compiler');
  copy.write('.ci/packages', '#!/bin/sh\nsleep 1\ntouch there\n');
  for (const name of ['gcc', 'cc']) copy.program(name, `[ -e ${copy.path}/there ] || exit 1\nfor last; do :; done\nwhile [ "$1" != -o ]; do shift; done\ntouch "$2"\n`);
  for (const target of ['test/native/build/fuzz', 'test/native/build/compat32', 'build/exit_with.so']) {
    rmSync(join(copy.path, 'there'), {force: true});
    const {status, stderr} = copy.run('make', ['-j4', target]);
    t.is(status, 0, `${target}: ${stderr}`);
  }
});

test('two `make vm` at the same time in one checkout end with the status of each', async (t) => {
  t.timeout(300_000);
  const copy = new Copy('vm');
  copy.program('vm', 'exec sh -c "$RUN"\n');
  // So slow that the other has written its status, too, before this one is read.
  copy.program('slow-sh', 'sh "$@"\nstatus=$?\ncase "$*" in *echo*vm-status*) sleep 1 ;; esac\nexit $status\n');
  const made = copy.run('make', ['-o', 'packages', 'build/exit_with.so']);
  t.is(made.status, 0, made.stderr);
  const vm = async (status: number): Promise<number> => {
    const run = spawn('make', ['-o', 'packages', '-o', 'vm-ready', 'vm', 'fv=vm', `SHELL=${copy.path}/bin/slow-sh`, `RUN=exit ${status}`], {cwd: copy.path, env: copy.environment, stdio: 'ignore'});
    return ((await once(run, 'exit')) as [number])[0];
  };
  t.deepEqual(await Promise.all([vm(7), vm(9), vm(0)]), [7, 9, 0]);
  t.deepEqual(readdirSync(join(copy.path, 'build')).filter((name) => name.startsWith('vm-status')), []);
});
