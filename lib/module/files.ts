/** The files that an installation writes on the machine, besides what dkms keeps: their texts, and whose they are. */
import {chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync} from 'node:fs';
import {dirname} from 'node:path';

export const MODPROBE_FILE = '/etc/modprobe.d/framevec.conf';
export const UDEV_RULE_FILE = '/etc/udev/rules.d/60-framevec.rules';
export const BOOT_FILE = '/etc/modules-load.d/framevec.conf';

/** udev does not read it. */
const OLD_RULE_FILE = `${UDEV_RULE_FILE}.old`;

export const FILES: readonly string[] = [MODPROBE_FILE, UDEV_RULE_FILE, OLD_RULE_FILE, BOOT_FILE];

/** The output of make when an installation could not build the module; dkms's own is gone with the tree that it was built in. */
export const BUILD_LOG = '/var/log/framevec-build.log';

const MARK = '# Written by `framevec module install`';
const HEADER = `${MARK}; \`framevec module uninstall\` removes it.\n`;

/** A new file of modprobe.d; the parameters follow. */
export const MODPROBE_TEXT = `${HEADER}# \`modinfo framevec\` has the parameters.\n`;

/**
 * The device is root's (0600, by the module itself) unless there is a group framevec. Its number is asked for when the
 * device appears: udev looks up a name in GROUP when it reads its rules, so a group that is younger would be missed, and
 * mode 0660 left with the group root.
 */
export const UDEV_RULE_TEXT = `${HEADER}# Who is in the group framevec may pin: groupadd --system framevec; usermod -aG framevec USER
SUBSYSTEM=="misc", KERNEL=="framevec", PROGRAM=="/bin/sh -c 'getent group framevec | cut -d: -f3'", RESULT=="?*", GROUP="%c", MODE="0660"
`;

export const BOOT_TEXT = `${HEADER}framevec\n`;

/** Undefined if there is no such file. */
export function textOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** Whether an installation wrote the file, or somebody else did. */
export function isOurs(text: string): boolean {
  return text.startsWith(MARK);
}

/** Writes a file of the system: whole or not at all, and for root alone to change whatever the umask is. */
export function writeSystemFile(path: string, text: string | Buffer): void {
  makeDirectory(dirname(path));
  const temporary = `${path}.framevec-new`;
  writeFileSync(temporary, text);
  chmodSync(temporary, 0o644);
  renameSync(temporary, path);
}

/** With its parents; those that are made have mode 0755 whatever the umask is. */
export function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path);
  chmodSync(path, 0o755);
}

/** Writes the udev rule. One that reads otherwise, because somebody edited it, is kept beside it; the path of that. */
export function writeRule(): string | undefined {
  const earlier = textOf(UDEV_RULE_FILE);
  if (earlier === UDEV_RULE_TEXT) return undefined;
  if (earlier !== undefined) writeSystemFile(OLD_RULE_FILE, earlier);
  writeSystemFile(UDEV_RULE_FILE, UDEV_RULE_TEXT);
  return earlier === undefined ? undefined : OLD_RULE_FILE;
}
