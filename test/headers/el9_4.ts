import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'RHEL 9.4 (5.14.0-427)',
  base: '6.1',
  version: [5, 14, 0],
  source: 'github.com/epics-modules/mrfioc2, pull request 192: no vm_flags_set() in 9.4; mm/ is that of 6.1',
  edits: [],
  yes: ['fault_flag_unshare', 'follow_pte_mm', 'unpin_range', 'vma_lookup'],
};
