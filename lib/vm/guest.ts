/** The guest's side of a run: the script that PID 1 becomes once the machine's root is its own, and the command's script. */
import type {LoadableModule} from './driver.js';
import {isName, quote} from './shell.js';

/** The names that host and guest have to agree on. */
export const GUEST = {
  rootTag: 'framevec-root',
  shareTag: 'framevec-run',
  outTag: 'framevec-out',
  mountOptions: 'trans=virtio,version=9p2000.L,msize=262144',
  busybox: '/run/framevec/busybox',
  /** The run's directory on the host, writable: the runner's own files are in it. */
  share: '/run/framevec/run',
  /** What the command may leave files in for the host: $FRAMEVEC_RUN. */
  out: '/run/framevec/out',
  /** The ports' names: framevec.stdout, framevec.stderr. */
  portPrefix: 'framevec.',
} as const;

/** Files in the run's directory: what the host gives the guest, and by which the guest tells how far it came. */
export const FILES = {
  init: 'init',
  command: 'command',
  module: 'framevec.ko',
  started: 'started',
  status: 'status',
  /** Why the command did not begin: the guest could not be set up, or a module did not load. */
  bootFailure: 'boot-failure',
  moduleFailure: 'module-failure',
} as const;

/** How the initramfs begins its last line in the kernel log. There is no directory to write to yet. */
export const BOOT_FAILED = 'framevec: boot failed: ';

export interface GuestRun {
  command: readonly string[];
  directory: string;
  environment: Readonly<Record<string, string>>;
  /** lib/modules of the guest's kernel as the guest's root has it; undefined when it is /lib/modules already. */
  modulesDirectory: string | undefined;
  /** Where that kernel's headers are, which its modules' own link expects in /usr/src. */
  headers: string | undefined;
  /** The parameters of framevec.ko; undefined boots without the module. */
  moduleParameters: readonly string[] | undefined;
  /** Stock modules to load, each with its options. */
  with: readonly (readonly string[])[];
  /** Modules that were built for this run, to load after those. */
  drivers: readonly Pick<LoadableModule, 'path' | 'parameters' | 'needs'>[];
  /** Set when stdout is to be a terminal in the guest; stderr may be one apart from it. */
  terminal: Terminal | undefined;
  /** The last bytes of each stream and of the kernel log: whoever has read them has read everything. */
  endMark: string;
}

export interface Terminal {
  rows: number;
  columns: number;
  stderr: boolean;
}

const BODY = `
box=${GUEST.busybox}
run=${GUEST.share}
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

finish() {
  # The end of the command's session hung the terminal up.
  [ -z "$terminal" ] || exec 3<>/dev/hvc0
  # A command that killed every process has killed the relays too. What it wrote before is still in the pipes.
  for name in $relays; do
    read -r relay </run/framevec/$name.relay
    [ -d /proc/$relay ] || relay $name
  done
  printf %s "$end_mark" >&3
  printf %s "$end_mark" >&4
  echo "$end_mark" >/dev/kmsg
  # The host ends the machine now. When there is no host any more, the machine ends itself.
  $box sleep 10
  echo b >/proc/sysrq-trigger
  $box sleep 10
}

# The file that says what failed, and the words for it.
fail() {
  printf '%s\\n' "$2" >$run/$1
  finish
}

# The ports come up by themselves some time after their driver: prints the device of the one named $1.
port() {
  for attempt in 0 1 2 3 4 5 6 7 8 9; do
    for entry in /sys/class/virtio-ports/*; do
      if [ -r "$entry/name" ] && read -r name <"$entry/name" && [ "$name" = "$1" ] && [ -c "/dev/\${entry##*/}" ]; then
        echo "/dev/\${entry##*/}"
        return
      fi
    done
    $box sleep 0.1
  done
  return 1
}

# A port can be opened once only, and a command may open /dev/stdout or /dev/stderr again. So it is given a pipe.
relays=
channel() {
  device=$(port ${GUEST.portPrefix}$1) || fail ${FILES.bootFailure} "the channel for $1 did not appear"
  $box ln -s "$device" /run/framevec/$1.port
  $box mkfifo -m 666 /run/framevec/$1
  relays="$relays $1"
  relay $1
}

relay() {
  $box cat /run/framevec/$1 >/run/framevec/$1.port 3>&- 4>&- 5>&- 6>&- &
  echo $! >/run/framevec/$1.relay
  echo -1000 >/proc/$!/oom_score_adj
}

exec 3>/dev/null 4>/dev/null

$box mkdir -p /dev/pts /dev/shm /dev/hugepages ${GUEST.out} /lib/modules
$box mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
$box mount -t tmpfs -o mode=1777 shm /dev/shm
$box mount -t debugfs debugfs /sys/kernel/debug
$box mount -t tracefs tracefs /sys/kernel/tracing
$box mount -t hugetlbfs hugetlbfs /dev/hugepages
$box mount -t 9p -o ${GUEST.mountOptions},cache=none ${GUEST.outTag} ${GUEST.out}
$box ln -s /proc/self/fd /dev/fd
$box ln -s /proc/self/fd/0 /dev/stdin
$box ln -s /proc/self/fd/1 /dev/stdout
$box ln -s /proc/self/fd/2 /dev/stderr
$box ifconfig lo 127.0.0.1 up
echo framevec-vm >/proc/sys/kernel/hostname

if [ -n "$terminal" ]; then
  exec 3<>/dev/hvc0
  $box stty rows "$rows" cols "$columns" <&3
else
  channel stdout
  # The first of each pair keeps the pipe a pipe with a reader, also while there is none.
  exec 5<>/run/framevec/stdout 3>/run/framevec/stdout
fi
if [ -n "$terminal" ] && [ -n "$stderr_terminal" ]; then
  exec 4>&3
else
  channel stderr
  exec 6<>/run/framevec/stderr 4>/run/framevec/stderr
fi

if [ -n "$modules" ]; then
  $box mount -o bind "$modules" /lib/modules || fail ${FILES.bootFailure} "the kernel's modules cannot be seen in $modules"
fi
release=$($box uname -r)
if [ -n "$headers" ] && [ ! -e "/lib/modules/$release/build/Makefile" ]; then
  $box ln -sfn "$headers" "/lib/modules/$release/build"
fi
load_modules

read -r up rest </proc/uptime
echo "$up" >$run/${FILES.started}
if [ -n "$terminal" ]; then
  # A session of its own with the terminal, so that Ctrl-C reaches the command and not this script.
  if [ -n "$stderr_terminal" ]; then
    $box setsid -c /bin/sh $run/${FILES.command} <&3 >&3 2>&3 3>&- 4>&- 6>&-
  else
    $box setsid -c /bin/sh $run/${FILES.command} <&3 >&3 2>&4 3>&- 4>&- 6>&-
  fi
else
  /bin/sh $run/${FILES.command} </dev/null >&3 2>&4 3>&- 4>&- 5>&- 6>&-
fi
echo $? >$run/${FILES.status}
finish
`;

