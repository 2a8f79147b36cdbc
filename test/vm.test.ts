/** The VM runner, as far as it can be tested without booting: what it asks QEMU, apt and the guest for, and what it makes of their answers. */
import {execFileSync, spawnSync} from 'node:child_process';
import {appendFileSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {gunzipSync, gzipSync} from 'node:zlib';
import test from 'ava';
import {objection} from '../lib/vm/accel.js';
import {findPayload} from '../lib/vm/bzimage.js';
import {Cache, cacheDirectory, isHiddenInGuest} from '../lib/vm/cache.js';
import {measuredFrequency} from '../lib/vm/clock.js';
import {cpio} from '../lib/vm/cpio.js';
import {isStaticElf} from '../lib/vm/elf.js';
import {checkConfig} from '../lib/vm/debug-kernel.js';
import {EndMark} from '../lib/vm/end-mark.js';
import {EXIT} from '../lib/vm/errors.js';
import {commandScript, guestEnvironment, initScript} from '../lib/vm/guest.js';
import {KERNELS, KERNEL_NAMES, findKernelKind} from '../lib/vm/kernels.js';
import {headline, scanLog} from '../lib/vm/log-scan.js';
import {findWarnings} from '../lib/vm/module.js';
import {installCommands} from '../lib/vm/programs.js';
import {kernelCommandLine, qemuArguments, type Machine} from '../lib/vm/qemu.js';
import {bootStalls, isEmulatorsFault, judge, type Evidence} from '../lib/vm/run.js';
import {quote, splitWords} from '../lib/vm/shell.js';
import {sourcesFor} from '../lib/vm/sources.js';

const MAIN = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));

function framevecVm(...args: string[]): {status: number | null; stdout: string; stderr: string} {
  return spawnSync(process.execPath, [MAIN, 'vm', ...args], {encoding: 'utf8'});
}

function temporaryDirectory(remove: (undo: () => void) => void): string {
  const directory = mkdtempSync(join(tmpdir(), 'framevec-vm-'));
  remove(() => { rmSync(directory, {recursive: true, force: true}); });
  return directory;
}

// The command line

test('help names every kernel, every status of the runner, and examples', (t) => {
  const {status, stdout} = framevecVm('--help');
  t.is(status, 0);
  for (const name of KERNEL_NAMES) {
    t.true(stdout.includes(name), name);
  }
  for (const code of Object.values(EXIT)) {
    t.regex(stdout, new RegExp(`^ {2}${code} `, 'm'));
  }
  t.regex(stdout, /Examples:\n {2}\$ framevec vm/);
});

test('a run without a command says where the command stands', (t) => {
  const {status, stderr} = framevecVm();
  t.is(status, EXIT.runner);
  t.regex(stderr, /^framevec: there is no command to run; it stands after --/);
});

for (const [what, args] of [
  ['an unknown option', ['--kernal', '6.1', '--', 'true']],
  ['a memory size without a unit', ['--memory', '2048', '--', 'true']],
  ['a time limit of zero', ['--timeout', '0', '--', 'true']],
  ['half a CPU', ['--cpus', '0.5', '--', 'true']],
  ['an environment variable without a value', ['--env', 'NAME', '--', 'true']],
  ['an open quote in the arguments for QEMU', ['--qemu', "-name 'x", '--', 'true']],
] as const) {
  test(`${what} is refused with the runner's own status, not one that a command could have`, (t) => {
    t.is(framevecVm(...args).status, EXIT.runner);
  });
}

test('an unknown kernel is refused with the list of those that are known', (t) => {
  const directory = temporaryDirectory((undo) => { t.teardown(undo); });
  const {status, stderr} = spawnSync(process.execPath, [MAIN, 'vm', '--no-module', '--kernel', '4.19', '--', 'true'], {
    encoding: 'utf8',
    env: {...process.env, FRAMEVEC_CACHE: directory},
  });
  t.is(status, EXIT.runner);
  // A machine without QEMU is told of that first.
  t.regex(stderr, /5\.10, 5\.10-rt, 6\.1, .*host|programs are missing/);
});

// Quoting

test('whatever an argument holds reaches the command as it was given', (t) => {
  const words = ['plain', '', 'two words', "it's", '"double"', '$HOME `id` $(id)', 'new\nline', '\\', '*', '-n', 'é', 'a=b', '!'];
  const script = commandScript({
    command: [process.execPath, '-e', 'console.log(JSON.stringify(process.argv.slice(1)))', '--', ...words],
    directory: '/',
    environment: {},
  });
  t.deepEqual(JSON.parse(execFileSync('/bin/sh', {input: script, encoding: 'utf8'})), words);
});

