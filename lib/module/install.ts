/** The module on this machine: installed by dkms for every kernel it gets, or taken away again. */
import {cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {release as kernelRelease} from 'node:os';
import {dirname, join} from 'node:path';
import {VERSION} from '../package.js';
import {findProgram, must, run} from '../vm/programs.js';
import type {Progress} from '../vm/progress.js';
import {installCommand} from './distribution.js';
import {dkmsEntries, dkmsInstall, dkmsRemove} from './dkms.js';
import {ModuleError} from './errors.js';
import {BOOT_FILE, BOOT_TEXT, MODPROBE_FILE, UDEV_RULE_FILE, UDEV_RULE_TEXT, modprobeText, sourceTree} from './files.js';
import {KERNEL_RANGE, isKernelInRange} from './kernel_range.js';
import {deviceNode, isLoaded, load, unload, type Node} from './loaded.js';
import {MODULE_SOURCES, moduleParameters, sourceFiles} from './sources.js';

export interface InstallOptions {
  /** Load the module at boot. */
  boot?: boolean;
  /** Parameters to load it with: allow_force=1. */
  parameters?: readonly string[];
  /** Load it now. */
  load?: boolean;
}

export interface Installed {
  version: string;
  kernel: string;
  /** What was written, besides what dkms keeps. */
  files: string[];
  loaded: boolean;
  node?: Node;
}

/** Installs this package's module for the running kernel, in the place of whatever version was there. */
export async function installModule(options: InstallOptions, progress: Progress): Promise<Installed> {
  const release = kernelRelease();
  requireRoot('install');
  requireParameters(options.parameters ?? []);
  requirements(release);
  if (isLoaded()) await progress.step('unload the module that is loaded', unload);
  for (const version of await knownVersions()) {
    await progress.step(`remove version ${version}`, () => dkmsRemove(version));
  }

  const tree = sourceTree(VERSION);
  rmSync(tree, {recursive: true, force: true});
  for (const file of sourceFiles(MODULE_SOURCES)) {
    cpSync(join(MODULE_SOURCES, file), join(tree, file));
  }
  try {
    await progress.step(`dkms: build and install framevec.ko ${VERSION} for ${release}`, () => dkmsInstall(VERSION, release));
  } catch (error) {
    await run('dkms', ['remove', `framevec/${VERSION}`, '--all']);
    rmSync(tree, {recursive: true, force: true});
    throw error;
  }

  const files = writeFiles(options);
  await reloadUdev();
  if (options.load !== false) {
    await progress.step('load it', async () => {
      await load();
      await settle();
    });
  }
  const node = deviceNode();
  return {version: VERSION, kernel: release, files: [tree, ...files], loaded: isLoaded(), ...(node && {node})};
}

/** Takes everything away that an installation of any version has brought; what was removed. */
export async function uninstallModule(progress: Progress): Promise<string[]> {
  requireRoot('uninstall');
  if (isLoaded()) await progress.step('unload the module', unload);
  const removed: string[] = [];
  for (const version of await knownVersions()) {
    await progress.step(`dkms: remove version ${version}`, () => dkmsRemove(version));
    removed.push(`framevec/${version} of dkms`);
  }
  const trees = readdirSync('/usr/src').filter((name) => /^framevec-\d/.test(name)).map((name) => join('/usr/src', name));
  for (const path of [...trees, MODPROBE_FILE, UDEV_RULE_FILE, BOOT_FILE]) {
    if (!existsSync(path)) continue;
    rmSync(path, {recursive: true});
    removed.push(path);
  }
  await reloadUdev();
  return removed;
}

function requireRoot(what: string): void {
  if (process.geteuid?.() !== 0) throw new ModuleError(`this needs root: sudo npx framevec module ${what}`);
}

function requirements(release: string): void {
  if (!isKernelInRange(release)) {
    throw new ModuleError(`kernel ${release} is outside of what the module is for, ${KERNEL_RANGE}; a VM with another: \`npx framevec vm\``);
  }
  const dkms = findProgram('dkms') !== undefined;
  const headers = existsSync(`/lib/modules/${release}/build/Makefile`);
  if (dkms && headers) return;
  const missing = [...(dkms ? [] : ['dkms']), ...(headers ? [] : [`the headers of kernel ${release} (/lib/modules/${release}/build)`])];
  const command = installCommand({dkms: !dkms, ...(!headers && {headers: release})});
  throw new ModuleError(`missing: ${missing.join(' and ')}: \`${command}\`. Without dkms, \`make load\` in a checkout loads the module until the next boot`);
}

async function knownVersions(): Promise<string[]> {
  if (findProgram('dkms') === undefined) return [];
  return [...new Set((await dkmsEntries()).map(({version}) => version))];
}

/** The kernel only remarks on a parameter that a module does not have, and loads it without. */
function requireParameters(parameters: readonly string[]): void {
  const known = moduleParameters(MODULE_SOURCES);
  const unknown = parameters.find((parameter) => !known.includes(parameter.replace(/=.*/s, '')));
  if (unknown !== undefined) throw new ModuleError(`framevec.ko has no parameter ${unknown}; it has ${known.join(', ')}`);
}

function writeFiles({boot, parameters}: InstallOptions): string[] {
  const texts: [path: string, text: string][] = [
    [MODPROBE_FILE, modprobeText(parameters ?? [])],
    [UDEV_RULE_FILE, UDEV_RULE_TEXT],
    ...(boot ? [[BOOT_FILE, BOOT_TEXT] as [string, string]] : []),
  ];
  if (!boot) rmSync(BOOT_FILE, {force: true});
  for (const [path, text] of texts) {
    mkdirSync(dirname(path), {recursive: true});
    writeFileSync(path, text);
  }
  return texts.map(([path]) => path);
}

/** A container, or a system without udev, has nobody to tell. */
const udevRuns = (): boolean => existsSync('/run/udev/control') && findProgram('udevadm') !== undefined;

async function reloadUdev(): Promise<void> {
  if (udevRuns()) await must('telling udev of its rules', 'udevadm', ['control', '--reload']);
}

async function settle(): Promise<void> {
  if (udevRuns()) await run('udevadm', ['settle', '--timeout=10']);
}
