import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'Linux 6.2',
  base: '6.1',
  version: [6, 2, 0],
  source: 'upstream; the parameters of gup_must_unshare() changed with 6.2 (mm/gup: reliable R/O long-term pinning in COW mappings)',
  edits: [{file: 'include/linux/mm.h', replace: 'gup_must_unshare(unsigned int flags, struct page *page)', with: 'gup_must_unshare(struct vm_area_struct *vma, unsigned int flags, struct page *page)'}],
  yes: ['fault_flag_unshare', 'follow_pte_mm', 'unpin_range', 'vma_lookup'],
};
