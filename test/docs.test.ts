/**
 * The documentation, looked at: every block of code compiles, every command exists with its options, every link leads somewhere.
 * test/guest/docs.test.ts runs the blocks.
 */
import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {dirname, join, normalize} from 'node:path';
import test from 'ava';
import ts from 'typescript';
import {PACKAGE_ROOT} from '../lib/package.js';
import {blocksIn, pages, programOf, type Block} from './docs/pages.js';
import {commandsOf, faultOf} from './docs/commands.js';

const LANGUAGES = ['ts', 'js', 'c', 'sh', 'text'];
/** Blocks that no test runs, for a good reason each, are to stay few. */
const MOST_UNRUN = 18;

const all = pages.flatMap(({blocks}) => blocks);

test('every block of code says what it is, and those that are not run say why', t => {
  t.true(all.length > 20, 'the test finds the blocks');
  for (const {place, language} of all) t.true(LANGUAGES.includes(language), `${place}: ${language || 'no language'}`);
  const unrun = blocksIn('ts', 'js', 'c', 'sh').filter(({norun}) => norun !== undefined);
  t.true(unrun.length <= MOST_UNRUN, unrun.map(({place}) => place).join());
  for (const {place, norun = ''} of all) {
    for (const [file] of norun.matchAll(/\btest\/[\w/]+\.test\.ts/g)) t.true(existsSync(join(PACKAGE_ROOT, file)), `${place}: ${file}`);
  }
});

/** What the compiler of the checkout says of programs that are only in memory. */
function complaints(programs: ReadonlyMap<string, string>): string[] {
  const {options} = ts.parseJsonConfigFileContent(ts.readConfigFile(join(PACKAGE_ROOT, 'tsconfig.json'), path => ts.sys.readFile(path)).config, ts.sys, PACKAGE_ROOT);
  delete options.tsBuildInfoFile;
  const host = ts.createCompilerHost(options);
  const onDisk = {...host};
  host.fileExists = path => programs.has(path) || onDisk.fileExists(path);
  host.readFile = path => programs.get(path) ?? onDisk.readFile(path);
  host.getSourceFile = (path, version, ...rest) => {
    const text = programs.get(path);
    return text === undefined ? onDisk.getSourceFile(path, version, ...rest) : ts.createSourceFile(path, text, version);
  };
  // A reader's example may make what it does not use.
  const program = ts.createProgram([...programs.keys()], {...options, noEmit: true, noUnusedLocals: false, incremental: false, skipLibCheck: true}, host);
  return [...programs.keys()].flatMap(path => {
    const file = program.getSourceFile(path);
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
      .map(({messageText}) => `${path}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
  });
}

test('every block of TypeScript and JavaScript compiles, as strictly as the library does', t => {
  t.timeout(300_000);
  const blocks = blocksIn('ts', 'js');
  const name = ({place}: Block): string => `${PACKAGE_ROOT}build/${place.replaceAll(/[/:]/g, '-')}.ts`;
  t.deepEqual(complaints(new Map(blocks.map(block => [name(block), programOf(block, 'test/docs/setup')]))), []);
  t.deepEqual(complaints(new Map([[`${PACKAGE_ROOT}build/wrong.ts`, "import {FrameVector} from 'framevec';\nFrameVector.create('1');\n"]])).length, 1, 'it would complain');
});

test('every shell script is one', t => {
  for (const {place, text} of blocksIn('sh')) {
    const {status, stderr} = spawnSync('bash', ['-n'], {input: text, encoding: 'utf8'});
    t.is(status, 0, `${place}: ${stderr}`);
  }
});

test('every command of framevec and make in the documentation exists, with its options', t => {
  let seen = 0;
  const check = (place: string, script: string): void => {
    for (const command of commandsOf(script)) {
      t.is(faultOf(command), undefined, `${place}: ${command.join(' ')}`);
      if (command[0] === 'framevec' || command[0] === 'make') seen++;
    }
  };
  for (const {place, text} of blocksIn('sh')) check(place, text);
  for (const {path, codes} of pages) {
    for (const code of codes) {
      if (/^(?:\w+=\S+ |sudo |npx )*(?:framevec|make)(?: [a-z-]|$)/.test(code)) check(path, code);
    }
  }
  t.true(seen > 40, String(seen));
});

test('what does not exist would be noticed', t => {
  t.deepEqual(commandsOf('sudo npx framevec pin --size 4K | cat  # ends\nA=1 make "x;y" && ls'), [['framevec', 'pin', '--size', '4K'], ['cat'], ['make', 'x;y'], ['ls']]);
  for (const [command, fault] of [
    ['framevec pinn', /no command pinn/],
    ['framevec pin --sise 4K', /no option --sise/],
    ['framevec pin --size much', /number of bytes/],
    ['framevec module instal', /no command instal/],
    ['framevec vm --kernel 6.1 -- npx framevec pin --writable', /no option --writable/],
    ['make tset', /no target tset/],
    ['node docs/examples/none.mjs', /there is no docs/],
  ] as const) t.regex(faultOf(command.split(' ')) ?? '', fault, command);
});

test('every link within the repository leads to a file, and to a heading of it', t => {
  let inside = 0;
  for (const {path, links} of pages) {
    for (const link of links) {
      if (/^https?:\/\//.test(link)) {
        t.true(URL.canParse(link), `${path}: ${link}`);
        continue;
      }
      inside++;
      const [file = '', anchor] = decodeURI(link).split('#');
      const target = file === '' ? path : normalize(join(dirname(path), file));
      t.true(existsSync(join(PACKAGE_ROOT, target)), `${path}: ${link}`);
      if (anchor !== undefined) t.true(pages.find(page => page.path === target)?.anchors.includes(anchor) ?? false, `${path}: ${link}`);
    }
  }
  t.true(inside > 30, String(inside));
});

test('every page is linked from the index, and the index from the README', t => {
  const index = pages.find(({path}) => path === 'docs/README.md');
  for (const {path} of pages) {
    if (!path.startsWith('docs/') || path === 'docs/README.md') continue;
    t.true(index?.links.includes(path.replace('docs/', '')) ?? false, path);
  }
  t.true(pages[0]?.links.includes('docs/README.md') ?? false);
});
