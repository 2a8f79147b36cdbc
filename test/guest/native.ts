/** The test programs in C (test/native/): each prints a line of JSON about what came of it. */
import {spawnSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';

export type Told = Record<string, number | string>;

export function programPath(name: string): string {
  return fileURLToPath(new URL(`../../../test/native/build/${name}`, import.meta.url));
}

/** Runs a program to its end, of which its last line tells. */
export function tells(name: string, args: readonly (string | number)[], timeout = 240_000): Told {
  const {status, signal, stdout, stderr} = spawnSync(programPath(name), args.map(String), {encoding: 'utf8', timeout, killSignal: 'SIGKILL'});
  if (status !== 0) throw new Error(`${name} ${args.join(' ')}: ${status ?? signal ?? ''} ${stdout} ${stderr}`);
  return {...(JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Told), ...(stderr === '' ? {} : {stderr})};
}
