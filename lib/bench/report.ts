/** The HTML report: one page that needs no network and has all of a result. */
import {readFileSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {parseResult} from './compare.js';
import {reportData} from './report/data.js';
import {html, trusted} from './report/markup.js';
import {body} from './report/sections.js';
import type {BenchResult} from './result.js';

/** Nothing is fetched, whatever the page says: the browser sees to it. */
const POLICY = 'default-src \'none\'; script-src \'unsafe-inline\'; style-src \'unsafe-inline\'; img-src data:';

/** What `make build` bundles beside this file. */
interface Page {
  readonly script: string;
  readonly style: string;
}

function bundled(name: string): string {
  const path = fileURLToPath(new URL(`report/page/${name}`, import.meta.url));
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new RangeError(`the report's page is not built: there is no ${path}; \`make build\` makes it`, {cause: error});
  }
}

/** @throws RangeError - it was not built */
export function reportPage(): Page {
  return {script: bundled('main.js'), style: bundled('style.css')};
}

/** @throws RangeError - as {@link reportPage} */
export function htmlReport(result: BenchResult): string {
  const {kernel, framevec} = result.environment;
  const {script, style} = reportPage();
  // Within a script element only its end and "<!--" mean anything.
  const data = JSON.stringify(reportData(result)).replaceAll('<', '\\u003c');
  const code = script.replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--');
  return `<!doctype html>
${html`<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>framevec ${framevec} on Linux ${kernel}: what pinning costs</title>
<style>${trusted(style)}</style></head><body>
${body(result)}
<script type="application/json" id="data">${trusted(data)}</script>
<script>${trusted(code)}</script>
</body></html>`.html}
`;
}

export function writeReport(result: BenchResult, path: string): void {
  writeFileSync(path, htmlReport(result));
}

/**
 * Makes a report of an earlier run, which needs no device.
 *
 * @throws RangeError - that is no result of `--json`
 */
export function reportFrom(results: string, path: string): void {
  writeReport(parseResult(readFileSync(results, 'utf8'), results), path);
}
