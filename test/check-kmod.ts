/**
 * `make check-kmod`: builds the module with W=1 and sparse, for which any remark is an error, and
 * reads every file with the kernel's own checkpatch --strict.
 */
import {readdirSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {Cache, cacheDirectory} from '../lib/vm/cache.js';
import {findKernel} from '../lib/vm/kernel.js';
import {DEFAULT_KERNEL} from '../lib/vm/kernels.js';
import {MODULE_SOURCES} from '../lib/module/sources.js';
import {checkModule} from '../lib/vm/module.js';
import {PackageSource} from '../lib/vm/packages.js';
import {must, run} from '../lib/vm/programs.js';
import {Progress} from '../lib/vm/progress.js';

/**
 * What is let pass, in one file each: version checks are what compat.h is for, and TRACE_EVENT() is written as the
 * kernel writes it, which checkpatch takes for a call.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'compat.h': ['LINUX_VERSION_CODE', 'CONSTANT_COMPARISON'],
  'trace.h': ['PARENTHESIS_ALIGNMENT', 'OPEN_ENDED_LINE'],
};
const SOURCE_PACKAGE = 'linux-source-6.1';

const {values: options} = parseArgs({options: {kernel: {type: 'string', default: DEFAULT_KERNEL}}});
const progress = new Progress(text => void process.stderr.write(text));
const cache = new Cache(cacheDirectory());
const complaints: string[] = [];

/** checkpatch.pl and the lists beside it: they are in no package but the kernel's source. */
async function checkpatch(): Promise<string> {
  const directory = await cache.entry(cache.path('checkpatch'), async temporary => {
    const source = new PackageSource(cache, progress, {release: 'bookworm', part: 'main'});
    await source.update();
    await progress.step(`fetch checkpatch from ${SOURCE_PACKAGE}`, async () => {
      const deb = await source.download({name: SOURCE_PACKAGE}, join(temporary, 'deb'));
      await must('unpacking the source package', 'dpkg', ['-x', deb, join(temporary, 'deb')]);
      await must('unpacking checkpatch', 'tar', ['-C', temporary, '--strip-components=2', '-xf', join(temporary, 'deb/usr/src', `${SOURCE_PACKAGE}.tar.xz`),
        ...['checkpatch.pl', 'spelling.txt', 'const_structs.checkpatch'].map(name => `${SOURCE_PACKAGE}/scripts/${name}`)]);
      rmSync(join(temporary, 'deb'), {recursive: true});
    });
  });
  return join(directory, 'checkpatch.pl');
}

async function style(): Promise<void> {
  const script = await checkpatch();
  await progress.step('checkpatch --strict', async () => {
    const files = readdirSync(MODULE_SOURCES, {recursive: true, encoding: 'utf8'}).filter(name => /\.[ch]$/.test(name) && !name.endsWith('.mod.c'));
    for (const name of files.sort()) {
      const allowed = ALLOWED[name];
      const ignore = allowed === undefined ? [] : ['--ignore', allowed.join(',')];
      const {stdout} = await run('perl', [script, '--no-tree', '--strict', '--terse', '--show-types', '--no-summary', ...ignore, '-f', join(MODULE_SOURCES, name)]);
      complaints.push(...stdout.split('\n').filter(Boolean).map(line => line.replace(MODULE_SOURCES, 'kmod')));
    }
  });
}

const kernel = await findKernel(cache, progress, {name: options.kernel, modules: undefined, refresh: undefined});
complaints.push(...(await checkModule(cache, progress, kernel)));
await style();
for (const complaint of complaints) process.stderr.write(`${complaint}\n`);
process.stderr.write(`check-kmod: ${complaints.length === 0 ? 'clean' : `${complaints.length} complaints`}\n`);
process.exitCode = complaints.length === 0 ? 0 : 1;
