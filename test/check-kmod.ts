/**
 * `make check-kmod`: builds the module with W=1 and sparse, for which any remark is an error, and
 * reads every file with the kernel's own checkpatch --strict.
 */
import {rmSync} from 'node:fs';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {Cache, cacheDirectory} from '../lib/vm/cache.js';
import {findKernel} from '../lib/vm/kernel.js';
import {DEFAULT_KERNEL} from '../lib/vm/kernels.js';
import {MODULE_SOURCES, sourceFiles} from '../lib/module/sources.js';
import {PACKAGE_ROOT} from '../lib/package.js';
import {checkModule} from '../lib/vm/module.js';
import {PackageSource} from '../lib/vm/packages.js';
import {must, run} from '../lib/vm/programs.js';
import {Progress} from '../lib/vm/progress.js';

/**
 * What is let pass, in one file each: TRACE_EVENT() is written as the kernel writes it, which checkpatch takes for a call; the macros
 * of probe.h are declarations, which can't be in parentheses.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'probe/probe.h': ['COMPLEX_MACRO', 'MACRO_ARG_PRECEDENCE'],
  'trace.h': ['PARENTHESIS_ALIGNMENT', 'OPEN_ENDED_LINE'],
};
/** The tests' own. */
const TEST_DRIVER = join(PACKAGE_ROOT, 'test/native/kmod');
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
    const files = [MODULE_SOURCES, TEST_DRIVER].flatMap(directory => sourceFiles(directory).filter(name => /\.[ch]$/.test(name)).map(name => ({directory, name})));
    for (const {directory, name} of files) {
      const allowed = ALLOWED[name];
      const ignore = allowed === undefined ? [] : ['--ignore', allowed.join(',')];
      const {stdout} = await run('perl', [script, '--no-tree', '--strict', '--terse', '--show-types', '--no-summary', ...ignore, '-f', join(directory, name)]);
      complaints.push(...stdout.split('\n').filter(Boolean).map(line => line.replace(PACKAGE_ROOT, '.')));
    }
  });
}

const kernel = await findKernel(cache, progress, {name: options.kernel, modules: undefined, refresh: undefined});
complaints.push(...(await checkModule(cache, progress, kernel)));
await style();
for (const complaint of complaints) process.stderr.write(`${complaint}\n`);
process.stderr.write(`check-kmod: ${complaints.length === 0 ? 'clean' : `${complaints.length} complaints`}\n`);
process.exitCode = complaints.length === 0 ? 0 : 1;
