/** Everything that has to be there before a boot. Each part is skipped when it was done before. */
import {dirname, relative} from 'node:path';
import {arch} from 'node:process';
import {chooseAccel, type Accel} from './accel.js';
import {Cache, cacheDirectory} from './cache.js';
import {VmError} from './errors.js';
import {makeInitramfs} from './initramfs.js';
import {buildDriver, type BuiltDriver} from './driver.js';
import {findKernel, type Kernel} from './kernel.js';
import {DEFAULT_KERNEL} from './kernels.js';
import {buildModule, checkModule, type BuiltModule} from './module.js';
import type {SetupOptions} from './options.js';
import {requirePrograms} from './programs.js';
import {Progress} from './progress.js';
import {interruptible} from './work.js';

export interface Setup {
  cache: Cache;
  kernel: Kernel;
  module: BuiltModule | undefined;
  drivers: readonly BuiltDriver[];
  initramfs: string;
  accel: Accel;
  /** Of the cache, by the paths in it. */
  uses: readonly string[];
}

export function prepareVm(options: SetupOptions): Promise<Setup> {
  return interruptible(options.signal, () => prepare(options));
}

async function prepare(options: SetupOptions): Promise<Setup> {
  const {cache, progress, kernel} = await prepareKernel(options, (options.module ?? true) || (options.drivers ?? []).length > 0);
  const initramfs = await makeInitramfs(cache, progress, kernel);
  const accel = await chooseAccel(cache, kernel.image);
  const module = (options.module ?? true) ? await buildModule(cache, progress, kernel) : undefined;
  const drivers: BuiltDriver[] = [];
  for (const asked of options.drivers ?? []) drivers.push(await buildDriver(cache, progress, kernel, module, asked));
  const uses = [kernel.modulesRoot, dirname(initramfs), ...(module === undefined ? [] : [dirname(module.path)]), ...drivers.map(({directory}) => directory)].map((path) => relative(cache.directory, path));
  return {cache, kernel, initramfs, accel, module, drivers, uses};
}

/** What compiler and sparse have to say about the module, for one kernel. */
export function checkModuleFor(options: SetupOptions): Promise<string[]> {
  return interruptible(options.signal, async () => {
    const {cache, progress, kernel} = await prepareKernel(options, true);
    return await checkModule(cache, progress, kernel);
  });
}

async function prepareKernel(options: SetupOptions, build: boolean): Promise<{cache: Cache; progress: Progress; kernel: Kernel}> {
  if (arch !== 'x64') {
    throw new VmError(`the VM runner knows x86-64 only, and this is ${arch}`);
  }
  const progress = new Progress(options.progress);
  // Asked first, for it takes no time: whether there is a place for all that follows.
  const cache = new Cache(cacheDirectory(), progress);
  await requirePrograms(progress, {build, install: options.install ?? false});
  const kernel = await findKernel(cache, progress, {
    name: options.kernel ?? DEFAULT_KERNEL,
    modules: options.modules,
    headers: options.headers,
    refresh: options.refresh,
  });
  return {cache, progress, kernel};
}
