// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The frame vector: create, pin, unpin, destroy. After Jan Kara's "mm: Provide
 * new get_vaddr_pfns() helper" (2015) and Mel Gorman's review of it.
 */
#include <linux/errno.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "frame_vector.h"
#include "memlock.h"
#include "survey.h"

/*
 * The most that one call of get_user_pages() is given. GUP-fast works with
 * interrupts off, and 5.10 allocates a pointer for each page of a longterm pin.
 */
#define FRAMEVEC_BLOCK	PTRS_PER_PTE

static bool allow_force;
module_param(allow_force, bool, 0444);
MODULE_PARM_DESC(allow_force, "allow FRAMEVEC_PIN_FORCE (default: N). You do not want this");

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

/**
 * framevec_create() - a new, empty vector
 * @capacity: the most frames that it shall hold
 *
 * Return: the vector, or an ERR_PTR: -EINVAL if @capacity is 0 or more than
 * FRAMEVEC_MAX_FRAMES, or if the task has no mm; -ENOMEM.
 */
struct framevec *framevec_create(unsigned long capacity)
{
	struct framevec *vec;

	if (!capacity || capacity > FRAMEVEC_MAX_FRAMES || !current->mm)
		return ERR_PTR(-EINVAL);

	vec = kzalloc(sizeof(*vec), GFP_KERNEL_ACCOUNT);
	if (!vec)
		return ERR_PTR(-ENOMEM);
	vec->pages = kvmalloc_array(capacity, sizeof(*vec->pages),
				    GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!vec->pages)
		goto free_vec;
	/* A range may begin and end inside a block. */
	vec->whole = kvcalloc(BITS_TO_LONGS(capacity / FRAMEVEC_BLOCK + 2),
			      sizeof(*vec->whole),
			      GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!vec->whole)
		goto free_pages;

	vec->capacity = capacity;
	vec->mm = current->mm;
	mmgrab(vec->mm);
	return vec;

free_pages:
	kvfree(vec->pages);
free_vec:
	kfree(vec);
	return ERR_PTR(-ENOMEM);
}

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
				       struct framevec_pin *arg, int *err)
{
	const bool timing = arg->flags & FRAMEVEC_PIN_TIMING;
	unsigned int gup_flags = FOLL_LONGTERM;
	unsigned int block = 0, first = 0, done = 0, end;
	u64 before;
	int ret;

	if (arg->flags & FRAMEVEC_PIN_WRITE)
		gup_flags |= FOLL_WRITE;
	if (arg->flags & FRAMEVEC_PIN_FORCE)
		gup_flags |= FOLL_FORCE;
	vec->head = FRAMEVEC_BLOCK - (start >> PAGE_SHIFT) % FRAMEVEC_BLOCK;

	while (done < nr) {
		end = framevec_block_end(vec, block, nr);
		before = framevec_now(timing);
		ret = pin_user_pages_fast(start + ((unsigned long)done << PAGE_SHIFT),
					  end - done, gup_flags,
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

/* Charge, pin, and refund what was not pinned. */
static int framevec_pin_pages(struct framevec *vec, unsigned long start,
			      unsigned int nr, struct framevec_pin *arg)
{
	const bool partial = arg->flags & FRAMEVEC_PIN_PARTIAL;
	unsigned int charged, got;
	int err = 0;

	charged = framevec_charge(vec->mm, nr, arg);
	if (charged < nr)
		arg->fail_addr = start + ((unsigned long)charged << PAGE_SHIFT);
	if (!charged)
		return -ENOMEM;

	got = framevec_get_pages(vec, start, charged, arg, &err);
	if (got < charged) {
		arg->fail_addr = start + ((unsigned long)got << PAGE_SHIFT);
		arg->reason = framevec_diagnose(vec->mm, arg->fail_addr,
						arg->flags, err);
		if (!got || !partial) {
			framevec_put_pages(vec, got, false);
			framevec_refund(vec->mm, charged);
			return err;
		}
		framevec_refund(vec->mm, charged - got);
	}

	vec->nr = got;
	vec->got_ref = true;
	return 0;
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
	if (survey.kind == FRAMEVEC_KIND_PFNS) {
		/* Not yet: device memory comes next. */
		survey.reason = FRAMEVEC_REASON_REFUSED;
		survey.end = start;
	}
	if (survey.reason) {
		arg->reason = survey.reason;
		arg->fail_addr = survey.end;
		if (survey.end == start || !(arg->flags & FRAMEVEC_PIN_PARTIAL))
			return framevec_reason_errno(survey.reason);
		nr = (survey.end - start) >> PAGE_SHIFT;
	}

	ret = framevec_pin_pages(vec, start, nr, arg);
	if (ret)
		return ret;

	vec->kind = survey.kind;
	vec->write = arg->flags & FRAMEVEC_PIN_WRITE;
	vec->offset = arg->addr - start;
	vec->length = min_t(u64, arg->length,
			    ((u64)vec->nr << PAGE_SHIFT) - vec->offset);
	arg->kind = vec->kind;
	arg->offset = vec->offset;
	arg->frames = vec->nr;
	if (arg->flags & FRAMEVEC_PIN_TIMING)
		arg->call_ns = ktime_get_ns() - began;
	return 0;
}

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
	const bool timing = arg->flags & FRAMEVEC_UNPIN_TIMING;
	const u64 began = framevec_now(timing);
	u64 before;

	if (vec->kind == FRAMEVEC_KIND_NONE)
		return -ENODATA;

	arg->frames = vec->nr;
	arg->gup_ns = 0;
	arg->call_ns = 0;
	if (vec->got_ref) {
		before = framevec_now(timing);
		framevec_put_pages(vec, vec->nr, vec->write);
		arg->gup_ns = framevec_now(timing) - before;
		framevec_refund(vec->mm, vec->nr);
	}
	vec->kind = FRAMEVEC_KIND_NONE;
	vec->got_ref = false;
	vec->write = false;
	vec->nr = 0;
	vec->offset = 0;
	vec->length = 0;
	if (timing)
		arg->call_ns = ktime_get_ns() - began;
	return 0;
}

/**
 * framevec_destroy() - end a vector
 * @vec: the vector; what it holds is unpinned
 */
void framevec_destroy(struct framevec *vec)
{
	struct framevec_unpin unpin = {};

	framevec_unpin(vec, &unpin);
	mmdrop(vec->mm);
	kvfree(vec->whole);
	kvfree(vec->pages);
	kfree(vec);
}

/**
 * framevec_read_pfns() - copy frame numbers to user space
 * @vec: the vector
 * @first: index of the first frame
 * @count: how many
 * @to: array of @count numbers
 *
 * Who may know them is for the caller to ask.
 *
 * Return: 0; -ENODATA: the vector holds nothing; -EINVAL: @count is 0 or goes
 * past the last frame; -EFAULT: @to.
 */
int framevec_read_pfns(struct framevec *vec, u64 first, u64 count,
		       u64 __user *to)
{
	u64 some[64];
	unsigned int i, n;

	if (vec->kind == FRAMEVEC_KIND_NONE)
		return -ENODATA;
	if (!count || first >= vec->nr || count > vec->nr - first)
		return -EINVAL;

	while (count) {
		n = min_t(u64, count, ARRAY_SIZE(some));
		for (i = 0; i < n; i++)
			some[i] = page_to_pfn(vec->pages[first + i]);
		if (copy_to_user(to, some, n * sizeof(*some)))
			return -EFAULT;
		first += n;
		to += n;
		count -= n;
		cond_resched();
	}
	return 0;
}
