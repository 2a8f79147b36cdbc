/** What the host gives the guest to do, and what the guest tells of it, by files in $FRAMEVEC_RUN. */

export const JOB_FILE = 'job.json';
export const TOLD_FILE = 'told.jsonl';

/** Tests against one module. */
export interface Trial {
  name: string;
  /** Where its framevec.ko and sample/ are. */
  modules: string;
  /** Some files each, and the tests in them that match; none: all. */
  runs: readonly {files: readonly string[]; matches: readonly string[]}[];
  /** End with the first test that fails. */
  failFast: boolean;
  /** Seconds until a file's tests are ended. */
  limit: number;
}

export interface Verdict {
  name: string;
  passed: number;
  /** The tests that failed. */
  failed: readonly string[];
  /** What else went wrong: the kernel complained, the run did not end, the module could not be unloaded, ... */
  troubles: readonly string[];
  /** Seconds that it took. */
  seconds: number;
}

/** A line of the file: a trial has begun, or it has ended. */
export type Told = {begun: string} | {ended: Verdict};

/** The guest's status when it is not fit for a next trial. */
export const REBOOT = 75;