test('the command has the working directory and the environment that it was given', (t) => {
  const script = commandScript({command: ['sh', '-c', 'pwd; echo "$A|$SHLVL"'], directory: '/usr/lib', environment: {A: "x 'y'\nz", 'not-a-name': '1', PATH: '/usr/bin:/bin'}});
  t.is(execFileSync('/bin/sh', {input: script, encoding: 'utf8'}), "/usr/lib\nx 'y'\nz|\n");
});

test('a quoted word is one word again when split', (t) => {
  const words = ['a', 'b c', "d'e", '', 'f"g'];
  t.deepEqual(splitWords(words.map(quote).join(' ')), words);
});

test('arguments for QEMU are split as a shell would', (t) => {
  t.deepEqual(splitWords(`-device edu  -name "a \\"b\\"" -x 'c d'\\ e`), ['-device', 'edu', '-name', 'a "b"', '-x', 'c d e']);
  t.is(splitWords('"open'), undefined);
});

test("the script of the guest's first process is one that a shell can read", (t) => {
  for (const terminal of [undefined, {rows: 24, columns: 80, stderr: true}]) {
    const script = initScript({
      command: ['true'],
      directory: '/',
      environment: {},
      modulesDirectory: "/a b/it's",
      headers: undefined,
      moduleParameters: ['allow_force=1'],
      with: [['vivid', 'n_devs=2']],
      drivers: [{path: '/c d/driver.ko', parameters: ['debug=1'], needs: ['videodev']}],
      terminal,
      endMark: 'mark',
    });
    t.notThrows(() => execFileSync('/bin/sh', ['-n'], {input: script, stdio: ['pipe', 'pipe', 'pipe']}));
    t.true(script.includes('$box insmod $run/framevec.ko'));
    t.true(script.includes('modprobe vivid'));
    t.regex(script, /modprobe vivid[^]*modprobe videodev[^]*insmod '\/c d\/driver\.ko' '?debug=1'?/);
  }
});

// The guest's environment

test('the guest is told what says how programs behave, and no secrets', (t) => {
  const environment = guestEnvironment(
    {
      PATH: '/bin',
      NO_COLOR: '1',
      NODE_OPTIONS: '--expose-gc',
      npm_config_loglevel: 'warn',
      NODE_AUTH_TOKEN: 'x',
      npm_config__authToken: 'x',
      npm_config_https_proxy: 'scheme://user:x@proxy.example',
      npm_config_key: 'x',
      npm_config_otp: 'x',
      npm_package_config_key: 'x',
      NODE_PRIVATE_KEY: 'x',
      FRAMEVEC_API_KEY: 'x',
      FRAMEVEC_FUZZ: '100',
      SSH_AUTH_SOCK: '/x',
      MAKEFLAGS: '-j2 --jobserver-auth=3,4',
      UNSET: undefined,
    },
    {MINE: 'yes', PATH: '/opt/bin'},
  );
  t.deepEqual(environment, {
    PATH: '/opt/bin',
    NO_COLOR: '1',
    NODE_OPTIONS: '--expose-gc',
    npm_config_loglevel: 'warn',
    FRAMEVEC_FUZZ: '100',
    MINE: 'yes',
    FRAMEVEC_VM: '1',
    FRAMEVEC_RUN: '/run/framevec/out',
  });
});

// QEMU

const MACHINE: Machine = {
  accel: 'tcg',
  icount: false,
  memory: '2G',
  cpus: 2,
  image: '/cache/vmlinux',
  initramfs: '/cache/initramfs',
  tscFrequency: 2_596_125,
  append: 'hugepages=8',
  extra: ['-device', 'edu'],
  kernelLog: '/cache/a,b/kernel.log',
  share: '/cache/run',
  out: '/cache/out',
  terminal: false,
};

const after = (args: readonly string[], option: string): string | undefined => args[args.indexOf(option) + 1];

test("the machine's root is shared read-only, and only the run's directories can be written", (t) => {
  const shares = qemuArguments(MACHINE).filter((argument) => argument.startsWith('local,'));
  t.is(shares.length, 3);
  t.regex(shares[0] ?? '', /path=\/,.*readonly=on/);
  t.true(shares.slice(1).every((share) => !share.includes('readonly')));
});

test('a comma in a path does not end an option of QEMU', (t) => {
  t.true(qemuArguments(MACHINE).includes('file,id=log,path=/cache/a,,b/kernel.log'));
});

test("the caller's additions come last, so that they win", (t) => {
  t.deepEqual(qemuArguments(MACHINE).slice(-2), ['-device', 'edu']);
  t.regex(kernelCommandLine(MACHINE), / hugepages=8$/);
});

