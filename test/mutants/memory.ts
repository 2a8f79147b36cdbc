/** What the last trials came to, so that a run that was interrupted can be continued. */
import {createHash} from 'node:crypto';
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Verdict} from './job.js';
import type {Mutant} from './list.js';

const FILE = 'verdict.json';

/** Of a verdict on this build of the mutant, by these tests. */
function keyOf(root: string, {files, matches}: Mutant, directory: string): string {
  const key = createHash('sha256').update(readFileSync(join(directory, 'key'))).update(JSON.stringify([files, matches]));
  for (const file of files) key.update(readFileSync(join(root, `dist/test/guest/${file}.test.js`)));
  return key.digest('hex');
}

export function remember(root: string, mutant: Mutant, directory: string, verdict: Verdict): void {
  writeFileSync(join(directory, FILE), JSON.stringify({key: keyOf(root, mutant, directory), verdict}));
}

export function recall(root: string, mutant: Mutant, directory: string): Verdict | undefined {
  const path = join(directory, FILE);
  if (!existsSync(path)) return undefined;
  const {key, verdict} = JSON.parse(readFileSync(path, 'utf8')) as {key: string; verdict: Verdict};
  return key === keyOf(root, mutant, directory) ? verdict : undefined;
}
