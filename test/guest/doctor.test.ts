/** `framevec doctor` where the module is: well as root, and each thing that is taken away is said. */
import {execFileSync, spawnSync} from 'node:child_process';
import {chmodSync, readFileSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {Finding} from '../../lib/doctor/check.js';
import type {Diagnosis} from '../../lib/doctor/index.js';
import {FRAMEVEC_DEVICE} from '../../lib/uapi.js';
import {endsBalanced, since} from './oracles.js';

endsBalanced(test);

const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const modules = process.env.FRAMEVEC_KMOD ?? '';
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

/** What the doctor says, when a command such as setpriv starts it. */
function doctor(...before: string[]): {status: number | null; ok: boolean; of: (name: string) => Finding & {name?: string}} {
  const [program, ...args] = [...before, process.execPath, main, 'doctor', '--json'];
  const {status, stdout, stderr} = spawnSync(program, args, {encoding: 'utf8'});
  if (stdout === '') throw new Error(stderr);
  const {ok, checks} = JSON.parse(stdout) as Diagnosis;
  return {status, ok, of: (name) => checks.find((check) => check.name === name) ?? {status: 'fail', text: `no check ${name}`}};
}

test.serial('root can pin here, and every line says so but for what a VM has not', (t) => {
  const {status, ok, of} = doctor();
  t.is(status, 0);
  t.true(ok);
  for (const name of ['platform', 'addon', 'kernel', 'loaded', 'abi', 'device', 'pfns', 'memlock', 'hugepages', 'signatures']) t.is(of(name).status, 'ok', name);
  t.like(of('built'), {status: 'note'}, 'insmod loaded it');
  t.regex(of('thp').text, readFileSync('/proc/version', 'utf8').includes('PREEMPT_RT') ? /no transparent huge pages/ : /always|madvise/);
});

test.serial('an unprivileged user is told the permissions of the device, the limit, and that frame numbers need a capability', (t) => {
  const {status, ok, of} = doctor(...NOBODY);
  t.is(status, 1);
  t.false(ok);
  t.is(of('device').status, 'fail');
  t.regex(of('device').text, /mode 0600, user 0, group 0: \w+ may not open it/);
  t.deepEqual(of('abi'), {name: 'abi', status: 'skip', text: 'not checked: see device'});
  t.is(of('pfns').status, 'note');
  t.regex(of('memlock').text, since([5, 16]) ? /8 MiB: 2,048 frames/ : /64 KiB: 16 frames/);
});

test.serial('an unprivileged user who may open the device can pin, up to the limit that doctor names', (t) => {
  chmodSync(FRAMEVEC_DEVICE, 0o666);
  try {
    const {status, of} = doctor('prlimit', '--memlock=1048576', ...NOBODY);
    t.is(status, 0);
    t.is(of('device').status, 'ok');
    t.is(of('pfns').status, 'note');
    t.regex(of('memlock').text, /1 MiB: 256 frames/);
  } finally {
    chmodSync(FRAMEVEC_DEVICE, 0o600);
  }
});

test.serial('without the module it is what is missed, and with it the device and the ABI', (t) => {
  execFileSync('rmmod', ['framevec']);
  try {
    const {status, of} = doctor();
    t.is(status, 1);
    t.is(of('built').status, 'fail');
    for (const name of ['loaded', 'abi', 'device']) t.is(of(name).status, 'skip', name);
    t.regex(of('built').remedy ?? '', /module install/);
  } finally {
    execFileSync('insmod', [`${modules}/framevec.ko`]);
  }
});

test.serial('huge pages are those that the kernel has', (t) => {
  writeFileSync('/proc/sys/vm/nr_hugepages', '3');
  try {
    t.regex(doctor().of('hugepages').text, /^3 of 3 of 2 MiB are free$/);
  } finally {
    writeFileSync('/proc/sys/vm/nr_hugepages', '0');
  }
});
