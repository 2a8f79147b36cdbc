// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The aperture: memory of the module's own that is mapped as device memory is
 * (VM_IO | VM_PFNMAP), for those who have no device at hand. Its frames have
 * struct pages, unlike most devices', and are cached like all memory.
 *
 * It is allocated when it is first mapped, in the largest pieces that there
 * are, and freed with the module: a mapping holds its file, and a file the
 * module.
 *
 * All who map it at one time share it, like a device's memory. What they leave
 * in it is not for the next user: when the last mapping goes, the pieces that
 * were touched are zeroed.
 */
#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "aperture.h"
#include "compat.h"
#include "frame_vector.h"

#define FRAMEVEC_PIECE_ORDER	9
#define FRAMEVEC_PIECE_PAGES	BIT(FRAMEVEC_PIECE_ORDER)

static unsigned long aperture_size = 16UL << 20;
module_param(aperture_size, ulong, 0444);
MODULE_PARM_DESC(aperture_size, "bytes of /dev/framevec that can be mapped (default: 16 MiB; 0: none)");

/**
 * struct framevec_aperture - the pieces and who maps them
 * @lock: guards @mappings and the allocation; taken under mmap_lock
 * @pieces: the first page of each piece, in order; NULL: not allocated yet.
 *	Constant once a mapping exists
 * @touched: a bit for each piece that has been mapped by a fault since it was
 *	zeroed
 * @nr: pieces
 * @mappings: VMAs. While it is 0, no page table has a frame of the aperture,
 *	every snapshot of it is stale, and all pieces are zero
 */
static struct framevec_aperture {
	struct mutex lock;	/* see above */
	struct page **pieces;
	unsigned long *touched;
	unsigned int nr;
	unsigned long mappings;
} framevec_aperture = {
	.lock = __MUTEX_INITIALIZER(framevec_aperture.lock),
};

#define FRAMEVEC_PIECE_SIZE	(PAGE_SIZE * FRAMEVEC_PIECE_PAGES)

/**
 * framevec_aperture_size() - how much can be mapped
 *
 * Return: bytes, whole pages.
 */
u64 framevec_aperture_size(void)
{
	return aperture_size & PAGE_MASK;
}

static void framevec_free_pieces(struct framevec_aperture *aperture)
{
	while (aperture->nr--)
		__free_pages(aperture->pieces[aperture->nr],
			     FRAMEVEC_PIECE_ORDER);
	kvfree(aperture->pieces);
	kvfree(aperture->touched);
	aperture->pieces = NULL;
	aperture->touched = NULL;
	aperture->nr = 0;
}

static int framevec_aperture_allocate(struct framevec_aperture *aperture)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN;
	unsigned int nr = DIV_ROUND_UP(framevec_aperture_size(),
				       FRAMEVEC_PIECE_SIZE);

	if (aperture->pieces)
		return 0;
	if (!framevec_affordable(framevec_aperture_size()))
		return -ENOMEM;
	aperture->pieces = kvmalloc_array(nr, sizeof(*aperture->pieces), gfp);
	aperture->touched = kvcalloc(BITS_TO_LONGS(nr), sizeof(long), gfp);
	if (!aperture->pieces || !aperture->touched)
		goto free;
	while (aperture->nr < nr) {
		aperture->pieces[aperture->nr] =
			alloc_pages(gfp, FRAMEVEC_PIECE_ORDER);
		if (!aperture->pieces[aperture->nr])
			goto free;
		aperture->nr++;
	}
	return 0;

free:
	framevec_free_pieces(aperture);
	return -ENOMEM;
}

static void framevec_zero_touched(struct framevec_aperture *aperture)
{
	unsigned int i, page;

	for_each_set_bit(i, aperture->touched, aperture->nr) {
		for (page = 0; page < FRAMEVEC_PIECE_PAGES; page++)
			clear_highpage(aperture->pieces[i] + page);
		cond_resched();
	}
	bitmap_zero(aperture->touched, aperture->nr);
}

