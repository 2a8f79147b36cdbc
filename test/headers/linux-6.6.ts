import {FOLLOW_PTE_MM, FOLLOW_PTE_SYMBOLS, SINCE_6_3} from './edits.js';
import type {Specimen} from './specimen.js';

export const specimen: Specimen = {
  name: 'Linux 6.6',
  base: '6.12',
  version: [6, 6, 0],
  source: 'upstream; follow_pte(mm)',
  edits: [FOLLOW_PTE_MM],
  symbols: FOLLOW_PTE_SYMBOLS,
  yes: [...SINCE_6_3, 'follow_pte_mm'],
};
