/** The VM runner as its user meets it: golden scripts in test/vm, each of which boots for real. */
import {mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {PACKAGE_ROOT} from '../lib/package.js';
import {Cache, cacheDirectory} from '../lib/vm/cache.js';
import {parseScript, runStep} from './vm/script.js';

const SCRIPTS = join(PACKAGE_ROOT, 'test/vm');

/** /tmp may be another file system in the guest; the cache is not. */
const cache = new Cache(cacheDirectory());
const root = mkdtempSync(join(cache.directory, 'scripts-'));
const bin = join(root, 'bin');

test.before('the command is found by its name', () => {
  mkdirSync(bin);
  symlinkSync(fileURLToPath(new URL('../lib/cli/main.js', import.meta.url)), join(bin, 'framevec'));
});

test.after.always('nothing is left behind', () => {
  rmSync(root, {recursive: true, force: true});
});

for (const file of readdirSync(SCRIPTS).filter((name) => name.endsWith('.txt')).sort()) {
  const {title, steps} = parseScript(readFileSync(join(SCRIPTS, file), 'utf8'));
  // One after the other: a machine of two processors has enough to do with one VM.
  test.serial(`${file}: ${title}`, async (t) => {
    t.timeout(10 * 60_000);
    const directory = join(root, file);
    mkdirSync(directory);
    for (const step of steps) {
      const {expected, actual} = await runStep(step, {
        directory,
        env: {...process.env, FORCE_COLOR: undefined, PATH: `${bin}:${process.env.PATH ?? ''}`, FRAMEVEC_CACHE: cache.directory},
        seconds: 180,
      });
      t.is(actual, expected);
    }
  });
}
