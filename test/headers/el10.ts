import {ADDR_MASK, SINCE_6_3} from './edits.js';
import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'RHEL 10 (6.12)',
  base: '6.12',
  version: [6, 12, 0],
  source: 'CentOS Stream 10: 6.12. That addr_mask (6.15) is backported while vmf_insert_pfn_pmd() still takes a pfn_t is what this specimen assumes',
  edits: [ADDR_MASK],
  yes: [...SINCE_6_3, 'follow_pfnmap', 'follow_pfnmap_mask'],
};
