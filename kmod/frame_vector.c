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
#include <linux/slab.h>

#include "compat.h"
#include "frame_vector.h"
#include "gup.h"
#include "memlock.h"
#include "survey.h"
#include "trace.h"

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

/* Between calls: is the vector in one of the states that its struct describes? */
static void framevec_assert(const struct framevec *vec)
{
	const struct framevec_account *account = &vec->account;
	const struct framevec_snapshot *snapshot = &vec->snapshot;
	bool good;

	if (!IS_ENABLED(CONFIG_DEBUG_VM))
		return;
	if (vec->kind == FRAMEVEC_KIND_NONE)
		good = !vec->got_ref && !vec->write && !vec->linear &&
		       !vec->nr && !vec->offset && !vec->head && !vec->length &&
		       !vec->addr && !vec->since && !vec->first_pfn &&
		       !snapshot->active && !snapshot->taken &&
		       !snapshot->stale && !account->frames && !account->pinner;
	else if (vec->got_ref)
		good = vec->nr && !vec->linear && !snapshot->active &&
		       !snapshot->stale && account->frames == vec->nr;
	else
		good = vec->nr && snapshot->active && snapshot->taken &&
		       !account->frames && !account->pinner &&
		       (!vec->linear || vec->kind == FRAMEVEC_KIND_PFNS);
	WARN_ON_ONCE(!good || vec->nr > vec->capacity ||
		     !account->excess != !account->pinner);
}

/**
 * framevec_new() - a new, empty vector
 * @capacity: the most frames that it can hold
 * @shortage: told which limit was reached, if that is why there is none
 *
 * The array is allocated now, and charged to the caller's user.
 *
 * Return: the vector, or an ERR_PTR: -EINVAL if @capacity is 0 or more than
 * FRAMEVEC_MAX_FRAMES, or if the task has no mm; -ENOMEM.
 */
struct framevec *framevec_new(unsigned long capacity,
			      struct framevec_shortage *shortage)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN |
			  __GFP_RETRY_MAYFAIL;
	size_t array, bits;
	struct framevec *vec;

	if (!capacity || capacity > FRAMEVEC_MAX_FRAMES || !current->mm)
		return ERR_PTR(-EINVAL);
	array = capacity * sizeof(*vec->pages);
	/* A range may begin and end inside a block. */
	bits = BITS_TO_LONGS(capacity / FRAMEVEC_BLOCK + 2) * sizeof(long);
	if (!framevec_affordable(array))
		return ERR_PTR(-ENOMEM);

	vec = kzalloc(sizeof(*vec), GFP_KERNEL_ACCOUNT);
	if (!vec)
		return ERR_PTR(-ENOMEM);
	if (framevec_charge_memory(&vec->account, sizeof(*vec) + array + bits,
				   shortage))
		goto free_vec;
	vec->pages = kvmalloc(array, gfp);
	if (!vec->pages)
		goto refund;
	vec->whole = kvzalloc(bits, gfp);
	if (!vec->whole)
		goto free_pages;

	framevec_snapshot_init(&vec->snapshot);
	vec->capacity = capacity;
	vec->account.mm = current->mm;
	mmgrab(vec->account.mm);
	vec->owner = get_pid(task_tgid(current));
	vec->id = atomic64_inc_return(&framevec_last_id);
	framevec_assert(vec);
	return vec;

free_pages:
	kvfree(vec->pages);
refund:
	framevec_refund_memory(&vec->account);
free_vec:
	kfree(vec);
	return ERR_PTR(-ENOMEM);
}

/**
 * framevec_create() - a new, empty vector
 * @capacity: the most frames that it can hold
 *
 * Return: as framevec_new().
 */
struct framevec *framevec_create(unsigned long capacity)
{
	struct framevec_shortage shortage;

	return framevec_new(capacity, &shortage);
}
EXPORT_SYMBOL_GPL(framevec_create);

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

/*
 * Release whatever the vector holds, wherever a call has left it. Returns the
 * time spent in unpin_user_pages(), with @timing. framevec_reset() follows.
 */
static u64 framevec_release(struct framevec *vec, bool timing)
{
	u64 before, ns = 0;

	framevec_snapshot_drop(&vec->snapshot);
	if (vec->got_ref) {
		framevec_be_pages(vec);
		before = framevec_now(timing);
		framevec_put_pages(vec);
		ns = framevec_now(timing) - before;
	}
	framevec_refund_frames(&vec->account, 0);
	return ns;
}

/* The empty state, for a vector whose frames have been released. */
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
	framevec_assert(vec);
}

static void framevec_clear(struct framevec *vec)
{
	framevec_release(vec, false);
	framevec_reset(vec);
}

static void framevec_tell_shortage(struct framevec_pin *arg,
				   const struct framevec_shortage *shortage)
{
	arg->reason = FRAMEVEC_REASON_MEMLOCK;
	arg->memlock_scope = shortage->scope;
	arg->memlock_need = shortage->need;
	arg->memlock_used = shortage->used;
	arg->memlock_limit = shortage->limit;
}

