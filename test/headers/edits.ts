/** What several specimens have in common. */
import type {Edit} from './specimen.js';

const MM = 'include/linux/mm.h';

const PFNMAP = /struct follow_pfnmap_args \{[^]*?void follow_pfnmap_end\(struct follow_pfnmap_args \*args\);\n/;

const followPte = (what: string): string => `int follow_pte(${what}, unsigned long address,\n\t       pte_t **ptepp, spinlock_t **ptlp);\n`;

/** Before 6.12 (commit "mm: new follow_pfnmap API") device mappings were looked at with follow_pte(), */
export const FOLLOW_PTE_MM: Edit = {file: MM, replace: PFNMAP, with: followPte('struct mm_struct *mm')};
/** which took the VMA from 6.10 on ("mm: pass VMA instead of MM to follow_pte()"). */
export const FOLLOW_PTE_VMA: Edit = {file: MM, replace: PFNMAP, with: followPte('struct vm_area_struct *vma')};
export const FOLLOW_PTE_SYMBOLS = {remove: ['follow_pfnmap_start', 'follow_pfnmap_end'], add: ['follow_pte']};

/** A kernel that has both. */
export const BESIDE_PFNMAP: Edit = {
  file: MM,
  replace: 'void follow_pfnmap_end(struct follow_pfnmap_args *args);\n',
  with: `void follow_pfnmap_end(struct follow_pfnmap_args *args);\n${followPte('struct vm_area_struct *vma')}`,
};

/** Since 6.15 ("mm: provide address mask in struct follow_pfnmap_args"). */
export const ADDR_MASK: Edit = {
  file: MM,
  replace: '\tunsigned long pfn;\n\tpgprot_t pgprot;\n\tbool writable;\n\tbool special;\n',
  with: '\tunsigned long pfn;\n\tunsigned long addr_mask;\n\tpgprot_t pgprot;\n\tbool writable;\n\tbool special;\n',
};

/** What every kernel since 6.3 has. */
export const SINCE_6_3 = ['fault_flag_unshare', 'unpin_range', 'vm_flags_set', 'vma_lookup'] as const;
