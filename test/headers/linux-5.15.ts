import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'Linux 5.15',
  base: '6.1',
  version: [5, 15, 0],
  source: 'upstream; FAULT_FLAG_UNSHARE came with 6.0 (mm: support GUP-triggered unsharing of anonymous pages)',
  edits: [{file: 'include/linux/mm_types.h', replace: /\tFAULT_FLAG_UNSHARE =.*\n/, with: ''}],
  yes: ['follow_pte_mm', 'unpin_range', 'vma_lookup'],
};
