/** Installing the module, as far as it needs no kernel: what it says, and what it would write. */
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {installCommand} from '../lib/module/distribution.js';
import {parseDkmsStatus} from '../lib/module/dkms.js';
import {UDEV_RULE_TEXT, modprobeText} from '../lib/module/files.js';
import {isKernelInRange} from '../lib/module/kernel_range.js';
import {isSignatureRefusal, signingRemedy} from '../lib/module/signing.js';
import {MODULE_SOURCES, moduleParameters, sourceFiles} from '../lib/module/sources.js';
import {VERSION} from '../lib/package.js';

const DKMS_CONF = readFileSync(join(MODULE_SOURCES, 'dkms.conf'), 'utf8');

/** A variable of dkms.conf, as the shell has it. */
function dkmsVariable(name: string): string {
  const {stdout} = spawnSync('bash', ['-c', `source "$1"; printf %s "$${name}"`, 'bash', join(MODULE_SOURCES, 'dkms.conf')], {encoding: 'utf8'});
  return stdout;
}

test('package, module and dkms.conf have one version', (t) => {
  t.is(dkmsVariable('PACKAGE_VERSION'), VERSION);
  t.is(/MODULE_VERSION\("(.*)"\)/.exec(readFileSync(join(MODULE_SOURCES, 'device.c'), 'utf8'))?.[1], VERSION);
});

test('dkms.conf and the library agree on the kernels', (t) => {
  const exclusive = dkmsVariable('BUILD_EXCLUSIVE_KERNEL');
  const inDkms = (release: string): boolean => spawnSync('bash', ['-c', '[[ $1 =~ $2 ]]', 'bash', release, exclusive]).status === 0;
  const expected: Record<string, boolean> = {
    '4.19.0-27-amd64': false, '5.4.0-200-generic': false, '5.9.16': false, '5.10.0-46-amd64': true, '5.15.0-1-amd64': true,
    '6.1.0-56-rt-amd64': true, '6.1': true, '6.12.95+deb12-amd64': true, '7.3.4+deb13-amd64': true, '8.0.0': false, '61.0': false, 'what': false,
  };
  for (const [release, inRange] of Object.entries(expected)) {
    t.is(isKernelInRange(release), inRange, release);
    t.is(inDkms(release), inRange, `dkms.conf: ${release}`);
  }
});

test('dkms.conf is one of the sources that are copied, and nothing that a build leaves is', (t) => {
  const files = sourceFiles(MODULE_SOURCES);
  for (const file of ['dkms.conf', 'Kbuild', 'device.c', 'uapi/framevec.h', 'sample/Kbuild']) t.true(files.includes(file), file);
  t.deepEqual(files.filter((file) => /\.(o|ko|mod|mod\.c|cmd|order|symvers)$/.test(file)), []);
  t.false(DKMS_CONF.includes('REMAKE_INITRD'));
});

test('the parameters are those of the sources', (t) => {
  t.deepEqual(moduleParameters(MODULE_SOURCES).sort(), ['allow_force', 'aperture_size']);
});

test("dkms's status is read as versions 2 and 3 write it", (t) => {
  t.deepEqual(parseDkmsStatus(''), []);
  t.deepEqual(parseDkmsStatus('framevec/0.1.0: added\n'), [{version: '0.1.0', state: 'added'}]);
  t.deepEqual(parseDkmsStatus('framevec/0.1.0, 6.1.0-56-amd64, x86_64: installed\nframevec/0.0.9, 5.10.0-46-amd64, x86_64: built (WARNING! Diff)\n'), [
    {version: '0.1.0', kernel: '6.1.0-56-amd64', state: 'installed'},
    {version: '0.0.9', kernel: '5.10.0-46-amd64', state: 'built'},
  ]);
  t.deepEqual(parseDkmsStatus('framevec, 0.1.0, 6.1.0-56-amd64, x86_64: installed\n'), [{version: '0.1.0', kernel: '6.1.0-56-amd64', state: 'installed'}]);
});

test('the package to install is named as the distribution names it', (t) => {
  const wanted = {dkms: true, headers: '6.1.0-56-amd64'};
  t.is(installCommand(wanted, 'ID=debian\n'), 'apt-get install dkms linux-headers-6.1.0-56-amd64');
  t.is(installCommand(wanted, 'NAME="X"\nID=rocky\nID_LIKE="rhel centos fedora"\n'), 'dnf install dkms kernel-devel-6.1.0-56-amd64');
  t.is(installCommand({dkms: true}, 'ID=arch\n'), 'pacman -S dkms');
  t.is(installCommand(wanted, ''), 'install dkms and the headers of kernel 6.1.0-56-amd64');
});

test('a refused signature is known by what modprobe says, and the remedy names the certificate that is there', (t) => {
  t.true(isSignatureRefusal("modprobe: ERROR: could not insert 'framevec': Key was rejected by service\n"));
  t.true(isSignatureRefusal("modprobe: ERROR: could not insert 'framevec': Required key not available\n"));
  t.false(isSignatureRefusal("modprobe: ERROR: could not insert 'framevec': Exec format error\n"));
  t.regex(signingRemedy(['/no/such/file', '/etc/passwd']), /mokutil --import \/etc\/passwd/);
  t.regex(signingRemedy(['/no/such/file']), /module install/);
});

test('the files that are written say who wrote them', (t) => {
  t.regex(modprobeText(['allow_force=1', 'aperture_size=4096']), /^# Written by .*\n(#.*\n)*options framevec allow_force=1 aperture_size=4096\n$/);
  t.notRegex(modprobeText([]), /^options/m);
  t.regex(UDEV_RULE_TEXT, /^# Written by /);
});
