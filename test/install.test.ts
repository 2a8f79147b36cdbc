/** As a new user would: the package, doctor, module install, a program, uninstall; in a VM (test/installation.ts). */
import {spawnSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {Diagnosis} from '../lib/doctor/index.js';
import type {Installed} from '../lib/module/install.js';
import {isSignatureRefusal} from '../lib/module/signing.js';
import {MODULE_SOURCES, moduleParameters} from '../lib/module/sources.js';
import type {ModuleStatus} from '../lib/module/status.js';
import {PACKAGE_ROOT, VERSION} from '../lib/package.js';
import {EXIT} from '../lib/vm/errors.js';
import {Installation} from './installation.js';

const MAIN = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));

const installation = new Installation();

test.after.always('nothing is left behind', () => {
  installation.remove();
});

const SCRIPT = `
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
step modinfo modinfo -F parm framevec
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

const EXAMPLE = `
import {FrameVector} from 'framevec';
const memory = FrameVector.alloc(2 * 1024 * 1024);
const vector = FrameVector.pin(memory, {write: true});
console.log(vector.kind, vector.frames, vector.pfns().length);
vector.close();
memory.close();
`;

test('a new user installs the package and the module, is told that all is well, pins, and uninstalls without a trace', async (t) => {
  t.timeout(65 * 60_000);
  writeFileSync(join(installation.directory, 'example.mjs'), EXAMPLE);
  await installation.run(t, SCRIPT);
  const read = (name: string): string => installation.read(name);
  const step = (name: string): ReturnType<Installation['step']> => installation.step(name);
  const succeeded = (name: string): string => installation.succeeded(t, name);
  const failed = (name: string): string[] => (JSON.parse(step(name).stdout) as Diagnosis).checks.filter(({status}) => status === 'fail').map((check) => check.name);

  // Before
  t.is(step('doctor-before').status, 1);
  t.deepEqual(failed('doctor-before'), ['built']);
  t.regex(step('refused-user').stderr, /^framevec: this needs root: sudo npx framevec module install\n$/);
  t.regex(step('refused-dkms').stderr, /^framevec: missing: dkms: `apt-get install dkms`/m);
  t.regex(step('wrong-parameter').stderr, /^framevec: framevec\.ko has no parameter no_such=1; it has .*aperture_size/m);
  for (const name of ['refused-user', 'refused-dkms', 'wrong-parameter']) t.is(step(name).status, 1, name);
  t.is(read('after-refusals'), read('before'), 'what is refused leaves nothing');

  // Installed
  const installed = JSON.parse(succeeded('install')) as Installed;
  t.like(installed, {version: VERSION, loaded: true, node: {mode: '0600', uid: 0, gid: 0}});
  t.regex(step('install').stderr, /dkms: build framevec\.ko .* \d+\.\d s\n/);
  t.like(JSON.parse(succeeded('status')) as ModuleStatus, {installed: true, boot: true, loaded: true, loadedVersion: VERSION});
  t.is(succeeded('parameter'), '8388608\n');
  const known = moduleParameters(MODULE_SOURCES).map(({name, type}) => `${name}:${type}`);
  t.deepEqual(succeeded('modinfo').trim().split('\n').map((line) => line.replace(/:.*\((\w+)\)$/s, ':$1')).sort(), known.sort(), 'what is checked is what the module has');
  t.regex(read('boot.conf'), /^framevec$/m);
  t.regex(read('parameters.conf'), /^options framevec aperture_size=8388608$/m);
  t.regex(read('60-framevec.rules'), /GROUP="%c", MODE="0660"/);
  const well = JSON.parse(succeeded('doctor')) as Diagnosis;
  // Nested virtualisation is nothing that a user could install here.
  t.deepEqual(well.checks.filter(({status, name}) => status !== 'ok' && name !== 'kvm'), []);
  t.regex(well.checks.find(({name}) => name === 'built')?.text ?? '', /\/updates\/dkms\/framevec\.ko/);
  t.is(step('doctor-nobody').status, 1);
  t.deepEqual(failed('doctor-nobody'), ['device']);
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
