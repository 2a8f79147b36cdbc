/** udev, where it runs: a container, or a system without it, has nobody to tell. */
import {existsSync} from 'node:fs';
import {findProgram, must, run} from '../vm/programs.js';

const udevRuns = (): boolean => existsSync('/run/udev/control') && findProgram('udevadm') !== undefined;

export async function reloadUdev(): Promise<void> {
  if (udevRuns()) await must('telling udev of its rules', 'udevadm', ['control', '--reload']);
}

export async function settleUdev(): Promise<void> {
  if (udevRuns()) await run('udevadm', ['settle', '--timeout=10']);
}
