// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "probe.h"

FRAMEVEC_EXPORTED(vmf_insert_pfn_pmd);
FRAMEVEC_EXPORTED(thp_get_unmapped_area);
FRAMEVEC_FORM(vmf_insert_pfn_pmd,
	      vm_fault_t(struct vm_fault *, unsigned long, bool));
