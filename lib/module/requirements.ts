/** What has to be there before anything is done. */
import {existsSync} from 'node:fs';
import {findProgram} from '../vm/programs.js';
import {installCommand} from './distribution.js';
import {ModuleError} from './errors.js';
import {KERNEL_RANGE, isKernelInRange} from './kernel_range.js';

export function requireRoot(what: string): void {
  if (process.geteuid?.() !== 0) throw new ModuleError(`this needs root: sudo npx framevec module ${what}`);
}

export const hasHeaders = (release: string): boolean => existsSync(`/lib/modules/${release}/build/Makefile`);

/** dkms, headers, and a kernel in the range. */
export function requireBuild(release: string): void {
  if (!isKernelInRange(release)) {
    throw new ModuleError(`kernel ${release} is outside of what the module is for, ${KERNEL_RANGE}; a VM with another: \`npx framevec vm\``);
  }
  const dkms = findProgram('dkms') !== undefined;
  const headers = hasHeaders(release);
  if (dkms && headers) return;
  const missing = [...(dkms ? [] : ['dkms']), ...(headers ? [] : [`the headers of kernel ${release} (/lib/modules/${release}/build)`])];
  const command = installCommand({dkms: !dkms, ...(!headers && {headers: release})});
  throw new ModuleError(`missing: ${missing.join(' and ')}: \`${command}\`. Without dkms, \`make load\` in a checkout loads the module until the next boot`);
}
