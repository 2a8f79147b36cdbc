// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Snapshots of device mappings. This is what upstream's frame vector lost in
 * 2022: its numbers had no reference and nobody who would say when they had
 * become somebody else's.
 */
#include <linux/errno.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>

#include "behaviour.h"
#include "compat.h"
#include "frame_vector.h"
#include "snapshot.h"
#include "survey.h"
#include "trace.h"

static bool framevec_invalidate(struct mmu_interval_notifier *notifier,
				const struct mmu_notifier_range *range,
				unsigned long cur_seq)
{
	struct framevec_snapshot *snapshot =
		container_of(notifier, struct framevec_snapshot, notifier);
	unsigned long irq;
	bool news;

	/* clear_refs: covers the whole mm and changes no mapping. */
	if (range->event == MMU_NOTIFY_SOFT_DIRTY)
		return true;

	raw_spin_lock_irqsave(&snapshot->lock, irq);
	mmu_interval_set_seq(notifier, cur_seq);
	news = snapshot->taken && !snapshot->stale;
	WRITE_ONCE(snapshot->stale, true);
	snapshot->woken = true;
	raw_spin_unlock_irqrestore(&snapshot->lock, irq);

	/* The vector stays: whoever drops the watch waits for this callback. */
	if (news)
		trace_stale(container_of(snapshot, struct framevec, snapshot),
			    range);
	irq_work_queue(&snapshot->wake);
	return true;
}

static const struct mmu_interval_notifier_ops framevec_notifier_ops = {
	.invalidate = framevec_invalidate,
};

static void framevec_wake(struct irq_work *work)
{
	struct framevec_snapshot *snapshot =
		container_of(work, struct framevec_snapshot, wake);

	wake_up_poll(&snapshot->readers, EPOLLPRI);
}

/**
 * framevec_snapshot_init() - make the watch of a new vector ready
 * @snapshot: the watch, zeroed
 */
void framevec_snapshot_init(struct framevec_snapshot *snapshot)
{
	raw_spin_lock_init(&snapshot->lock);
	init_waitqueue_head(&snapshot->readers);
	init_irq_work(&snapshot->wake, framevec_wake);
}

/**
 * framevec_snapshot_destroy() - the vector is about to be freed
 * @snapshot: the watch; it is not active
 */
void framevec_snapshot_destroy(struct framevec_snapshot *snapshot)
{
	/* PREEMPT_RT waits for a grace period here (6.12: 24 ms). */
	if (snapshot->woken)
		irq_work_sync(&snapshot->wake);
}

/**
 * framevec_snapshot_drop() - end the watch
 * @snapshot: the watch; nothing happens if it is not active
 */
void framevec_snapshot_drop(struct framevec_snapshot *snapshot)
{
	if (!snapshot->active)
		return;
	mmu_interval_notifier_remove(&snapshot->notifier);
	snapshot->active = false;
	snapshot->taken = false;
	WRITE_ONCE(snapshot->stale, false);
}

/*
 * A driver may take a page back between the fault and the look at it. That is
 * tried again, but not for ever: before 6.12 a huge page can't be looked at.
 */
#define FRAMEVEC_MAX_LOOKS	1000

/* After so many looks, mmap_lock is dropped, for those who wait for it. */
#define FRAMEVEC_LOOKS_LOCKED	512

/*
 * One look, faulting the page in if need be. Returns 1 if the mmap lock was
 * dropped, and with it all that is known of the mappings.
 */
static int framevec_look_or_fault(struct vm_area_struct *vma,
				  unsigned long addr, bool write,
				  struct framevec_leaf *leaf)
{
	bool unlocked = false;
	unsigned int i;
	int ret;

	for (i = 0; i < FRAMEVEC_MAX_LOOKS; i++) {
		ret = framevec_look(vma, addr, framevec_behaviour.leaves,
				    leaf);
		if (!ret && (leaf->writable || !write))
			return 0;
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = fixup_user_fault(vma->vm_mm, addr,
				       write ? FAULT_FLAG_WRITE : 0, &unlocked);
		if (ret)
			return ret;
		if (unlocked)
			return 1;
		cond_resched();
	}
	return -EBUSY;
}

/* Append frames to the vector; while they follow each other, keep one number. */
static void framevec_note(struct framevec *vec, unsigned long pfn,
			  unsigned int n)
{
	unsigned int i;

	if (!vec->nr) {
		vec->linear = true;
		vec->first_pfn = pfn;
	} else if (vec->linear && pfn != vec->first_pfn + vec->nr) {
		framevec_spell_out(vec);
	}
	if (!vec->linear)
		for (i = 0; i < n; i++)
			vec->pfns[vec->nr + i] = pfn + i;
	vec->nr += n;
}

/*
 * The mapping that a walk has come to, and why it can't go on there. It may be
 * another one than the survey saw.
 */
static enum framevec_reason framevec_enter(struct framevec *vec,
					   unsigned long addr,
					   unsigned int flags,
					   struct vm_area_struct **vma)
{
	*vma = vma_lookup(vec->account.mm, addr);
	if (!*vma)
		return FRAMEVEC_REASON_NO_MAPPING;
	if (!framevec_is_device(*vma))
		return FRAMEVEC_REASON_KIND_CHANGES;
	return framevec_vma_reason(*vma, flags);
}

static enum framevec_reason framevec_look_reason(int err)
{
	enum framevec_reason reason = framevec_errno_reason(err);

