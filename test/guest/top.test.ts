/** `framevec top`: what it says of processes that hold vectors is what they hold. */
import {spawn, spawnSync, type ChildProcess} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {ProcessView, View} from '../../lib/top/survey.js';
import {PAGE} from './raw.js';
import {endsBalanced, statusFrames} from './oracles.js';

endsBalanced(test);

const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const holder = fileURLToPath(new URL('top-holder.js', import.meta.url));

interface Held {
  readonly child: ChildProcess;
  readonly pid: number;
}

/** A process that holds vectors, once it does. */
async function hold(...what: string[]): Promise<Held> {
  const child = spawn(process.execPath, [holder, ...what], {stdio: ['ignore', 'pipe', 'inherit']});
  const {stdout, pid} = child;
  if (pid === undefined) throw new Error('it did not start');
  await new Promise(resolve => stdout.once('data', resolve));
  return {child, pid};
}

async function end({child}: Held): Promise<void> {
  const ended = new Promise(resolve => child.once('close', resolve));
  child.kill('SIGKILL');
  await ended;
}

function top(...args: string[]): {status: number | null; stdout: string; stderr: string} {
  return spawnSync(process.execPath, [main, 'top', ...args], {encoding: 'utf8'});
}

function look(): View {
  const {status, stdout, stderr} = top('--once', '--json');
  if (status !== 0 || stdout.split('\n').length !== 2) throw new Error(`status ${status}: ${stdout}${stderr}`);
  return JSON.parse(stdout) as View;
}

function processOf(view: View, pid: number): ProcessView {
  const process = view.processes.find(one => one.pid === pid);
  if (process === undefined) throw new Error(`${pid} is not among ${JSON.stringify(view)}`);
  return process;
}

test.serial('nobody has a vector: it says so', t => {
  t.like(look(), {version: 1, loaded: true, processes: [], totals: {vectors: 0, pages: 0, pfns: 0, bytes: 0, stale: 0, busy: 0}, unreadable: 0});
  t.is(top('--once').stdout, 'framevec: 0 vectors in 0 processes: 0 frames pinned, 0 noted, 0 in all\n');
});

test.serial('two processes with vectors: each is told what it holds, and all are summed up', async t => {
  const pages = await hold('pages');
  const device = await hold('device', 'empty');
  const view = look();
  const one = processOf(view, pages.pid);
  t.is(view.processes.length, 2);
  t.is(one.vectors.length, 1);
  t.like(one.vectors[0], {
    owner: pages.pid, shared: false, busy: false, capacity: 64, kind: 'pages', frames: 10, offset: 100, bytes: 9 * PAGE + 1, write: true, gotRef: true, stale: false,
  });
  t.true((one.vectors[0]?.ageMs ?? -1) >= 0);
  t.is(one.pinnedBytes, statusFrames('VmPin', pages.pid) * PAGE);
  t.is(one.pinnedBytes, 10 * PAGE);
  t.is(one.memlockBytes, null); // root has CAP_IPC_LOCK
  const [stale, empty] = processOf(view, device.pid).vectors;
  t.like(stale, {kind: 'pfns', frames: 4, bytes: 4 * PAGE, write: false, gotRef: false, stale: true});
  t.like(empty, {kind: 'none', frames: 0, capacity: 3});
  t.is(empty?.ageMs, undefined);
  t.deepEqual(view.totals, {vectors: 3, pages: 10, pfns: 4, bytes: 13 * PAGE + 1, stale: 1, busy: 0});
  const lines = top('--once', '--sort', 'frames').stdout.split('\n');
  t.regex(lines[3] ?? '', new RegExp(`^ *${pages.pid}  \\S+ +\\d+ +\\d+  pages +10 `));
  t.regex(lines[4] ?? '', new RegExp(`^ *${device.pid}  .*  pfns +4 .* stale$`));
  await end(pages);
  await end(device);
});

test.serial('a vector that two processes have is a row in each, and counted once', async t => {
  const both = await hold('inherited');
  const view = look();
  t.is(view.processes.length, 2);
  const own = processOf(view, both.pid).vectors[0];
  const inherited = view.processes.find(({pid}) => pid !== both.pid);
  t.like(inherited?.vectors[0], {id: own?.id, owner: both.pid, shared: true, frames: 10});
  t.is(inherited?.pinnedBytes, 0);
  t.true(own?.shared);
  t.like(view.totals, {vectors: 1, pages: 10});
  t.regex(top().stdout, new RegExp(`shared, charged to ${both.pid}`));
  await end(both);
  if (inherited !== undefined) process.kill(inherited.pid, 'SIGKILL');
});

