// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "probe.h"

FRAMEVEC_EXPORTED(follow_pte);
FRAMEVEC_FORM(follow_pte,
	      int(struct mm_struct *, unsigned long, pte_t **, spinlock_t **));
