/** `framevec doctor`: what works on this machine, and what to do about the rest. */
import {Command} from 'commander';
import {EXIT} from './exit.js';

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('say what works on this machine for this user, and what to do about the rest')
    .option('--json', 'print the checks as one line of JSON: {ok, checks: [{name, status, text, remedy}]}')
    .addHelpText('after', `
A line a check: ✔ is well; ! works, but for what is said; ✘ keeps this process from pinning. The exit
status is 0 if nothing keeps it, otherwise 1. NO_COLOR leaves the colours out.

Examples:
  $ framevec doctor
  $ framevec doctor --json | jq -r '.checks[] | select(.status == "fail") | .remedy'
  $ framevec vm -- npx framevec doctor
`)
    .action(async (flags: {json?: boolean}) => {
      const {diagnose, diagnosisInWords} = await import('../doctor/index.js');
      const diagnosis = await diagnose();
      const colours = process.stdout.isTTY && process.stdout.hasColors();
      process.stdout.write(`${flags.json === true ? JSON.stringify(diagnosis) : diagnosisInWords(diagnosis, colours)}\n`);
      if (!diagnosis.ok) process.exitCode = EXIT.failed;
    });
}
