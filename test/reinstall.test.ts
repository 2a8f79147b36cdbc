/** Upgrades, reinstallations and uninstallations in which something is wrong, or somebody else's; in a VM (test/installation.ts). */
import {spawnSync} from 'node:child_process';
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Installed} from '../lib/module/install.js';
import type {Uninstalled} from '../lib/module/uninstall.js';
import type {ModuleStatus} from '../lib/module/status.js';
import {VERSION} from '../lib/package.js';
import {findProgram} from '../lib/vm/programs.js';
import {prepareVm} from '../lib/vm/setup.js';
import {Installation, environment} from './installation.js';

const installation = new Installation();

test.after.always('nothing is left behind', () => {
  installation.remove();
});

/**
 * The module's name, parameters and device, and nothing else. It is built here, and "built" by dkms with cp, for under emulation a
 * compiler takes minutes. That dkms builds the real one is install.test.ts's.
 */
const small = (version: string, init: string): string => `#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
static unsigned long aperture_size = 4096;
module_param(aperture_size, ulong, 0444);
static bool allow_force;
module_param(allow_force, bool, 0444);
static const struct file_operations operations = {.owner = THIS_MODULE};
static struct miscdevice device = {.minor = MISC_DYNAMIC_MINOR, .name = "framevec", .fops = &operations, .mode = 0600};
static int __init framevec_init(void) { ${init} }
static void __exit framevec_exit(void) { misc_deregister(&device); }
module_init(framevec_init);
module_exit(framevec_exit);
MODULE_LICENSE("GPL");
MODULE_VERSION("${version}");
`;

const WELL = 'return misc_register(&device);';
const UNLOADABLE = 'return -ENODEV;';

/** Builds the small module for the VM's kernel, into small/VERSION of the project. */
async function build(t: ExecutionContext, version: string, init: string): Promise<void> {
  const {kernel} = await prepareVm({module: false});
  const path = join(installation.directory, 'small', version);
  mkdirSync(path, {recursive: true});
  writeFileSync(join(path, 'Kbuild'), 'obj-m := framevec.o\nframevec-y := device.o\n');
  writeFileSync(join(path, 'device.c'), small(version, init));
  const {status, stderr} = spawnSync('make', ['-C', kernel.headers ?? '', `M=${path}`, `CC=${findProgram('gcc-12') ?? 'gcc'}`, ...kernel.makeArguments, 'modules'], {env: environment, encoding: 'utf8'});
  t.is(status, 0, stderr);
}

