/**
 * As a new user would: the packed package, installed by npm, then doctor, module install, a program, uninstall; with the
 * dkms, udev and depmod of this machine's Debian, in a VM that boots without the module.
 */
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {Diagnosis} from '../lib/doctor/index.js';
import type {Installed} from '../lib/module/install.js';
import {isSignatureRefusal} from '../lib/module/signing.js';
import type {ModuleStatus} from '../lib/module/status.js';
import {PACKAGE_ROOT, VERSION} from '../lib/package.js';
import {Cache, cacheDirectory} from '../lib/vm/cache.js';
import {EXIT} from '../lib/vm/errors.js';
import {PackageSource} from '../lib/vm/packages.js';
import {Progress} from '../lib/vm/progress.js';

const MAIN = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));

/** /tmp and /run may be other file systems in the guest; the cache is not. */
const cache = new Cache(cacheDirectory());
const directory = mkdtempSync(join(cache.directory, 'install-'));

test.after.always('nothing is left behind', () => {
  rmSync(directory, {recursive: true, force: true});
});

/** dkms and udev of the Debian that runs here, with the library of udev's own version. */
async function packages(): Promise<string[]> {
  const release = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  const path = await cache.entry(cache.path('packages', `dkms-udev-${release}`), async (temporary) => {
    const source = new PackageSource(cache, new Progress(undefined), {release, part: 'updated'});
    await source.update();
    for (const name of ['dkms', 'udev', 'libudev1']) await source.download({name}, temporary);
  });
  return readdirSync(path).map((name) => join(path, name));
}

/**
 * The guest unpacks the packages without their scripts: dpkg itself would take six minutes under emulation. Each step
 * leaves what it printed, and its status, in $FRAMEVEC_RUN.
 */
function script(debs: readonly string[]): string {
  return `
for deb in ${debs.join(' ')}; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C / --keep-directory-symlink || exit 1
done
mkdir -p /var/lib/dkms /etc/udev/rules.d
# depmod reads every module there is, twice: two minutes each under emulation. These few are enough.
modules=/lib/modules/$(uname -r)
small=/var/tmp/modules/$(uname -r)
mkdir -p "$small/kernel/drivers/media"
cp -a "$modules"/modules.* "$modules/build" "$small"
cp -a "$modules/kernel/drivers/media/test-drivers" "$small/kernel/drivers/media"
mount -o bind /var/tmp/modules /lib/modules
depmod
/usr/lib/systemd/systemd-udevd --daemon
framevec=node_modules/.bin/framevec
# Where an installation may write; the rest of the machine is another's, and may change meanwhile.
all() { find /etc/udev /etc/modprobe.d /etc/modules-load.d /etc/depmod.d /usr/src /var/lib/dkms "/lib/modules/$(uname -r)" ! -name 'modules.*' ! -name 'mok.*' | sort; }
step() {
  name=$1; shift
  "$@" >"$FRAMEVEC_RUN/$name.out" 2>"$FRAMEVEC_RUN/$name.err"
  echo $? >"$FRAMEVEC_RUN/$name.status"
}
# Of the cache, too, which may be in a home that is nobody else's.
above=$PWD
until [ "$above" = / ]; do chmod a+rx "$above"; above=$(dirname "$above"); done
as_nobody='setpriv --reuid=65534 --regid=65534 --clear-groups'

all >"$FRAMEVEC_RUN/before"
step doctor-before $framevec doctor --json
step refused-user $as_nobody node $framevec module install
mv /usr/sbin/dkms /usr/sbin/dkms.away
step refused-dkms $framevec module install
mv /usr/sbin/dkms.away /usr/sbin/dkms
step wrong-parameter $framevec module install --param no_such=1
all >"$FRAMEVEC_RUN/after-refusals"

step install $framevec module install --boot --param aperture_size=8388608 --json
step status $framevec module status --json
step parameter cat /sys/module/framevec/parameters/aperture_size
cp /etc/modules-load.d/framevec.conf "$FRAMEVEC_RUN/boot.conf"
cp /etc/modprobe.d/framevec.conf "$FRAMEVEC_RUN/parameters.conf"
cp /etc/udev/rules.d/60-framevec.rules "$FRAMEVEC_RUN"
step doctor $framevec doctor --json
step doctor-nobody $as_nobody node $framevec doctor --json
step example node example.mjs

groupadd --system framevec
udevadm trigger --action=add --settle /sys/class/misc/framevec
step group stat -c '%a %U %G' /dev/framevec
step doctor-member setpriv --reuid=65534 --regid=65534 --groups="$(getent group framevec | cut -d: -f3)" node $framevec doctor --json
groupdel framevec

exec 5<>/dev/framevec
step in-use $framevec module uninstall
exec 5>&-
step uninstall $framevec module uninstall --json
step status-after $framevec module status
step uninstall-again $framevec module uninstall
all >"$FRAMEVEC_RUN/after"
`;
}

const EXAMPLE = `
import {FrameVector} from 'framevec';
const memory = FrameVector.alloc(2 * 1024 * 1024);
const vector = FrameVector.pin(memory, {write: true});
console.log(vector.kind, vector.length, vector.pfns().length);
vector.close();
memory.close();
`;

interface Step {
  status: number;
  stdout: string;
  stderr: string;
}

