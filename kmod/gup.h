/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Pins the pages of a range with get_user_pages(), and unpins them.
 */
#ifndef _FRAMEVEC_GUP_H
#define _FRAMEVEC_GUP_H

#include <linux/mm.h>
#include <linux/types.h>

struct framevec;

/*
 * The most that one call of get_user_pages() is given. GUP-fast works with
 * interrupts off, and 5.10 allocates a pointer for each page of a longterm pin.
 */
#define FRAMEVEC_BLOCK	PTRS_PER_PTE

/**
 * struct framevec_gup - a range to be pinned, and how far that went
 * @start: first address, on a page boundary
 * @nr: pages
 * @flags: FRAMEVEC_PIN_*
 * @private_file: there is private file memory in the range, to be pinned for
 *	read
 * @armed: userfaultfd serves faults of a part of the range
 * @err: out: why fewer than @nr pages were pinned: a negative errno; 0: all
 *	were pinned
 * @fault: out: what came of faulting in the page that could not be pinned: 0:
 *	the page is there, or it was not tried; or a negative errno
 * @ns: out: with FRAMEVEC_PIN_TIMING: time in get_user_pages()
 */
struct framevec_gup {
	unsigned long start;
	unsigned int nr;
	unsigned int flags;
	bool private_file;
	bool armed;
	int err;
	int fault;
	u64 ns;
};

void framevec_get_pages(struct framevec *vec, struct framevec_gup *gup);
void framevec_put_pages(struct framevec *vec);

#endif /* _FRAMEVEC_GUP_H */