const SCRIPT = `
# The same package with another version of the module.
variant() {
  cp -a node_modules/framevec "node_modules/framevec-$1"
  sed -i 's/"version": "${VERSION}"/"version": "'$1'"/' "node_modules/framevec-$1/package.json"
  kmod=node_modules/framevec-$1/kmod
  sed -i "s/${VERSION}/$1/" $kmod/dkms.conf
  rm -r $kmod/*.[ch] $kmod/sample
  cp "small/$2/device.c" "small/$2/Kbuild" $kmod
}
prebuilt() {
  variant $1 $1
  cp small/$1/framevec.ko $kmod/prebuilt
  printf '%s\\n' 'MAKE[0]="cp prebuilt framevec.ko"' 'CLEAN=true' >>$kmod/dkms.conf
}
prebuilt 0.0.9
prebuilt 0.3.0
prebuilt 0.4.0
# dkms compiles this one.
variant 0.2.0 0.0.9
echo '#error "does not compile"' >>$kmod/device.c
of() { version=$1; shift; node "node_modules/framevec-$version/dist/lib/cli/main.js" module "$@"; }
module() { $framevec module "$@"; }
# What is on the machine, with every text and every module.
whole() { all | while read path; do if [ -f "$path" ]; then sha256sum "$path"; elif [ -L "$path" ]; then echo "$path -> $(readlink "$path")"; else echo "$path"; fi; done; cat /sys/module/framevec/version; }
state() { whole >"$FRAMEVEC_RUN/$1" 2>&1; }
# As Ctrl-C: dkms gets the signal, too.
interrupted() {
  setsid node node_modules/framevec/dist/lib/cli/main.js module install &
  pid=$!
  until [ -s "/var/lib/dkms/.framevec-install/dkms/framevec/${VERSION}/build/make.log" ]; do kill -0 $pid || return 1; sleep 0.2; done
  bash -c "kill -TERM -- -$pid" # dash cannot
  wait $pid
}
find_version() { cat /sys/module/framevec/version; modinfo -F version framevec; }

# Somebody's own.
mkdir -p /usr/src/framevec-2-mywork /usr/src/framevec-1.0.0 /usr/src/framevec-1.1.0
echo work >/usr/src/framevec-2-mywork/file
printf 'PACKAGE_NAME="other"\\nPACKAGE_VERSION="1.0.0"\\n' >/usr/src/framevec-1.0.0/dkms.conf
cp -r node_modules/framevec/kmod /usr/src/framevec-${VERSION}-mywork
all >"$FRAMEVEC_RUN/before"

step wrong-value module install --boot --param aperture_size=foo
step wrong-bool module install --param allow_force=perhaps
mkdir /usr/src/framevec-${VERSION}
step foreign-tree module install
rmdir /usr/src/framevec-${VERSION}
step uninstall-nothing module uninstall
mv /usr/src /usr/src-away
step no-usr-src module uninstall
mv /usr/src-away /usr/src
all >"$FRAMEVEC_RUN/after-refusals"

# A first installation that does not load leaves nothing.
step first-unloadable of 0.3.0 install --boot --param aperture_size=4096
all >"$FRAMEVEC_RUN/after-unloadable"

# Modes
find node_modules/framevec-0.0.9 -type f -exec chmod 0666 {} +
find node_modules/framevec-0.0.9 -type d -exec chmod 0777 {} +
umask 0
step old of 0.0.9 install --boot --param aperture_size=8388608
umask 022
find /usr/src/framevec-0.0.9 /etc/modprobe.d/framevec.conf /etc/modules-load.d/framevec.conf /etc/udev/rules.d/60-framevec.rules /lib/modules/*/updates -perm /022 ! -type l >"$FRAMEVEC_RUN/writable"
stat -c '%a' /usr/src/framevec-0.0.9/device.c >"$FRAMEVEC_RUN/mode"

# The same version again, with options.
echo '# mine' >>/etc/modprobe.d/framevec.conf
step again of 0.0.9 install --no-boot --param allow_force=1 --json
step again-parameters grep . /sys/module/framevec/parameters/aperture_size /sys/module/framevec/parameters/allow_force
cp /etc/modprobe.d/framevec.conf "$FRAMEVEC_RUN/again.conf"
step again-status of 0.0.9 status --json
step boot of 0.0.9 install --boot --no-param --no-load --json
step boot-parameters cat /sys/module/framevec/parameters/aperture_size
cp /etc/modprobe.d/framevec.conf "$FRAMEVEC_RUN/boot.conf"

# Failed upgrades
state old
cp "$(modinfo -n framevec)" "$FRAMEVEC_RUN/framevec.ko"
step broken of 0.2.0 install --no-boot --no-param
state broken
step unloadable of 0.3.0 install --no-boot --no-param
state unloadable
exec 5<>/dev/framevec
step in-use module install
exec 5>&-
state in-use
step interrupted interrupted
state interrupted
step version-before find_version

# An upgrade keeps what was set, and says so.
echo 'options framevec aperture_size=4194304 allow_force=1' >>/etc/modprobe.d/framevec.conf
cp /etc/modprobe.d/framevec.conf "$FRAMEVEC_RUN/edited.conf"
echo '# my rule' >>/etc/udev/rules.d/60-framevec.rules
step upgrade of 0.4.0 install --json
step version find_version
step parameters grep . /sys/module/framevec/parameters/aperture_size /sys/module/framevec/parameters/allow_force
cp /etc/modprobe.d/framevec.conf "$FRAMEVEC_RUN/kept.conf"
cp /etc/udev/rules.d/60-framevec.rules.old "$FRAMEVEC_RUN/old.rules"
step upgraded-status of 0.4.0 status --json
ls -d /usr/src/framevec-* >"$FRAMEVEC_RUN/trees"

# A file that somebody made wrong is refused before anything is done.
sed -i 's/aperture_size=4194304/aperture_size=4M/' /etc/modprobe.d/framevec.conf
step wrong-kept module install

# The sources are gone: dkms can do nothing, and says so with status 0.
rm -r /usr/src/framevec-0.4.0
step dkms-alone dkms remove framevec/0.4.0 --all
step sourceless-status of 0.4.0 status
step sourceless module uninstall --json
step sourceless-modinfo modinfo framevec
all >"$FRAMEVEC_RUN/after"

# A module of somebody else's is no success.
mkdir -p "/lib/modules/$(uname -r)/extra"
cp "$FRAMEVEC_RUN/framevec.ko" "/lib/modules/$(uname -r)/extra/framevec.ko"
depmod
step foreign-module module uninstall
rm -r "/lib/modules/$(uname -r)/extra"
depmod
# Nor is a file in /etc that somebody else wrote ours to remove.
echo framevec >/etc/modules-load.d/framevec.conf
step foreign-file module uninstall --json
step foreign-file-is-there cat /etc/modules-load.d/framevec.conf
`;