/* Charge and pin. What was charged and not pinned is refunded. */
static int framevec_pin_pages(struct framevec *vec, unsigned long start,
			      unsigned int nr,
			      const struct framevec_survey *survey,
			      struct framevec_pin *arg)
{
	const bool partial = arg->flags & FRAMEVEC_PIN_PARTIAL;
	struct framevec_shortage shortage = {};
	struct framevec_gup gup = {
		.start = start,
		.flags = arg->flags,
		.private_file = survey->private_file,
		.armed = survey->armed,
	};

	gup.nr = framevec_charge_frames(&vec->account, nr, partial, &shortage);
	if (gup.nr < nr) {
		framevec_tell_shortage(arg, &shortage);
		arg->fail_addr = start + ((unsigned long)gup.nr << PAGE_SHIFT);
	}
	if (!gup.nr)
		return -ENOMEM;

	framevec_get_pages(vec, &gup);
	arg->gup_ns = gup.ns;
	if (gup.err) {
		arg->fail_addr = start + ((unsigned long)vec->nr << PAGE_SHIFT);
		arg->reason = framevec_diagnose(vec->account.mm, arg->fail_addr,
						arg->flags, &gup);
		if (!vec->nr || !partial)
			return framevec_reason_errno(arg->reason);
		framevec_refund_frames(&vec->account, vec->nr);
	}
	return 0;
}

static void framevec_clear_answer(struct framevec_pin *arg)
{
	arg->kind = FRAMEVEC_KIND_NONE;
	arg->offset = 0;
	arg->frames = 0;
	arg->reason = FRAMEVEC_REASON_NONE;
	arg->fail_addr = 0;
	arg->memlock_need = 0;
	arg->memlock_used = 0;
	arg->memlock_limit = 0;
	arg->memlock_scope = FRAMEVEC_MEMLOCK_NONE;
	arg->gup_ns = 0;
	arg->call_ns = 0;
}

/* Hold [start, end) of current->mm, or as much of it as can be and will do. */
static int framevec_fill(struct framevec *vec, unsigned long start,
			 unsigned long end, struct framevec_pin *arg)
{
	struct framevec_survey survey;
	unsigned int nr;
	int ret;

	ret = framevec_survey(vec->account.mm, start, end, arg->flags, &survey);
	if (ret)
		return ret;
	if (survey.reason) {
		arg->reason = survey.reason;
		arg->fail_addr = survey.end;
		if (survey.end == start || !(arg->flags & FRAMEVEC_PIN_PARTIAL))
			return framevec_reason_errno(survey.reason);
	}
	nr = (survey.end - start) >> PAGE_SHIFT;

	vec->kind = survey.kind;
	if (survey.kind == FRAMEVEC_KIND_PFNS)
		ret = framevec_snapshot_take(vec, start, nr, arg);
	else
		ret = framevec_pin_pages(vec, start, nr, &survey, arg);
	if (ret)
		return ret;

	vec->write = arg->flags & FRAMEVEC_PIN_WRITE;
	vec->addr = arg->addr;
	vec->offset = arg->addr - start;
	vec->length = min_t(u64, arg->length,
			    ((u64)vec->nr << PAGE_SHIFT) - vec->offset);
	vec->since = get_jiffies_64();
	return 0;
}

static int framevec_hold(struct framevec *vec, struct framevec_pin *arg)
{
	const u64 began = framevec_now(arg->flags & FRAMEVEC_PIN_TIMING);
	unsigned long start, end, last;
	int ret;

	framevec_assert(vec);
	framevec_clear_answer(arg);

	if (!arg->length || check_add_overflow((unsigned long)arg->addr,
					       (unsigned long)arg->length - 1,
					       &last))
		return -EINVAL;
	start = arg->addr & PAGE_MASK;
	if ((last - start) >> PAGE_SHIFT >= vec->capacity)
		return -EINVAL;
	if (vec->kind != FRAMEVEC_KIND_NONE)
		return -EBUSY;
	if (current->mm != vec->account.mm) {
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

	ret = framevec_fill(vec, start, end, arg);
	if (ret) {
		framevec_clear(vec);
		return ret;
	}
	framevec_assert(vec);
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
 * each of them means. arg->reason is more precise. -ERESTARTNOINTR: a signal
 * that has a handler came first; to be returned to user space as it is.
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

	if (vec->kind == FRAMEVEC_KIND_NONE)
		return -ENODATA;

	arg->frames = vec->nr;
	stale = framevec_stale(vec);
	arg->gup_ns = framevec_release(vec, timing);
	arg->call_ns = framevec_now(timing) - began;
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
	mmdrop(vec->account.mm);
	kvfree(vec->whole);
	kvfree(vec->pages);
	framevec_refund_memory(&vec->account);
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
