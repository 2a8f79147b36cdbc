import {FOLLOW_PTE_MM, FOLLOW_PTE_SYMBOLS, SINCE_6_3} from './edits.js';
import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'RHEL 9.6 before 5.14.0-570.26.1',
  base: '6.12',
  version: [5, 14, 0],
  source: 'CentOS Stream 9: vm_flags_set() since 5.14.0-503 (9.5), pin_user_pages() without vmas; follow_pte(mm)',
  edits: [FOLLOW_PTE_MM],
  symbols: FOLLOW_PTE_SYMBOLS,
  yes: [...SINCE_6_3, 'follow_pte_mm'],
};
