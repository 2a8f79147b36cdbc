/** What in a kernel log says that the kernel is not well. */

export interface Finding {
  /** Counted from 1. */
  line: number;
  kind: string;
  /** The line without its time stamp. */
  text: string;
}

/**
 * Most are the beginning of a message, because the same words stand harmlessly inside of others: on some processors a
 * healthy boot says "RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable ..., data leaks possible!", and
 * a crash in user space "traps: node[7] general protection fault".
 */
const COMPLAINTS: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['panic', /^Kernel panic\b/],
  ['sanitizer', /^BUG: K(ASAN|CSAN|FENCE|MSAN)\b|^K(ASAN|CSAN|FENCE|MSAN): (?!.*(initialized|enabled))/],
  ['atomic', /^BUG: (sleeping function called from invalid context|scheduling while atomic|Invalid wait context)/],
  ['lockdep', /\b(possible (circular|recursive) locking|inconsistent lock state|suspicious RCU usage|bad unlock balance|possible irq lock inversion|Invalid wait context|held lock freed|still has locks held)\b|^INFO: trying to register non-static key|lock order detected|lock held when returning to user space/i],
  ['lockup', /^watchdog: BUG: |^BUG: (soft lockup|workqueue lockup)|hard LOCKUP|^rcu: INFO: .*\bstall|^INFO: rcu_.*\bstall/],
  ['hung task', /^INFO: task .* blocked for more than/],
  ['bug', /^BUG\b|^kernel BUG at|^Bad page (state|map)\b|^Bad rss-counter state|^\S+:\d+: bad (pgd|p4d|pud|pmd|pte)\b|\bBad swap (file|offset) entry\b/],
  ['warning', /^WARNING:|^WARNING at\b/],
  ['oops', /^Oops\b|^general protection fault\b|^(divide error|invalid opcode|stack segment|double fault|int3|page fault|alignment check): |^Unable to handle kernel|^traps: PANIC|^PANIC: |^unchecked MSR access error/],
  ['ubsan', /^UBSAN: /],
  ['corruption', /\blist_(add|del)\b.* corruption|^(list_(add|del)|plist|hlist)\b.*(corrupt|should be)|^refcount_t: |\bPoison overwritten\b|\bRedzone overwritten\b|^Slab corruption|\bdouble[- ]free\b|\buse[- ]after[- ]free\b/i],
  ['file system', /^(EXT[234]-fs|BTRFS|F2FS-fs|XFS|SQUASHFS|EROFS)\b.*\b(error|critical|corruption)\b|^VFS: Busy inodes after unmount\b|^VFS: .*\bstill in use\b/i],
  ['leak', /^framevec\b.*\bleaked\b|^unregister_netdevice: waiting for\b|^kmemleak: .*\bnew suspected memory leaks|^unreferenced object 0x|\bObjects remaining in\b/i],
  ['trace', /^Call Trace:/],
];

/** Lines that quote someone, the boot parameters, or that tell of a check which is in the kernel. */
const QUOTING = /^(Kernel command line|Command line|Unknown kernel command line parameters)\b|\bdebug is enabled\.$/;

/**
 * A control group at its limit: the kernel shows where that was, for whoever set the limit, and ends what it says so. Of the whole
 * system it would be a complaint.
 */
const OUT_OF_MEMORY = /\binvoked oom-killer:/;
const OF_A_GROUP = 'Memory cgroup out of memory: Killed process';

/**
 * The threads of vivid, the kernel's test driver for video, read the clock twice for how long to wait. If it ticks in between they ask
 * for -1 jiffies: the kernel shows who asks, and lets them not wait. Of any other thread it would be a complaint.
 */
const NEGATIVE_WAIT = 'schedule_timeout: wrong timeout value';
const WHO = /^CPU: .*\bComm: (\S+)/;

/**
 * KCSAN reports every data race, and the kernel's own code has many that nobody minds. A report is a complaint if a module is in it:
 * in one of the two stacks, as the function that accessed the memory or one of the two that called it.
 */
const DATA_RACE = /^BUG: KCSAN: (data-race|assert)/;
const END_OF_REPORT = /^={20,}$/;
const ACCESS = /\bby (task|interrupt) .*on cpu \d+:$/;
const OF_A_MODULE = /\[[\w-]+\]$/;
const ACCESS_AND_CALLERS = 3;

/** Whether the report that begins with this line is about a module. */
function racesInModule(lines: readonly string[], title: number): boolean {
  if (/\[[\w-]+\]/.test(withoutStamp(lines[title] ?? ''))) return true;
  const report = lines.slice(title + 1, title + 200).map(withoutStamp);
  const end = report.findIndex((line) => END_OF_REPORT.test(line));
  const stacks = report.slice(0, end < 0 ? report.length : end);
  return stacks.some((line, index) => ACCESS.test(line) && stacks.slice(index + 1, index + 1 + ACCESS_AND_CALLERS).some((frame) => OF_A_MODULE.test(frame)));
}

const STAMP = /^(?:<\d+>)?\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])?\s?/;

export function scanLog(log: string): Finding[] {
  let findings: Finding[] = [];
  let outOfMemoryAt = Number.POSITIVE_INFINITY;
  /** Who asked for a negative wait, until its trace has come; empty until it is told. */
  let waiter: string | undefined;
  const lines = log.split('\n');
  for (const [index, raw] of lines.entries()) {
    const text = withoutStamp(raw);
    if (QUOTING.test(text) || (DATA_RACE.test(text) && !racesInModule(lines, index))) continue;
    if (OUT_OF_MEMORY.test(text)) outOfMemoryAt = index;
    if (text.startsWith(OF_A_GROUP)) {
      findings = findings.filter(({kind, line}) => kind !== 'trace' || line <= outOfMemoryAt);
      outOfMemoryAt = Number.POSITIVE_INFINITY;
    }
    if (text.startsWith(NEGATIVE_WAIT)) waiter = '';
    if (waiter === '') waiter = WHO.exec(text)?.[1] ?? '';
    const kind = COMPLAINTS.find(([, pattern]) => pattern.test(text))?.[0];
    if (kind === 'trace') {
      const ofVivid = waiter?.startsWith('vivid-');
      waiter = undefined;
      if (ofVivid) continue;
    }
    if (kind !== undefined) findings.push({line: index + 1, kind, text});
  }
  return findings;
}

/** A stack trace alone says little: of a report its headline is what to quote. */
export function headline(findings: readonly Finding[]): Finding | undefined {
  return findings.find(({kind}) => kind !== 'trace') ?? findings[0];
}

export function withoutStamp(line: string): string {
  return line.replace(STAMP, '').trimEnd();
}
