/**
 * The benchmark's report in a real browser without a network. The result is that of a real run, test/browser/bench-result.json.gz:
 * its own `command` says of which; it ran in `framevec vm --with vivid --with rdma_rxe --with ib_uverbs`.
 */
import {spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import {gunzipSync} from 'node:zlib';
import test from 'ava';
import {decodeFromCompressedBase64} from 'hdr-histogram-js';
import type {Browser, Page} from 'playwright-core';
import {parseResult} from '../../lib/bench/compare.js';
import {htmlReport} from '../../lib/bench/report.js';
import {reportData} from '../../lib/bench/report/data.js';
import {timeInWords} from '../../lib/bench/report/markup.js';
import {launch} from './chromium.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const main = join(root, 'dist/lib/cli/main.js');
const fixture = gunzipSync(readFileSync(join(root, 'test/browser/bench-result.json.gz'))).toString();
const result = parseResult(fixture, 'test/browser/bench-result.json.gz');
const PHASES = ['pin', 'unpin', 'pair', 'touch'] as const;
const CHARTS = ['latency-body', 'latency-tail', 'cost-whole', 'cost-page', 'split-pin', 'split-unpin', 'peers-ratio', 'peers-javascript'];

let folder: string;
let report: string;
let browser: Browser;

test.before('a report is made by the command', async t => {
  folder = mkdtempSync(join(tmpdir(), 'framevec-report-'));
  const json = join(folder, 'results.json');
  report = join(folder, 'report.html');
  writeFileSync(json, fixture);
  const {status, stdout, stderr} = spawnSync(process.execPath, [main, 'bench', '--from', json, '--html', report], {encoding: 'utf8'});
  t.deepEqual({status, stdout, stderr}, {status: 0, stdout: '', stderr: ''});
  browser = await launch();
});

test.after.always('the browser ends', async () => {
  await browser.close();
  rmSync(folder, {recursive: true, force: true});
});

interface Opened extends AsyncDisposable {
  readonly page: Page;
  /** What the page asked for beside itself, and what it complained of. */
  readonly requests: readonly string[];
  readonly complaints: readonly string[];
}

async function open(options: {colorScheme?: 'light' | 'dark'; width?: number} = {}): Promise<Opened> {
  const context = await browser.newContext({offline: true, colorScheme: options.colorScheme ?? 'light', viewport: {width: options.width ?? 1280, height: 900}});
  const page = await context.newPage();
  const address = pathToFileURL(report).href;
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on('request', request => {
    if (request.url() !== address) requests.push(request.url());
  });
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', error => {
    complaints.push(String(error));
  });
  await page.goto(address, {waitUntil: 'load'});
  return {
    page, requests, complaints,
    async [Symbol.asyncDispose]() {
      await context.close();
    },
  };
}

/** The rows of a table: of each cell the number that it has, or its text. */
function cells(page: Page, id: string): Promise<{value: number | undefined; text: string}[][]> {
  return page.$$eval(`#${id} tbody tr`, rows => rows.map(row => Array.from(row.querySelectorAll('td'), cell => {
    const value = cell.querySelector('data')?.getAttribute('value');
    return {value: value === null || value === undefined ? undefined : Number(value), text: cell.textContent};
  })));
}

/** How many lines, points or bars of data a chart has. */
function shapes(page: Page, chart: string): Promise<number> {
  const kinds = ['line"] path', 'dot"] path', 'bar"] rect'].map(kind => `[data-chart="${chart}"] svg g[aria-label="${kind}`);
  return page.locator(kinds.join()).count();
}

test('a page asks for nothing but itself, and nothing in it fails', async t => {
  await using opened = await open();
  t.deepEqual(opened.requests, []);
  t.deepEqual(opened.complaints, []);
  t.regex(readFileSync(report, 'utf8'), /http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;/);
});

