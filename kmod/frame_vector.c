// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The frame vector: create, pin, unpin, destroy. After Jan Kara's "mm: Provide
 * new get_vaddr_pfns() helper" (2015) and Mel Gorman's review of it.
 */
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat.h"
#include "frame_vector.h"
#include "memlock.h"
#include "survey.h"
#include "trace.h"

/*
 * The most that one call of get_user_pages() is given. GUP-fast works with
 * interrupts off, and 5.10 allocates a pointer for each page of a longterm pin.
 */
#define FRAMEVEC_BLOCK	PTRS_PER_PTE

static bool allow_force;
module_param(allow_force, bool, 0444);
MODULE_PARM_DESC(allow_force, "allow FRAMEVEC_PIN_FORCE (default: N). You do not want this");

/* A vector's address serves the next one, too; a trace is to tell them apart. */
static atomic64_t framevec_last_id;

bool framevec_force_allowed(void)
{
	return allow_force;
}

static u64 framevec_now(bool timing)
{
	return timing ? ktime_get_ns() : 0;
}

/* The index after the last frame of @block, in a vector of @nr frames. */
static unsigned int framevec_block_end(const struct framevec *vec,
				       unsigned int block, unsigned int nr)
{
	return min(vec->head + block * FRAMEVEC_BLOCK, nr);
}

static unsigned int framevec_block_of(const struct framevec *vec, unsigned int i)
{
	return i < vec->head ? 0 : 1 + (i - vec->head) / FRAMEVEC_BLOCK;
}

/**
 * framevec_affordable() - is there memory for something large?
 * @size: bytes
 *
 * What can't be had is to fail, and not to have somebody killed for it: by us,
 * or by whoever needs the next page.
 *
 * Return: whether @size is at most half of what is available.
 */
bool framevec_affordable(unsigned long size)
{
	return size <= SZ_1M || (long)(size >> PAGE_SHIFT) <= si_mem_available() / 2;
}

/**
 * framevec_create() - a new, empty vector
 * @capacity: the most frames that it shall hold
 *
 * Return: the vector, or an ERR_PTR: -EINVAL if @capacity is 0 or more than
 * FRAMEVEC_MAX_FRAMES, or if the task has no mm; -ENOMEM.
 */
struct framevec *framevec_create(unsigned long capacity)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN |
			  __GFP_RETRY_MAYFAIL;
	struct framevec *vec;

	if (!capacity || capacity > FRAMEVEC_MAX_FRAMES || !current->mm)
		return ERR_PTR(-EINVAL);
	if (!framevec_affordable(capacity * sizeof(*vec->pages)))
		return ERR_PTR(-ENOMEM);

	vec = kzalloc(sizeof(*vec), GFP_KERNEL_ACCOUNT);
	if (!vec)
		return ERR_PTR(-ENOMEM);
	vec->pages = kvmalloc_array(capacity, sizeof(*vec->pages), gfp);
	if (!vec->pages)
		goto free_vec;
	/* A range may begin and end inside a block. */
	vec->whole = kvcalloc(BITS_TO_LONGS(capacity / FRAMEVEC_BLOCK + 2),
			      sizeof(*vec->whole), gfp);
	if (!vec->whole)
		goto free_pages;

	framevec_snapshot_init(&vec->snapshot);
	vec->capacity = capacity;
	vec->mm = current->mm;
	mmgrab(vec->mm);
	vec->owner = get_pid(task_tgid(current));
	vec->id = atomic64_inc_return(&framevec_last_id);
	return vec;

free_pages:
	kvfree(vec->pages);
free_vec:
	kfree(vec);
	return ERR_PTR(-ENOMEM);
}
EXPORT_SYMBOL_GPL(framevec_create);

/*
 * Do the frames follow each other? The last one is looked at first: of
 * scattered frames it says no at once.
 */
static bool framevec_is_run(struct page **pages, unsigned int n)
{
	struct page *first = pages[0];
	unsigned int i;

	for (i = n - 1; i > 0; i--)
		if (pages[i] != first + i)
			return false;
	return true;
}

