/** Runs the command line. Any expected failure ends it with one line on stderr. */
import {errnoInWords} from '../errno.js';
import {FrameVectorError} from '../errors.js';
import {Ended, EXIT} from './exit.js';
import {createProgram} from './program.js';

const NO_SPACE = 'there is no space left on the device that it goes to (ENOSPC)';

/** Output that nobody reads ends the command quietly, as SIGPIPE ends other programs. Any other failure is told. */
function endWithOutput(name: string, stream: NodeJS.WriteStream): void {
  stream.on('error', ({code, message}: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') process.exit(EXIT.outputClosed);
    process.stderr.write(`framevec: writing to ${name}: ${code === 'ENOSPC' ? NO_SPACE : message}\n`, () => process.exit(EXIT.failed));
  });
}

/** A system call of Node's that failed, in a line. Undefined for any other error, which is a fault of this program. */
function failureInWords(error: unknown): string | undefined {
  if (error instanceof FrameVectorError) return error.message;
  const {errno, syscall, path} = error as NodeJS.ErrnoException;
  if (!(error instanceof Error) || errno === undefined || syscall === undefined) return undefined;
  const remedy = path?.startsWith('/proc/') === true ? '. framevec reads /proc: `mount -t proc proc /proc` as root' : '';
  return `${syscall}${path === undefined ? '' : ` ${path}`}: ${errnoInWords(errno)}${remedy}`;
}

export async function start(): Promise<void> {
  const program = createProgram();
  // `framevec vm` has a machine to stop first.
  if (process.argv[2] !== 'vm') {
    endWithOutput('stdout', process.stdout);
    endWithOutput('stderr', process.stderr);
  }
  try {
    if (process.argv.length === 2) program.outputHelp();
    else await program.parseAsync();
  } catch (error) {
    if (error instanceof Ended) {
      process.exitCode = error.status;
      return;
    }
    const words = failureInWords(error);
    if (words === undefined) throw error;
    process.stderr.write(`framevec: ${words}\n`);
    process.exitCode = EXIT.failed;
  }
}
