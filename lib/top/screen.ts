/** A picture in the terminal that is drawn again and again, and leaves it as it was. */
import type {ReadStream, WriteStream} from 'node:tty';

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const TO_LINE_END = '\x1b[K';
const TO_SCREEN_END = '\x1b[J';
const CTRL_C = '\x03';
const SIGNALS = {SIGINT: 130, SIGTERM: 143, SIGHUP: 129} as const;

/**
 * Draws `lines(columns, rows)` at once, at every interval, and whenever the window's size changes, until q
 * or Ctrl-C is pressed or a signal comes.
 *
 * @returns the exit status: 0 after a key, 128 and the number after a signal
 */
export async function show(
  lines: (columns: number, rows: number) => string[],
  {intervalMs, input, output}: {intervalMs: number; input: ReadStream; output: WriteStream},
): Promise<number> {
  const draw = (): void => {
    const text = lines(output.columns, output.rows).map(line => `${line}${TO_LINE_END}`);
    output.write(`${HOME}${text.join('\r\n')}${TO_SCREEN_END}`);
  };
  const restore = (): void => {
    if (input.isTTY) input.setRawMode(false);
    output.write(LEAVE);
  };

  output.write(ENTER);
  // Whatever ends the process.
  process.once('exit', restore);
  const undo: (() => void)[] = [];
  try {
    return await new Promise<number>((resolve, reject) => {
      const drawOrFail = (): void => {
        try {
          draw();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      const timer = setInterval(drawOrFail, intervalMs);
      undo.push(() => { clearInterval(timer); });
      output.on('resize', drawOrFail);
      undo.push(() => output.off('resize', drawOrFail));
      for (const [signal, status] of Object.entries(SIGNALS)) {
        const end = (): void => { resolve(status); };
        process.on(signal, end);
        undo.push(() => process.off(signal, end));
      }
      if (input.isTTY) {
        const pressed = (keys: Buffer): void => {
          const text = keys.toString('latin1');
          if (text.includes('q') || text.includes(CTRL_C)) resolve(0);
        };
        input.setRawMode(true);
        input.on('data', pressed);
        undo.push(() => input.off('data', pressed).pause());
      }
      drawOrFail();
    });
  } finally {
    for (const step of undo) step();
    process.off('exit', restore);
    restore();
  }
}
