// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "probe.h"

FRAMEVEC_EXPORTED(unpin_user_page_range_dirty_lock);
