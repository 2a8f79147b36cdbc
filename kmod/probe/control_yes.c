// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "probe.h"

FRAMEVEC_EXPORTED(find_vma);
