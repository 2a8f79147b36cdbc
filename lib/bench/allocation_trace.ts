/**
 * What the kernel allocates while this thread calls it: the kmem tracepoints in a ring buffer of their own, for this
 * thread alone, each with its stack.
 */
import {existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

const TRACEFS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];
/** Of every kernel those that it has. */
const EVENT = /^(kmalloc|kmem_cache_alloc)(_node)?$|^mm_page_alloc$/;
/** Per processor, KiB: an allocation for each of some ten thousand calls has room. */
const BUFFER_KIB = 16_384;

/** Allocations of one stretch of work. */
export interface Traced {
  /** Those with a function of framevec.ko in their stack. */
  readonly framevec: number;
  /** The rest: what this thread did beside, such as a look at the trace itself. */
  readonly others: number;
  /** Where framevec's came from: the function of the module that is nearest. */
  readonly where: readonly string[];
  /** Events that there was no room for. */
  readonly lost: number;
}

export class AllocationTrace implements Disposable {
  readonly #folder: string;

  /** @throws Error - no tracefs, or no right to it */
  static start(): AllocationTrace {
    const root = TRACEFS.find(path => existsSync(join(path, 'instances')));
    if (root === undefined) throw new Error('it is not mounted: mount -t tracefs tracefs /sys/kernel/tracing');
    const trace = new AllocationTrace(join(root, 'instances', `framevec-bench-${process.pid}`));
    try {
      trace.#prepare();
    } catch (error) {
      trace[Symbol.dispose]();
      throw error;
    }
    return trace;
  }

  private constructor(folder: string) {
    this.#folder = folder;
  }

  #prepare(): void {
    mkdirSync(this.#folder);
    this.#write('tracing_on', '0');
    this.#write('buffer_size_kb', String(BUFFER_KIB));
    this.#write('options/stacktrace', '1');
    for (const event of readdirSync(join(this.#folder, 'events/kmem')).filter(name => EVENT.test(name))) {
      // The main thread's id is the process's; in a worker nothing would be seen, which the caller's control tells.
      this.#write(`events/kmem/${event}/filter`, `common_pid == ${process.pid}`);
      this.#write(`events/kmem/${event}/enable`, '1');
    }
  }

  /** What was allocated while the work was done. */
  during(work: () => void): Traced {
    this.#write('trace', '');
    this.#write('tracing_on', '1');
    try {
      work();
    } finally {
      this.#write('tracing_on', '0');
    }
    return parseTrace(readFileSync(join(this.#folder, 'trace'), 'utf8'), this.#lost());
  }

  #lost(): number {
    const cpus = join(this.#folder, 'per_cpu');
    return readdirSync(cpus).reduce((sum, cpu) => {
      const stats = readFileSync(join(cpus, cpu, 'stats'), 'utf8');
      const count = (name: string): number => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(stats)?.[1] ?? 0);
      return sum + count('overrun') + count('dropped events');
    }, 0);
  }

  #write(file: string, text: string): void {
    writeFileSync(join(this.#folder, file), text);
  }

  [Symbol.dispose](): void {
    if (existsSync(this.#folder)) rmdirSync(this.#folder);
  }
}

/** Reads the text of a trace with stacks: an event's line, then `<stack trace>`, then ` => function` lines. */
export function parseTrace(text: string, lost = 0): Traced {
  let framevec = 0;
  let others = 0;
  const where = new Map<string, number>();
  for (const block of text.split(/^(?=.*: (?:kmalloc|kmem_cache_alloc|mm_page_alloc))/m)) {
    if (!/: (?:kmalloc|kmem_cache_alloc|mm_page_alloc)/.test(block)) continue;
    const mine = /^ *=> (framevec_\w+|\S+ \[framevec\])/m.exec(block)?.[1];
    if (mine === undefined) {
      others++;
      continue;
    }
    framevec++;
    where.set(mine, (where.get(mine) ?? 0) + 1);
  }
  return {framevec, others, where: [...where].map(([name, count]) => `${name} ${count}x`), lost};
}
