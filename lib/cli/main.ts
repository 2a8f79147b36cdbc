#!/usr/bin/env node
/** The `framevec` command. It imports the rest only under a Node that can: an older one would name a missing export. */
export {};

const OLDEST = [20, 19] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  process.stderr.write(`framevec: this is Node ${process.versions.node}, but framevec needs Node ${OLDEST.join('.')} or later: install one, or put it first in PATH\n`);
  process.exitCode = 1;
} else {
  const {start} = await import('./start.js');
  await start();
}
