// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Pins: what get_user_pages() is asked for, block by block, and what is done
 * where it stops short.
 */
#include <linux/errno.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "behaviour.h"
#include "compat.h"
#include "frame_vector.h"
#include "gup.h"
#include "survey.h"

/*
 * A pin adds 1,024 to the reference count of a small page, and the kernel warns
 * when the count overflows, at 2,097,152 pins. Frames whose count is beyond
 * this are not pinned again. What is left has room for a thousand calls that
 * are under way at once, of FRAMEVEC_BLOCK pins each.
 */
#define FRAMEVEC_MAX_REFS	(INT_MAX / 4 * 3)

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

/* The index of the first of @n pages that has been pinned too often, or @n. */
static unsigned int framevec_find_worn(struct page **pages, unsigned int n)
{
	struct page *head, *end;
	unsigned int i = 0, first;

	while (i < n) {
		head = compound_head(pages[i]);
		if (unlikely((unsigned int)page_ref_count(head) >
			     FRAMEVEC_MAX_REFS))
			return i;
		/* All pages of a folio share one count. */
		end = head + compound_nr(head);
		first = i++;
		while (i < n && pages[i] == pages[first] + (i - first) &&
		       pages[i] < end)
			i++;
	}
	return n;
}

static void framevec_put_all(struct page **pages, unsigned int n)
{
	while (n--)
		put_page(pages[n]);
}

static bool framevec_in_huge_cache(struct page *page)
{
	struct page *head = compound_head(page);

	return !PageAnon(head) && compound_nr(head) >= FRAMEVEC_BLOCK;
}

/*
 * The flags that a pin for read of private file memory needs besides, see
 * framevec_behaviour.copies: FOLL_FORCE is for mappings that may not be written,
 * whose protection it leaves as it is. The range is faulted in to look at its pages, and @stop
 * is brought forward to where the answer changes. @pages is scratch memory.
 */
static unsigned int framevec_copy_flags(struct mm_struct *mm,
					unsigned long addr, unsigned long *stop,
					struct page **pages)
{
	bool huge;
	int i, n;

	if (!framevec_behaviour.copies || !framevec_private_file(mm, addr, stop))
		return 0;
	n = get_user_pages_fast(addr, (*stop - addr) >> PAGE_SHIFT, 0, pages);
	/* If the first page is refused, the pin tells why. */
	if (n <= 0)
		return 0;
	huge = framevec_in_huge_cache(pages[0]);
	for (i = 1; i < n; i++)
		if (framevec_in_huge_cache(pages[i]) != huge)
			break;
	framevec_put_all(pages, n);
	*stop = addr + ((unsigned long)i << PAGE_SHIFT);
	return huge ? FOLL_WRITE | FOLL_FORCE : 0;
}

/*
 * Fault @nr pages in, for a pin. A longterm pin of 5.10 and 6.1 can't wait for
 * a fault that is to be retried, such as one that userfaultfd serves; this can.
 * It also tells a failed frame, and a lack of memory, from another refusal.
 * @pages is scratch memory. Returns how many pages are there now, at least one,
 * or a negative errno.
 */
static int framevec_fault_in(unsigned long addr, unsigned int nr,
			     unsigned int gup_flags, struct page **pages)
{
	long ret;

	gup_flags &= FOLL_WRITE | FOLL_FORCE;
	ret = get_user_pages_unlocked(addr, nr, pages,
				      gup_flags | FOLL_HWPOISON);
	if (ret <= 0)
		return ret ?: -EFAULT;
	framevec_put_all(pages, ret);
	return ret;
}

/*
 * One call of get_user_pages() from frame @vec->nr on. Returns how many frames
 * it pinned, at least one, or a negative errno. @faulted is the address that
 * has been faulted in last: each is tried once.
 */
