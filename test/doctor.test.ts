/** `framevec doctor`: each check, shown machines that are well and machines that are not. */
import {spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {Finding} from '../lib/doctor/check.js';
import {CHECKS, diagnose, diagnosisInWords, type Diagnosis} from '../lib/doctor/index.js';
import {thisMachine, type Machine} from '../lib/doctor/machine.js';
import {VERSION} from '../lib/package.js';
import {FRAMEVEC_ABI} from '../lib/uapi.js';

const MAIN = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));
const RELEASE = '6.1.0-56-amd64';
const MODULES = `/lib/modules/${RELEASE}`;

/** The files of a machine on which all is well. */
const WELL: Readonly<Record<string, string>> = {
  [`${MODULES}/build/Makefile`]: '',
  [`${MODULES}/modules.dep`]: 'kernel/drivers/media/test-drivers/vivid/vivid.ko: kernel/a.ko\nupdates/dkms/framevec.ko.xz:\nkernel/notframevec.ko:\n',
  '/sys/module/framevec/version': '0.1.0\n',
  '/sys/module/module/parameters/sig_enforce': 'N\n',
  '/sys/kernel/security/lockdown': '[none] integrity confidentiality\n',
  '/sys/kernel/mm/transparent_hugepage/enabled': 'always [madvise] never\n',
  '/proc/self/status': 'Name:\tnode\nCapInh:\t0000000000000000\nCapEff:\t000001ffffffffff\n',
  '/proc/self/limits': 'Limit                     Soft Limit           Hard Limit           Units\nMax locked memory         8388608              8388608              bytes\n',
  '/proc/meminfo': 'MemTotal: 1 kB\nHugePages_Total:      64\nHugePages_Free:       60\nHugepagesize:       2048 kB\n',
  '/dev/framevec': '',
};

const FEATURES = {force: false, pfns: true, leaves: true, unshares: true, copies: true};

/** A machine with these files (undefined: not there) and these answers, the rest as on one that is well. */
function machine(files: Record<string, string | undefined> = {}, answers: Partial<Machine> = {}): Machine {
  const root = mkdtempSync(join(tmpdir(), 'framevec-doctor-'));
  try {
    for (const [path, text] of Object.entries({...WELL, ...files})) {
      if (text === undefined) continue;
      mkdirSync(dirname(join(root, path)), {recursive: true});
      writeFileSync(join(root, path), text, {mode: 0o600});
    }
    const real = thisMachine(root);
    // The files are read now, for they are gone when the checks look.
    const texts = new Map(Object.keys({...WELL, ...files}).map((path) => [path, real.read(path)]));
    const paths = [...texts].filter(([, text]) => text !== undefined).map(([path]) => path);
    return {
      ...real,
      platform: 'linux',
      arch: 'x64',
      glibc: '2.36',
      release: RELEASE,
      isRoot: false,
      read: (path) => texts.get(path),
      exists: (path) => paths.some((known) => known === path || known.startsWith(`${path}/`)),
      device: () => ({mode: 0o600, uid: 0, gid: 0, open: true}),
      kvm: () => ({deviceError: undefined, cpuFlags: ['vmx'], kvmModules: ['kvm_intel']}),
      hasProgram: () => true,
      addon: () => Promise.resolve({path: '/p/dist/prebuilds/linux-x64-glibc/framevec.node'}),
      module: () => Promise.resolve({abi: FRAMEVEC_ABI, features: FEATURES}),
      ...answers,
    };
  } finally {
    rmSync(root, {recursive: true, force: true});
  }
}

async function finding(name: string, patient: Machine): Promise<Finding> {
  const check = CHECKS.find((one) => one.name === name);
  if (check === undefined) throw new Error(`no check ${name}`);
  return await check.look(patient);
}

