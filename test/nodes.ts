/**
 * `make test-node`: the library's tests under each Node that framevec is for, one row each, with the one addon that was built here.
 */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {MAJORS, nodeOf} from './other_node.js';
import {LIBRARY} from './selection.js';
import {type Summary, markdownTable, writeResults} from './table.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

const {values: options, positionals: only} = parseArgs({
  allowPositionals: true,
  options: {
    nodes: {type: 'string', default: MAJORS.join(',')},
    kernel: {type: 'string', default: '6.1'},
    table: {type: 'string'},
  },
});

const directory = mkdtempSync(join(tmpdir(), 'framevec-nodes-'));
const rows: (Summary & {node: string; ok: boolean})[] = [];
for (const major of options.nodes.split(',').map(Number)) {
  const node = await nodeOf(major);
  const version = spawnSync(node, ['--version'], {encoding: 'utf8'}).stdout.trim();
  process.stdout.write(`\n${version}\n`);
  const file = join(directory, `${major}.json`);
  const {status} = spawnSync(node, [
    'dist/test/run.js', '--kernel', options.kernel, '--summary', file, ...(only.length > 0 ? only : LIBRARY),
  ], {cwd: root, stdio: ['ignore', 'inherit', 'inherit']});
  rows.push({node: version, ok: status === 0, ...(JSON.parse(readFileSync(file, 'utf8')) as Summary)});
}
rmSync(directory, {recursive: true, force: true});

const table = markdownTable([
  ['Node', 'passed', 'failed', 'skipped', 'seconds'],
  ...rows.map(({node, passed, failed, skipped, seconds}) => [node, String(passed), String(failed), String(skipped), seconds.toFixed(0)]),
]);
process.stdout.write(`\n${table}\n`);
if (options.table !== undefined) writeResults(options.table, 'make test-node', table);
process.exitCode = rows.every(({ok}) => ok) ? 0 : 1;
