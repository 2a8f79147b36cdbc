/**
 * `make test-mutants`: puts one fault after the other into the module (test/mutants/*.patch), and runs the tests against it that are to
 * see it. The unchanged module comes first: it has to pass all of these tests.
 */
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {Cache, cacheDirectory} from '../lib/vm/cache.js';
import {VmError} from '../lib/vm/errors.js';
import {findKernel} from '../lib/vm/kernel.js';
import {DEFAULT_KERNEL} from '../lib/vm/kernels.js';
import {Progress} from '../lib/vm/progress.js';
import {Builder} from './mutants/build.js';
import type {Trial, Verdict} from './mutants/job.js';
import {type Mutant, readMutants} from './mutants/list.js';
import {tryAll} from './mutants/machine.js';
import {recall, remember} from './mutants/memory.js';
import {markdownTable, writeResults} from './table.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

const {values: options, positionals: only} = parseArgs({
  allowPositionals: true,
  options: {
    kernel: {type: 'string', default: DEFAULT_KERNEL},
    /** A page that has the markers: what stands between them becomes the table. */
    table: {type: 'string'},
    /** Seconds until the tests of a file are ended. */
    limit: {type: 'string', default: '300'},
    /** Go on where a run was interrupted: do not try again what was tried with the same tests. */
    continue: {type: 'boolean', default: false},
    /** Do not try the unchanged module first. */
    'no-control': {type: 'boolean', default: false},
  },
});


/** In the control every test runs, one after the other. */
const CONTROL = 'the unchanged module';
const CONTROL_LIMIT = 3600;

const began = Date.now();
const seconds = (): string => ((Date.now() - began) / 1000).toFixed(0).padStart(5);
const say = (mark: string, text: string): void => void process.stdout.write(`${seconds()} s  ${mark}  ${text}\n`);

/** Why it counts as killed; undefined: it has survived. */
function killerOf({failed, troubles}: Verdict): string | undefined {
  return failed[0] ?? troubles[0];
}

/** The files that some mutant needs whole, and the others with the tests that are asked for. */
function controlRuns(mutants: readonly Mutant[]): Trial['runs'] {
  const whole = new Set(mutants.filter(({matches}) => matches.length === 0).flatMap(({files}) => files));
  const inPart = mutants.filter(({matches}) => matches.length > 0);
  const files = [...new Set(inPart.flatMap(mutant => mutant.files))].filter(file => !whole.has(file));
  const runs = [{files: [...whole].sort(), matches: []}, {files: files.sort(), matches: [...new Set(inPart.flatMap(({matches}) => matches))]}];
  return runs.filter(run => run.files.length > 0);
}

async function build(mutants: readonly Mutant[]): Promise<{control: string; directories: Map<string, string>}> {
  const progress = new Progress(text => void process.stderr.write(text));
  const cache = new Cache(cacheDirectory(), progress);
  const kernel = await findKernel(cache, progress, {name: options.kernel, modules: undefined, refresh: undefined});
  const builder = new Builder(kernel, root);
  return await progress.step(`build ${mutants.length} mutants for ${kernel.release}`, async () => {
    const control = await builder.control();
    const directories = new Map<string, string>();
    for (const mutant of mutants) {
      try {
        directories.set(mutant.name, await builder.mutant(mutant));
      } catch (error) {
        if (!(error instanceof VmError)) throw error;
        throw new VmError(`${mutant.name}: ${error.message}`, undefined, error.details);
      }
    }
    return {control, directories};
  });
}

function row(mutant: Mutant, verdict: Verdict): string[] {
  const killer = killerOf(verdict);
  const inCell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
  return [`\`${mutant.name}\``, inCell(mutant.what), killer === undefined ? '**survived**' : 'killed', inCell(killer ?? mutant.survives ?? 'not explained')];
}