test('emulation takes every processor feature, KVM those of the host', (t) => {
  t.is(after(qemuArguments(MACHINE), '-cpu'), 'max');
  t.is(after(qemuArguments({...MACHINE, accel: 'kvm'}), '-cpu'), 'host');
  t.false(kernelCommandLine({...MACHINE, accel: 'kvm'}).includes('mitigations=off'));
});

test('counted time has one CPU, whatever was asked for', (t) => {
  const args = qemuArguments({...MACHINE, icount: true, cpus: 4});
  t.is(after(args, '-smp'), '1');
  t.is(after(args, '-icount'), 'shift=0,sleep=off');
  t.is(after(args, '-accel'), 'tcg,thread=single');
});

test("the emulated guest is told the frequency of this machine's counter, unless its time is counted in instructions", (t) => {
  t.regex(kernelCommandLine(MACHINE), / tsc_early_khz=2596125 /);
  t.notRegex(kernelCommandLine({...MACHINE, tscFrequency: undefined}), /tsc_early_khz/);
  t.notRegex(kernelCommandLine({...MACHINE, icount: true}), /tsc_early_khz/);
  t.notRegex(kernelCommandLine({...MACHINE, accel: 'kvm'}), /tsc_early_khz/);
});

test('the frequency is what a guest measured over a second, not what it measured first', (t) => {
  const log = '[    0.052000] tsc: Detected 120.070 MHz processor\n';
  t.is(measuredFrequency(log), undefined);
  t.is(measuredFrequency(`${log}[    4.208142] tsc: Refined TSC clocksource calibration: 2596.125 MHz\n`), 2_596_125);
});

test('stdout is a terminal in the guest only when asked for', (t) => {
  t.false(qemuArguments(MACHINE).some((argument) => argument.startsWith('virtconsole')));
  t.true(qemuArguments({...MACHINE, terminal: true}).some((argument) => argument.startsWith('virtconsole')));
});

// KVM

const GOOD_HOST = {deviceError: undefined, cpuFlags: ['fpu', 'vmx'], kvmModules: ['kvm_intel']};

test('KVM is worth a try only where device, processor and module agree', (t) => {
  t.is(objection(GOOD_HOST), undefined);
  t.is(objection({...GOOD_HOST, cpuFlags: ['svm'], kvmModules: ['kvm_amd']}), undefined);
  t.regex(objection({...GOOD_HOST, deviceError: 'there is no /dev/kvm'}) ?? '', /no \/dev\/kvm/);
  t.regex(objection({...GOOD_HOST, cpuFlags: ['fpu']}) ?? '', /neither vmx nor svm/);
  t.regex(objection({...GOOD_HOST, kvmModules: []}) ?? '', /neither kvm_intel nor kvm_amd/);
});

// The kernel log

/** Lines that healthy kernels have said: stock 5.10 to 7.3 here, and the mitigation notices of real processors. */
const HEALTHY = `
[    0.000000] Linux version 6.1.0-56-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0)
[    0.000000] Command line: console=ttyS0 WARNING: BUG: Call Trace:
[    0.051000] Kernel command line: console=ttyS0 panic=-1
[    0.000000] rcu: 	RCU callback double-/use-after-free debug is enabled.
[    0.000000][    T0] x86/fpu: x87 FPU will use FXSAVE
[    0.000000] RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks, data leaks possible!
[    0.000000] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible via Spectre v2 BHB attacks!
[    0.000000] SMT: disabled, but no bugs
[    0.136000] Running RCU-tasks wait API self tests
[    0.236000] rcu: Hierarchical RCU implementation.
[    0.400000] kmemleak: Kernel memory leak detector initialized (mem pool available: 15784)
[    0.400000] KASAN: KernelAddressSanitizer initialized (generic)
[    0.500000] debug: unmapping init [mem 0xffffffff83000000-0xffffffff831fffff]
[    0.600000] pci 0000:00:1f.0: quirk: [io  0x0600-0x067f] claimed by ICH6 ACPI/GPIO/TCO
[    0.700000] clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable because the skew is too large:
[    1.000000] platform regulatory.0: firmware: failed to load regulatory.db (-2)
[    1.700000] Warning: unable to open an initial console.
[    2.100000] framevec: loading out-of-tree module taints kernel.
[    2.100000] framevec: module verification failed: signature and/or required key missing - tainting kernel
[    3.000000] traps: node[71] general protection fault ip:7f2f sp:7ffc error:0 in libc.so.6[7f2f+155000]
[    3.100000] node[72]: segfault at 0 ip 0000000000401136 sp 00007ffd error 4 in a.out[401000+1000]
[    3.150000] EXT4-fs (vda): mounted filesystem with ordered data mode. Opts: errors=remount-ro. Quota mode: none.
[    3.160000] leaky[73]: a program says that it leaked memory
[    3.170000] systemd-udevd[74]: a descriptor was leaked
[    3.200000] Memory failure: 0x1234: recovery action for dirty LRU page: Recovered
[    4.842299] framevec-end-e90b57705c41d42efc5c57e565c40fff
`;

