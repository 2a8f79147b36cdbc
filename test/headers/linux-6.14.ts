import {SINCE_6_3} from './edits.js';
import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'Linux 6.14',
  base: '6.12',
  version: [6, 14, 0],
  source: 'upstream; follow_pfnmap_start() without addr_mask (6.15), vmf_insert_pfn_pmd() with pfn_t (until 6.16)',
  edits: [],
  yes: [...SINCE_6_3, 'follow_pfnmap'],
};
