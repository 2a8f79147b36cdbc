/** Installing the module, as far as it needs no kernel: what it says, and what it would write. */
import {spawnSync} from 'node:child_process';
import {chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {installCommand} from '../lib/module/distribution.js';
import {parseDkmsStatus} from '../lib/module/dkms.js';
import {BOOT_TEXT, MODPROBE_TEXT, UDEV_RULE_TEXT, isOurs, writeSystemFile} from '../lib/module/files.js';
import {isKernelInRange} from '../lib/module/kernel_range.js';
import {checkParameters, overridden, parametersIn, withParameters} from '../lib/module/parameters.js';
import {isSignatureRefusal, signingRemedy} from '../lib/module/signing.js';
import {copySources, ourTrees} from '../lib/module/source_tree.js';
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

const PARAMETERS = moduleParameters(MODULE_SOURCES);

test('the parameters are those of the sources', (t) => {
  t.deepEqual(PARAMETERS, [{name: 'aperture_size', type: 'ulong'}, {name: 'allow_force', type: 'bool'}]);
});

test('a parameter has to be one that the module has, with a value that the kernel takes', (t) => {
  for (const good of ['aperture_size=0', 'aperture_size=8388608', 'aperture_size=0x800000', 'aperture_size=010', 'aperture_size=18446744073709551615', 'allow_force=1', 'allow_force=N', 'allow_force=off']) {
    t.notThrows(() => { checkParameters(PARAMETERS, [good]); }, good);
  }
  for (const bad of ['aperture_size=foo', 'aperture_size=', 'aperture_size', 'aperture_size=-1', 'aperture_size=08', 'aperture_size=8M', 'aperture_size=18446744073709551616', 'allow_force=2', 'allow_force=maybe']) {
    t.throws(() => { checkParameters(PARAMETERS, ['allow_force=1', bad]); }, {name: 'ModuleError', message: /is no value for the parameter/}, bad);
  }
  t.throws(() => { checkParameters(PARAMETERS, ['no_such=1']); }, {message: /^framevec\.ko has no parameter no_such=1; it has aperture_size, allow_force$/});
  t.throws(() => { checkParameters(PARAMETERS, ['aperture_size=foo'], '/etc/x.conf'); }, {message: /in \/etc\/x\.conf: edit it, or install with --no-param/});
});

test('the types whose values are checked have the range that the kernel has', (t) => {
  const known = ['byte', 'short', 'int', 'ullong', 'charp'].map((type) => ({name: type, type}));
  for (const good of ['byte=255', 'short=-32768', 'int=2147483647', 'ullong=0xffffffffffffffff', 'charp=what']) t.notThrows(() => { checkParameters(known, [good]); }, good);
  for (const bad of ['byte=256', 'short=-32769', 'int=2147483648', 'ullong=0x10000000000000000']) t.throws(() => { checkParameters(known, [bad]); }, undefined, bad);
});

test("dkms's status is read as versions 2 and 3 write it", (t) => {
  t.deepEqual(parseDkmsStatus(''), []);
  t.deepEqual(parseDkmsStatus('framevec/0.1.0: added\n'), [{version: '0.1.0', state: 'added'}]);
  t.deepEqual(parseDkmsStatus('framevec/0.1.0, 6.1.0-56-amd64, x86_64: installed\nframevec/0.0.9, 5.10.0-46-amd64, x86_64: built (WARNING! Missing some built modules!)\n'), [
    {version: '0.1.0', kernel: '6.1.0-56-amd64', state: 'installed'},
    {version: '0.0.9', kernel: '5.10.0-46-amd64', state: 'built', warning: 'Missing some built modules!'},
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
  for (const text of [MODPROBE_TEXT, UDEV_RULE_TEXT, BOOT_TEXT]) {
    t.regex(text, /^# Written by /);
    t.true(isOurs(text));
  }
  t.false(isOurs('framevec\n'));
});

test('new parameters replace those of a file of modprobe.d name by name, and what else is in it stays', (t) => {
  t.is(withParameters(MODPROBE_TEXT, ['allow_force=1', 'aperture_size=4096']), `${MODPROBE_TEXT}options framevec allow_force=1 aperture_size=4096\n`);
  t.is(withParameters(MODPROBE_TEXT, []), MODPROBE_TEXT);
  const edited = '# mine\noptions framevec aperture_size=1 \\\n  allow_force=1\nsoftdep framevec pre: x\noptions framevec aperture_size=2\noptions framevec_sample a=1\n';
  t.deepEqual(parametersIn(edited), ['aperture_size=1', 'allow_force=1', 'aperture_size=2']);
  t.deepEqual(overridden(parametersIn(edited), ['aperture_size=3']), ['aperture_size=3', 'allow_force=1']);
  t.is(withParameters(edited, ['aperture_size=3']), '# mine\noptions framevec aperture_size=3\nsoftdep framevec pre: x\noptions framevec_sample a=1\n');
  t.is(withParameters('# mine', ['a=1']), '# mine\noptions framevec a=1\n');
});

test('of the directories of /usr/src only those are ours whose name is a version that their dkms.conf has, too', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'framevec-trees-'));
  const tree = (name: string, conf?: string): string => {
    mkdirSync(join(directory, name));
    if (conf !== undefined) writeFileSync(join(directory, name, 'dkms.conf'), conf);
    return join(directory, name);
  };
  try {
    const ours = [tree('framevec-0.0.9', 'PACKAGE_NAME="framevec"\nPACKAGE_VERSION="0.0.9"\n'), tree(`framevec-${VERSION}`, DKMS_CONF)];
    tree('framevec-2-mywork');
    tree('framevec-3', 'PACKAGE_NAME="framevec"\nPACKAGE_VERSION="3"\n');
    tree('framevec-1.0.0', 'PACKAGE_NAME="other"\nPACKAGE_VERSION="1.0.0"\n');
    tree('framevec-1.1.0');
    tree(`framevec-${VERSION}-mywork`, DKMS_CONF);
    tree(`other-${VERSION}`, DKMS_CONF);
    t.deepEqual(ourTrees(directory), ours);
    t.deepEqual(ourTrees(join(directory, 'missing')), []);
  } finally {
    rmSync(directory, {recursive: true});
  }
});

test('what is copied for dkms, and what is written in /etc, only its owner may change, whatever the modes of the package', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'framevec-modes-'));
  try {
    const from = join(directory, 'from');
    cpSync(MODULE_SOURCES, from, {recursive: true});
    for (const file of sourceFiles(from)) chmodSync(join(from, file), 0o666);
    chmodSync(join(from, 'uapi'), 0o777);
    copySources(from, join(directory, 'to/framevec-0'));
    writeFileSync(join(directory, 'to/framevec.conf'), '', {mode: 0o666});
    writeSystemFile(join(directory, 'to/framevec.conf'), 'text');
    const entries = readdirSync(join(directory, 'to'), {recursive: true, withFileTypes: true});
    t.is(entries.filter((entry) => entry.isFile()).length, sourceFiles(MODULE_SOURCES).length + 1);
    for (const entry of entries) t.is(statSync(join(entry.parentPath, entry.name)).mode & 0o777, entry.isFile() ? 0o644 : 0o755, entry.name);
  } finally {
    rmSync(directory, {recursive: true});
  }
});