/** The script of PID 1; busybox's shell runs it, since the machine's own programs come over 9p. */
export function initScript(run: GuestRun): string {
  const {terminal} = run;
  const variables = {
    end_mark: run.endMark,
    modules: run.modulesDirectory ?? '',
    headers: run.headers ?? '',
    terminal: terminal ? 'yes' : '',
    stderr_terminal: terminal?.stderr ? 'yes' : '',
    rows: String(terminal?.rows ?? 0),
    columns: String(terminal?.columns ?? 0),
  };
  const loads = [
    ...(run.moduleParameters === undefined ? [] : [['$box insmod', `$run/${FILES.module}`, ...run.moduleParameters.map(quote)]]),
    ...run.with.map((words) => ['modprobe', ...words.map(quote)]),
    ...run.drivers.flatMap(({path, parameters, needs}) => [
      ...needs.map((name) => ['modprobe', quote(name)]),
      ['$box insmod', quote(path), ...parameters.map(quote)],
    ]),
  ].map((words) => `  complaint=$(${words.join(' ')} 2>&1) || fail ${FILES.moduleFailure} "$complaint"`);
  return [
    ...Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}`),
    'load_modules() {',
    ...loads,
    '  :',
    '}',
    BODY,
  ].join('\n');
}

/** The script that becomes the command: /bin/sh reads it, and every argument arrives as it was given. */
export function commandScript({command, directory, environment}: Pick<GuestRun, 'command' | 'directory' | 'environment'>): string {
  return [
    // What the kernel gives its init, and shells leave to their children.
    'unset HOME TERM SHLVL',
    ...Object.entries(environment)
      .filter(([name]) => isName(name))
      .map(([name, value]) => `export ${name}=${quote(value)}`),
    `cd ${quote(directory)} || exit 126`,
    'unset OLDPWD',
    `exec ${command.map(quote).join(' ')}`,
    '',
  ].join('\n');
}

/**
 * Of the caller's environment the guest gets these, and what is framevec's, AVA's and libuv's own. A list, for names cannot be told by
 * their looks: `npm_config_https_proxy` may hold a password, `npm_config_key` a private key.
 */
export const PASSED_ON: readonly string[] = [
  'PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'TERM', 'COLORTERM', 'COLORFGBG', 'LANG', 'LANGUAGE', 'TZ', 'EDITOR', 'PAGER', 'CI', 'DEBUG',
  'NO_COLOR', 'FORCE_COLOR', 'CLICOLOR', 'CLICOLOR_FORCE', 'LD_PRELOAD', 'ASAN_OPTIONS', 'LSAN_OPTIONS', 'UBSAN_OPTIONS', 'INIT_CWD',
  'NODE_ENV', 'NODE_OPTIONS', 'NODE_PATH', 'NODE_DEBUG', 'NODE_DEBUG_NATIVE', 'NODE_NO_WARNINGS', 'NODE_PENDING_DEPRECATION', 'NODE_V8_COVERAGE',
  'NODE_DISABLE_COLORS', 'NODE_COMPILE_CACHE', 'NODE_DISABLE_COMPILE_CACHE', 'NODE_EXTRA_CA_CERTS', 'NODE_ICU_DATA', 'NODE_PRESERVE_SYMLINKS',
  'NODE_PRESERVE_SYMLINKS_MAIN', 'NODE_REDIRECT_WARNINGS',
  'npm_config_loglevel', 'npm_config_color', 'npm_config_progress', 'npm_config_offline', 'npm_config_nodedir', 'npm_node_execpath',
  'npm_package_name', 'npm_package_version', 'npm_package_json', 'npm_lifecycle_event',
];
const PASSED_ON_PREFIXES = /^(LC|FRAMEVEC|AVA|UV)_\w+$/;
const SECRET = /(token|auth|passw|secret|_key$|credential)/i;

export function guestEnvironment(
  host: Readonly<Record<string, string | undefined>>,
  added: Readonly<Record<string, string>>,
): Record<string, string> {
  const kept = Object.entries(host).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && (PASSED_ON.includes(entry[0]) || (PASSED_ON_PREFIXES.test(entry[0]) && !SECRET.test(entry[0]))),
  );
  return {...Object.fromEntries(kept), ...added, FRAMEVEC_VM: '1', FRAMEVEC_RUN: GUEST.out};
}
