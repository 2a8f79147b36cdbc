/**
 * Threads that meet in one vector, and deaths at a bad moment: test/native/races.c does it, and this asks what it came to. The lives
 * of a vector that need no thread and no luck are in descriptor.test.ts.
 */
import {execFileSync, spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import * as uapi from '../../lib/uapi.js';
import {endsBalanced, framesPinned, statusFrames, until} from './oracles.js';

endsBalanced(test);

const PROGRAM = fileURLToPath(new URL('../../../test/native/build/races', import.meta.url));
const modules = process.env.FRAMEVEC_KMOD ?? '';

type Told = Record<string, number | string>;

function races(...args: (string | number)[]): Told {
  const {status, signal, stdout, stderr} = spawnSync(PROGRAM, args.map(String), {encoding: 'utf8', timeout: 240_000});
  if (status !== 0) throw new Error(`races ${args.join(' ')}: ${status ?? signal ?? ''} ${stderr}`);
  return {...(JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Told), ...(stderr === '' ? {} : {stderr})};
}

test.afterEach.always('nothing stays pinned, or charged', async t => {
  await until('every frame is back', () => framesPinned() === 0, 20_000);
  t.is(statusFrames('VmPin'), 0);
});

test.serial('eight threads pin, unpin, read, convert and replace one vector: each sees it whole, of memory and of the aperture', t => {
  const told = races('threads', 3000);
  t.is(told.wrong, 0, JSON.stringify(told));
  t.is(told.charged, 0);
  for (const what of ['pins', 'unpins', 'reads', 'closes']) t.true(Number(told[what]) > 50, JSON.stringify(told));
});

test.serial('munmap, mremap and mprotect while a pin is under way: all frames or none, and the reason', t => {
  const told = races('unmap', 'memory', 600);
  t.is(told.wrong, 0, JSON.stringify(told));
  t.is(told.charged, 0);
  t.true(Number(told.whole) > 0 && Number(told.refused) > 0, JSON.stringify(told));
});

test.serial('a device mapping that is replaced while it is noted and read: never numbers of two mappings in one snapshot', t => {
  const told = races('unmap', 'aperture', 3000);
  t.is(told.wrong, 0, JSON.stringify(told));
  t.is(told.charged, 0);
  t.true(Number(told.fresh) > 0 && Number(told.stale) > 0, JSON.stringify(told));
});

test.serial('SIGKILL in the middle of a pin of 1 GiB: the call does not return, and every frame is back when the process is gone', t => {
  for (let round = 0; round < 2; round++) {
    const told = races('kill', 1024);
    t.true(Number(told.pinned) > 0 && Number(told.pinned) < Number(told.frames), `it came in the pin: ${JSON.stringify(told)}`);
    t.deepEqual([told.ended, told.killed, told.left], [0, 1, 0], JSON.stringify(told));
  }
});

for (const partial of [false, true]) {
  test.serial(`SIGSTOP in the middle of a ${partial ? 'partial ' : ''}pin does not undo it: the process stops with the whole range pinned`, t => {
    const told = races('stop', 256, ...(partial ? ['partial'] : []));
    t.true(Number(told.pinned) > 0 && Number(told.pinned) < Number(told.frames), JSON.stringify(told));
    t.deepEqual([told.state, told.held, told.later, told.ended], ['T', told.frames, told.frames, 0], JSON.stringify(told));
    t.deepEqual([told.result, told.got, told.reason, told.after, told.left], [0, told.frames, 0, told.frames, 0], JSON.stringify(told));
  });
}

test.serial('a storm of forks: children look, write, unmap, close and end, and the frames stay what their parent sees', t => {
  const told = races('forks', 300);
  t.deepEqual([told.bad, told.same, told.charged, told.pinned], [0, 256, 256 * 4, 256], JSON.stringify(told));
});

test.serial('10,000 vectors open: every one is charged, watches and lets go', t => {
  const told = races('many', 10_000);
  t.deepEqual([told.open, told.failed, told.snapshots, told.stale], [10_000, 0, 2500, 2500], JSON.stringify(told));
  t.deepEqual([told.pinned, told.charged, told.half], [15_000, 15_000 * 4, 7500], JSON.stringify(told));
});

test.serial('the process that has pinned calls exec: what is not O_CLOEXEC lives on, as another mm\'s, and its snapshots are stale', t => {
  const told = races('exec');
  t.deepEqual([told.frames, told.number, told.charged, told.gone], [16, 3, 0, 1], JSON.stringify(told));
  t.deepEqual([told.stale, told.ready], [1, 1], JSON.stringify(told));
  t.deepEqual([told.unpinned, told.snapshot, told.released], [0, 0, 16], JSON.stringify(told));
  t.deepEqual([told.again, told.reason], ['EPERM', uapi.FRAMEVEC_REASON_OWNER], JSON.stringify(told));
});

test.serial('a vector in flight over sockets that nobody can reach any more is collected with them', t => {
  const told = races('in-flight');
  t.deepEqual([told.held, told.left, told.charged], [16, 0, 0], JSON.stringify(told));
});

test.serial('the module is unloaded and loaded whenever it can be, while the device is opened and used: refused or done, never half', t => {
  const told = races('reopen', 8, `${modules}/framevec.ko`);
  t.is(told.wrong, 0, JSON.stringify(told));
  for (const what of ['opened', 'unloaded', 'refused']) t.true(Number(told[what]) > 0, JSON.stringify(told));
  t.true(existsSync(uapi.FRAMEVEC_DEVICE), 'it is loaded again');
});

const CGROUP = '/run/framevec-cgroup';
const GROUP = `${CGROUP}/victim`;

// Here, not in a test: which tests there are depends on what this kernel has.
mkdirSync(CGROUP, {recursive: true});
execFileSync('mount', ['-t', 'cgroup2', 'none', CGROUP]);
const limits = readFileSync(`${CGROUP}/cgroup.controllers`, 'utf8').split(/\s/).includes('memory');
test.after.always(() => {
  execFileSync('umount', [CGROUP]);
});

/** A control group with 32 MiB, for as long as `use` runs. */
function withLimit<T>(use: (run: (...args: string[]) => ReturnType<typeof spawnSync>) => T): T {
  writeFileSync(`${CGROUP}/cgroup.subtree_control`, '+memory');
  mkdirSync(GROUP);
  writeFileSync(`${GROUP}/memory.max`, String(32 * 2 ** 20));
  try {
    // The shell goes in, and the program after it; nobody else.
    return use((...args) => spawnSync('sh', ['-c', `echo $$ >${GROUP}/cgroup.procs && exec "$@"`, 'sh', PROGRAM, ...args], {encoding: 'utf8', timeout: 120_000}));
  } finally {
    rmdirSync(GROUP);
  }
}

const oomKills = (): number => Number(/^oom_kill (\d+)$/m.exec(readFileSync(`${GROUP}/memory.events`, 'utf8'))?.[1]);

if (!limits) {
  test.serial('this kernel has no memory control group: the sanitizing one', t => {
    t.true(existsSync('/sys/kernel/debug/kmemleak'));
  });
} else {
  test.serial('the OOM killer of a control group, in the middle of a pin: the process is killed, and every frame is back', t => {
    const before = framesPinned();
    const {signal, stdout} = withLimit(run => {
      const ended = run('hog', '256');
      t.is(oomKills(), 1);
      return ended;
    });
    t.is(signal, 'SIGKILL');
    t.regex(String(stdout), /^\{"vector":\d+\}\n$/, 'the vector was there, and the pin did not return');
    t.is(framesPinned(), before);
  });

  test.serial('a vector whose own array is more than its control group has: ENOMEM, and nobody is killed', t => {
    withLimit(run => {
      const {status, stdout} = run('large', String(2 ** 23));
      t.is(oomKills(), 0);
      t.is(status, 0);
      t.is(String(stdout), '{"result":"ENOMEM"}\n');
    });
  });
}
