/** What a check of the doctor comes to. */
import type {Machine} from './machine.js';

export interface Finding {
  /**
   * `ok`; `note`: framevec works, but for what the text says; `fail`: pinning does not work here until that is remedied; `skip`: not
   * checked, because a check that it needs has failed.
   */
  status: 'ok' | 'note' | 'fail' | 'skip';
  /** What was found. */
  text: string;
  /** What to do; with every note and failure. */
  remedy?: string;
}

export interface Check {
  /** Stable: scripts may ask for it. */
  name: string;
  /** Checks that must not fail for this one to say anything new. */
  needs?: readonly string[];
  look: (machine: Machine) => Finding | Promise<Finding>;
}

export const ok = (text: string): Finding => ({status: 'ok', text});
export const note = (text: string, remedy: string): Finding => ({status: 'note', text, remedy});
export const skip = (cause: string): Finding => ({status: 'skip', text: `not checked: see ${cause}`});
export const fail = (text: string, remedy: string): Finding => ({status: 'fail', text, remedy});
