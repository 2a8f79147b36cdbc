/** The kernels that the module is for; kmod/dkms.conf says the same, and a test compares them. */

/** The first version, and the first that is not known any more. */
const FIRST = {major: 5, minor: 10};
const BEFORE = {major: 8};

/** For people. */
export const KERNEL_RANGE = '5.10 to 7.x';

/** Whether the module is for the kernel that calls itself `release`. */
export function isKernelInRange(release: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)([.+-]|$)/.exec(release) ?? [];
  if (major === undefined || minor === undefined) return false;
  return Number(major) < BEFORE.major && (Number(major) > FIRST.major || (Number(major) === FIRST.major && Number(minor) >= FIRST.minor));
}
