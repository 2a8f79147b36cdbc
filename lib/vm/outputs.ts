/** The files and directories that a run is asked to write: looked at before the boot, for after it the command cannot be run again. */
import {accessSync, closeSync, constants, existsSync, mkdirSync, openSync, statSync} from 'node:fs';
import {resolve} from 'node:path';
import {VmError, messageOf} from './errors.js';

export function requireDirectory(option: string, path: string): void {
  attempt(option, path, () => {
    if (existsSync(path) && !statSync(path).isDirectory()) throw new Error('it is no directory');
    mkdirSync(path, {recursive: true});
    accessSync(path, constants.W_OK | constants.X_OK);
  });
}

export function requireFile(option: string, path: string): void {
  attempt(option, path, () => { closeSync(openSync(path, 'a')); });
}

function attempt(option: string, path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw new VmError(`${option} ${path}: ${resolve(path)} cannot be written to (${messageOf(error)})`);
  }
}
