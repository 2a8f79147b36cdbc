/** The guest's side of a run: the script that PID 1 becomes once the machine's root is its own, and the command's script. */
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
  stdoutPort: 'framevec.stdout',
  stderrPort: 'framevec.stderr',
} as const;

/** Files in the run's directory: what the host gives the guest, and by which the guest tells how far it came. */
export const FILES = {
  init: 'init',
  command: 'command',
  module: 'framevec.ko',
  started: 'started',
  status: 'status',
  failure: 'failure',
} as const;

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
  printf %s "$end_mark" >&3
  printf %s "$end_mark" >&4
  echo "$end_mark" >/dev/kmsg
  # The host ends the machine now. When there is no host any more, the machine ends itself.
  $box sleep 10
  echo b >/proc/sysrq-trigger
  $box sleep 10
}

fail() {
  printf '%s\\n' "$1" >$run/${FILES.failure}
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
  device=$(port ${GUEST.stdoutPort}) || fail 'the channel for stdout did not appear'
  exec 3>"$device"
fi
if [ -n "$terminal" ] && [ -n "$stderr_terminal" ]; then
  exec 4>&3
else
  device=$(port ${GUEST.stderrPort}) || fail 'the channel for stderr did not appear'
  exec 4>"$device"
fi

if [ -n "$modules" ]; then
  $box mount -o bind "$modules" /lib/modules || fail "the kernel's modules are not to be seen in $modules"
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
    $box setsid -c /bin/sh $run/${FILES.command} <&3 >&3 2>&3 3>&- 4>&-
  else
    $box setsid -c /bin/sh $run/${FILES.command} <&3 >&3 2>&4 3>&- 4>&-
  fi
else
  /bin/sh $run/${FILES.command} </dev/null >&3 2>&4 3>&- 4>&-
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
  ].map((words) => `  complaint=$(${words.join(' ')} 2>&1) || fail "$complaint"`);
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

/** Of the caller's environment, what says how programs should behave; not what speaks of its session, or is secret. */
const KEPT =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TERM|COLORTERM|COLORFGBG|LANG|LANGUAGE|LC_\w+|TZ|EDITOR|PAGER|NO_COLOR|FORCE_COLOR|CLICOLOR\w*|CI|DEBUG|NODE_\w+|npm_(config|package|lifecycle|node)_\w+|INIT_CWD|FRAMEVEC_\w+|AVA_\w+|UV_\w+|ASAN_OPTIONS|LSAN_OPTIONS|UBSAN_OPTIONS|LD_PRELOAD)$/;
const SECRET = /(token|_auth|password|passwd|secret)/i;

export function guestEnvironment(
  host: Readonly<Record<string, string | undefined>>,
  added: Readonly<Record<string, string>>,
): Record<string, string> {
  const kept = Object.entries(host).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && KEPT.test(entry[0]) && !SECRET.test(entry[0]),
  );
  return {...Object.fromEntries(kept), ...added, FRAMEVEC_VM: '1', FRAMEVEC_RUN: GUEST.out};
}
