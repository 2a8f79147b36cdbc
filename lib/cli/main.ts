#!/usr/bin/env node
/** The `framevec` command. */
import {FrameVectorError} from '../errors.js';
import {EXIT} from './exit.js';
import {createProgram} from './program.js';

const program = createProgram();

try {
  if (process.argv.length === 2) program.outputHelp();
  else await program.parseAsync();
} catch (error) {
  if (!(error instanceof FrameVectorError)) throw error;
  process.stderr.write(`framevec: ${error.message}\n`);
  process.exitCode = EXIT.failed;
}