test('on a machine that is well every line is green, and the process can pin', async (t) => {
  const diagnosis = await diagnose(machine());
  t.deepEqual(diagnosis.checks.filter(({status}) => status !== 'ok'), []);
  t.true(diagnosis.ok);
  const words = diagnosisInWords(diagnosis, false);
  t.is(words.split('\n').length, CHECKS.length + 2);
  t.regex(words, /\nThis process can pin\.$/);
  t.false(words.includes('\u001b'));
});

test('the behaviour of the kernel is told as the module found it', async (t) => {
  const asked = async (features: Partial<typeof FEATURES>): Promise<string> =>
    (await finding('behaviour', machine({}, {module: () => Promise.resolve({abi: FRAMEVEC_ABI, features: {...FEATURES, ...features}})}))).text;
  t.regex(await asked({}), /^a huge device mapping is noted in one step; .* pins a copy of its own; huge pages .* never ends$/);
  t.regex(await asked({leaves: false, unshares: false, copies: false}), /^device mappings are noted page by page; .* pins the page cache's page$/);
});

const UNWELL: [what: string, check: string, status: 'note' | 'fail', patient: Machine, text: RegExp, remedy: RegExp][] = [
  ['another system', 'platform', 'fail', machine({}, {platform: 'darwin'}), /^darwin x64/, /Linux alone/],
  ['another processor', 'platform', 'fail', machine({}, {arch: 'riscv64'}), /riscv64/, /^the module is for x86-64$/],
  ['a processor that the module is not ported to', 'platform', 'fail', machine({}, {arch: 'arm64'}), /arm64/, /^the module is for x86-64$/],
  ['no addon', 'addon', 'fail', machine({}, {addon: () => Promise.resolve({message: 'not built. Looked for:\n  /a\nBuild it with X'})}), /^not built/, /^Build it with X$/],
  ['an old kernel', 'kernel', 'fail', machine({}, {release: '5.4.0-200-generic'}), /outside of 5\.10 to 7\.x/, /npx framevec vm/],
  ['no headers', 'headers', 'note', machine({[`${MODULES}/build/Makefile`]: undefined}), /none for 6\.1\.0-56-amd64/, /6\.1\.0-56-amd64|kernel-/],
  ['a module that is not installed', 'built', 'fail', machine({[`${MODULES}/modules.dep`]: '', '/sys/module/framevec/version': undefined}), /^not installed/, /module install/],
  ['a module that dkms could not build', 'built', 'fail', machine({
    [`${MODULES}/modules.dep`]: '',
    [`/var/lib/dkms/framevec/${VERSION}/build/make.log`]: `DKMS make.log for framevec-${VERSION} for kernel ${RELEASE} (x86_64)\ncompat.h:24:2: error: #error "framevec requires a kernel with CONFIG_MMU_NOTIFIER=y: it tells"\n`,
  }), new RegExp(`^could not be built for ${RELEASE}: framevec requires a kernel with CONFIG_MMU_NOTIFIER=y: it tells; the log of the build: /var/lib/dkms/framevec/`), /module install/],
  ['a module that insmod loaded', 'built', 'note', machine({[`${MODULES}/modules.dep`]: ''}), /loaded by hand/, /module install/],
  ['a module that is there and not loaded', 'loaded', 'fail', machine({'/sys/module/framevec/version': undefined}), /^no$/, /^`sudo modprobe framevec`/],
  ['a module that is neither', 'loaded', 'fail', machine({[`${MODULES}/modules.dep`]: '', '/sys/module/framevec/version': undefined}), /^no$/, /module install/],
  ['a module of another ABI', 'abi', 'fail', machine({}, {module: () => Promise.resolve({abi: 9, features: FEATURES})}), /speaks ABI 9/, /module install/],
  ['a device that is not framevec', 'abi', 'fail', machine({}, {module: () => Promise.resolve({code: 'ERR_FRAMEVEC_ABI', message: 'not ours'})}), /not ours/, /module install/],
  ['no device', 'device', 'fail', machine({}, {device: () => undefined}), /no \/dev\/framevec/, /load the module/],
  ["root's device", 'device', 'fail', machine({}, {device: () => ({mode: 0o600, uid: 0, gid: 0, open: false})}), /mode 0600, user 0, group 0: .* may not open it/, /groupadd --system framevec/],
  ["a group's device", 'device', 'fail', machine({}, {device: () => ({mode: 0o660, uid: 0, gid: 998, open: false})}), /mode 0660/, /^`usermod -aG framevec/],
  ['a module that cannot be asked', 'behaviour', 'note', machine({}, {module: () => Promise.resolve({code: 'ENODEV', message: ''})}), /^unknown: the module asks the kernel when it is loaded$/, /^load the module$/],
  ['no CAP_SYS_ADMIN', 'pfns', 'note', machine({}, {module: () => Promise.resolve({abi: FRAMEVEC_ABI, features: {...FEATURES, pfns: false}})}), /may not read frame numbers/, /setpriv/],
  ['no CAP_SYS_ADMIN, and no module', 'pfns', 'note', machine({'/proc/self/status': 'CapEff:\t0000000000004000\n'}, {module: () => Promise.resolve({code: 'ENODEV', message: ''})}), /may not read frame numbers/, /setpriv/],
  ['a root without CAP_SYS_ADMIN', 'pfns', 'note', machine({}, {isRoot: true, module: () => Promise.resolve({abi: FRAMEVEC_ABI, features: {...FEATURES, pfns: false}})}), /may not read frame numbers/, /^this root has been denied it: in a container/],
  ['capabilities of a user namespace', 'memlock', 'note', machine({'/proc/self/uid_map': '         0       1000          1\n'}), /this process may pin 8 MiB/, /CAP_IPC_LOCK/],
  ['a module that does not answer', 'abi', 'fail', machine({}, {module: () => Promise.resolve({code: 'EIO', message: ''})}), /^unknown: the module does not answer \(EIO\)/, /rmmod framevec/],
  ['a small RLIMIT_MEMLOCK', 'memlock', 'note', machine({'/proc/self/status': 'CapEff:\t0000000000000000\n'}), /this process may pin 8 MiB: 2,048 frames; all processes of this user together may pin 8 MiB, the kernel memory of their vectors included, unless they have CAP_IPC_LOCK$/, /ulimit -l/],
  ['an RLIMIT_MEMLOCK of nothing', 'memlock', 'fail', machine({'/proc/self/status': 'CapEff:\t0000000000000000\n', '/proc/self/limits': 'Max locked memory         0                    0                    bytes\n'}), /0 bytes: 0 frames/, /LimitMEMLOCK=/],
  ['huge pages turned off', 'thp', 'note', machine({'/sys/kernel/mm/transparent_hugepage/enabled': 'always madvise [never]\n'}), /never/, /echo madvise/],
  ['a kernel without huge pages', 'thp', 'note', machine({'/sys/kernel/mm/transparent_hugepage/enabled': undefined}), /no transparent huge pages/, /PREEMPT_RT/],
  ['taken hugetlb pages', 'hugepages', 'note', machine({'/proc/meminfo': 'HugePages_Total: 4\nHugePages_Free: 0\nHugepagesize: 2048 kB\n'}), /all 4 of 2 MiB/, /nr_hugepages=68/],
  ['a kernel without hugetlb', 'hugepages', 'note', machine({'/proc/meminfo': 'MemTotal: 1 kB\n'}), /no hugetlb/, /CONFIG_HUGETLBFS/],
  ['no KVM', 'kvm', 'note', machine({}, {kvm: () => ({deviceError: 'there is no /dev/kvm', cpuFlags: [], kvmModules: []})}), /^there is no \/dev\/kvm: .*emulates/, /\/dev\/kvm/],
  ['no QEMU', 'kvm', 'note', machine({}, {hasProgram: () => false}), /no QEMU/, /--prepare --install/],
  ['enforced signatures', 'signatures', 'note', machine({'/sys/module/module/parameters/sig_enforce': 'Y\n', '/sys/module/framevec/version': undefined}), /sig_enforce is on/, /enrol/],
  ['lockdown', 'signatures', 'note', machine({'/sys/kernel/security/lockdown': 'none [integrity] confidentiality\n', '/sys/module/framevec/version': undefined}), /lockdown is "integrity"/, /enrol/],
  ['Secure Boot', 'signatures', 'note', machine({'/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c': '\u0006\0\0\0\u0001', '/sys/module/framevec/version': undefined}), /Secure Boot is on/, /enrol/],
  ['no vivid', 'vivid', 'note', machine({[`${MODULES}/modules.dep`]: 'updates/dkms/framevec.ko:\n'}), /no vivid/, /--with vivid/],
];

for (const [what, check, status, patient, text, remedy] of UNWELL) {
  test(`${what}: "${check}" says so, and what to do`, async (t) => {
    const found = await finding(check, patient);
    t.is(found.status, status);
    t.regex(found.text, text);
    t.regex(found.remedy ?? '', remedy);
  });
}

test('every check can find something wrong', (t) => {
  t.deepEqual([...new Set(UNWELL.map(([, check]) => check))].sort(), CHECKS.map(({name}) => name).sort());
});

test('a module that is loaded under Secure Boot is signed well enough', async (t) => {
  const found = await finding('signatures', machine({'/sys/module/module/parameters/sig_enforce': 'Y\n'}));
  t.is(found.status, 'ok');
});

test('a failure makes the diagnosis bad, a note does not', async (t) => {
  const noted = await diagnose(machine({}, {hasProgram: () => false}));
  t.true(noted.ok);
  const failed = await diagnose(machine({}, {device: () => undefined}));
  t.false(failed.ok);
  t.regex(diagnosisInWords(failed, false), /\n✘ device +there is no \/dev\/framevec\n +→ load the module\n/);
  t.true(diagnosisInWords(failed, true).includes('\u001b[31m✘'));
});

test('one cause is one failure: what depends on it is not checked', async (t) => {
  const {ok, checks} = await diagnose(machine({[`${MODULES}/modules.dep`]: '', '/sys/module/framevec/version': undefined}, {
    device: () => undefined, module: () => Promise.resolve({code: 'ENODEV', message: ''}),
  }));
  t.false(ok);
  t.deepEqual(checks.filter(({status}) => status === 'fail').map(({name}) => name), ['built']);
  t.deepEqual(checks.filter(({status}) => status === 'skip').map(({name, text}) => `${name}: ${text}`), ['loaded', 'device', 'abi', 'behaviour'].map((name) => `${name}: not checked: see built`));
  const words = diagnosisInWords({ok, checks}, true);
  t.regex(words, /1 check fails\.$/);
  const grey = words.split('\n').find((line) => line.includes('loaded ')) ?? '';
  t.true(grey.includes('\u001b[90mloaded ') && grey.endsWith('not checked: see built\u001b[39m'), grey);
});

test('the command prints a line a check or one line of JSON, ends with 1 where the process cannot pin, and colours nothing in a pipe', (t) => {
  const doctor = (...args: string[]): {status: number | null; stdout: string} => spawnSync(process.execPath, [MAIN, 'doctor', ...args], {encoding: 'utf8'});
  const json = doctor('--json');
  const diagnosis = JSON.parse(json.stdout) as Diagnosis;
  t.is(json.stdout.split('\n').length, 2);
  t.is(json.status, diagnosis.ok ? 0 : 1);
  t.deepEqual(diagnosis.checks.map(({name}) => name), CHECKS.map(({name}) => name));
  // The machine may change between the two, so each is held against itself.
  const words = doctor();
  const lines = [...words.stdout.matchAll(/^([✔!✘·]) (\w+) /gm)];
  t.deepEqual(lines.map(([, , name]) => name), CHECKS.map(({name}) => name));
  t.is(words.status, lines.some(([, mark]) => mark === '✘') ? 1 : 0);
  t.false(words.stdout.includes('\u001b'));
});
