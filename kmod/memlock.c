// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * RLIMIT_MEMLOCK. Pinned frames are counted in mm->pinned_vm (VmPin), as RDMA
 * and io_uring do, with no lock: mm->locked_vm would need mmap_lock for write.
 *
 * The count is the mm's, not the user's. So a user with many processes may pin
 * many times the limit, as with mlock(); who may open the device is the second
 * bound.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "memlock.h"
#include "uapi/framevec.h"

/**
 * framevec_charge() - charge frames to the current mm before they are pinned
 * @mm: current->mm
 * @want: frames
 * @arg: its flags say whether less will do; told how things stand if the limit
 *	is in the way
 *
 * Return: frames charged: @want; with FRAMEVEC_PIN_PARTIAL maybe fewer; 0 if
 * the limit does not allow it.
 */
unsigned int framevec_charge(struct mm_struct *mm, unsigned int want,
			     struct framevec_pin *arg)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	s64 used = atomic64_read(&mm->pinned_vm);
	unsigned long spare;
	unsigned int n;

	do {
		n = want;
		spare = used < limit ? limit - used : 0;
		if (n > spare && !capable(CAP_IPC_LOCK))
			n = arg->flags & FRAMEVEC_PIN_PARTIAL ? spare : 0;
	} while (n && !atomic64_try_cmpxchg(&mm->pinned_vm, &used, used + n));

	if (n < want) {
		arg->reason = FRAMEVEC_REASON_MEMLOCK;
		arg->memlock_need = want;
		arg->memlock_used = used;
		arg->memlock_limit = limit;
	}
	return n;
}

/**
 * framevec_refund() - take back what framevec_charge() charged
 * @mm: the mm that was charged, whatever current->mm is
 * @frames: how much
 */
void framevec_refund(struct mm_struct *mm, unsigned int frames)
{
	atomic64_sub(frames, &mm->pinned_vm);
}