test('an installation that fails leaves what was there, an upgrade keeps what was set, and uninstalling removes what is ours', async (t) => {
  t.timeout(65 * 60_000);
  await build(t, '0.0.9', WELL);
  await build(t, '0.3.0', UNLOADABLE);
  await build(t, '0.4.0', WELL);
  await installation.run(t, SCRIPT);
  const read = (name: string): string => installation.read(name);
  const step = (name: string): ReturnType<Installation['step']> => installation.step(name);
  const succeeded = (name: string): string => installation.succeeded(t, name);
  const refused = (name: string, why: RegExp): void => {
    const {status, stdout, stderr} = step(name);
    t.is(status, 1, `${name}: ${stdout}${stderr}`);
    t.regex(stderr, why, name);
    t.notRegex(stderr, /^ +at /m, `${name}: no stack`);
  };

  // Refused before anything is written
  refused('wrong-value', /^framevec: "foo" is no value for the parameter aperture_size of framevec\.ko: it is ulong: an integer from 0 to \d+/m);
  refused('wrong-bool', /^framevec: "perhaps" is no value for the parameter allow_force/m);
  refused('foreign-tree', /^framevec: \/usr\/src\/framevec-\S+ exists and does not belong to framevec .*move it away/m);
  t.is(succeeded('uninstall-nothing'), 'nothing of framevec was installed\n');
  t.is(succeeded('no-usr-src'), 'nothing of framevec was installed\n');
  t.is(read('after-refusals'), read('before'), 'what is refused leaves nothing, and what is not ours stays');
  refused('first-unloadable', /restore the previous state .* s\n(?:.*\n)*framevec: modprobe could not load the module: .*No such device/);
  t.is(read('after-unloadable'), read('before'), 'no dead entry is left');

  // Modes
  succeeded('old');
  t.is(read('writable'), '');
  t.is(read('mode'), '644\n');

  // The same version again
  const again = JSON.parse(succeeded('again')) as Installed;
  t.deepEqual(again.kept, ['/etc/modprobe.d/framevec.conf: aperture_size=8388608 (--no-param forgets them)']);
  t.regex(succeeded('again-parameters'), /aperture_size:8388608\n.*allow_force:Y\n/);
  t.regex(read('again.conf'), /^options framevec aperture_size=8388608 allow_force=1\n# mine\n$/m);
  t.like(JSON.parse(succeeded('again-status')) as ModuleStatus, {installed: true, boot: false, loaded: true});
  t.like(JSON.parse(succeeded('boot')) as Installed, {loaded: true, kept: []});
  t.is(succeeded('boot-parameters'), '8388608\n', 'with --no-load what is loaded stays');
  t.regex(read('boot.conf'), /parameters\.\n# mine\n$/);

  // The working version stays
  t.regex(read('old'), /\n0\.0\.9\n$/);
  refused('broken', /^framevec: dkms could not build the module for kernel \S+: .*error: #error "does not compile"; the log of the build: \/var\/log\/framevec-build\.log$/m);
  t.is(read('broken'), read('old'), 'a build that fails changes nothing');
  refused('unloadable', /^framevec: modprobe could not load the module: .*No such device/m);
  t.is(read('unloadable'), read('old'), 'what does not load is taken back, and the working version is loaded');
  refused('in-use', /^framevec: the module is in use: /m);
  t.notRegex(step('in-use').stderr, /dkms: build/, 'it is said before it is built');
  t.is(read('in-use'), read('old'));
  refused('interrupted', /^framevec: interrupted: nothing was changed$/m);
  t.is(read('interrupted'), read('old'));
  t.is(succeeded('version-before'), '0.0.9\n0.0.9\n');

  // An upgrade
  const upgraded = JSON.parse(succeeded('upgrade')) as Installed;
  t.like(upgraded, {version: '0.4.0', loaded: true});
  t.is(upgraded.kept.length, 3);
  for (const what of [/modprobe\.d.*aperture_size=4194304 allow_force=1 \(--no-param/, /modules-load\.d.*--no-boot/, /60-framevec\.rules\.old/]) {
    t.true(upgraded.kept.some((line) => what.test(line)), String(what));
    t.regex(step('upgrade').stderr, what);
  }
  t.is(succeeded('version'), '0.4.0\n0.4.0\n');
  t.regex(succeeded('parameters'), /aperture_size:4194304\n.*allow_force:Y\n/);
  t.is(read('kept.conf'), read('edited.conf'));
  t.regex(read('old.rules'), /^# my rule$/m);
  const status = JSON.parse(succeeded('upgraded-status')) as ModuleStatus;
  t.like(status, {installed: true, boot: true, loaded: true, loadedVersion: '0.4.0'});
  t.deepEqual(status.dkms.map(({version}) => version), ['0.4.0']);
  t.deepEqual(read('trees').trim().split('\n').filter((path) => !/mywork|framevec-1\.[01]\.0$/.test(path)), ['/usr/src/framevec-0.4.0']);

  refused('wrong-kept', /^framevec: "4M" is no value .*\(in \/etc\/modprobe\.d\/framevec\.conf: edit it, or install with --no-param\)/m);

  // Without the sources
  t.is(step('dkms-alone').status, 0, 'this is why its status is not asked');
  t.is(step('sourceless-status').status, 1);
  t.regex(step('sourceless-status').stdout, /^dkms +.*failed: Error! Could not locate dkms\.conf file/m);
  const {removed} = JSON.parse(succeeded('sourceless')) as Uninstalled;
  t.true(removed.includes('framevec/0.4.0 of dkms') && removed.includes('/etc/udev/rules.d/60-framevec.rules.old'), removed.join());
  t.regex(step('sourceless').stderr, /dkms could not remove framevec\/\S+ \(Error! Could not locate dkms\.conf file.*its files were removed without it/);
  t.is(step('sourceless-modinfo').status, 1);
  t.is(read('after'), read('before'), 'not a file is left, and none of others is gone');

  // What is not ours
  refused('foreign-module', /^framevec: \S+\/extra\/framevec\.ko is still installed, .*`rm \S+framevec\.ko && depmod \S+`/m);
  t.deepEqual(JSON.parse(succeeded('foreign-file')), {removed: [], kept: ['/etc/modules-load.d/framevec.conf']});
  t.is(succeeded('foreign-file-is-there'), 'framevec\n');
});