test.serial('a user who may not see them is told how many', async t => {
  const pages = await hold('pages');
  const {status, stdout} = spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, main, 'top'], {encoding: 'utf8'});
  t.is(status, 0);
  t.regex(stdout, /^framevec: 0 vectors in 0 processes: .*\n\d+ processes not readable: run as root\n$/);
  await end(pages);
});

test.serial('the limit is that of the process, where one applies', async t => {
  const child = spawn('setpriv', ['--bounding-set=-ipc_lock', '--inh-caps=-ipc_lock', 'prlimit', '--memlock=1048576', process.execPath, holder, 'pages'], {stdio: ['ignore', 'pipe', 'inherit']});
  await new Promise(resolve => child.stdout.once('data', resolve));
  t.is(look().processes[0]?.memlockBytes, 2 ** 20);
  await end({child, pid: child.pid ?? 0});
});

/** In a pseudo-terminal, by script(1). */
async function inTerminal(keys: string, env: NodeJS.ProcessEnv = {}): Promise<{status: number | null; text: string}> {
  // The size is set within: script(1) has no terminal to take it from.
  const command = `stty cols 70 rows 12; ${process.execPath} ${main} top --interval 0.2; echo status $?; stty -a`;
  // In CI Node takes no terminal to have colours, whatever its TERM.
  const ours = {...process.env, CI: undefined, NO_COLOR: undefined, FORCE_COLOR: undefined, TERM: 'xterm-256color', ...env};
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {stdio: ['pipe', 'pipe', 'inherit'], env: ours});
  let text = '';
  let pressed = false;
  child.stdout.setEncoding('latin1').on('data', (more: string) => {
    text += more;
    // Twice drawn: it is live.
    if (!pressed && text.split('framevec: ').length > 2) {
      pressed = true;
      child.stdin.write(keys);
    }
  });
  const status = await new Promise<number | null>(resolve => child.on('close', resolve));
  return {status, text};
}

for (const [name, keys] of [['q', 'q'], ['Ctrl-C', '\x03']] as const) {
  test.serial(`in a terminal it is redrawn until ${name}, and leaves the terminal as it was`, async t => {
    const pages = await hold('pages');
    const {status, text} = await inTerminal(keys);
    await end(pages);
    t.is(status, 0);
    const from = text.indexOf('\x1b[?1049h\x1b[?25l');
    const to = text.indexOf('\x1b[?25h\x1b[?1049l');
    t.true(from === 0 && to > from, JSON.stringify(text));
    const after = text.slice(to);
    t.true(after.includes('status 0'), JSON.stringify(after));
    t.regex(after, / icanon /);
    t.regex(after, / echo /);
    const screens = text.slice(from, to).split('\x1b[H').slice(1);
    t.true(screens.length >= 2);
    t.true(screens.every(screen => screen.includes('1 vector in 1 process: 10 frames pinned') && screen.endsWith('\x1b[J')), JSON.stringify(screens));
    t.true(text.includes('\x1b[7m'));
  });
}

test.serial('NO_COLOR is honoured', async t => {
  const pages = await hold('pages');
  const {text} = await inTerminal('q', {NO_COLOR: '1'});
  await end(pages);
  t.false(text.includes('\x1b[7m') || text.includes('\x1b[1m'));
});

test.serial('a signal ends it too, and the terminal is restored', t => {
  // As soon as it has drawn, which script(1) writes down.
  const command = `${process.execPath} ${main} top --interval 60 & until grep -q vectors /dev/shm/typescript; do sleep 0.1; done; kill -TERM $!; wait $!; echo status $?`;
  const {stdout} = spawnSync('script', ['--quiet', '--flush', '--command', command, '/dev/shm/typescript'], {encoding: 'latin1', env: {...process.env, TERM: 'xterm'}});
  t.true(stdout.indexOf('\x1b[?1049l') > stdout.indexOf('\x1b[?1049h'), JSON.stringify(stdout));
  t.true(stdout.includes('status 143'), JSON.stringify(stdout));
});
