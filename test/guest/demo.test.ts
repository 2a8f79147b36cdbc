/** `framevec demo`: what it shows of a file, and what it says of one that it can't read. */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {endsBalanced} from './oracles.js';

endsBalanced(test);

const MAIN = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'framevec-demo-'));

test.after.always('nothing is left behind', () => {
  rmSync(directory, {recursive: true});
});

function demo(...args: string[]): {status: number | null; stdout: string; stderr: string} {
  return spawnSync(process.execPath, [MAIN, 'demo', ...args], {encoding: 'utf8'});
}

function file(name: string, size: number): string {
  const path = join(directory, name);
  writeFileSync(path, Buffer.alloc(size, 'framevec'));
  return path;
}

for (const [what, path, words] of [
  ['a file longer than the buffer', file('long', 3 * 2 ** 20), /^\S+\/long, 3\.0 MiB: its first 2 MiB are in a buffer, and the buffer is$/m],
  ['a file shorter than the buffer', file('short', 47 * 1024), /^\S+\/short, 47\.0 KiB, fills a buffer of 2 MiB 43\.6 times, and the buffer is$/m],
  ['an empty file', file('empty', 0), /^\S+\/empty is empty, and so is a buffer of 2 MiB, and the buffer is$/m],
  ['a file of /proc, which has no size', '/proc/self/status', /^\/proc\/self\/status, (\d+ bytes|\d+\.\d KiB), is in a buffer of 2 MiB, and the buffer is$/m],
] as const) {
  test.serial(`the demo of ${what} says how much of it is in the buffer, and that its frames are those of pagemap`, t => {
    const {status, stdout, stderr} = demo(path);
    t.is(status, 0, stderr);
    t.regex(stdout, words);
    t.regex(stdout, /\.\.\. and so on: 512 of 512 are the same\./);
  });
}

for (const [what, path, why] of [
  ['is not there', '/nonexistent', /ENOENT/],
  ['is a directory', '/', /EISDIR/],
] as const) {
  test.serial(`the demo of a file that ${what} is one line on stderr and status 1`, t => {
    const {status, stdout, stderr} = demo(path);
    t.deepEqual([status, stdout], [1, '']);
    t.regex(stderr, new RegExp(`^framevec: demo: ${path} could not be read: ${why.source}: [^\n]*\n$`));
  });
}
