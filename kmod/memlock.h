/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * RLIMIT_MEMLOCK: what a vector is charged for, and to whom.
 */
#ifndef _FRAMEVEC_MEMLOCK_H
#define _FRAMEVEC_MEMLOCK_H

#include <linux/types.h>

#include "uapi/framevec.h"

struct cred;
struct mm_struct;

/**
 * struct framevec_shortage - why a charge was refused
 * @scope: the limit that was reached
 * @need: frames, or pages of kernel memory, that were to be charged
 * @used: frames and pages that count against that limit already
 * @limit: RLIMIT_MEMLOCK in frames
 */
struct framevec_shortage {
	enum framevec_memlock_scope scope;
	u64 need;
	u64 used;
	u64 limit;
};

/**
 * struct framevec_account - what a vector is charged for
 * @mm: the mm whose pinned_vm counts the frames
 * @creator: credentials whose user is charged for the vector's own memory;
 *	NULL: nobody is
 * @memory: pages of kernel memory charged to that user
 * @pinner: credentials whose user is charged for the pinned frames; NULL:
 *	nobody is
 * @excess: frames charged to that user. The pages in @memory, if the same user
 *	pays for them, cover as many frames: a vector counts as the larger of
 *	the two
 * @frames: frames charged to @mm
 *
 * The invariant: between calls @frames is the number of frames that the vector
 * has pinned, and @excess belongs to @pinner. While nothing is pinned both
 * counts are 0 and @pinner is NULL.
 *
 * The mm's count (VmPin) alone does not bound a user: a child can pin, pass its
 * descriptor on, and exit. So the user is charged too, in user->locked_vm, the
 * count that io_uring, AF_XDP and perf share. Its user_struct can't be held
 * directly (free_uid() is not exported on 5.10), but credentials can.
 */
struct framevec_account {
	struct mm_struct *mm;
	const struct cred *creator;
	const struct cred *pinner;
	unsigned long memory;
	unsigned long excess;
	unsigned int frames;
};

int framevec_charge_memory(struct framevec_account *account, size_t bytes,
			   struct framevec_shortage *shortage);
void framevec_refund_memory(struct framevec_account *account);
unsigned int framevec_charge_frames(struct framevec_account *account,
				    unsigned int want, bool partial,
				    struct framevec_shortage *shortage);
void framevec_refund_frames(struct framevec_account *account,
			    unsigned int keep);

#endif /* _FRAMEVEC_MEMLOCK_H */
