/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Frame vectors: the page frames behind a range of user memory.
 */
#ifndef _FRAMEVEC_FRAME_VECTOR_H
#define _FRAMEVEC_FRAME_VECTOR_H

#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "gup.h"
#include "memlock.h"
#include "snapshot.h"
#include "uapi/framevec.h"

/*
 * The array of frames stays below INT_MAX bytes, which is all that kvmalloc()
 * gives, and a count of frames fits an int.
 */
#define FRAMEVEC_MAX_FRAMES	SZ_128M

/**
 * struct framevec - a frame vector
 * @account: the mm that created the vector, which is the only one to pin with
 *	it, and what is charged for the vector
 * @owner: the process that created it
 * @id: its name in traces and fdinfo; no two vectors have the same
 * @kind: what the vector holds
 * @got_ref: the frames are pinned, and unpin must put them. Independent of
 *	@kind: a snapshot stays one when it is turned into pages
 * @write: pinned for write: unpin marks the frames dirty
 * @linear: of kind pfns: the frames all follow each other, @first_pfn is the
 *	first and @pfns is not filled
 * @capacity: entries in @pages
 * @nr: frames held
 * @offset: bytes from the start of the first frame to the first byte
 * @head: frames in the first block
 * @length: bytes held
 * @addr: user address of the first byte
 * @since: jiffies when it was held
 * @first_pfn: see @linear
 * @whole: a bit for each block whose frames follow each other
 * @pages: the frames of kind pages
 * @pfns: the frames of kind pfns, in the same array
 * @snapshot: the watch over the device mapping whose frames these are
 *
 * The invariant. Between calls a vector is in one of three states, and
 * framevec_assert() checks which (with CONFIG_DEBUG_VM):
 *
 * - Empty: @kind is NONE; @got_ref, @write and @linear are false; @nr, @offset,
 *   @head, @length, @addr, @since and @first_pfn are 0; the snapshot is not
 *   active; no frame is charged. @whole, @pages and @pfns mean nothing.
 * - A pin: @got_ref is set, @linear is not; @nr frames, at least one, have a
 *   reference each and are charged; the snapshot is not active.
 * - A snapshot: @got_ref is not set, no frame is charged; the snapshot is
 *   active and taken. If it is @linear, @kind is PFNS.
 *
 * framevec_clear() is the only way to the empty state. It takes a vector from
 * wherever a call has left it, so a hold that fails, at any point, ends in it,
 * and so does every unpin. framevec_hold() is the only way out of it.
 *
 * Life. framevec_create() makes it, framevec_destroy() ends it and unpins what
 * it still holds. A vector has a reference to the struct mm_struct of its
 * creator (mmgrab), not to the address space: the pages of a process that has
 * exited stay pinned for as long as somebody holds its vector, its page tables
 * do not. So what is charged to mm->pinned_vm is refunded to the very mm that
 * was charged, also after exec() or exit_mmap().
 *
 * Locks. None but that of the snapshot, which is inside all others: the caller
 * makes sure that one call at a time works on a vector. (A vector that user
 * space holds has a mutex for that in its descriptor.) Pin and unpin sleep and
 * take mmap_lock, so the caller's lock is outside mmap_lock.
 *
 * Blocks. Memory is pinned in chunks that end where a page table ends. When a
 * chunk's frames follow each other, as a huge page's do, its bit in @whole is
 * set, and who walks the vector takes one step for it instead of one a frame.
 * The first block has @head frames, each later one FRAMEVEC_BLOCK. A device
 * mapping is most often one run from end to end: then it is @linear, and the
 * array is filled only for those who ask for it.
 */
struct framevec {
	struct framevec_account account;
	struct pid *owner;
	u64 id;
	enum framevec_kind kind;
	bool got_ref;
	bool write;
	bool linear;
	unsigned int capacity;
	unsigned int nr;
	unsigned int offset;
	unsigned int head;
	u64 length;
	u64 addr;
	u64 since;
	unsigned long first_pfn;
	unsigned long *whole;
	union {
		struct page **pages;
		unsigned long *pfns;
	};
	struct framevec_snapshot snapshot;
};

bool framevec_affordable(unsigned long size);
bool framevec_force_allowed(void);
void framevec_spell_out(struct framevec *vec);
struct framevec *framevec_new(unsigned long capacity,
			      struct framevec_shortage *shortage);

/* For all drivers: EXPORT_SYMBOL_GPL. */
struct framevec *framevec_create(unsigned long capacity);
void framevec_destroy(struct framevec *vec);
int framevec_pin(struct framevec *vec, struct framevec_pin *arg);
int framevec_unpin(struct framevec *vec, struct framevec_unpin *arg);
int framevec_to_pages(struct framevec *vec, struct framevec_convert *arg);
int framevec_to_pfns(struct framevec *vec, struct framevec_convert *arg);
struct page **framevec_pages(struct framevec *vec);
unsigned long *framevec_pfns(struct framevec *vec);
unsigned int framevec_next_extent(const struct framevec *vec, unsigned int i);

/* The index after the last frame of @block, in a vector of @nr frames. */
static inline unsigned int framevec_block_end(const struct framevec *vec,
					      unsigned int block,
					      unsigned int nr)
{
	return min_t(unsigned int, vec->head + block * FRAMEVEC_BLOCK, nr);
}

/* The number of frames that the vector holds. */
static inline unsigned int framevec_count(const struct framevec *vec)
{
	return vec->nr;
}

/* The number of frame @i, which the vector holds. */
static inline unsigned long framevec_pfn(const struct framevec *vec,
					 unsigned int i)
{
	if (vec->kind == FRAMEVEC_KIND_PAGES)
		return page_to_pfn(vec->pages[i]);
	return vec->linear ? vec->first_pfn + i : vec->pfns[i];
}

/* For how long it has held them, as finely as the kernel's tick. */
static inline u64 framevec_held_ms(const struct framevec *vec)
{
	return jiffies64_to_msecs(get_jiffies_64() - vec->since);
}

/* Has the mapping of a snapshot changed? Never true of pinned frames. */
static inline bool framevec_stale(const struct framevec *vec)
{
	return framevec_snapshot_stale(&vec->snapshot);
}

/* Does the vector hold frames that may be used? 0, -ENODATA or -ESTALE. */
static inline int framevec_check(const struct framevec *vec)
{
	if (vec->kind == FRAMEVEC_KIND_NONE)
		return -ENODATA;
	return framevec_stale(vec) ? -ESTALE : 0;
}

#endif /* _FRAMEVEC_FRAME_VECTOR_H */