static void framevec_put_pages(struct framevec *vec, unsigned int nr,
			       bool dirty)
{
	unsigned int block, end, i;

	for (block = 0, i = 0; i < nr; block++, i = end) {
		end = framevec_block_end(vec, block, nr);
		if (test_bit(block, vec->whole))
			framevec_unpin_run(vec->pages + i, end - i, dirty);
		else
			unpin_user_pages_dirty_lock(vec->pages + i, end - i,
						    dirty);
		if (end < nr)
			cond_resched();
	}
}

/*
 * Pin @nr frames from @start on. Returns how many were pinned; if that is less
 * than @nr, arg->reason says why.
 */
static unsigned int framevec_get_pages(struct framevec *vec,
				       unsigned long start, unsigned int nr,
				       bool private_file,
				       struct framevec_pin *arg, int *err)
{
	const bool timing = arg->flags & FRAMEVEC_PIN_TIMING;
	unsigned int gup_flags = FOLL_LONGTERM, copy_flags;
	unsigned int block = 0, first = 0, done = 0, end;
	unsigned long addr, stop;
	u64 before;
	int ret;

	if (arg->flags & FRAMEVEC_PIN_WRITE)
		gup_flags |= FOLL_WRITE;
	if (arg->flags & FRAMEVEC_PIN_FORCE)
		gup_flags |= FOLL_FORCE;
	vec->head = FRAMEVEC_BLOCK - (start >> PAGE_SHIFT) % FRAMEVEC_BLOCK;

	while (done < nr) {
		end = framevec_block_end(vec, block, nr);
		addr = start + ((unsigned long)done << PAGE_SHIFT);
		stop = start + ((unsigned long)end << PAGE_SHIFT);
		copy_flags = 0;
		if (private_file && framevec_private_file(vec->mm, addr, &stop))
			copy_flags = FRAMEVEC_COPY_FLAGS;
		before = framevec_now(timing);
		ret = pin_user_pages_fast(addr, (stop - addr) >> PAGE_SHIFT,
					  gup_flags | copy_flags,
					  vec->pages + done);
		arg->gup_ns += framevec_now(timing) - before;
		if (ret <= 0) {
			*err = ret ?: -EFAULT;
			break;
		}
		done += ret;
		if (done < end)
			continue;	/* ask again to hear why it stopped */

		__assign_bit(block, vec->whole,
			     framevec_is_run(vec->pages + first, end - first));
		first = end;
		block++;
		if (done < nr) {
			if (signal_pending(current)) {
				*err = -ERESTARTSYS;
				break;
			}
			cond_resched();
		}
	}
	if (first < done)
		__assign_bit(block, vec->whole,
			     framevec_is_run(vec->pages + first, done - first));
	return done;
}

/* For loops of one step a frame, of which there may be a hundred million. */
static void framevec_resched_at(unsigned int i)
{
	if (i % FRAMEVEC_BLOCK == 0)
		cond_resched();
}

/* Fill the array with the pages of the numbers, all of which have one. */
static void framevec_be_pages(struct framevec *vec)
{
	unsigned int i;

	if (vec->kind == FRAMEVEC_KIND_PAGES)
		return;
	if (vec->linear)
		framevec_spell_out(vec);
	for (i = 0; i < vec->nr; i++) {
		vec->pages[i] = pfn_to_page(vec->pfns[i]);
		framevec_resched_at(i);
	}
	vec->kind = FRAMEVEC_KIND_PAGES;
}

/* Charge, pin, and refund what was not pinned. */
static int framevec_pin_pages(struct framevec *vec, unsigned long start,
			      unsigned int nr, bool private_file,
			      struct framevec_pin *arg)
{
	const bool partial = arg->flags & FRAMEVEC_PIN_PARTIAL;
	unsigned int charged, got;
	int err = 0;

	charged = framevec_charge(vec->mm, nr, arg);
	if (charged < nr)
		arg->fail_addr = start + ((unsigned long)charged << PAGE_SHIFT);
	if (!charged)
		return -ENOMEM;