test('every chart is drawn, in both colour schemes, and a choice draws anew', async t => {
  const seen = new Map<string, string>();
  for (const colorScheme of ['light', 'dark'] as const) {
    await using opened = await open({colorScheme});
    const {page} = opened;
    for (const chart of CHARTS) t.true(await shapes(page, chart) > 0, chart);
    const curves = result.rows.filter(row => row.backing === '4k' && row.pages === 256 && row.access === 'write' && row.state === 'resident' && row.threads === 1);
    t.is(await shapes(page, 'latency-body'), curves.length);
    seen.set(colorScheme, await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    const before = await page.innerHTML('[data-chart="latency-body"]');
    await page.selectOption('select[name=pages]', '1');
    t.not(await page.innerHTML('[data-chart="latency-body"]'), before);
    t.deepEqual(opened.complaints, []);
  }
  t.not(seen.get('light'), seen.get('dark'));
});

test('the table of latencies has every percentile of the result', async t => {
  await using opened = await open();
  const rows = await cells(opened.page, 'latencies');
  const expected = result.rows.flatMap(row => PHASES.flatMap(name => {
    const phase = row.phases[name];
    return phase === undefined ? [] : [[row.pages, row.threads, phase.min, phase.p50, phase.p90, phase.p99, phase.p999, phase.max, phase.count]];
  }));
  t.deepEqual(rows.map(row => row.flatMap(({value}) => value ?? [])), expected);
  const names = result.rows.flatMap(row => PHASES.filter(name => row.phases[name] !== undefined).map(() => [row.what, row.backing, row.access, row.state]));
  t.deepEqual(rows.map(row => [0, 2, 4, 5].map(column => row[column]?.text)), names);
  const medians = result.rows.flatMap(row => PHASES.flatMap(name => row.phases[name]?.p50 ?? []));
  t.deepEqual(rows.map(row => row[8]?.text), medians.map(timeInWords));
});

test('the tables of ratios, lines, splits and figures have the numbers of the result', async t => {
  await using opened = await open();
  const {page} = opened;
  const numbers = async (id: string): Promise<number[][]> => (await cells(page, id)).map(row => row.flatMap(({value}) => value ?? []));
  t.true(result.ratios.length > 0 && result.fits.length > 0 && result.figures.length > 0 && result.absent.length > 0);
  t.deepEqual(await numbers('ratios'), result.ratios.map(({value, p25, p75, low, high, rounds}) => [value, p25, p75, low, high, rounds.length]));
  t.deepEqual(await numbers('fits'), result.fits.map(({threads, fixed, perPage, worst}) =>
    [threads, fixed.value, fixed.low, fixed.high, perPage.value, perPage.low, perPage.high, worst]));
  t.deepEqual(await numbers('splits'), result.rows.flatMap(({pages, threads, split}) => split === undefined ? [] : [split.pin, split.unpin].map(of =>
    [pages, threads, of.gup, of.module, ...(of.syscall === undefined ? [] : [of.syscall]), of.addon, of.count])));
  t.deepEqual(await page.$$eval('.figure .value data', found => found.map(of => Number(of.getAttribute('value')))), result.figures.flatMap(({measured}) => measured?.value ?? []));
  t.deepEqual((await cells(page, 'absent')).map(row => row[2]?.text), result.absent.map(({reason}) => reason));
});

test('a curve is that of the histogram in the result', t => {
  const data = reportData(result);
  for (const [i, row] of result.rows.entries()) {
    const histogram = decodeFromCompressedBase64(row.phases.pair.hdr);
    const curve = data.rows[i]?.phases.pair;
    t.is(curve?.count, histogram.totalCount);
    t.is(curve?.ns.length, data.shares.length);
    t.is(curve?.ns[data.shares.indexOf(0.5)], row.phases.pair.p50);
    t.is(curve?.ns.at(-1), row.phases.pair.max);
    t.deepEqual(curve?.ns, [...curve?.ns ?? []].sort((a, b) => a - b));
  }
});

test('the environment is on top, and emulation is said aloud', async t => {
  await using opened = await open();
  const {environment} = result;
  t.true(environment.onlyRatiosCount);
  t.regex(await opened.page.innerText('header .loud'), /Emulated: only ratios within this run count/);
  const facts = await opened.page.innerText('header .facts');
  for (const fact of [environment.kernel, environment.cpu, environment.node, environment.framevec, environment.clocksource]) t.true(facts.includes(fact), fact);
  const bare = htmlReport({...result, environment: {...environment, accelerator: 'bare', onlyRatiosCount: false}});
  t.notRegex(bare, /Emulated: only ratios/);
});

test('pointing at a chart tells its numbers', async t => {
  await using opened = await open();
  const dot = opened.page.locator('[data-chart="cost-whole"] svg g[aria-label="dot"] path').last();
  await dot.hover({force: true});
  t.regex(await opened.page.locator('[data-chart="cost-whole"] svg g[aria-label="tip"]').innerHTML(), /page/);
});

test('what a result says of itself is text on the page, whatever it is', async t => {
  const path = join(folder, 'hostile.html');
  const hostile = '</script><script>throw new Error("ran")</script><img src="x">';
  writeFileSync(path, htmlReport({...result, command: [hostile], rows: result.rows.map((row, i) => (i === 0 ? {...row, what: hostile} : row))}));
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', error => {
    errors.push(String(error));
  });
  await page.goto(pathToFileURL(path).href);
  t.deepEqual(errors, []);
  t.is(await page.locator('img').count(), 0);
  t.true((await page.innerText('.command')).includes(hostile));
  await page.close();
});

test('every label of a chart is there, none over another, on wide pages and narrow ones', async t => {
  for (const width of [1280, 700]) {
    await using opened = await open({width});
    for (const chart of CHARTS) {
      const labels = await opened.page.locator(`[data-chart="${chart}"] svg g[aria-label$="tick label"] text`).allTextContents();
      t.true(labels.length > 2 && labels.every(text => text !== ''), `${chart}: ${labels.join()}`);
      const overlaps = await opened.page.$$eval(`[data-chart="${chart}"] svg text`, texts => {
        const boxes = texts.map(text => ({text: text.textContent, box: text.getBoundingClientRect()})).filter(({box}) => box.width > 0);
        return boxes.flatMap(({text, box: a}, i) => boxes.slice(i + 1)
          .filter(({box: b}) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
          .map(other => `${text} / ${other.text}`));
      });
      t.deepEqual(overlaps, [], `${chart} at ${width}`);
    }
    t.true(await opened.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `nothing is wider than ${width}`);
  }
});

test('--from makes a report and nothing else, and says what is wrong with a file', t => {
  const run = (...args: string[]): {status: number | null; stderr: string} => {
    const {status, stderr} = spawnSync(process.execPath, [main, 'bench', ...args], {encoding: 'utf8'});
    return {status, stderr};
  };
  const text = join(folder, 'text.json');
  writeFileSync(text, 'no json');
  const target = join(folder, 'none.html');
  t.regex(run('--from', text, '--html', target).stderr, /text\.json is not JSON/);
  t.regex(run('--from', join(folder, 'missing.json'), '--html', target).stderr, /missing\.json/);
  t.is(run('--from', text).status, 2);
  t.regex(run('--from', text).stderr, /--html/);
});

test('pictures of the report in both schemes are put into build/', async t => {
  mkdirSync(join(root, 'build'), {recursive: true});
  for (const colorScheme of ['light', 'dark'] as const) {
    await using opened = await open({colorScheme});
    const shot = await opened.page.screenshot({path: join(root, 'build', `bench-report-${colorScheme}.png`), fullPage: true});
    t.true(shot.length > 50_000);
  }
});
