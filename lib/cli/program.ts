/** The whole command line: one file a command beside this one; this file only names them. */
import completion from '@bomb.sh/tab/commander';
import {Command} from 'commander';
import {DESCRIPTION, VERSION} from '../package.js';
import {EXIT as VM_EXIT} from '../vm/errors.js';
import {benchCommand} from './bench.js';
import {demoCommand} from './demo.js';
import {doctorCommand} from './doctor.js';
import {EXIT, EXIT_HELP, wrongUseIs} from './exit.js';
import {moduleCommand} from './module.js';
import {v4l2Command} from './v4l2.js';
import {pinCommand} from './pin.js';
import {topCommand} from './top.js';
import {vmCommand} from './vm.js';

/** Made anew for each command line that it shall read. */
export function createProgram(): Command {
  const program = new Command('framevec').description(DESCRIPTION).version(VERSION).addHelpText('after', `
Examples:
  $ framevec doctor                       what works on this machine, and what to do about the rest
  $ framevec vm -- npx framevec demo      the main job, in a disposable VM: nothing is installed
  $ sudo npx framevec module install      the module in the kernel that runs here
  $ framevec pin --size 64M --backing thp --write
  $ sudo npx framevec top                 the vectors of all processes, live
  $ framevec pin --help                   each command has its own, with examples
  $ source <(framevec completion bash)    completion in this shell

${EXIT_HELP}`);

  program.addCommand(doctorCommand());
  program.addCommand(demoCommand());
  program.addCommand(pinCommand());
  program.addCommand(v4l2Command());
  program.addCommand(benchCommand());
  program.addCommand(topCommand());
  program.addCommand(vmCommand());
  program.addCommand(moduleCommand());
  completion(program, {completionCommandName: 'completion'});
  program.commands.find((command) => command.name() === 'completion')?.description('print a script that completes commands and options in a shell').addHelpText('after', `
Examples:
  $ source <(framevec completion bash)
  $ framevec completion zsh >~/.zsh/completions/_framevec
  $ framevec completion fish >~/.config/fish/completions/framevec.fish
`);

  wrongUseIs(EXIT.usage, program);
  for (const command of program.commands) {
    // Any smaller number could be that of the command which ran in the VM.
    if (command.name() === 'vm') wrongUseIs(VM_EXIT.runner, command);
  }
  return program;
}