async function main(): Promise<number> {
  const all = readMutants(root, only);
  if (all.length === 0) throw new Error(`no mutant has ${only.join(' or ')} in its name`);
  const mutants = all.filter(({kernels}) => kernels?.includes(options.kernel) ?? true);
  for (const {name, kernels} of all) if (kernels && !kernels.includes(options.kernel)) say('-', `${name} (skipped: of ${kernels.join(', ')})`);
  const {control, directories} = await build(mutants);
  const failures: string[] = [];

  if (!options['no-control']) {
    const runs = controlRuns(mutants);
    await tryAll({root, kernel: options.kernel, onVerdict(verdict) {
      const wrong = [...verdict.failed, ...verdict.troubles];
      say(wrong.length === 0 ? '✔' : '✘', `${CONTROL}: ${verdict.passed} tests passed in ${verdict.seconds.toFixed(0)} s`);
      failures.push(...wrong.map(text => `${CONTROL}: ${text}`));
    }}, [{name: CONTROL, modules: control, runs, failFast: false, limit: CONTROL_LIMIT}]);
    if (failures.length > 0) {
      process.stdout.write(`\nThe tests fail without a mutant:\n\n${failures.join('\n')}\n\n0 passed, ${failures.length} failed\n`);
      return 1;
    }
  }

  const verdicts = new Map<string, Verdict>();
  const byName = new Map(mutants.map(mutant => [mutant.name, mutant]));
  const directoryOf = ({name}: Mutant): string => directories.get(name) ?? '';
  for (const mutant of options.continue ? mutants : []) {
    const verdict = recall(root, mutant, directoryOf(mutant));
    if (verdict === undefined) continue;
    verdicts.set(mutant.name, verdict);
    if (killerOf(verdict) === undefined && mutant.survives === undefined) failures.push(`${mutant.name}: ${mutant.what}`);
  }
  const before = verdicts.size;
  if (before > 0) say('-', `${before} were tried before`);
  const boots = await tryAll({root, kernel: options.kernel, onVerdict(verdict) {
    verdicts.set(verdict.name, verdict);
    const mutant = byName.get(verdict.name);
    const killer = killerOf(verdict);
    if (mutant !== undefined) remember(root, mutant, directoryOf(mutant), verdict);
    const took = `${verdict.seconds.toFixed(0)} s`;
    if (killer !== undefined) {
      say('✔', `${verdict.name}: killed by: ${killer} (${took})`);
    } else if (mutant?.survives !== undefined) {
      say('✔', `${verdict.name}: survived, as explained (${took})`);
    } else {
      say('✘', `${verdict.name}: survived ${verdict.passed} tests (${took})`);
      failures.push(`${verdict.name}: ${mutant?.what ?? ''}`);
    }
  }}, mutants.filter(({name}) => !verdicts.has(name)).map(mutant => ({
    name: mutant.name, modules: directoryOf(mutant), runs: [{files: mutant.files, matches: mutant.matches}], failFast: true, limit: Number(options.limit),
  })));

  const results = mutants.flatMap(mutant => {
    const verdict = verdicts.get(mutant.name);
    return verdict === undefined ? [] : [{mutant, verdict}];
  });
  const killed = results.filter(({verdict}) => killerOf(verdict) !== undefined).length;
  const table = markdownTable([['mutant', 'what is wrong', 'result', 'by which test, or why'], ...results.map(({mutant, verdict}) => row(mutant, verdict))]);
  const summary = `${mutants.length} mutants on ${options.kernel}: ${killed} killed, ${results.length - killed} survived; ${boots} boots, ${((Date.now() - began) / 60_000).toFixed(0)} minutes${before > 0 ? `; ${before} tried in earlier runs` : ''}.`;
  process.stdout.write(`\n${table}\n\n${summary}\n`);
  if (options.table !== undefined) writeResults(options.table, 'make test-mutants', `${summary}\n\n${table}`);
  if (failures.length > 0) process.stdout.write(`\nSurvived without an explanation:\n\n${failures.join('\n')}\n`);
  process.stdout.write(`\n${results.length - failures.length} passed, ${failures.length} failed\n`);
  return failures.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof VmError && error.details !== '') process.stderr.write(`${error.details.trimEnd()}\n`);
  process.stderr.write(`test-mutants: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