	/* The driver's fault handler says no, or there is none. */
	if (reason == FRAMEVEC_REASON_UNKNOWN && err == -EFAULT)
		reason = FRAMEVEC_REASON_DEVICE_FAULT;
	return reason;
}

/*
 * Note the frames of [start, start + nr pages). The mmap lock is taken and
 * dropped, also in between: the watch hears of changes in the gap. Returns 0 if
 * all were noted or arg->reason says why not.
 */
static int framevec_walk(struct framevec *vec, unsigned long start,
			 unsigned int nr, struct framevec_pin *arg)
{
	const bool write = arg->flags & FRAMEVEC_PIN_WRITE;
	struct framevec_snapshot *snapshot = &vec->snapshot;
	struct mm_struct *mm = vec->account.mm;
	struct vm_area_struct *vma = NULL;
	struct framevec_leaf leaf;
	unsigned int looks, n;
	unsigned long addr;
	int ret = 0;

	vec->nr = 0;
	arg->reason = FRAMEVEC_REASON_NONE;
relock:
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	for (looks = 0; vec->nr < nr && looks < FRAMEVEC_LOOKS_LOCKED; looks++) {
		addr = start + ((unsigned long)vec->nr << PAGE_SHIFT);
		if (!vma || addr >= vma->vm_end) {
			arg->reason = framevec_enter(vec, addr,
						     arg->flags, &vma);
			if (arg->reason)
				break;
		}
		ret = framevec_look_or_fault(vma, addr, write, &leaf);
		if (ret > 0) {
			vma = NULL;
			continue;
		}
		if (ret) {
			arg->reason = framevec_look_reason(ret);
			break;
		}
		if (!vec->nr)
			snapshot->prot = leaf.prot;
		if (!framevec_same_caching(leaf.prot, snapshot->prot)) {
			arg->reason = FRAMEVEC_REASON_KIND_CHANGES;
			break;
		}
		n = min3(leaf.frames, (vma->vm_end - addr) >> PAGE_SHIFT,
			 (unsigned long)(nr - vec->nr));
		framevec_note(vec, leaf.pfn, n);
	}
	mmap_read_unlock(mm);
	vma = NULL;
	if (vec->nr < nr && !arg->reason) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		goto relock;
	}
	if (vec->nr < nr)
		arg->fail_addr = start + ((unsigned long)vec->nr << PAGE_SHIFT);
	return 0;
}

/* Note the frames and watch over them, from one moment on. */
static int framevec_watch(struct framevec *vec, unsigned long start,
			  unsigned int nr, struct framevec_pin *arg)
{
	struct framevec_snapshot *snapshot = &vec->snapshot;
	unsigned long seq, irq;
	bool again;
	int ret;

	ret = mmu_interval_notifier_insert(&snapshot->notifier, vec->account.mm, start,
					   (unsigned long)nr << PAGE_SHIFT,
					   &framevec_notifier_ops);
	/*
	 * The first watch over an mm has the kernel take all of its locks, and
	 * it does not while any signal is pending. Nothing has been done: once
	 * the handler has run, the call begins again.
	 */
	if (ret == -EINTR && !fatal_signal_pending(current))
		ret = -ERESTARTNOINTR;
	if (ret)
		return ret;
	snapshot->active = true;
	do {
		seq = mmu_interval_read_begin(&snapshot->notifier);
		ret = framevec_walk(vec, start, nr, arg);
		if (ret || vec->nr < nr)
			return ret;

		raw_spin_lock_irqsave(&snapshot->lock, irq);
		again = mmu_interval_read_retry(&snapshot->notifier, seq);
		if (!again) {
			WRITE_ONCE(snapshot->stale, false);
			snapshot->taken = true;
		}
		raw_spin_unlock_irqrestore(&snapshot->lock, irq);

		/* Somebody may change the mapping faster than we can look. */
		if (again && fatal_signal_pending(current))
			return -EINTR;
	} while (again);
	return 0;
}

/**
 * framevec_snapshot_take() - note the frames of a device mapping
 * @vec: an empty vector
 * @start: first address, on a page boundary; up to the end of the range all
 *	mappings were device mappings a moment ago
 * @nr: frames
 * @arg: what was asked; told why fewer were noted
 *
 * Return: 0 with vec->nr frames noted, at least one, and a watch over just
 * these; or a negative errno: the caller has to clear the vector.
 */
int framevec_snapshot_take(struct framevec *vec, unsigned long start,
			   unsigned int nr, struct framevec_pin *arg)
{
	const bool timing = arg->flags & FRAMEVEC_PIN_TIMING;
	const u64 before = timing ? ktime_get_ns() : 0;
	enum framevec_reason why = arg->reason;
	u64 where = arg->fail_addr;
	int ret;

	for (;;) {
		ret = framevec_watch(vec, start, nr, arg);
		if (ret)
			return ret;
		if (vec->nr == nr)
			break;
		if (!vec->nr || !(arg->flags & FRAMEVEC_PIN_PARTIAL))
			return framevec_reason_errno(arg->reason);
		why = arg->reason;
		where = arg->fail_addr;
		/* Watch over what can be noted, and over nothing else. */
		nr = vec->nr;
		framevec_snapshot_drop(&vec->snapshot);
	}
	arg->reason = why;
	arg->fail_addr = where;
	if (timing)
		arg->gup_ns = ktime_get_ns() - before;
	return 0;
}