static int framevec_get_some(struct framevec *vec, struct framevec_gup *gup,
			     unsigned int end, unsigned int gup_flags,
			     unsigned long *faulted)
{
	const unsigned int done = vec->nr;
	struct page **pages = vec->pages + done;
	unsigned long addr, stop;
	unsigned int nr, worn;
	int ret, err;

	addr = gup->start + ((unsigned long)done << PAGE_SHIFT);
	stop = gup->start + ((unsigned long)end << PAGE_SHIFT);
	if (gup->armed) {
		/* A kernel with CONFIG_DEBUG_VM complains if the pin comes first. */
		nr = (stop - addr) >> PAGE_SHIFT;
		ret = framevec_fault_in(addr, nr, gup_flags, pages);
		if (ret < 0) {
			gup->fault = ret;
			return ret;
		}
		stop = addr + ((unsigned long)ret << PAGE_SHIFT);
	}
	if (gup->private_file)
		gup_flags |= framevec_copy_flags(vec->account.mm, addr, &stop,
						 pages);
	nr = (stop - addr) >> PAGE_SHIFT;
	ret = pin_user_pages_fast(addr, nr, gup_flags, pages);
	if ((ret == -EFAULT || !ret) && *faulted != addr) {
		*faulted = addr;
		/*
		 * One page: those behind it may have to be waited for, and if
		 * this one can't be pinned, nobody needs them.
		 */
		err = framevec_fault_in(addr, 1, gup_flags, pages);
		gup->fault = min(err, 0);
		if (gup->fault)
			return ret ?: -EFAULT;
		ret = pin_user_pages_fast(addr, nr, gup_flags, pages);
	}
	if (ret <= 0)
		return ret ?: -EFAULT;

	worn = framevec_find_worn(pages, ret);
	if (worn < ret) {
		unpin_user_pages_dirty_lock(pages + worn, ret - worn, false);
		gup->err = -EOVERFLOW;
		return worn ?: -EOVERFLOW;
	}
	return ret;
}

/**
 * framevec_get_pages() - pin a range
 * @vec: a vector that holds nothing
 * @gup: the range; told why fewer pages were pinned
 *
 * vec->nr, vec->got_ref and the blocks say at each moment what is pinned, so
 * framevec_put_pages() can follow whatever happened. Only a fatal signal ends a
 * pin early: one that any signal could undo would never end under a timer.
 */
void framevec_get_pages(struct framevec *vec, struct framevec_gup *gup)
{
	const bool timing = gup->flags & FRAMEVEC_PIN_TIMING;
	unsigned int gup_flags = FOLL_LONGTERM;
	unsigned int block = 0, first = 0, end;
	unsigned long faulted = ULONG_MAX;
	u64 before;
	int ret;

	if (gup->flags & FRAMEVEC_PIN_WRITE)
		gup_flags |= FOLL_WRITE;
	if (gup->flags & FRAMEVEC_PIN_FORCE)
		gup_flags |= FOLL_FORCE;
	vec->got_ref = true;
	vec->head = FRAMEVEC_BLOCK -
		    (gup->start >> PAGE_SHIFT) % FRAMEVEC_BLOCK;

	while (vec->nr < gup->nr && !gup->err) {
		end = framevec_block_end(vec, block, gup->nr);
		before = timing ? ktime_get_ns() : 0;
		ret = framevec_get_some(vec, gup, end, gup_flags, &faulted);
		if (timing)
			gup->ns += ktime_get_ns() - before;
		if (ret < 0) {
			gup->err = ret;
			break;
		}
		vec->nr += ret;
		if (vec->nr < end)
			continue;	/* ask again to hear why it stopped */

		__assign_bit(block, vec->whole,
			     framevec_is_run(vec->pages + first, end - first));
		first = end;
		block++;
		if (vec->nr < gup->nr) {
			if (fatal_signal_pending(current)) {
				gup->err = -EINTR;
				break;
			}
			cond_resched();
		}
	}
	if (first < vec->nr)
		__assign_bit(block, vec->whole,
			     framevec_is_run(vec->pages + first,
					     vec->nr - first));
}

/**
 * framevec_put_pages() - unpin what a vector holds
 * @vec: the vector, its frames in the form of pages
 *
 * Marks them dirty if they were pinned for write.
 */
void framevec_put_pages(struct framevec *vec)
{
	unsigned int block, end, i;

	for (block = 0, i = 0; i < vec->nr; block++, i = end) {
		end = framevec_block_end(vec, block, vec->nr);
		if (test_bit(block, vec->whole))
			framevec_unpin_run(vec->pages + i, end - i, vec->write);
		else
			unpin_user_pages_dirty_lock(vec->pages + i, end - i,
						    vec->write);
		if (end < vec->nr)
			cond_resched();
	}
}
