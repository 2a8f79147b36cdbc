/**
 * Golden scripts, in the form of cram's: text that tells, and indented by two spaces commands with what is expected of them.
 *
 *   $ command
 *   > its next line
 *   a line of its stdout
 *   2> a line of its stderr
 *   a regular expression for a line (re)
 *   [its exit status, unless it is 0]
 */
import {spawn} from 'node:child_process';

export interface Step {
  command: string;
  stdout: readonly string[];
  stderr: readonly string[];
  status: number;
}

export interface Script {
  /** The first line. */
  title: string;
  steps: readonly Step[];
}

export function parseScript(text: string): Script {
  const steps: {command: string; stdout: string[]; stderr: string[]; status: number}[] = [];
  for (const line of text.split('\n').filter((line) => line.startsWith('  ')).map((line) => line.slice(2))) {
    const last = steps.at(-1);
    const status = /^\[(\d+)\]$/.exec(line)?.[1];
    if (line.startsWith('$ ')) {
      steps.push({command: line.slice(2), stdout: [], stderr: [], status: 0});
    } else if (last === undefined) {
      throw new Error(`a golden script begins with a command, not with ${line}`);
    } else if (line.startsWith('> ')) {
      last.command += `\n${line.slice(2)}`;
    } else if (line.startsWith('2> ')) {
      last.stderr.push(line.slice(3));
    } else if (status !== undefined) {
      last.status = Number(status);
    } else {
      last.stdout.push(line);
    }
  }
  const title = text.split('\n')[0] ?? '';
  if (title === '' || title.startsWith(' ') || steps.length === 0) throw new Error('a golden script has a title and a command');
  return {title, steps};
}

export interface Place {
  directory: string;
  env: Readonly<Record<string, string | undefined>>;
  /** A command is ended after so long, with all that it has started. */
  seconds: number;
}

/** What is expected of a step and what came, as text; where a regular expression fits, the line is the expected one in both. */
export async function runStep(step: Step, place: Place): Promise<{expected: string; actual: string}> {
  const {stdout, stderr, status} = await runBash(step.command, place);
  const tell = (out: readonly string[], err: readonly string[], code: number | string): string =>
    [`$ ${step.command}`, ...out, ...err.map((line) => `2> ${line}`), `[${code}]`].join('\n');
  return {
    expected: tell(step.stdout, step.stderr, step.status),
    actual: tell(matched(linesOf(stdout), step.stdout), matched(linesOf(stderr), step.stderr), status),
  };
}

function matched(lines: readonly string[], expected: readonly string[]): string[] {
  return lines.map((line, index) => {
    const pattern = expected[index] ?? '';
    return pattern.endsWith(' (re)') && new RegExp(`^(?:${pattern.slice(0, -5)})$`).test(line) ? pattern : line;
  });
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}

function runBash(command: string, {directory, env, seconds}: Place): Promise<{stdout: string; stderr: string; status: number | string}> {
  return new Promise((resolve, reject) => {
    // A session of its own: no terminal but the one that a script makes, and one signal ends all of it.
    const child = spawn('bash', ['-c', command], {cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true});
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, seconds * 1000);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      resolve({stdout, stderr, status: status ?? signal ?? 'unknown'});
    });
  });
}
