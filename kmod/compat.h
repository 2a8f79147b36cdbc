/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Every difference between the kernels that framevec builds for (5.10 to 7.x).
 * The rest of the module is written for the newest kernel, and this file
 * supplies what an older one lacks.
 *
 * No version number decides: distributions backport. FRAMEVEC_HAS_* are the
 * answers of this kernel's headers to kmod/probe/.
 */
#ifndef _FRAMEVEC_COMPAT_H
#define _FRAMEVEC_COMPAT_H

#include <linux/io.h>
#include <linux/magic.h>
#include <linux/mm.h>

#include "config.h"

#ifndef CONFIG_X86_64
#error "framevec supports x86-64 only"
#endif
/* It tells when a device mapping changes. */
#ifndef CONFIG_MMU_NOTIFIER
#error "framevec requires a kernel with CONFIG_MMU_NOTIFIER=y (CONFIG_KVM selects it)"
#endif
/* It wakes those who poll() a vector. */
#ifndef CONFIG_IRQ_WORK
#error "framevec requires a kernel with CONFIG_IRQ_WORK=y (CONFIG_PERF_EVENTS selects it)"
#endif

/* memfd_secret() came in 5.14. */
#ifndef SECRETMEM_MAGIC
#define SECRETMEM_MAGIC		0x5345434d
#endif

#ifndef FRAMEVEC_HAS_VMA_LOOKUP
static inline struct vm_area_struct *vma_lookup(struct mm_struct *mm,
						unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	return vma && vma->vm_start <= addr ? vma : NULL;
}
#endif

#ifndef FRAMEVEC_HAS_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

/*
 * Unpin @n frames that follow each other, one step a folio; one step a page if
 * the kernel has no such call.
 */
static inline void framevec_unpin_run(struct page **pages, unsigned long n,
				      bool dirty)
{
#ifdef FRAMEVEC_HAS_UNPIN_RANGE
	unpin_user_page_range_dirty_lock(pages[0], n, dirty);
#else
	unpin_user_pages_dirty_lock(pages, n, dirty);
#endif
}

/**
 * struct framevec_leaf - what a page table says of an address
 * @pfn: the frame at the address
 * @frames: frames from there to the end of the leaf; they follow each other
 * @writable: the page table allows a write
 * @prot: its protection, in the form of a small page: drivers may give each
 *	page a caching mode of its own
 */
struct framevec_leaf {
	unsigned long pfn;
	unsigned long frames;
	bool writable;
	pgprot_t prot;
};

/*
 * Look at a device mapping, under mmap_lock. -EINVAL: nothing is there yet, or,
 * from follow_pte(), a huge leaf. How far the mask of follow_pfnmap_start() can
 * be trusted is asked of the running kernel: framevec_behaviour.leaves.
 */
static inline int framevec_look(struct vm_area_struct *vma, unsigned long addr,
				bool leaves, struct framevec_leaf *leaf)
{
#ifdef FRAMEVEC_HAS_FOLLOW_PFNMAP
	struct follow_pfnmap_args args = { .vma = vma, .address = addr };
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	leaf->pfn = args.pfn;
	leaf->frames = 1;
#ifdef FRAMEVEC_HAS_FOLLOW_PFNMAP_MASK
	if (leaves)
		leaf->frames = ((~args.addr_mask - (addr & ~args.addr_mask)) >>
				PAGE_SHIFT) + 1;
#endif
	leaf->writable = args.writable;
	/* The bits of a huge leaf are elsewhere. Only small ones have a PTE. */
	leaf->prot = args.ptep ? args.pgprot : pgprot_large_2_4k(args.pgprot);
	follow_pfnmap_end(&args);
#elif defined(FRAMEVEC_HAS_FOLLOW_PTE_VMA) || defined(FRAMEVEC_HAS_FOLLOW_PTE_MM)
	spinlock_t *ptl;	/* the page table's */
	pte_t *pte;
	int ret;

#ifdef FRAMEVEC_HAS_FOLLOW_PTE_VMA
	ret = follow_pte(vma, addr, &pte, &ptl);
#else
	ret = follow_pte(vma->vm_mm, addr, &pte, &ptl);
#endif
	if (ret)
		return ret;
	__acquire(ptl);		/* sparse does not know follow_pte() */
	leaf->pfn = pte_pfn(*pte);
	leaf->frames = 1;
	leaf->writable = pte_write(*pte);
	leaf->prot = pte_pgprot(*pte);
	pte_unmap_unlock(pte, ptl);
#else
#error "framevec requires a kernel that exports follow_pfnmap_start() or follow_pte(mm or vma, ...)"
#endif
	return 0;
}

/*
 * Device memory can be mapped by huge pages, as vfio-pci maps BARs, since 6.12.
 * The aperture does so where a look can tell and vmf_insert_pfn_pmd() takes a
 * plain frame number; elsewhere it is mapped page by page.
 */
#if defined(CONFIG_TRANSPARENT_HUGEPAGE) && \
	defined(FRAMEVEC_HAS_INSERT_HUGE_PFN) && \
	defined(FRAMEVEC_HAS_FOLLOW_PFNMAP)
#define FRAMEVEC_HUGE_APERTURE
#endif

/* The flags of a file of tmpfs: none. */
#ifdef FRAMEVEC_HAS_SHMEM_VMA_FLAGS
#define FRAMEVEC_SHMEM_FLAGS	EMPTY_VMA_FLAGS
#else
#define FRAMEVEC_SHMEM_FLAGS	0
#endif

static inline bool framevec_same_caching(pgprot_t a, pgprot_t b)
{
	return !((pgprot_val(a) ^ pgprot_val(b)) & _PAGE_CACHE_MASK);
}

/* A kernel mapping of device memory with the caching mode of @prot. */
static inline void __iomem *framevec_ioremap(phys_addr_t addr, size_t size,
					     pgprot_t prot)
{
#ifdef FRAMEVEC_HAS_IOREMAP_PROT_PGPROT
	return ioremap_prot(addr, size, prot);
#else
	return ioremap_prot(addr, size, pgprot_val(prot));
#endif
}

#endif /* _FRAMEVEC_COMPAT_H */