test('a healthy kernel log is found to be healthy', (t) => {
  t.deepEqual(scanLog(HEALTHY), []);
});

for (const [kind, line] of [
  ['warning', 'WARNING: CPU: 0 PID: 231 at mm/gup.c:1190 __get_user_pages+0x5e/0x6b0'],
  ['warning', 'WARNING: x'],
  ['bug', 'BUG: kernel NULL pointer dereference, address: 0000000000000008'],
  ['bug', 'kernel BUG at mm/slub.c:435!'],
  ['bug', 'BUG: Bad page state in process node  pfn:12345'],
  ['bug', 'mm/pgtable-generic.c:50: bad pmd ffff888004c3a000(80000000b6a000e7)'],
  ['bug', 'mm/memory.c:512: bad pte 00000000'],
  ['bug', 'get_swap_device: Bad swap file entry 3ffffffffffff'],
  ['file system', 'EXT4-fs error (device vda): ext4_lookup:1858: inode #2: comm node: deleted inode referenced: 12'],
  ['file system', 'BTRFS error (device vdb): parent transid verify failed on logical 30 mirror 1'],
  ['file system', 'XFS (vdb): Metadata corruption detected at xfs_agf_verify+0xd9/0x110'],
  ['file system', 'VFS: Busy inodes after unmount of vdb. Self-destruct in 5 seconds.  Have a nice day...'],
  ['leak', 'unregister_netdevice: waiting for lo to become free. Usage count = 2'],
  ['bug', 'BUG: Bad rss-counter state mm:00000000a type:MM_ANONPAGES val:1'],
  ['oops', 'Oops: 0002 [#1] PREEMPT SMP NOPTI'],
  ['oops', 'general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] PREEMPT SMP'],
  ['oops', 'divide error: 0000 [#1] SMP'],
  ['panic', 'Kernel panic - not syncing: sysrq triggered crash'],
  ['sanitizer', 'BUG: KASAN: slab-use-after-free in framevec_unpin+0x44/0x90 [framevec]'],
  ['sanitizer', 'BUG: KFENCE: out-of-bounds read in framevec_pin+0x44/0x90 [framevec]'],
  ['lockdep', 'WARNING: possible circular locking dependency detected'],
  ['lockdep', 'WARNING: inconsistent lock state'],
  ['lockdep', 'WARNING: suspicious RCU usage'],
  ['lockdep', 'WARNING: lock held when returning to user space!'],
  ['lockdep', 'INFO: trying to register non-static key.'],
  ['atomic', 'BUG: sleeping function called from invalid context at mm/gup.c:2870'],
  ['atomic', 'BUG: scheduling while atomic: node/231/0x00000002'],
  ['lockup', 'watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [node:231]'],
  ['lockup', 'rcu: INFO: rcu_preempt self-detected stall on CPU'],
  ['hung task', 'INFO: task node:231 blocked for more than 120 seconds.'],
  ['ubsan', 'UBSAN: array-index-out-of-bounds in frame_vector.c:12:3'],
  ['corruption', 'list_del corruption. prev->next should be ffff8881, but was dead000000000122'],
  ['corruption', 'refcount_t: underflow; use-after-free.'],
  ['leak', 'framevec: 3 frames leaked'],
  ['leak', 'kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)'],
  ['leak', 'BUG kmalloc-64 (Tainted: G O): Objects remaining in kmalloc-64 on __kmem_cache_shutdown()'],
  ['trace', 'Call Trace:'],
] as const) {
  test(`the kernel log's line "${line.slice(0, 50)}" is found`, (t) => {
    const findings = scanLog(`[    0.1] fine\r\n[   12.345678][  T231] ${line}\r\n`);
    t.is(findings.length, 1);
    t.is(findings[0]?.line, 2);
    t.is(findings[0]?.text, line);
    t.true(findings[0]?.kind === kind || (kind === 'leak' && findings[0]?.kind === 'bug'), findings[0]?.kind);
  });
}

