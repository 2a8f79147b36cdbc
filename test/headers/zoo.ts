import {specimen as declaredNotExported} from './declared-not-exported.js';
import {specimen as el10} from './el10.js';
import {specimen as el9_4} from './el9_4.js';
import {specimen as el9_6Before_26_1} from './el9_6-before-26.1.js';
import {specimen as el9_6From_26_1} from './el9_6-from-26.1.js';
import {specimen as linux_5_15} from './linux-5.15.js';
import {specimen as linux_6_10} from './linux-6.10.js';
import {specimen as linux_6_11} from './linux-6.11.js';
import {specimen as linux_6_14} from './linux-6.14.js';
import {specimen as linux_6_2} from './linux-6.2.js';
import {specimen as linux_6_6} from './linux-6.6.js';
import {specimen as linux_6_8} from './linux-6.8.js';
import {specimen as sle_15Sp6} from './sle-15-sp6.js';
import type {Specimen} from './specimen.js';

/** In the order of what they have. */
export const SPECIMENS: readonly Specimen[] = [
  linux_5_15,
  linux_6_2,
  sle_15Sp6,
  linux_6_6,
  linux_6_8,
  linux_6_10,
  linux_6_11,
  linux_6_14,
  el9_4,
  el9_6Before_26_1,
  el9_6From_26_1,
  el10,
  declaredNotExported,
];
