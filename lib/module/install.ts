/**
 * The module installed on this machine, by dkms for every kernel it gets. It is built first, in a tree of its own; only then is
 * what was installed before replaced, and put back if the new one does not load.
 */
import {mkdirSync, rmSync} from 'node:fs';
import {release as kernelRelease} from 'node:os';
import {join} from 'node:path';
import {VERSION} from '../package.js';
import type {Progress} from '../vm/progress.js';
import {dkmsBuild, dkmsInstall, dkmsRemove} from './dkms.js';
import {DKMS_TREE, activeKernels, adopt, dkmsVersions} from './dkms_tree.js';
import {Earlier} from './earlier.js';
import {SignatureError, foreignTree, interrupted, notRestored, otherVersionLoaded} from './errors.js';
import {BOOT_FILE, BOOT_TEXT, BUILD_LOG, MODPROBE_FILE, MODPROBE_TEXT, UDEV_RULE_FILE, makeDirectory, textOf, writeRule, writeSystemFile} from './files.js';
import {deviceNode, isLoaded, load, loadedVersion, requireUnused, unload, type Node} from './loaded.js';
import {checkParameters, overridden, parametersIn, withParameters} from './parameters.js';
import {hasHeaders, requireBuild, requireRoot} from './requirements.js';
import {copySources, isOurTree, isThere, ourTrees, sourceTree} from './source_tree.js';
import {MODULE_SOURCES, moduleParameters} from './sources.js';
import {reloadUdev, settleUdev} from './udev.js';

export interface InstallOptions {
  /** Load the module at boot, or not; undefined: as it is. */
  boot?: boolean;
  /** Parameters to load it with (allow_force=1) beside those it has from before; undefined: only those; empty: none at all. */
  parameters?: readonly string[];
  /** Load it now. */
  load?: boolean;
}

export interface Installed {
  version: string;
  kernel: string;
  /** What was written, besides what dkms keeps. */
  files: string[];
  /** What an earlier installation or an administrator set, and is as it was. */
  kept: string[];
  loaded: boolean;
  node?: Node;
}

/** In dkms's own tree, so that it is on the same file system and only root's; dkms does not list a hidden directory. */
const STAGING = join(DKMS_TREE, '.framevec-install');

/** Installs this package's module for the running kernel, in the place of whatever version was there. */
export async function installModule(options: InstallOptions, progress: Progress): Promise<Installed> {
  const release = kernelRelease();
  const tree = sourceTree(VERSION);
  requireRoot('install');
  const plan = planFiles(options);
  requireBuild(release);
  if (isThere(tree) && !isOurTree(tree)) throw foreignTree(tree);
  if (options.load !== false) requireUnused();
  // A kernel that has the module keeps one, if it can be built.
  const others = activeKernels().map(({kernel}) => kernel).filter((kernel) => kernel !== release && hasHeaders(kernel));
  const kernels = [release, ...new Set(others)];

  // dkms and depmod write with the caller's.
  process.umask(0o022);
  const signals = new Interruption();
  try {
    rmSync(STAGING, {recursive: true, force: true});
    makeDirectory(DKMS_TREE);
    mkdirSync(STAGING, {mode: 0o700});
    const staging = {tree: join(STAGING, 'dkms'), sources: join(STAGING, 'src')};
    makeDirectory(staging.tree);
    const sources = join(staging.sources, `framevec-${VERSION}`);
    copySources(MODULE_SOURCES, sources);
    for (const kernel of kernels) {
      await signals.during(progress.step(`dkms: build framevec.ko ${VERSION} for ${kernel}`, () => dkmsBuild(VERSION, kernel, staging)), false);
    }

    const earlier = new Earlier(join(STAGING, 'earlier'), tree);
    const wasLoaded = isLoaded();
    if (wasLoaded && options.load !== false) await progress.step('unload the module that is loaded', unload);
    try {
      await signals.during(replace(sources, staging.tree, kernels, progress), true);
      plan.write();
      await reloadUdev();
      if (options.load !== false) {
        await signals.during(progress.step('load it', async () => {
          await load();
          await settleUdev();
        }), true);
        if (loadedVersion() !== VERSION) throw otherVersionLoaded(loadedVersion(), VERSION);
      }
    } catch (error) {
      // It is installed, and loads once the key is enrolled.
      if (error instanceof SignatureError && !wasLoaded) throw error;
      await progress.step('restore the previous state', async () => {
        try {
          if (options.load !== false) await unload();
          await earlier.restore();
          await reloadUdev();
          if (wasLoaded && !isLoaded()) await load();
        } catch (second) {
          throw notRestored((error as Error).message, (second as Error).message);
        }
      });
      throw error;
    }
  } finally {
    signals.end();
    // What was interrupted may still write there for a moment.
    rmSync(STAGING, {recursive: true, force: true, maxRetries: 10, retryDelay: 100});
  }

  rmSync(BUILD_LOG, {force: true});
  const node = deviceNode();
  return {version: VERSION, kernel: release, files: [tree, ...plan.files], kept: plan.kept, loaded: isLoaded(), ...(node && {node})};
}