test('a control group at its limit is no complaint, the system out of memory is one, and so is what came between', (t) => {
  const report = (end: string, between = ''): string => ['hog invoked oom-killer: gfp_mask=0xcc0', 'Call Trace:', between, end].map(line => `[ 1.0] ${line}`).join('\n');
  const ofGroup = 'Memory cgroup out of memory: Killed process 7 (hog) total-vm:1kB';
  t.deepEqual(scanLog(report(ofGroup)), []);
  t.deepEqual(scanLog(report('Out of memory: Killed process 7 (hog)')).map(({kind}) => kind), ['trace']);
  t.deepEqual(scanLog(report(ofGroup, 'WARNING: x')).map(({kind}) => kind), ['warning']);
  t.deepEqual(scanLog(`[ 0.9] Call Trace:\n${report(ofGroup)}\n[ 2.0] Call Trace:`).map(({line}) => line), [1, 6]);
});

test('a thread of vivid that asks to wait for less than nothing is no complaint; any other is one, and so is what comes with it', (t) => {
  const report = (who: string, between = ''): string => [
    'schedule_timeout: wrong timeout value ffffffffffffffff', `CPU: 0 PID: 1572 Comm: ${who} Tainted: G           OE      6.1.0-56-amd64 #1`, between, 'Call Trace:',
  ].map(line => `[ 1.0] ${line}`).join('\n');
  t.deepEqual(scanLog(report('vivid-000-vid-c')), []);
  t.deepEqual(scanLog(report('node')).map(({kind}) => kind), ['trace']);
  t.deepEqual(scanLog(report('vivid-000-vid-c', 'WARNING: x')).map(({kind}) => kind), ['warning']);
  t.deepEqual(scanLog(`${report('vivid-000-vid-c')}\n${report('vivid-000-vid-o')}\n[ 2.0] Call Trace:`).map(({line}) => line), [9]);
});

test('a data race in the kernel itself is no complaint; one that a module takes part in is one', (t) => {
  const report = (title: string, ...frames: string[]): string => [
    '='.repeat(66), `BUG: KCSAN: data-race in ${title}`, '', 'write to 0xffff88800dd51000 of 8 bytes by task 74 on cpu 1:', ...frames, '',
    'read to 0xffff88800dd51000 of 8 bytes by task 75 on cpu 0:', ' folio_add_lru+0x1/0x2', ' shmem_fault+0x1/0x2', ' __do_fault+0x1/0x2', ' do_fault+0x1/0x2', ' late [other]', '',
    'Reported by Kernel Concurrency Sanitizer on:', '='.repeat(66),
  ].map(line => `[    1.000000] ${line}`).join('\n');
  const kernel = [' up_read+0x1/0x2', ' do_user_addr_fault+0x1/0x2', ' exc_page_fault+0x1/0x2', ' asm_exc_page_fault+0x1/0x2'];
  t.deepEqual(scanLog(report('up_read / folio_add_lru', ...kernel)), []);
  t.deepEqual(scanLog(report('framevec_serve [framevec] / framevec_serve [framevec]', ...kernel)).map(({kind}) => kind), ['sanitizer']);
  t.deepEqual(scanLog(report('_find_next_bit / folio_add_lru', ' _find_next_bit+0x1/0x2', ' framevec_put_pages+0x1/0x2 [framevec]')).map(({line}) => line), [2]);
  t.deepEqual(scanLog(report('pin_user_pages_fast / folio_add_lru', ...kernel.slice(0, 3), ' framevec_get_pages+0x1/0x2 [framevec]')), []);
  // A report that the end of the log cuts off.
  t.deepEqual(scanLog(report('up_read / folio_add_lru', ...kernel).split('\n').slice(0, 4).join('\n')), []);
});

test('a breakpoint that nobody has set, before the first process runs, is the fault of the emulator', (t) => {
  const oops = ['[    2.009629] sched_clock: Marking stable', '[    2.013794] Oops: int3: 0000 [#1] SMP NOPTI', '[    2.035128] Kernel panic - not syncing: Fatal exception in interrupt'];
  t.true(isEmulatorsFault(oops.join('\n')));
  t.true(isEmulatorsFault('[    1.2] int3: 0000 [#1] PREEMPT SMP NOPTI'));
  t.false(isEmulatorsFault(['[    1.9] Run /init as init process', ...oops].join('\n')));
  t.false(isEmulatorsFault('[    2.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)'));
});

test('a boot stalls if the kernel prints nothing before its first process runs; after that it may be silent', async (t) => {
  const log = join(mkdtempSync(join(tmpdir(), 'framevec-log-')), 'kernel.log');
  const timer = new AbortController();
  const stalls = (): Promise<boolean> => Promise.race([bootStalls(log, 200, timer.signal).then(() => true), new Promise<boolean>((resolve) => setTimeout(resolve, 1000, false))]);
  // Not even a log.
  t.true(await stalls());
  writeFileSync(log, '[    1.796539] sched_clock: Marking stable\n');
  t.true(await stalls());
  const printing = setInterval(() => { appendFileSync(log, '[    1.9] more\n'); }, 50);
  t.false(await stalls());
  clearInterval(printing);
  appendFileSync(log, '[    2.1] Run /init as init process\n');
  t.false(await stalls());
  timer.abort();
});

