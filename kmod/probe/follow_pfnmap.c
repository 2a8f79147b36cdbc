// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "probe.h"

FRAMEVEC_EXPORTED(follow_pfnmap_start);
FRAMEVEC_EXPORTED(follow_pfnmap_end);
