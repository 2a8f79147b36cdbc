/** The commands that the documentation names, and whether there are such. */
import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {CommanderError, type Command} from 'commander';
import {createProgram} from '../../lib/cli/program.js';
import {PACKAGE_ROOT} from '../../lib/package.js';
import {splitWords} from '../../lib/vm/shell.js';

const TARGETS = new Set([...readFileSync(join(PACKAGE_ROOT, 'Makefile'), 'utf8').matchAll(/^([a-z][\w-]*):/gm)].map(([, name = '']) => name));

/** The simple commands of a script: each as its words, without variables, sudo and npx before them. */
export function commandsOf(script: string): string[][] {
  const text = script.replaceAll('\\\n', ' ').replaceAll(/(^|\s)#.*$/gm, '$1');
  const parts = text.match(/(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|\$\([^()]*\)|[^'"\\\n;|&]|[<>]&)+/g) ?? [];
  return parts
    .map(part => {
      const words = splitWords(part) ?? [];
      const first = words.findIndex(word => !/^(?:\w+=.*|sudo|npx)$/.test(word));
      return first < 0 ? [] : words.slice(first);
    })
    .filter(words => words.length > 0);
}

/** What is wrong with a command of framevec, make or node; undefined: nothing, or it is another's. */
export function faultOf([program, ...args]: readonly string[]): string | undefined {
  switch (program) {
    case 'framevec':
      return framevecFault(args);
    case 'make': {
      const unknown = args.find(arg => !/[-=]/.test(arg.charAt(0)) && !arg.includes('=') && !TARGETS.has(arg));
      return unknown === undefined ? undefined : `make has no target ${unknown}`;
    }
    case 'node': {
      const file = args.find(arg => /^(?:docs|dist|test)\//.test(arg));
      return file === undefined || existsSync(join(PACKAGE_ROOT, file)) ? undefined : `there is no ${file}`;
    }
    default:
      return undefined;
  }
}

/** Has commander read the line, as it would if it were called. */
function framevecFault(args: readonly string[]): string | undefined {
  let command = createProgram();
  quietly(command);
  let rest = [...args];
  for (;;) {
    const below: Command | undefined = command.commands.find(one => one.name() === rest[0]);
    if (below === undefined) break;
    command = below;
    rest = rest.slice(1);
  }
  if (command.commands.length > 0 && rest[0] !== undefined && !rest[0].startsWith('-')) return `framevec has no command ${rest[0]}`;
  if (rest.some(word => ['--help', '--version'].includes(word))) return undefined;
  try {
    const {operands, unknown} = command.parseOptions(rest);
    if (unknown.length > 0) return `framevec ${command.name()} has no option ${unknown[0] ?? ''}`;
    return command.name() === 'vm' ? faultOf(withoutNpx(operands)) : undefined;
  } catch (error) {
    if (error instanceof CommanderError) return error.message;
    throw error;
  }
}

function withoutNpx(words: readonly string[]): readonly string[] {
  return words[0] === 'npx' ? words.slice(1) : words;
}

function quietly(command: Command): void {
  command.exitOverride((error) => {
    throw error;
  });
  command.configureOutput({writeErr: () => undefined});
  command.commands.forEach(quietly);
}

/** A script as it is run in the guest: what would begin a VM goes on in this one, and root needs no sudo. */
export function inGuest(script: string): string {
  return script
    .replaceAll('\\\n', ' ')
    .replaceAll(/^((?:\w+=\S+ )*)sudo /gm, '$1')
    .replaceAll(/\bnpx framevec vm (?:(?:'[^']*'|[^'\n])*? )?-- /g, '')
    .replaceAll(/\bnpx /g, '');
}
