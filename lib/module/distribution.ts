/** What the packages are called that somebody has to install, on the distribution that runs here. */
import {readFileSync} from 'node:fs';

interface Family {
  ids: readonly string[];
  command: string;
  headers: (release: string) => string;
}

const FAMILIES: readonly Family[] = [
  {ids: ['debian', 'ubuntu'], command: 'apt-get install', headers: (release) => `linux-headers-${release}`},
  {ids: ['fedora', 'rhel', 'centos'], command: 'dnf install', headers: (release) => `kernel-devel-${release}`},
  {ids: ['arch'], command: 'pacman -S', headers: () => 'linux-headers'},
  {ids: ['suse', 'opensuse'], command: 'zypper install', headers: () => 'kernel-default-devel'},
];

/** The command that installs dkms, the headers of kernel `release`, or both. `osRelease` is the text of /etc/os-release. */
export function installCommand(wanted: {dkms?: boolean; headers?: string}, osRelease = readOsRelease()): string {
  const ids = [...osRelease.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap(([, words = '']) => words.split(' '));
  const family = FAMILIES.find((candidate) => candidate.ids.some((id) => ids.includes(id)));
  const packages = [
    ...(wanted.dkms ? ['dkms'] : []),
    ...(wanted.headers === undefined ? [] : [family?.headers(wanted.headers) ?? `the headers of kernel ${wanted.headers}`]),
  ];
  return family === undefined ? `install ${packages.join(' and ')}` : `${family.command} ${packages.join(' ')}`;
}

function readOsRelease(): string {
  try {
    return readFileSync('/etc/os-release', 'utf8');
  } catch {
    return '';
  }
}