/** dkms's entries, its modules below /lib/modules and the sources: of this version only, afterwards. */
async function replace(sources: string, staged: string, kernels: readonly string[], progress: Progress): Promise<void> {
  for (const version of dkmsVersions()) {
    await progress.step(`remove version ${version}`, () => dkmsRemove(version));
  }
  for (const path of new Set([...ourTrees(), sourceTree(VERSION)])) rmSync(path, {recursive: true, force: true});
  copySources(sources, sourceTree(VERSION));
  adopt(VERSION, staged);
  for (const kernel of kernels) {
    await progress.step(`dkms: install framevec.ko ${VERSION} for ${kernel}`, () => dkmsInstall(VERSION, kernel));
  }
}

interface FilePlan {
  files: string[];
  kept: string[];
  write: () => void;
}

/** What becomes of the files in /etc; fails if a parameter is wrong. */
function planFiles({boot, parameters}: InstallOptions): FilePlan {
  const known = moduleParameters(MODULE_SOURCES);
  const modprobe = textOf(MODPROBE_FILE);
  const earlier = modprobe === undefined ? [] : parametersIn(modprobe);
  checkParameters(known, parameters ?? []);
  const remaining = parameters === undefined || parameters.length > 0 ? earlier : [];
  const given = new Set((parameters ?? []).map((parameter) => parameter.replace(/=.*/s, '')));
  checkParameters(known, remaining.filter((parameter) => !given.has(parameter.replace(/=.*/s, ''))), MODPROBE_FILE);
  const wanted = overridden(remaining, parameters ?? []);
  const keptParameters = wanted.filter((parameter) => earlier.includes(parameter));

  const hasBoot = textOf(BOOT_FILE) !== undefined;
  const boots = boot ?? hasBoot;
  const kept = [
    ...(keptParameters.length === 0 ? [] : [`${MODPROBE_FILE}: ${keptParameters.join(' ')} (--no-param forgets them)`]),
    ...(hasBoot && boot === undefined ? [`${BOOT_FILE} (--no-boot removes it)`] : []),
  ];
  const write = (): void => {
    const text = withParameters(modprobe ?? MODPROBE_TEXT, wanted);
    if (text !== modprobe && (modprobe === undefined || parameters !== undefined)) writeSystemFile(MODPROBE_FILE, text);
    const oldRule = writeRule();
    if (oldRule !== undefined) kept.push(`${oldRule}: the udev rule that was there, which differed`);
    if (boots && !hasBoot) writeSystemFile(BOOT_FILE, BOOT_TEXT);
    if (!boots) rmSync(BOOT_FILE, {force: true});
  };
  return {files: [MODPROBE_FILE, UDEV_RULE_FILE, ...(boots ? [BOOT_FILE] : [])], kept, write};
}

/** Ctrl-C, or a request to end, meanwhile: the programs that run may end of it, but what was begun is taken back first. */
class Interruption {
  private came = false;
  private readonly note = (): void => {
    this.came = true;
  };

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.note);
  }

  /** Waits for the work; fails as interrupted, whatever the work itself came to. */
  async during(work: Promise<unknown>, restored: boolean): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!this.came) throw error;
    }
    if (this.came) throw interrupted(restored);
  }

  end(): void {
    for (const signal of SIGNALS) process.off(signal, this.note);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
