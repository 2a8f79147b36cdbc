/** `framevec doctor`: what works on this machine, and what to do about the rest. */
import {Command} from 'commander';
import {EXIT} from './exit.js';

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('say what works on this machine for this user, and what to do about the rest')
    .option('--json', 'print the checks as one line of JSON: {ok, checks: [{name, status, text, remedy}]}')
    .addHelpText('after', `
One line per check: ✔ is well; ! works, with the limit that the line names; ✘ keeps this process from
pinning, and the line below it is the remedy; · was not checked, because another check failed. The
exit status is 0 if nothing keeps this process from pinning, otherwise 1. NO_COLOR disables colours.

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
