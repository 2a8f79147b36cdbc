import {FOLLOW_PTE_MM, FOLLOW_PTE_SYMBOLS, SINCE_6_3} from './edits.js';
import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'Linux 6.8 (Ubuntu 24.04)',
  base: '6.12',
  version: [6, 8, 0],
  source: 'upstream; follow_pte(mm)',
  edits: [FOLLOW_PTE_MM],
  symbols: FOLLOW_PTE_SYMBOLS,
  yes: [...SINCE_6_3, 'follow_pte_mm'],
};
