// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The aperture: memory of the module's own that is mapped as device memory is
 * (VM_IO | VM_PFNMAP), for those who have no device at hand. Its frames have
 * struct pages, unlike most devices', and are cached like all memory.
 *
 * It is allocated when it is first mapped, in the largest pieces that there
 * are, and freed with the module: a mapping holds its file, and a file the
 * module.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
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

/* One page of each piece, in order; guarded by the lock until all are there. */
static struct page **framevec_pieces;
static unsigned int framevec_nr_pieces;
static DEFINE_MUTEX(framevec_aperture_lock);

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

static void framevec_free_pieces(struct page **pieces, unsigned int n)
{
	while (n--)
		__free_pages(pieces[n], FRAMEVEC_PIECE_ORDER);
	kvfree(pieces);
}

static int framevec_aperture_allocate(void)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN;
	unsigned int nr = DIV_ROUND_UP(framevec_aperture_size(),
				       FRAMEVEC_PIECE_SIZE);
	struct page **pieces;
	unsigned int i;

	if (framevec_pieces)
		return 0;
	if (!framevec_affordable(framevec_aperture_size()))
		return -ENOMEM;
	pieces = kvmalloc_array(nr, sizeof(*pieces), gfp);
	if (!pieces)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		pieces[i] = alloc_pages(gfp, FRAMEVEC_PIECE_ORDER);
		if (!pieces[i]) {
			framevec_free_pieces(pieces, i);
			return -ENOMEM;
		}
	}
	framevec_pieces = pieces;
	framevec_nr_pieces = nr;
	return 0;
}

static unsigned long framevec_aperture_pfn(unsigned long pgoff)
{
	return page_to_pfn(framevec_pieces[pgoff / FRAMEVEC_PIECE_PAGES]) +
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

/*
 * Mapped by faults, and not at once by remap_pfn_range(): that one warns, in
 * untrack_pfn(), when an allocation fails in the middle of it (seen on 6.1).
 */
static const struct vm_operations_struct framevec_aperture_vm_ops = {
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

	if (mutex_lock_interruptible(&framevec_aperture_lock))
		return -EINTR;
	ret = framevec_aperture_allocate();
	mutex_unlock(&framevec_aperture_lock);
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
	if (framevec_pieces)
		framevec_free_pieces(framevec_pieces, framevec_nr_pieces);
}
