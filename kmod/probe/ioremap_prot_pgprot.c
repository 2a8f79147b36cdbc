// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "probe.h"

FRAMEVEC_FORM(ioremap_prot,
	      void __iomem *(phys_addr_t, size_t, pgprot_t));