test('a report is quoted by its headline, not by its stack trace', (t) => {
  const findings = scanLog('[ 1.0] Call Trace:\n[ 1.1] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\n');
  t.regex(headline(findings)?.text ?? '', /^WARNING/);
});

// How a run ends

const WELL: Evidence = {
  event: 'finished', started: true, commandStatus: 0, bootFailure: undefined, moduleFailure: undefined, qemuFailure: undefined, findings: [], log: '', timeout: 600,
};

test("the command's own status is the run's", (t) => {
  t.deepEqual(judge({...WELL, commandStatus: 7}), {ending: 'command', status: 7, reason: undefined});
});

test('a kernel that complained fails a command that ended well, and leaves a failed one its status', (t) => {
  const findings = scanLog('[ 1.0] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\n');
  t.like(judge({...WELL, findings}), {status: EXIT.kernelComplained, reason: 'the kernel complained: WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2'});
  t.is(judge({...WELL, findings, commandStatus: 3}).status, 3);
});

test('a panic, a module that did not load, a time limit and Ctrl-C each have a status and a line of their own', (t) => {
  const nothing: Evidence = {...WELL, event: 'gone', commandStatus: undefined};
  const findings = scanLog('[ 1.0] Kernel panic - not syncing: Fatal exception\n');
  t.like(judge({...nothing, findings}), {status: EXIT.guestDied, reason: 'the kernel panicked: Fatal exception'});
  const cause = scanLog('[ 0.9] list_del corruption. next is NULL\n[ 0.9] Call Trace:\n[ 1.0] Kernel panic - not syncing: Fatal exception\n');
  t.like(judge({...nothing, findings: cause}), {reason: 'the kernel panicked: Fatal exception, after: list_del corruption. next is NULL'});
  t.like(judge({...nothing, moduleFailure: "insmod: can't insert"}), {status: EXIT.moduleNotLoaded, reason: "a module did not load: insmod: can't insert"});
  t.like(judge({...nothing, event: 'time-limit', timeout: 15}), {status: EXIT.timeLimit, reason: 'the command did not end within 15 s (--timeout)'});
  t.like(judge({...nothing, event: 'time-limit', started: false}), {reason: 'the boot did not end within 600 s (--timeout)'});
  t.is(judge({...nothing, event: 'interrupted'}).status, EXIT.interrupted);
  t.like(judge({...nothing, started: false, bootFailure: 'the overlay'}), {status: EXIT.guestDied, reason: 'the boot failed: the overlay'});
  t.like(judge({...nothing, qemuFailure: 'QEMU was ended by SIGKILL'}), {
    status: EXIT.runner, ending: 'qemu-died', reason: 'QEMU was ended by SIGKILL before the command ended; dmesg tells if this machine ran out of memory',
  });
  t.like(judge({...nothing, log: '[ 1.0] reboot: Restarting system\n'}), {
    status: EXIT.guestDied,
    reason: 'the guest went down before the command ended; its last word was: reboot: Restarting system',
  });
});

test('a command that ended well is no success until its output was passed on', (t) => {
  const reason = 'the output of the command (status 0) did not end within 600 s (--timeout)';
  t.like(judge({...WELL, event: 'time-limit'}), {status: EXIT.timeLimit, reason});
  t.is(judge({...WELL, event: 'interrupted'}).status, EXIT.interrupted);
  t.is(judge({...WELL, event: 'gone'}).status, EXIT.guestDied);
  t.is(judge({...WELL, event: 'gone', qemuFailure: 'QEMU was ended by signal 15'}).status, EXIT.runner);
});

test('the mark that ends a stream never shows, wherever the pieces are cut', (t) => {
  const text = 'some output, framevec-en, framevec-end-';
  const mark = 'framevec-end-0123';
  for (let size = 1; size < 20; size++) {
    const stream = Buffer.from(`${text}${mark}left over`);
    const end = new EndMark(mark);
    let passed = '';
    for (let at = 0; at < stream.length; at += size) {
      passed += end.push(stream.subarray(at, at + size)).toString();
    }
    t.is(passed + end.rest().toString(), text);
    t.true(end.found);
  }
});

test('a stream that breaks off is passed on to its last byte', (t) => {
  const end = new EndMark('framevec-end-0123');
  t.is(end.push(Buffer.from('x framevec-end')).toString() + end.rest().toString(), 'x framevec-end');
  t.false(end.found);
});

