/** `framevec demo`: what a frame vector is, at a glance. */
import {Command} from 'commander';
import {EXIT} from './exit.js';

export function demoCommand(): Command {
  return new Command('demo')
    .description('pin a buffer that holds a real file, and look at its frames')
    .argument('[file]', 'the file', process.execPath)
    .option('--json', 'print what was seen as one line of JSON')
    .addHelpText('after', `
Needs the module and root (frame numbers are told to CAP_SYS_ADMIN only), so on most machines:

Examples:
  $ framevec vm -- npx framevec demo
  $ framevec demo /usr/bin/env --json
`)
    .action(async (file: string, flags: {json?: boolean}) => {
      // Not before: the addon may not be built, and `framevec vm` needs none.
      const {DemoFileError, demo} = await import('../demo.js');
      try {
        demo(file, flags.json === true);
      } catch (error) {
        if (!(error instanceof DemoFileError)) throw error;
        process.stderr.write(`framevec: ${error.message}\n`);
        process.exitCode = EXIT.failed;
      }
    });
}
