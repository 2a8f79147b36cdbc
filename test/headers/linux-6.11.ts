import {FOLLOW_PTE_SYMBOLS, FOLLOW_PTE_VMA, SINCE_6_3} from './edits.js';
import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'Linux 6.11 (an HWE kernel of Ubuntu 24.04)',
  base: '6.12',
  version: [6, 11, 0],
  source: 'upstream; as 6.10',
  edits: [FOLLOW_PTE_VMA],
  symbols: FOLLOW_PTE_SYMBOLS,
  yes: [...SINCE_6_3, 'follow_pte_vma'],
};