	got = framevec_get_pages(vec, start, charged, private_file, arg, &err);
	if (got < charged) {
		arg->fail_addr = start + ((unsigned long)got << PAGE_SHIFT);
		arg->reason = framevec_diagnose(vec->mm, arg->fail_addr,
						arg->flags, err);
		if (!got || !partial) {
			framevec_put_pages(vec, got, false);
			framevec_refund(vec->mm, charged);
			return framevec_reason_errno(arg->reason);
		}
		framevec_refund(vec->mm, charged - got);
	}

	vec->nr = got;
	vec->linear = false;
	vec->first_pfn = 0;
	vec->got_ref = true;
	return 0;
}

/*
 * The empty state. Every unpin ends in it, and every hold that failed, however
 * far it came: what a walk has noted must not become part of the next hold.
 */
static void framevec_reset(struct framevec *vec)
{
	vec->kind = FRAMEVEC_KIND_NONE;
	vec->got_ref = false;
	vec->write = false;
	vec->linear = false;
	vec->nr = 0;
	vec->offset = 0;
	vec->head = 0;
	vec->length = 0;
	vec->addr = 0;
	vec->since = 0;
	vec->first_pfn = 0;
}

static int framevec_hold(struct framevec *vec, struct framevec_pin *arg)
{
	const u64 began = framevec_now(arg->flags & FRAMEVEC_PIN_TIMING);
	unsigned long start, end, last, nr;
	struct framevec_survey survey;
	int ret;

	arg->kind = FRAMEVEC_KIND_NONE;
	arg->offset = 0;
	arg->frames = 0;
	arg->reason = FRAMEVEC_REASON_NONE;
	arg->fail_addr = 0;
	arg->memlock_need = 0;
	arg->memlock_used = 0;
	arg->memlock_limit = 0;
	arg->gup_ns = 0;
	arg->call_ns = 0;

	if (!arg->length || check_add_overflow((unsigned long)arg->addr,
					       (unsigned long)arg->length - 1,
					       &last))
		return -EINVAL;
	start = arg->addr & PAGE_MASK;
	nr = ((last - start) >> PAGE_SHIFT) + 1;
	if (nr > vec->capacity)
		return -EINVAL;
	if (vec->kind != FRAMEVEC_KIND_NONE)
		return -EBUSY;
	if (current->mm != vec->mm) {
		arg->reason = FRAMEVEC_REASON_OWNER;
		return -EPERM;
	}
	if ((arg->flags & FRAMEVEC_PIN_FORCE) && !allow_force) {
		arg->reason = FRAMEVEC_REASON_FORCE;
		return -EPERM;
	}

	/* The last page of the address space is never user memory. */
	end = (last & PAGE_MASK) + PAGE_SIZE;
	if (!end) {
		arg->reason = FRAMEVEC_REASON_NO_MAPPING;
		arg->fail_addr = start;
		return -EFAULT;
	}

	ret = framevec_survey(vec->mm, start, end, arg->flags, &survey);
	if (ret)
		return ret;
	if (survey.reason) {
		arg->reason = survey.reason;
		arg->fail_addr = survey.end;
		if (survey.end == start || !(arg->flags & FRAMEVEC_PIN_PARTIAL))
			return framevec_reason_errno(survey.reason);
		nr = (survey.end - start) >> PAGE_SHIFT;
	}

	if (survey.kind == FRAMEVEC_KIND_PFNS)
		ret = framevec_snapshot_take(vec, start, nr, arg);
	else
		ret = framevec_pin_pages(vec, start, nr, survey.private_file, arg);
	if (ret) {
		framevec_reset(vec);
		return ret;
	}

	vec->kind = survey.kind;
	vec->write = arg->flags & FRAMEVEC_PIN_WRITE;
	vec->offset = arg->addr - start;
	vec->length = min_t(u64, arg->length,
			    ((u64)vec->nr << PAGE_SHIFT) - vec->offset);
	vec->addr = arg->addr;
	vec->since = get_jiffies_64();
	arg->kind = vec->kind;
	arg->offset = vec->offset;
	arg->frames = vec->nr;
	if (arg->flags & FRAMEVEC_PIN_TIMING)
		arg->call_ns = ktime_get_ns() - began;
	return 0;
}

