/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Every difference between the kernels that framevec runs on (5.10 to 7.x),
 * and the only place that asks for LINUX_VERSION_CODE. The rest of the module
 * is written for the newest kernel.
 */
#ifndef _FRAMEVEC_COMPAT_H
#define _FRAMEVEC_COMPAT_H

#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/version.h>

/* memfd_secret() came in 5.14. */
#ifndef SECRETMEM_MAGIC
#define SECRETMEM_MAGIC		0x5345434d
#endif

/*
 * Unpin @n frames that follow each other, one step a folio. 5.10 has no such
 * call: there it is one step a page.
 */
static inline void framevec_unpin_run(struct page **pages, unsigned long n,
				      bool dirty)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 14, 0)
	unpin_user_page_range_dirty_lock(pages[0], n, dirty);
#else
	unpin_user_pages_dirty_lock(pages, n, dirty);
#endif
}

#endif /* _FRAMEVEC_COMPAT_H */
