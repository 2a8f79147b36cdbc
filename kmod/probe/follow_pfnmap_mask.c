// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "probe.h"

FRAMEVEC_FIELD(struct follow_pfnmap_args, addr_mask);