test('a new user installs the package and the module, is told that all is well, pins, and uninstalls without a trace', async (t) => {
  t.timeout(45 * 60_000);
  const debs = await packages();
  t.true(debs.some((deb) => deb.includes('/dkms_')) && debs.some((deb) => deb.includes('/udev_')), debs.join());
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|MAKE|MFLAGS|NODE_OPTIONS|AVA_)/i.test(name)));
  const [{filename}] = JSON.parse(execFileSync('npm', ['pack', '--json', '--pack-destination', directory], {cwd: PACKAGE_ROOT, env: environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})) as [{filename: string}];
  writeFileSync(join(directory, 'package.json'), '{"name": "user", "private": true}\n');
  writeFileSync(join(directory, 'example.mjs'), EXAMPLE);
  writeFileSync(join(directory, 'script'), script(debs));
  execFileSync('npm', ['install', '--ignore-scripts', `./${filename}`], {cwd: directory, env: environment, stdio: ['ignore', 'ignore', 'pipe']});

  const out = join(directory, 'out');
  const vm = spawnSync(process.execPath, [MAIN, 'vm', '--no-module', '--quiet', '--timeout', '2400', '--out', out, '--', 'sh', 'script'], {cwd: directory, env: environment, encoding: 'utf8'});
  t.is(vm.status, 0, `${vm.stdout}${vm.stderr}`);

  const read = (name: string): string => readFileSync(join(out, name), 'utf8');
  const step = (name: string): Step => ({status: Number(read(`${name}.status`)), stdout: read(`${name}.out`), stderr: read(`${name}.err`)});
  const failed = (name: string): string[] => (JSON.parse(step(name).stdout) as Diagnosis).checks.filter(({status}) => status === 'fail').map((check) => check.name);
  const succeeded = (name: string): string => {
    const {status, stdout, stderr} = step(name);
    t.is(status, 0, `${name}: ${stdout}${stderr}`);
    return stdout;
  };

  // Before
  t.is(step('doctor-before').status, 1);
  t.deepEqual(failed('doctor-before'), ['built', 'loaded', 'abi', 'device']);
  t.regex(step('refused-user').stderr, /^framevec: this needs root: sudo npx framevec module install\n$/);
  t.regex(step('refused-dkms').stderr, /^framevec: missing: dkms: `apt-get install dkms`/m);
  t.regex(step('wrong-parameter').stderr, /^framevec: framevec\.ko has no parameter no_such=1; it has .*aperture_size/m);
  for (const name of ['refused-user', 'refused-dkms', 'wrong-parameter']) t.is(step(name).status, 1, name);
  t.is(read('after-refusals'), read('before'), 'what is refused leaves nothing');

  // Installed
  const installed = JSON.parse(succeeded('install')) as Installed;
  t.like(installed, {version: VERSION, loaded: true, node: {mode: '0600', uid: 0, gid: 0}});
  t.regex(step('install').stderr, /dkms: build and install framevec\.ko .* \d+\.\d s\n/);
  t.like(JSON.parse(succeeded('status')) as ModuleStatus, {installed: true, boot: true, loaded: true, loadedVersion: VERSION});
  t.is(succeeded('parameter'), '8388608\n');
  t.regex(read('boot.conf'), /^framevec$/m);
  t.regex(read('parameters.conf'), /^options framevec aperture_size=8388608$/m);
  t.regex(read('60-framevec.rules'), /GROUP="%c", MODE="0660"/);
  const well = JSON.parse(succeeded('doctor')) as Diagnosis;
  // Nested virtualisation is nothing that a user could install here.
  t.deepEqual(well.checks.filter(({status, name}) => status !== 'ok' && name !== 'kvm'), []);
  t.regex(well.checks.find(({name}) => name === 'built')?.text ?? '', /\/updates\/dkms\/framevec\.ko/);
  t.is(step('doctor-nobody').status, 1);
  t.deepEqual(failed('doctor-nobody'), ['abi', 'device']);
  t.is(succeeded('example'), 'pages 512 512\n');

  // The group
  t.is(succeeded('group'), '660 root framevec\n');
  t.deepEqual(failed('doctor-member'), []);

  // Removed
  t.is(step('in-use').status, 1);
  t.regex(step('in-use').stderr, /^framevec: the module is in use: /m);
  t.true((JSON.parse(succeeded('uninstall')) as {removed: string[]}).removed.includes('/etc/udev/rules.d/60-framevec.rules'));
  t.is(step('status-after').status, 1);
  t.is(succeeded('uninstall-again'), 'nothing of framevec was installed\n');
  t.is(read('after'), read('before'), 'not a file is left');
});

test("a kernel that wants signatures refuses the module in the words that are known, and the doctor says what to do", (t) => {
  t.timeout(10 * 60_000);
  const vm = (...args: string[]): {status: number | null; stdout: string; stderr: string} =>
    spawnSync(process.execPath, [MAIN, 'vm', '--quiet', '--append', 'module.sig_enforce=1', ...args], {cwd: PACKAGE_ROOT, encoding: 'utf8'});
  const refused = vm('--', 'true');
  t.is(refused.status, EXIT.moduleNotLoaded, refused.stderr);
  t.true(isSignatureRefusal(refused.stderr), refused.stderr);
  const {checks} = JSON.parse(vm('--no-module', '--', 'node', MAIN, 'doctor', '--json').stdout) as Diagnosis;
  const signatures = checks.find(({name}) => name === 'signatures');
  t.is(signatures?.status, 'note');
  t.regex(signatures?.text ?? '', /^module\.sig_enforce is on: /);
});
