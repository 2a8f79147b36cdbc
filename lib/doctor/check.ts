/** What a check of the doctor comes to. */
import type {Machine} from './machine.js';

export interface Finding {
  /**
   * `ok`; `note`: framevec works, but for what the text says; `fail`: pinning does not work here until that is remedied.
   */
  status: 'ok' | 'note' | 'fail';
  /** What was found. */
  text: string;
  /** What to do; with every finding that is not ok. */
  remedy?: string;
}

export interface Check {
  /** Stable: scripts may ask for it. */
  name: string;
  look: (machine: Machine) => Finding | Promise<Finding>;
}

export const ok = (text: string): Finding => ({status: 'ok', text});
export const note = (text: string, remedy: string): Finding => ({status: 'note', text, remedy});
export const fail = (text: string, remedy: string): Finding => ({status: 'fail', text, remedy});
