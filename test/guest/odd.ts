/** The tests' own driver, test/native/kmod/framevec_odd.c: device mappings that behave as a few rare ones do. */
import {execFileSync, spawnSync} from 'node:child_process';
import {closeSync, openSync, readSync, writeSync} from 'node:fs';
import {MAP, PAGE, PROT, mmap} from './raw.js';

export const ODD = '/dev/framevec-odd';
export const ODD_PAGES = 64;

const WHAT = {zap: 0, refuse: 1, miss: 2, cache: 3} as const;
export const CACHE = {writeBack: 0, writeCombining: 1, uncached: 2} as const;

export class OddDriver implements Disposable {
  readonly fd: number;

  constructor() {
    // A test file that has failed may have left it.
    spawnSync('rmmod', ['framevec_odd']);
    execFileSync('insmod', [`${process.env.FRAMEVEC_DRIVERS ?? ''}/framevec_odd.ko`]);
    this.fd = openSync(ODD, 'r+');
  }

  #tell(what: keyof typeof WHAT, page = 0, count = 0): void {
    writeSync(this.fd, new Uint32Array([WHAT[what], page, count]));
  }

  /** Unmaps all pages from everybody; they can be faulted in again. */
  zap(): void {
    this.#tell('zap');
  }

  /** From now on faults of a page end with SIGBUS, or do not any more. */
  refuse(page: number, refused = true): void {
    this.#tell('refuse', page, refused ? 1 : 0);
  }

  /** The next faults of a page map nothing, as if another thread had it zapped at once. */
  miss(page: number, times: number): void {
    this.#tell('miss', page, times);
  }

  cache(page: number, mode: keyof typeof CACHE): void {
    this.#tell('cache', page, CACHE[mode]);
    this.zap();
  }

  /** How often the driver was asked before the first write to a page, in all. */
  asked(): number {
    const count = new Uint32Array(1);
    readSync(this.fd, count);
    return count[0] ?? 0;
  }

  /** With `asked` the driver is asked before the first write to each page. */
  map(pages: number, {first = 0, asked = false, prot = PROT.READ | PROT.WRITE, at}: {first?: number; asked?: boolean; prot?: number; at?: bigint} = {}): bigint {
    return mmap(pages * PAGE, {
      prot, fd: this.fd, offset: (first + (asked ? ODD_PAGES : 0)) * PAGE,
      ...(at === undefined ? {flags: MAP.SHARED} : {at, flags: MAP.SHARED | MAP.FIXED}),
    });
  }

  /** What fills a page. */
  static byteOf(page: number): number {
    return 0x40 + page;
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
    execFileSync('rmmod', ['framevec_odd']);
  }
}
