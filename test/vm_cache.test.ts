/** The runner's cache: its locks, what stays when something fails, and what is removed when something newer is there. */
import {spawn} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {Cache} from '../lib/vm/cache.js';
import {removeOldBuilds, removeSuperseded} from '../lib/vm/clean.js';
import {EXIT, VmError} from '../lib/vm/errors.js';
import {run} from '../lib/vm/programs.js';
import {Progress} from '../lib/vm/progress.js';
import {endRun, isRunning, newRun, noteUses} from '../lib/vm/runs.js';
import {interruptible} from '../lib/vm/work.js';

function temporaryCache(t: ExecutionContext, said: string[] = []): Cache {
  const directory = mkdtempSync(join(tmpdir(), 'framevec-cache-'));
  t.teardown(() => { rmSync(directory, {recursive: true, force: true}); });
  return new Cache(directory, new Progress((text) => said.push(text)));
}

test('what a program started under a lock goes on holding it when the lock is released', async (t) => {
  const said: string[] = [];
  const cache = temporaryCache(t, said);
  // A child in the background, as a compiler is that outlives its make.
  await cache.locked(() => run('sh', ['-c', 'sleep 1 >/dev/null 2>&1 &']));
  const before = performance.now();
  await cache.locked(() => Promise.resolve());
  t.true(performance.now() - before > 300);
  t.regex(said.join(''), /^framevec: waiting: another framevec, or a program that it started, .*\/lock\)\n$/);
});

test('a lock that is free is taken without a word', async (t) => {
  const said: string[] = [];
  const cache = temporaryCache(t, said);
  t.is(await cache.locked(() => cache.locked(() => Promise.resolve('both'), 'lock'), 'other'), 'both');
  t.deepEqual(said, []);
});

test('an abort ends the programs of the work, and all that they have started', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'framevec-work-'));
  t.teardown(() => { rmSync(directory, {recursive: true, force: true}); });
  const stop = new AbortController();
  const file = join(directory, 'pid');
  const work = interruptible(stop.signal, () => run('sh', ['-c', `sleep 1000 & echo $! >${file}; wait`]));
  while (!existsSync(file) || readFileSync(file, 'utf8') === '') await sleep(10);
  stop.abort();
  const error = await t.throwsAsync(work, {instanceOf: VmError});
  t.is((error).status, EXIT.interrupted);
  t.false(existsSync(`/proc/${readFileSync(file, 'utf8').trim()}/cwd`) && readFileSync(`/proc/${readFileSync(file, 'utf8').trim()}/stat`, 'utf8').split(' ')[2] !== 'Z');
  await t.throwsAsync(interruptible(stop.signal, () => run('true', [])), {message: /interrupted/});
});

test('what a maker left that was killed is removed by the next, under another name', async (t) => {
  const cache = temporaryCache(t);
  const path = cache.path('entry');
  mkdirSync(`${path}.part`);
  mkdirSync(`${path}.0a1b2c3d.part`);
  const names: string[] = [];
  await cache.entry(path, (temporary) => {
    names.push(...readdirSync(cache.directory).filter((name) => name.startsWith('entry')));
    t.not(temporary, `${path}.part`);
    return Promise.resolve();
  });
  t.is(names.length, 1);
  t.deepEqual(readdirSync(cache.directory).filter((name) => name.startsWith('entry')), ['entry']);
});

for (const character of [' ', '\t', ':', '#', '$', '%', "'"]) {
  test(`a cache with ${JSON.stringify(character)} in its path is refused at once, for make cannot build there`, (t) => {
    const path = join(tmpdir(), `framevec-no${character}cache`);
    t.throws(() => new Cache(path), {message: /no module can be built; set FRAMEVEC_CACHE/});
    t.false(existsSync(path));
  });
}

// Runs

