import {BESIDE_PFNMAP, SINCE_6_3} from './edits.js';
import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'RHEL 9.6 from 5.14.0-570.26.1 on',
  base: '6.12',
  version: [5, 14, 0],
  source: 'CentOS Stream 9: follow_pfnmap_start() and follow_pte(vma) in one z-stream, with huge PFNMAP',
  edits: [BESIDE_PFNMAP],
  symbols: {add: ['follow_pte']},
  yes: [...SINCE_6_3, 'follow_pfnmap', 'follow_pte_vma'],
};
