import {BESIDE_PFNMAP, SINCE_6_3} from './edits.js';
import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'a kernel that declares follow_pfnmap_start() and does not export it',
  base: '6.12',
  version: [5, 14, 0],
  source: 'made up, after RHEL 9.6, which declares mm_get_unmapped_area() and does not export it',
  edits: [BESIDE_PFNMAP],
  symbols: {remove: ['follow_pfnmap_start'], add: ['follow_pte']},
  yes: [...SINCE_6_3, 'follow_pte_vma'],
};
