/**
 * At most two pins at a time run on libuv's threads, of which there are four by default: more would
 * hold up everything else that needs one, such as reading files.
 */
const MOST_AT_ONCE = 2;

type Start = () => void;

const waiting = new Set<Start>();
let running = 0;

/** Calls `start` at once or in its turn; it has to call {@link ended} in the end. */
export function enqueue(start: Start): void {
  waiting.add(start);
  startNext();
}

/** Takes back what has not been started: whether it was so. */
export function withdraw(start: Start): boolean {
  return waiting.delete(start);
}

/** What was started has ended: the next one may. */
export function ended(): void {
  running -= 1;
  startNext();
}

function startNext(): void {
  for (const start of waiting) {
    if (running === MOST_AT_ONCE) return;
    waiting.delete(start);
    running += 1;
    start();
  }
}
