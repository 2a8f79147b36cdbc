/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Every difference between the kernels that framevec runs on (5.10 to 7.x),
 * and the only place that asks for LINUX_VERSION_CODE. The rest of the module
 * is written for the newest kernel.
 */
#ifndef _FRAMEVEC_COMPAT_H
#define _FRAMEVEC_COMPAT_H

#include <linux/io.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/version.h>

#ifndef CONFIG_X86_64
#error "framevec knows x86-64 only"
#endif

/* memfd_secret() came in 5.14. */
#ifndef SECRETMEM_MAGIC
#define SECRETMEM_MAGIC		0x5345434d
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 14, 0)
static inline struct vm_area_struct *vma_lookup(struct mm_struct *mm,
						unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	return vma && vma->vm_start <= addr ? vma : NULL;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

/*
 * Unpin @n frames that follow each other, one step a folio. 5.10 has no such
 * call: there it is one step a page.
 */
static inline void framevec_unpin_run(struct page **pages, unsigned long n,
				      bool dirty)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 14, 0)
	unpin_user_page_range_dirty_lock(pages[0], n, dirty);
#else
	unpin_user_pages_dirty_lock(pages, n, dirty);
#endif
}

/*
 * A longterm pin for read of private file memory is given a copy of its own,
 * since 6.2, by a fault that unshares. Where a huge page of the page cache is
 * mapped there, that fault never ends (seen on 6.12 and 7.3, and only SIGKILL
 * helps): each turn splits the huge page and maps it again. A write fault makes
 * the same copy, page by page; FOLL_FORCE is for mappings that may not be written,
 * whose protection it leaves as it is.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define FRAMEVEC_COPY_FLAGS	(FOLL_WRITE | FOLL_FORCE)
#else
#define FRAMEVEC_COPY_FLAGS	0
#endif

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
 * From 6.15 on one look tells of a whole huge leaf, on 6.12 of one page in it.
 * Before, a huge leaf is -EINVAL.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define FRAMEVEC_HAS_LEAVES	true
#else
#define FRAMEVEC_HAS_LEAVES	false
#endif

/* Look at a device mapping, under mmap_lock. -EINVAL: nothing is there yet. */
static inline int framevec_look(struct vm_area_struct *vma, unsigned long addr,
				struct framevec_leaf *leaf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	struct follow_pfnmap_args args = { .vma = vma, .address = addr };
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	leaf->pfn = args.pfn;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
	leaf->frames = ((~args.addr_mask - (addr & ~args.addr_mask)) >>
			PAGE_SHIFT) + 1;
#else
	leaf->frames = 1;
#endif
	leaf->writable = args.writable;
	/* The bits of a huge leaf are elsewhere. Only small ones have a PTE. */
	leaf->prot = args.ptep ? args.pgprot : pgprot_large_2_4k(args.pgprot);
	follow_pfnmap_end(&args);
#else
	spinlock_t *ptl;	/* the page table's */
	pte_t *pte;
	int ret = follow_pte(vma->vm_mm, addr, &pte, &ptl);

	if (ret)
		return ret;
	__acquire(ptl);		/* sparse does not know follow_pte() */
	leaf->pfn = pte_pfn(*pte);
	leaf->frames = 1;
	leaf->writable = pte_write(*pte);
	leaf->prot = pte_pgprot(*pte);
	pte_unmap_unlock(pte, ptl);
#endif
	return 0;
}

/*
 * Device memory can be mapped by huge pages, as vfio-pci maps BARs, since 6.12.
 * The aperture does so where a look can tell (and vmf_insert_pfn_pmd() has
 * the form of 6.17), and is mapped page by page before.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0) && \
	defined(CONFIG_TRANSPARENT_HUGEPAGE)
#define FRAMEVEC_HUGE_APERTURE
#endif

static inline bool framevec_same_caching(pgprot_t a, pgprot_t b)
{
	return !((pgprot_val(a) ^ pgprot_val(b)) & _PAGE_CACHE_MASK);
}

/* A kernel mapping of device memory with the caching mode of @prot. */
static inline void __iomem *framevec_ioremap(phys_addr_t addr, size_t size,
					     pgprot_t prot)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
	return ioremap_prot(addr, size, prot);
#else
	return ioremap_prot(addr, size, pgprot_val(prot));
#endif
}

#endif /* _FRAMEVEC_COMPAT_H */