// Kernels and packages

test('a switch of the debug kernel that its dependencies have taken away, or put in, is an error', (t) => {
  const asked = '# a remark\nCONFIG_KASAN=y\nCONFIG_UBSAN=n\nCONFIG_NR_CPUS=8\n';
  t.notThrows(() => { checkConfig(asked, 'CONFIG_KASAN=y\n# CONFIG_UBSAN is not set\nCONFIG_NR_CPUS=8\n'); });
  t.throws(() => { checkConfig(asked, '# CONFIG_KASAN is not set\nCONFIG_NR_CPUS=8\n'); }, {message: /: CONFIG_KASAN=y$/});
  t.throws(() => { checkConfig(asked, 'CONFIG_KASAN=y\nCONFIG_UBSAN=y\nCONFIG_NR_CPUS=64\n'); }, {message: /: CONFIG_UBSAN=n, CONFIG_NR_CPUS=8$/});
});

test('every kernel has a generic and a real-time flavour', (t) => {
  t.deepEqual(
    KERNELS.map(({name}) => name),
    ['5.10', '5.10-rt', '6.1', '6.1-rt', '6.12', '6.12-rt', '7.x', '7.x-rt'],
  );
  t.deepEqual(findKernelKind('6.12-rt')?.packages, ['linux-image-rt-amd64', 'linux-headers-rt-amd64']);
});

const DEB822 = `Types: deb deb-src
# a remark
URIs: mirror+file:/etc/apt/mirrors/debian.list
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
Check-Valid-Until: no

Types: deb
URIs: scheme://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: scheme://mirror.example/debian-disabled
Suites: bookworm
Components: main
Enabled: no
`;
const THIRD_PARTY = `Types: deb
URIs: scheme://packages.example/linux/debian
Suites: bookworm
Components: stable
Signed-By: /etc/apt/keyrings/example.gpg

Types: deb
URIs: scheme://packages.example/debian
Suites: bookworm
Components: main
Signed-By: /etc/apt/keyrings/example.gpg
`;
const MACHINE_SOURCES = [
  {name: '/etc/apt/sources.list', text: '# nothing\n'},
  {name: '/etc/apt/sources.list.d/debian.sources', text: DEB822},
  {name: '/etc/apt/sources.list.d/third.sources', text: THIRD_PARTY},
  {name: '/etc/apt/sources.list.d/old.sources.disabled', text: DEB822.replaceAll('mirror', 'disabled')},
];

test("the machine's own suite is taken as it stands, without third parties, disabled entries and sources", (t) => {
  t.is(
    sourcesFor(MACHINE_SOURCES, {release: 'bookworm', part: 'updated'}),
    `Types: deb
URIs: mirror+file:/etc/apt/mirrors/debian.list
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
check-valid-until: no

Types: deb
URIs: scheme://mirror.example/debian-security
Suites: bookworm-security
Components: main
`,
  );
});

test('another release is the same archive under another name', (t) => {
  const text = sourcesFor(MACHINE_SOURCES, {release: 'bullseye', part: 'updated'});
  t.deepEqual(text?.match(/^Suites: .*/gm), ['Suites: bullseye bullseye-updates', 'Suites: bullseye-security']);
});

test('backports and the main archive alone leave security out', (t) => {
  t.deepEqual(sourcesFor(MACHINE_SOURCES, {release: 'trixie', part: 'backports'})?.match(/^Suites: .*/gm), ['Suites: trixie-backports']);
  t.deepEqual(sourcesFor(MACHINE_SOURCES, {release: 'bullseye', part: 'main'})?.match(/^Suites: .*/gm), ['Suites: bullseye']);
});

test('one-line sources are understood, with their options', (t) => {
  const text = `deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg trusted=yes] scheme://mirror.example/debian bookworm main contrib # remark
deb-src scheme://mirror.example/debian bookworm main
deb scheme://mirror.example/debian-security bookworm-security main
deb scheme://apt.example/node nodistro main
`;
  t.is(
    sourcesFor([{name: '/etc/apt/sources.list', text}], {release: 'bookworm', part: 'updated'}),
    `Types: deb
URIs: scheme://mirror.example/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
trusted: yes

Types: deb
URIs: scheme://mirror.example/debian-security
Suites: bookworm-security
Components: main
`,
  );
});

test('a machine without Debian sources has none to offer', (t) => {
  const text = 'deb scheme://archive.example/ubuntu noble main\n';
  t.is(sourcesFor([{name: '/etc/apt/sources.list', text}], {release: 'bookworm', part: 'updated'}), undefined);
});

