/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A snapshot: the frame numbers of a device mapping, and whether they still
 * are what is mapped.
 */
#ifndef _FRAMEVEC_SNAPSHOT_H
#define _FRAMEVEC_SNAPSHOT_H

#include <linux/irq_work.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

struct framevec;
struct framevec_pin;

/**
 * struct framevec_snapshot - the watch over a device mapping
 * @notifier: hears of every change of the mapping
 * @lock: guards @taken, @stale and the notifier's sequence, and is held by whoever
 *	uses frames of the snapshot
 * @active: @notifier is inserted; guarded by the caller's lock on the vector
 * @taken: the numbers are noted, and @stale is about them
 * @stale: the mapping has changed since the numbers were noted
 * @prot: the protection of the first page, for its caching mode, which is that
 *	of all frames noted
 * @readers: poll() waits here
 * @wake: wakes @readers
 * @woken: @wake has been queued; guarded by @lock, and by nothing once @notifier
 *	is removed
 *
 * The protocol is that of mmu_interval_notifier: read_begin, look at the page
 * tables, then read_retry under @lock, which the notifier's callback takes too.
 * Once that has passed, @stale tells the truth to whoever holds @lock; and
 * because the callback waits for @lock, a mapping can't go away while its
 * frames are being used under it.
 *
 * The callback may be called where it must not sleep, so @lock is a raw
 * spinlock, on PREEMPT_RT too, and the wake-up is left to an irq_work.
 *
 * The invariant: outside of framevec_snapshot_take(), @active, @taken and the
 * insertion of @notifier go together, and @stale is false without them. Whatever
 * framevec_snapshot_take() has left, framevec_snapshot_drop() undoes: its caller
 * calls that if it fails.
 *
 * The notifier is inserted and removed with no lock held that the callback
 * takes, and without mmap_lock: insertion may take mmap_lock for write, and
 * removal waits for callbacks that are under way.
 */
struct framevec_snapshot {
	struct mmu_interval_notifier notifier;
	raw_spinlock_t lock;	/* see above */
	bool active;
	bool taken;
	bool stale;
	pgprot_t prot;
	wait_queue_head_t readers;
	struct irq_work wake;
	bool woken;
};

void framevec_snapshot_init(struct framevec_snapshot *snapshot);
void framevec_snapshot_destroy(struct framevec_snapshot *snapshot);
int framevec_snapshot_take(struct framevec *vec, unsigned long start,
			   unsigned int nr, struct framevec_pin *arg);
void framevec_snapshot_drop(struct framevec_snapshot *snapshot);

static inline bool framevec_snapshot_stale(const struct framevec_snapshot *snapshot)
{
	return READ_ONCE(snapshot->stale);
}

#endif /* _FRAMEVEC_SNAPSHOT_H */