/* The frame at @pgoff, which is about to be mapped. */
static unsigned long framevec_aperture_pfn(unsigned long pgoff)
{
	const unsigned long i = pgoff / FRAMEVEC_PIECE_PAGES;

	set_bit(i, framevec_aperture.touched);
	return page_to_pfn(framevec_aperture.pieces[i]) +
	       pgoff % FRAMEVEC_PIECE_PAGES;
}

static vm_fault_t framevec_aperture_fault(struct vm_fault *vmf)
{
	return vmf_insert_pfn(vmf->vma, vmf->address,
			      framevec_aperture_pfn(vmf->pgoff));
}

#ifdef FRAMEVEC_HUGE_APERTURE

/* A piece is as large as a huge page, and as aligned. */
static vm_fault_t framevec_aperture_huge_fault(struct vm_fault *vmf,
					       unsigned int order)
{
	unsigned long addr = vmf->address & PMD_MASK;
	struct vm_area_struct *vma = vmf->vma;
	unsigned long pgoff;

	if (order != PMD_ORDER || addr < vma->vm_start ||
	    addr + PMD_SIZE > vma->vm_end)
		return VM_FAULT_FALLBACK;
	pgoff = linear_page_index(vma, addr);
	if (pgoff % FRAMEVEC_PIECE_PAGES)
		return VM_FAULT_FALLBACK;
	return vmf_insert_pfn_pmd(vmf, framevec_aperture_pfn(pgoff),
				  vmf->flags & FAULT_FLAG_WRITE);
}

/* file_operations.get_unmapped_area: an address that suits huge pages. */
unsigned long framevec_aperture_get_area(struct file *file, unsigned long addr,
					 unsigned long len, unsigned long pgoff,
					 unsigned long flags)
{
	return thp_get_unmapped_area(file, addr, len, pgoff, flags);
}

#endif /* FRAMEVEC_HUGE_APERTURE */

/* A mapping was split, moved, or inherited over fork(). */
static void framevec_aperture_open(struct vm_area_struct *vma)
{
	mutex_lock(&framevec_aperture.lock);
	framevec_aperture.mappings++;
	mutex_unlock(&framevec_aperture.lock);
}

/* Its page tables are empty already. */
static void framevec_aperture_close(struct vm_area_struct *vma)
{
	mutex_lock(&framevec_aperture.lock);
	if (!--framevec_aperture.mappings)
		framevec_zero_touched(&framevec_aperture);
	mutex_unlock(&framevec_aperture.lock);
}

/*
 * Mapped by faults, and not at once by remap_pfn_range(): that one warns, in
 * untrack_pfn(), when an allocation fails in the middle of it (seen on 6.1).
 */
static const struct vm_operations_struct framevec_aperture_vm_ops = {
	.open		= framevec_aperture_open,
	.close		= framevec_aperture_close,
	.fault		= framevec_aperture_fault,
#ifdef FRAMEVEC_HUGE_APERTURE
	.huge_fault	= framevec_aperture_huge_fault,
#endif
};

/**
 * framevec_aperture_mmap() - map a part of the aperture
 * @file: /dev/framevec
 * @vma: where to
 *
 * Return: 0; -EINVAL: beyond its end, or a private writable mapping, which
 * would be of copies; -ENOMEM; -EINTR.
 */
int framevec_aperture_mmap(struct file *file, struct vm_area_struct *vma)
{
	const unsigned long pages = framevec_aperture_size() >> PAGE_SHIFT;
	int ret;

	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE)
		return -EINVAL;
	if (vma->vm_pgoff > pages || vma_pages(vma) > pages - vma->vm_pgoff)
		return -EINVAL;

	if (mutex_lock_interruptible(&framevec_aperture.lock))
		return -EINTR;
	ret = framevec_aperture_allocate(&framevec_aperture);
	if (!ret)
		framevec_aperture.mappings++;
	mutex_unlock(&framevec_aperture.lock);
	if (ret)
		return ret;

	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &framevec_aperture_vm_ops;
	return 0;
}

/**
 * framevec_aperture_free() - the module goes
 */
void framevec_aperture_free(void)
{
	if (framevec_aperture.pieces)
		framevec_free_pieces(&framevec_aperture);
}