test('missing programs are installed by the command that the message names', (t) => {
  t.deepEqual(installCommands(['kmod'], true, false), [['apt-get', 'install', '-y', '-o', 'DPkg::Lock::Timeout=600', '--no-install-recommends', 'kmod']]);
  t.deepEqual(installCommands(['kmod'], false, true), [
    ['sudo', 'apt-get', 'update'],
    ['sudo', 'apt-get', 'install', '-y', '-o', 'DPkg::Lock::Timeout=600', '--no-install-recommends', 'kmod'],
  ]);
});

// Files

test('the cache is where FRAMEVEC_CACHE says, then XDG_CACHE_HOME, then in the home directory', (t) => {
  t.is(cacheDirectory({FRAMEVEC_CACHE: '/a', XDG_CACHE_HOME: '/b'}), '/a');
  t.is(cacheDirectory({XDG_CACHE_HOME: '/b'}), '/b/framevec');
  t.regex(cacheDirectory({}), /\/\.cache\/framevec$/);
});

test('directories that the guest has its own file systems on are told apart', (t) => {
  t.true(isHiddenInGuest('/run/user/1000/x'));
  t.true(isHiddenInGuest('/dev/shm'));
  t.false(isHiddenInGuest('/running'));
  t.throws(() => new Cache('/run/framevec-cache'), {message: /FRAMEVEC_CACHE/});
});

test('a cache entry whose making failed is made anew, and one that is there is left alone', async (t) => {
  const cache = new Cache(temporaryDirectory((undo) => { t.teardown(undo); }));
  const path = cache.path('entry');
  await t.throwsAsync(
    cache.entry(path, (temporary) => {
      writeFileSync(join(temporary, 'half'), '');
      return Promise.reject(new Error('interrupted'));
    }),
  );
  let made = 0;
  const make = (): Promise<string> =>
    cache.entry(path, () => {
      made++;
      return Promise.resolve();
    });
  await Promise.all([make(), make(), make()]);
  t.is(made, 1);
});

test('the archive for the kernel is one that cpio reads', (t) => {
  const archive = cpio([
    {path: 'bin', type: 'directory'},
    {path: 'bin/program', type: 'file', data: Buffer.from([0, 1, 2])},
    {path: 'bin/sh', type: 'link', data: 'program'},
    {path: 'dev', type: 'character', device: [5, 1]},
  ]);
  t.is(archive.length % 4, 0);
  const headers = [...archive.toString('latin1').matchAll(/070701[0-9a-f]{104}/g)].map((match) => match[0]);
  t.is(headers.length, 5);
  t.is(headers[1]?.slice(54, 62), '00000003', 'the size of the file');
  t.is(headers[3]?.slice(78, 94), '0000000500000001', 'the numbers of the device');
});

test('the kernel inside a bzImage is found by the header of the boot protocol', (t) => {
  const packed = gzipSync(Buffer.from('an ELF file'));
  const image = Buffer.alloc(512 * 3 + 64 + packed.length);
  image[0x1f1] = 2;
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt16LE(0x20f, 0x206);
  image.writeUInt32LE(64, 0x248);
  image.writeUInt32LE(packed.length, 0x24c);
  packed.copy(image, 512 * 3 + 64);
  const payload = findPayload(image);
  t.is(payload?.compression, 'gzip');
  t.is(payload && gunzipSync(payload.data).toString(), 'an ELF file');
  t.is(findPayload(Buffer.alloc(1024)), undefined);
});

test('only a program without an interpreter passes for static', (t) => {
  const elf = (type: number): Buffer => {
    const file = Buffer.alloc(128);
    file.writeUInt32BE(0x7f454c46);
    file[4] = 2;
    file.writeBigUInt64LE(64n, 32);
    file.writeUInt16LE(56, 54);
    file.writeUInt16LE(1, 56);
    file.writeUInt32LE(type, 64);
    return file;
  };
  t.true(isStaticElf(elf(1)));
  t.false(isStaticElf(elf(3)));
  t.false(isStaticElf(Buffer.from('#!/bin/sh')));
});

test("of a build's output the warnings about the module are kept, not kbuild's remarks about the machine", (t) => {
  const log = `warning: the compiler differs from the one used to build the kernel
warning: pahole version differs from the one used to build the kernel
  CC [M]  ioctl.o
kmod/ioctl.c:3:5: warning: unused variable 'x' [-Wunused-variable]
WARNING: modpost: missing MODULE_LICENSE() in framevec.o
`;
  t.deepEqual(findWarnings(log), [
    "kmod/ioctl.c:3:5: warning: unused variable 'x' [-Wunused-variable]",
    'WARNING: modpost: missing MODULE_LICENSE() in framevec.o',
  ]);
});
