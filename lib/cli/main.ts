#!/usr/bin/env node
/** The `framevec` command: one file a command beside this one; this file only names them. */
import {Command} from 'commander';
import {createRequire} from 'node:module';
import {demoCommand} from './demo.js';
import {v4l2Command} from './v4l2.js';
import {pinCommand} from './pin.js';
import {vmCommand} from './vm.js';

const {version, description} = createRequire(import.meta.url)('../../../package.json') as {version: string; description: string};

const program = new Command('framevec').description(description).version(version).showHelpAfterError();

program.addCommand(demoCommand());
program.addCommand(v4l2Command());
program.addCommand(pinCommand());
program.addCommand(vmCommand());

await program.parseAsync();
