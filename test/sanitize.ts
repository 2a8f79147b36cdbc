/**
 * `make test-asan`: the library's tests, with an addon that was built with AddressSanitizer, LeakSanitizer and UBSan. The first and the
 * last end a process at once. Leaks are written down, and are the addon's if it is among the callers: Node leaves much to its end.
 */
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {GUEST} from '../lib/vm/guest.js';
import {LIBRARY} from './selection.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const {values: options, positionals: only} = parseArgs({allowPositionals: true, options: {kernel: {type: 'string', default: '6.1'}}});

/** The first frames of a stack that may tell whose memory it is: below them is what called the addon. */
const CALLEES = 6;

function stacks(text: string): string[][] {
  return [...text.matchAll(/^(?:Direct|Indirect) leak of .*\n((?: +#.*\n)+)/gm)].map(([, lines = '']) => lines.trim().split('\n'));
}

const directory = mkdtempSync(join(tmpdir(), 'framevec-sanitize-'));
const preload = execFileSync('gcc', ['-print-file-name=libasan.so'], {encoding: 'utf8'}).trim();

function run(where: string, reports: string): boolean {
  return spawnSync(process.execPath, [
    'dist/test/run.js', where, '--kernel', options.kernel, '--memory', '4G', '--out', directory,
    '--env', `LD_PRELOAD=${preload}`, '--env', 'ASAN_OPTIONS=abort_on_error=1:detect_leaks=1', '--env', 'UBSAN_OPTIONS=print_stacktrace=1',
    '--env', `LSAN_OPTIONS=exitcode=0:log_path=${reports}/leaks`, ...(only.length > 0 ? only : LIBRARY),
  ], {cwd: root, stdio: ['ignore', 'inherit', 'inherit']}).status === 0;
}

const passed = [run('--host', directory), run('--guest', GUEST.out)].every(Boolean);
const reports = readdirSync(directory).filter(name => name.startsWith('leaks')).map(name => readFileSync(join(directory, name), 'utf8'));
const all = reports.flatMap(stacks);
const ours = all.filter(frames => frames.slice(0, CALLEES).some(frame => frame.includes('framevec.node')));
rmSync(directory, {recursive: true, force: true});
process.stdout.write(`\n${reports.length} processes with leaks at their end, ${all.length} leaks, ${ours.length} of them the addon's\n`);
for (const frames of ours) process.stdout.write(`${frames.join('\n')}\n\n`);
process.exitCode = passed && ours.length === 0 && reports.length > 0 ? 0 : 1;
