/** Everything that has to be there before a boot. Each part is skipped when it was done before. */
import {arch} from 'node:process';
import {chooseAccel, type Accel} from './accel.js';
import {Cache, cacheDirectory} from './cache.js';
import {VmError} from './errors.js';
import {makeInitramfs} from './initramfs.js';
import {findKernel, type Kernel} from './kernel.js';
import {DEFAULT_KERNEL} from './kernels.js';
import {buildModule, checkModule, type BuiltModule} from './module.js';
import type {SetupOptions} from './options.js';
import {requirePrograms} from './programs.js';
import {Progress} from './progress.js';

export interface Setup {
  cache: Cache;
  kernel: Kernel;
  module: BuiltModule | undefined;
  initramfs: string;
  accel: Accel;
}

export async function prepareVm(options: SetupOptions): Promise<Setup> {
  const module = options.module ?? true;
  const {cache, progress, kernel} = await prepareKernel(options, module);
  return {
    cache,
    kernel,
    initramfs: await makeInitramfs(cache, progress, kernel),
    accel: await chooseAccel(cache, kernel.image),
    module: module ? await buildModule(cache, progress, kernel) : undefined,
  };
}

/** What compiler and sparse have to say about the module, for one kernel. */
export async function checkModuleFor(options: SetupOptions): Promise<string[]> {
  const {cache, progress, kernel} = await prepareKernel(options, true);
  return await checkModule(cache, progress, kernel);
}

async function prepareKernel(options: SetupOptions, build: boolean): Promise<{cache: Cache; progress: Progress; kernel: Kernel}> {
  if (arch !== 'x64') {
    throw new VmError(`the VM runner knows x86-64 only, and this is ${arch}`);
  }
  const progress = new Progress(options.progress);
  await requirePrograms(progress, {build, install: options.install ?? false});
  const cache = new Cache(cacheDirectory());
  const kernel = await findKernel(cache, progress, {
    name: options.kernel ?? DEFAULT_KERNEL,
    modules: options.modules,
    refresh: options.refresh,
  });
  return {cache, progress, kernel};
}
