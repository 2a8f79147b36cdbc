/** What an installation writes on the machine, each with its text; uninstalling removes just that. */

export const MODPROBE_FILE = '/etc/modprobe.d/framevec.conf';
export const UDEV_RULE_FILE = '/etc/udev/rules.d/60-framevec.rules';
export const BOOT_FILE = '/etc/modules-load.d/framevec.conf';

/** dkms takes sources from here, by name and version. */
export const sourceTree = (version: string): string => `/usr/src/framevec-${version}`;

const HEADER = '# Written by `framevec module install`; `framevec module uninstall` removes it.\n';

/** The parameters that the module is loaded with. */
export function modprobeText(parameters: readonly string[]): string {
  const options = parameters.length === 0 ? '' : `options framevec ${parameters.join(' ')}\n`;
  return `${HEADER}# \`modinfo framevec\` has the parameters.\n${options}`;
}

/**
 * The device is root's (0600, by the module itself) unless there is a group framevec. Its number is asked for when the
 * device appears: udev looks up a name in GROUP when it reads its rules, so a group that is younger would be missed, and
 * mode 0660 left with the group root.
 */
export const UDEV_RULE_TEXT = `${HEADER}# Who is in the group framevec may pin: groupadd --system framevec; usermod -aG framevec USER
SUBSYSTEM=="misc", KERNEL=="framevec", PROGRAM=="/bin/sh -c 'getent group framevec | cut -d: -f3'", RESULT=="?*", GROUP="%c", MODE="0660"
`;

export const BOOT_TEXT = `${HEADER}framevec\n`;
