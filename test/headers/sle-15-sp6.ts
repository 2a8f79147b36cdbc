import {FOLLOW_PTE_MM, FOLLOW_PTE_SYMBOLS, SINCE_6_3} from './edits.js';
import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'SLE 15 SP6 (6.4)',
  base: '6.12',
  version: [6, 4, 0],
  source: 'the kernel-source branch SLE15-SP6: pin_user_pages() without vmas (6.5) since 6.4.0-150600.21; follow_pte(mm)',
  edits: [FOLLOW_PTE_MM],
  symbols: FOLLOW_PTE_SYMBOLS,
  yes: [...SINCE_6_3, 'follow_pte_mm'],
};