/* Who traces is told the times, too, but not the caller who has not asked. */
static int framevec_hold_traced(struct framevec *vec, struct framevec_pin *arg)
{
	const u32 flags = arg->flags;
	int ret;

	arg->flags |= FRAMEVEC_PIN_TIMING;
	ret = framevec_hold(vec, arg);
	arg->flags = flags;
	trace_pin(vec, arg, ret);
	if (!(flags & FRAMEVEC_PIN_TIMING)) {
		arg->gup_ns = 0;
		arg->call_ns = 0;
	}
	return ret;
}

/**
 * framevec_pin() - hold the frames behind a range of the current mm
 * @vec: an empty vector
 * @arg: what to hold, and what came of it: struct framevec_pin tells
 *
 * Frames of ordinary memory are pinned with FOLL_LONGTERM and charged to
 * mm->pinned_vm. A range that strides mappings of both kinds, or a hole, or
 * runs into a limit, is held up to there with FRAMEVEC_PIN_PARTIAL, and not at
 * all without.
 *
 * Return: 0, or a negative errno; the dictionary in uapi/framevec.h tells what
 * each of them means. arg->reason is more precise.
 */
int framevec_pin(struct framevec *vec, struct framevec_pin *arg)
{
	if (trace_pin_enabled())
		return framevec_hold_traced(vec, arg);
	return framevec_hold(vec, arg);
}
EXPORT_SYMBOL_GPL(framevec_pin);

/**
 * framevec_unpin() - let the frames of a vector go
 * @vec: the vector
 * @arg: how, and what came of it: struct framevec_unpin tells
 *
 * Only what was got is put. Any task may call it: what was charged is refunded
 * to the mm that was charged.
 *
 * Return: 0, or -ENODATA if the vector holds nothing.
 */
int framevec_unpin(struct framevec *vec, struct framevec_unpin *arg)
{
	const bool asked = arg->flags & FRAMEVEC_UNPIN_TIMING;
	const bool timing = asked || trace_unpin_enabled();
	const u64 began = framevec_now(timing);
	bool stale;
	u64 before;

	if (vec->kind == FRAMEVEC_KIND_NONE)
		return -ENODATA;

	arg->frames = vec->nr;
	arg->gup_ns = 0;
	arg->call_ns = 0;
	stale = framevec_stale(vec);
	framevec_snapshot_drop(&vec->snapshot);
	if (vec->got_ref) {
		framevec_be_pages(vec);
		before = framevec_now(timing);
		framevec_put_pages(vec, vec->nr, vec->write);
		arg->gup_ns = framevec_now(timing) - before;
		framevec_refund(vec->mm, vec->nr);
	}
	if (timing)
		arg->call_ns = ktime_get_ns() - began;
	trace_unpin(vec, arg, stale);
	if (!asked) {
		arg->gup_ns = 0;
		arg->call_ns = 0;
	}
	framevec_reset(vec);
	return 0;
}
EXPORT_SYMBOL_GPL(framevec_unpin);

/**
 * framevec_destroy() - end a vector
 * @vec: the vector; what it holds is unpinned
 *
 * May be called by any task, also one that has another mm or none.
 */
void framevec_destroy(struct framevec *vec)
{
	struct framevec_unpin unpin = {};

	framevec_unpin(vec, &unpin);
	framevec_snapshot_destroy(&vec->snapshot);
	put_pid(vec->owner);
	mmdrop(vec->mm);
	kvfree(vec->whole);
	kvfree(vec->pages);
	kfree(vec);
}
EXPORT_SYMBOL_GPL(framevec_destroy);

/**
 * framevec_spell_out() - fill the array of a vector that is linear
 * @vec: the vector, of kind pfns
 */
void framevec_spell_out(struct framevec *vec)
{
	unsigned int i;

	for (i = 0; i < vec->nr; i++) {
		vec->pfns[i] = vec->first_pfn + i;
		framevec_resched_at(i);
	}
	vec->linear = false;
}

/**
 * framevec_to_pages() - turn frame numbers into pages
 * @vec: the vector
 * @arg: told which frame has no page
 *
 * No reference is taken: of a snapshot, the pages are as good as its numbers
 * were, and as long.
 *
 * Return: 0, also if they are pages already; -ENODATA: the vector holds
 * nothing; -ESTALE; -EINVAL: a frame has no struct page, the vector is
 * unchanged.
 */
