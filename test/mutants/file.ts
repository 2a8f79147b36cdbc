/** One test file in a trial of a mutant: file.js FILE TOLD MATCHES [fail-fast]. Each test that ends is a line of the file TOLD. */
import {appendFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';
import {runAll} from './ava.js';

const [, , file = '', told = '', matches = '[]', failFast] = process.argv;

await import(pathToFileURL(file).href);
await runAll({
  matches: JSON.parse(matches) as string[],
  failFast: failFast !== undefined,
  onEnd(ended) {
    appendFileSync(told, `${JSON.stringify(ended)}\n`);
  },
});
// What a failed test has left open must not keep it.
process.exit(0);
