/** The module taken away from this machine. */
import {rmSync} from 'node:fs';
import type {Progress} from '../vm/progress.js';
import {dkmsRemove} from './dkms.js';
import {dkmsVersions, modulesInIndex, sweepRest} from './dkms_tree.js';
import {stillInstalled} from './errors.js';
import {BUILD_LOG, FILES, isOurs, textOf} from './files.js';
import {isLoaded, unload} from './loaded.js';
import {requireRoot} from './requirements.js';
import {ourTrees} from './source_tree.js';
import {reloadUdev} from './udev.js';

export interface Uninstalled {
  removed: string[];
  /** Files of the names that an installation uses, which somebody else wrote. */
  kept: string[];
}

/** Takes everything away that an installation of any version has brought. */
export async function uninstallModule(progress: Progress): Promise<Uninstalled> {
  requireRoot('uninstall');
  if (isLoaded()) await progress.step('unload the module', unload);
  const removed: string[] = [];
  const kept: string[] = [];
  for (const version of dkmsVersions()) {
    const why = await progress.step(`dkms: remove version ${version}`, () => dkmsRemove(version));
    if (why !== undefined) progress.say(`dkms could not remove framevec/${version} (${why}); its files were removed without it`);
    removed.push(`framevec/${version} of dkms`);
  }
  removed.push(...await sweepRest());
  for (const path of ourTrees()) {
    rmSync(path, {recursive: true});
    removed.push(path);
  }
  if (textOf(BUILD_LOG) !== undefined) {
    rmSync(BUILD_LOG);
    removed.push(BUILD_LOG);
  }
  for (const path of FILES) {
    const text = textOf(path);
    if (text === undefined) continue;
    if (!isOurs(text)) {
      kept.push(path);
      continue;
    }
    rmSync(path);
    removed.push(path);
  }
  await reloadUdev();
  const [rest] = await modulesInIndex();
  if (rest !== undefined) throw stillInstalled(rest.path, rest.kernel);
  return {removed, kept};
}
