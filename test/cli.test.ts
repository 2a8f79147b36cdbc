/** The command line as a whole: what it offers, how it ends, what completes it. */
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {EXIT, EXIT_HELP} from '../lib/cli/exit.js';
import {PACKAGE_ROOT} from '../lib/package.js';
import {EXIT as VM_EXIT} from '../lib/vm/errors.js';
import {nodeOf} from './other_node.js';

const MAIN = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));

function framevec(args: readonly string[], env: Record<string, string> = {}): {status: number | null; stdout: string; stderr: string} {
  return spawnSync(process.execPath, [MAIN, ...args], {encoding: 'utf8', env: {...process.env, ...env}});
}

/** The commands below one, as its help names them. */
function commandsBelow(path: readonly string[]): string[] {
  const {stdout} = framevec([...path, '--help']);
  const section = /\nCommands:\n((?: {2}.*\n)+)/.exec(stdout)?.[1] ?? '';
  return [...section.matchAll(/^ {2}([a-z]\w*)/gm)].map(([, name = '']) => name).filter((name) => name !== 'help');
}

const COMMANDS = commandsBelow([]);
const LEAVES = COMMANDS.flatMap((command) => {
  const below = commandsBelow([command]);
  return below.length === 0 ? [[command]] : below.map((name) => [command, name]);
});

test('without an argument it shows what it can do, and how it ends', (t) => {
  const {status, stdout, stderr} = framevec([]);
  t.is(status, 0);
  t.is(stderr, '');
  t.is(stdout, framevec(['--help']).stdout);
  t.true(stdout.includes(EXIT_HELP));
  for (const command of ['demo', 'doctor', 'module', 'pin', 'v4l2', 'vm', 'completion']) t.true(COMMANDS.includes(command), command);
});

for (const path of LEAVES) {
  test(`framevec ${path.join(' ')} --help has an example that begins with the command`, (t) => {
    const {status, stdout} = framevec([...path, '--help']);
    t.is(status, EXIT.done);
    t.regex(stdout, new RegExp(`\nExamples?:\n(.*\n)* {2}\\$ .*framevec ${path.join(' ')}\\b`));
  });

  test(`framevec ${path.join(' ')} ends a wrong command line with its status, and tries nothing`, (t) => {
    const {status, stdout, stderr} = framevec([...path, '--no-such-option']);
    t.is(status, path[0] === 'vm' ? VM_EXIT.runner : EXIT.usage);
    t.is(stdout, '');
    t.regex(stderr, /^error: unknown option '--no-such-option'\n/);
  });
}

test('every command that tells something tells it as JSON, too', (t) => {
  for (const path of LEAVES.filter(([name]) => name !== 'completion')) {
    t.regex(framevec([...path, '--help']).stdout, /^ +--json/m, path.join(' '));
  }
});

test('an unknown command is a wrong use, and the nearest one is named', (t) => {
  const {status, stderr} = framevec(['doktor']);
  t.is(status, EXIT.usage);
  t.regex(stderr, /unknown command 'doktor'\n\(Did you mean doctor\?\)/);
});

test('what the kernel refuses is a failure, on stderr', (t) => {
  const {status, stdout, stderr} = framevec(['pin', '--backing', 'file:/no/such/file']);
  t.is(status, EXIT.failed);
  t.is(stdout, '');
  t.regex(stderr, /^framevec: .+\n$/);
});

test('the statuses stand where they are documented', (t) => {
  t.deepEqual(EXIT, {done: 0, failed: 1, usage: 2, outputClosed: 141});
  const page = readFileSync(`${PACKAGE_ROOT}docs/install.md`, 'utf8');
  for (const status of [...Object.values(EXIT), ...Object.values(VM_EXIT)]) t.regex(page, new RegExp(`^\\| ${status} \\|`, 'm'), String(status));
});

for (const command of ['doctor', 'top', 'pin --help', 'completion bash']) {
  const inShell = (script: string): {status: number | null; stderr: string} =>
    spawnSync('bash', ['-o', 'pipefail', '-c', script.replace('framevec', `"$0" "$1" ${command}`), process.execPath, MAIN], {encoding: 'utf8'});

  test(`framevec ${command} ends quietly when the reader of its output has gone`, (t) => {
    const {status, stderr} = inShell('{ sleep 0.5; framevec; } | true');
    t.is(stderr, '');
    t.is(status, EXIT.outputClosed);
  });

  test(`framevec ${command} says in one line that the disk is full`, (t) => {
    const {status, stderr} = inShell('framevec >/dev/full');
    t.is(stderr, 'framevec: writing to stdout: there is no space left on the device that it goes to (ENOSPC)\n');
    t.is(status, EXIT.failed);
  });
}

test('without /proc each command that needs it says so in one line', (t) => {
  for (const command of [['doctor'], ['vm', '--prepare']]) {
    const {status, stdout, stderr} = spawnSync('unshare', ['--mount', 'sh', '-c', 'mount --make-rprivate / && umount -l /proc && exec "$0" "$@"', process.execPath, MAIN, ...command], {encoding: 'utf8'});
    t.not(status, 0);
    t.is(stdout, '');
    t.regex(stderr, /^framevec: .*\/proc\/.*\n$/, command.join(' '));
  }
});

test('Node 18 is told which Node is needed', async (t) => {
  t.timeout(600_000);
  const {status, stdout, stderr} = spawnSync(await nodeOf(18), [MAIN, 'doctor'], {encoding: 'utf8'});
  t.is(status, 1);
  t.is(stdout, '');
  t.regex(stderr, /^framevec: this is Node 18\.\d+\.\d+, but framevec needs Node 20\.19 or later: .+\n$/);
});

test('the Node that is needed is the one that the package names', (t) => {
  const {engines} = JSON.parse(readFileSync(`${PACKAGE_ROOT}package.json`, 'utf8')) as {engines: {node: string}};
  t.is(engines.node, '>=20.19');
});

for (const shell of ['bash', 'zsh', 'fish']) {
  test(`the completion for ${shell} is a script that asks the command`, (t) => {
    const {status, stdout} = framevec(['completion', shell]);
    t.is(status, 0);
    t.regex(stdout, /framevec complete --/);
  });
}

test('bash reads its completion', (t) => {
  const {status, stderr} = spawnSync('bash', ['-c', 'eval "$(cat)" && complete -p framevec'], {input: framevec(['completion', 'bash']).stdout, encoding: 'utf8'});
  t.is(status, 0, stderr);
});

test('commands, the commands below them and options are completed', (t) => {
  const offered = (...words: string[]): string[] => framevec(['complete', '--', ...words]).stdout.split('\n').map((line) => line.replace(/\t.*/, ''));
  for (const name of COMMANDS) t.true(offered('').includes(name), name);
  t.deepEqual(offered('mod').filter((word) => !word.startsWith(':') && word !== ''), ['module']);
  t.true(offered('module', 'ins').includes('install'));
  t.true(offered('pin', '--wr').includes('--write'));
});

test('with NO_COLOR there is no colour, even where it is asked for', (t) => {
  for (const args of [[], ['doctor'], ['pin', '--help'], ['no-such-command']]) {
    const {stdout, stderr} = framevec(args, {NO_COLOR: '1'});
    t.false(`${stdout}${stderr}`.includes('\u001b'));
  }
});
