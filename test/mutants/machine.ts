/** Boots VMs until every trial has a verdict. */
import {spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {DEBUG_KERNEL} from '../../lib/vm/kernels.js';
import {headline} from '../../lib/vm/log-scan.js';
import type {VmResult} from '../../lib/vm/options.js';
import {DEVICES, PEERS, VIDEO} from '../devices.js';
import {JOB_FILE, REBOOT, TOLD_FILE, type Told, type Trial, type Verdict} from './job.js';

const POLL_MS = 1000;

/** How long a boot may take, and how much longer than its limit a trial, until the guest itself is taken to be stuck. */
const BOOT_MS = 400_000;
const SLACK_MS = 60_000;

export interface Machine {
  root: string;
  kernel: string;
  onVerdict: (verdict: Verdict) => void;
}

/** Returns how many boots it took. */
export async function tryAll({root, kernel, onVerdict}: Machine, trials: readonly Trial[]): Promise<number> {
  let left = trials;
  let boots = 0;
  for (; left.length > 0; boots++) {
    const verdicts = await bootOnce(root, kernel, left, onVerdict);
    const done = new Set(verdicts.map(({name}) => name));
    if (done.size === 0) throw new Error('the VM ended before its first trial had begun');
    left = left.filter(({name}) => !done.has(name));
  }
  return boots;
}

async function bootOnce(root: string, kernel: string, trials: readonly Trial[], onVerdict: (verdict: Verdict) => void): Promise<Verdict[]> {
  const out = mkdtempSync(join(tmpdir(), 'framevec-mutants-'));
  try {
    writeFileSync(join(out, JOB_FILE), JSON.stringify(trials));
    writeFileSync(join(out, TOLD_FILE), '');
    const json = join(out, 'vm.json');
    const child = spawn(process.execPath, [
      'dist/lib/cli/main.js', 'vm', '--quiet', '--kernel', kernel, '--memory', '2G', '--timeout', '36000', ...DEVICES, ...VIDEO, '--module', 'test/native/kmod', ...(kernel === DEBUG_KERNEL ? [] : PEERS),
      '--out', out, '--json', json, '--', process.execPath, 'dist/test/mutants/guest.js',
    ], {cwd: root, stdio: ['ignore', 'ignore', 'pipe']});
    let complaints = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
    const closed = new Promise<number | null>(resolve => child.once('close', resolve));

    const verdicts: Verdict[] = [];
    const stuck: string[] = [];
    let seen = 0;
    let running: Trial | undefined;
    let begun = Date.now();
    const look = (): void => {
      const lines = readFileSync(join(out, TOLD_FILE), 'utf8').split('\n').slice(0, -1);
      for (const line of lines.slice(seen)) {
        const told = JSON.parse(line) as Told;
        begun = Date.now();
        if ('begun' in told) {
          running = trials.find(({name}) => name === told.begun);
        } else {
          running = undefined;
          verdicts.push(told.ended);
          onVerdict(told.ended);
        }
      }
      seen = lines.length;
    };
    const timer = setInterval(() => {
      look();
      // The whole guest is stuck.
      const most = running === undefined ? BOOT_MS : running.limit * 1000 * running.runs.reduce((sum, {files}) => sum + files.length, 0) + SLACK_MS;
      if (Date.now() - begun <= most) return;
      child.kill('SIGTERM');
      stuck.push(running?.name ?? 'the boot');
    }, POLL_MS);
    const status = await closed;
    clearInterval(timer);
    look();

    if (running !== undefined) {
      const {name} = running;
      const {findings = [], reason}: Partial<VmResult> = existsSync(json) ? (JSON.parse(readFileSync(json, 'utf8')) as Partial<VmResult>) : {};
      const verdict: Verdict = {name, passed: 0, failed: [], troubles: [headline(findings)?.text ?? (stuck.length > 0 ? 'the guest is stuck' : `the guest: ${reason ?? 'it went down'}`)], seconds: (Date.now() - begun) / 1000};
      verdicts.push(verdict);
      onVerdict(verdict);
    } else if (status !== 0 && status !== REBOOT && verdicts.length === 0) {
      throw new Error(`the VM ended with status ${status ?? 'of a signal'}:\n${complaints}`);
    }
    return verdicts;
  } finally {
    rmSync(out, {recursive: true, force: true});
  }
}