int framevec_to_pages(struct framevec *vec, struct framevec_convert *arg)
{
	unsigned int i;
	int ret;

	arg->reason = FRAMEVEC_REASON_NONE;
	arg->frame = 0;
	ret = framevec_check(vec);
	if (ret)
		return ret;
	if (vec->kind == FRAMEVEC_KIND_PAGES)
		return 0;
	for (i = 0; i < vec->nr; i++) {
		if (!pfn_valid(framevec_pfn(vec, i))) {
			arg->reason = FRAMEVEC_REASON_NO_PAGE;
			arg->frame = i;
			return -EINVAL;
		}
		framevec_resched_at(i);
	}
	framevec_be_pages(vec);
	return 0;
}
EXPORT_SYMBOL_GPL(framevec_to_pages);

/**
 * framevec_to_pfns() - turn pages into frame numbers
 * @vec: the vector
 * @arg: told nothing: every page has a number
 *
 * Frames that were pinned stay pinned.
 *
 * Return: 0, also if they are numbers already; -ENODATA: the vector holds
 * nothing; -ESTALE.
 */
int framevec_to_pfns(struct framevec *vec, struct framevec_convert *arg)
{
	unsigned int i;
	int ret;

	arg->reason = FRAMEVEC_REASON_NONE;
	arg->frame = 0;
	ret = framevec_check(vec);
	if (ret)
		return ret;
	for (i = 0; vec->kind == FRAMEVEC_KIND_PAGES && i < vec->nr; i++) {
		vec->pfns[i] = page_to_pfn(vec->pages[i]);
		framevec_resched_at(i);
	}
	vec->kind = FRAMEVEC_KIND_PFNS;
	return 0;
}
EXPORT_SYMBOL_GPL(framevec_to_pfns);

/**
 * framevec_pages() - the pages of a vector
 * @vec: the vector
 *
 * Return: an array of framevec_count() pages, or NULL if the vector is not of
 * kind pages. Valid until the vector is converted or unpinned.
 */
struct page **framevec_pages(struct framevec *vec)
{
	return vec->kind == FRAMEVEC_KIND_PAGES ? vec->pages : NULL;
}
EXPORT_SYMBOL_GPL(framevec_pages);

/**
 * framevec_pfns() - the frame numbers of a vector
 * @vec: the vector
 *
 * Return: an array of framevec_count() numbers, or NULL if the vector is not of
 * kind pfns. Valid until the vector is converted or unpinned. Of a snapshot,
 * ask framevec_stale() after every use that matters.
 */
unsigned long *framevec_pfns(struct framevec *vec)
{
	if (vec->kind != FRAMEVEC_KIND_PFNS)
		return NULL;
	if (vec->linear)
		framevec_spell_out(vec);
	return vec->pfns;
}
EXPORT_SYMBOL_GPL(framevec_pfns);

/**
 * framevec_next_extent() - where does the run of frames end that begins here?
 * @vec: the vector
 * @i: index of a frame that it holds
 *
 * Return: the index of the first frame after @i that does not follow on its
 * forerunner, or framevec_count(). One step a block of frames that follow each
 * other, such as a huge page; one step in all for a device mapping that is one
 * run.
 */
unsigned int framevec_next_extent(const struct framevec *vec, unsigned int i)
{
	const unsigned long pfn = framevec_pfn(vec, i);
	unsigned int first = i, block, end;

	if (vec->kind == FRAMEVEC_KIND_PFNS && vec->linear)
		return vec->nr;
	/* Blocks are noted of pinned frames only. */
	if (!vec->got_ref) {
		while (++i < vec->nr && framevec_pfn(vec, i) == pfn + (i - first))
			framevec_resched_at(i);
		return i;
	}
	while (i < vec->nr && framevec_pfn(vec, i) == pfn + (i - first)) {
		block = framevec_block_of(vec, i);
		end = framevec_block_end(vec, block, vec->nr);
		i = test_bit(block, vec->whole) ? end : i + 1;
		framevec_resched_at(i);
	}
	return i;
}
EXPORT_SYMBOL_GPL(framevec_next_extent);