test('a run lasts as long as its lock, whatever its PID says; a run of an older runner as long as its PID', async (t) => {
  const cache = temporaryCache(t);
  const mine = await newRun(cache);
  writeFileSync(join(mine.path, 'pid'), '999999999');
  t.true(await isRunning(mine.path));

  const dead = cache.path('runs', 'dead');
  mkdirSync(dead);
  writeFileSync(join(dead, 'in-use'), '');
  writeFileSync(join(dead, 'pid'), String(process.pid));
  t.false(await isRunning(dead));

  const older = cache.path('runs', 'older');
  mkdirSync(older);
  const child = spawn('sleep', ['1000']);
  writeFileSync(join(older, 'pid'), String(child.pid));
  t.true(await isRunning(older));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  t.false(await isRunning(older));

  endRun(mine);
  t.false(existsSync(mine.path), 'it had no kernel log');
});

test('of the last runs twenty stay, and none that lasts goes', async (t) => {
  const cache = temporaryCache(t);
  const first = await newRun(cache);
  for (let index = 0; index < 25; index++) mkdirSync(cache.path('runs', `2020010${index % 10}-${index}`));
  for (const name of readdirSync(cache.path('runs')).filter((name) => name.startsWith('2020'))) utimesSync(cache.path('runs', name), 0, 0);
  const second = await newRun(cache);
  const names = readdirSync(cache.path('runs'));
  t.is(names.length, 20);
  t.true([first, second].every(({path}) => existsSync(path)));
  [first, second].forEach(endRun);
});

// What is superseded

function fill(cache: Cache, names: readonly string[]): void {
  for (const name of names) mkdirSync(cache.path(name), {recursive: true});
}

test('a kernel whose place a newer one has taken goes by itself, with what was made for it; not while a run uses it', async (t) => {
  const said: string[] = [];
  const cache = temporaryCache(t, said);
  const [old, current, other] = ['6.1.0-1-amd64', '6.1.0-2-amd64', '6.12.1-amd64'] as const;
  const key = '0123456789abcdef';
  const stays = [
    `kernels/${current}_6.1.2-1`, `kernels/${other}_6.12.1-1`, 'kernels/debug-6.1.2-1-0123456789abcdef', `modules/${current}-${key}`, `modules/host-${key}`, `initramfs/${current}-${key}`,
  ];
  const goes = [`kernels/${old}_6.1.1-1`, `modules/${old}-${key}`, `initramfs/${old}-${key}`];
  fill(cache, [...stays, ...goes]);
  cache.writeJson(cache.path('kernels/6.1.json'), {directory: `${current}_6.1.2-1`});
  cache.writeJson(cache.path('kernels/6.12.json'), {directory: `${other}_6.12.1-1`});
  const there = (names: readonly string[]): boolean[] => names.map((name) => existsSync(cache.path(name)));
  const progress = new Progress((text) => said.push(text));

  const lasts = await newRun(cache);
  await cache.locked(() => removeSuperseded(cache, progress));
  t.deepEqual(there(goes), [true, true, true], 'it has not said yet what it uses');
  noteUses(lasts, goes.slice(0, 2));
  await cache.locked(() => removeSuperseded(cache, progress));
  t.deepEqual(there(goes), [true, true, false]);
  endRun(lasts);
  await cache.locked(() => removeSuperseded(cache, progress));
  t.deepEqual(there(goes), [false, false, false]);
  t.true(there(stays).every(Boolean));
  t.regex(said.at(-1) ?? '', /^framevec: removed modules\/6\.1\.0-1-amd64-.*, which nothing uses any more: /);
});

test('of the builds of the module for one kernel those ten stay that were used last', async (t) => {
  const cache = temporaryCache(t);
  const name = (index: number): string => `modules/6.1.0-1-amd64-${index.toString(16).padStart(16, '0')}`;
  for (let index = 0; index < 14; index++) {
    fill(cache, [name(index)]);
    utimesSync(cache.path(name(index)), index, index);
  }
  fill(cache, ['modules/6.12.1-amd64-0123456789abcdef']);
  // A use is as good as a build.
  await cache.entry(cache.path(name(0)), () => Promise.reject(new Error('it is there')));
  await cache.locked(() => removeOldBuilds(cache, '6.1.0-1-amd64'));
  t.deepEqual(readdirSync(cache.path('modules')).sort(), [name(0), ...[5, 6, 7, 8, 9, 10, 11, 12, 13].map(name), 'modules/6.12.1-amd64-0123456789abcdef'].map((path) => path.slice('modules/'.length)).sort());
});
