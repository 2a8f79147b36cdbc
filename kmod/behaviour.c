// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What no header tells: how the running kernel behaves. It is asked when the
 * module is loaded, with a few mappings in the process that loads it, which are
 * gone when the question is answered.
 *
 * Each question can come to nothing: no memory, no huge page, a security module
 * that refuses, a loader without an address space. Then the answer is the one
 * that is correct on every kernel: see framevec_ask_behaviour().
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>

#include "behaviour.h"
#include "compat.h"

enum framevec_answer { FRAMEVEC_UNANSWERED, FRAMEVEC_NO, FRAMEVEC_YES };

/* A fault that unshares may take a turn to split the huge page, and one to copy. */
#define FRAMEVEC_UNSHARE_TURNS	8

struct framevec_behaviour framevec_behaviour __ro_after_init;

#if defined(CONFIG_TRANSPARENT_HUGEPAGE) && \
	(defined(FRAMEVEC_HAS_FAULT_FLAG_UNSHARE) || \
	 defined(FRAMEVEC_HUGE_APERTURE))

/*
 * Map the first PMD_SIZE bytes of @file where a huge page fits. Returns the
 * address, or 0.
 */
static unsigned long framevec_map_huge(struct file *file, unsigned long flags)
{
	unsigned long addr, aligned;

	/* Where is room? */
	addr = vm_mmap(file, 0, 2 * PMD_SIZE, PROT_READ, flags, 0);
	if (IS_ERR_VALUE(addr))
		return 0;
	vm_munmap(addr, 2 * PMD_SIZE);
	aligned = ALIGN(addr, PMD_SIZE);
	addr = vm_mmap(file, aligned, PMD_SIZE, PROT_READ,
		       flags | MAP_FIXED_NOREPLACE, 0);
	return addr == aligned ? addr : 0;
}

#endif

#if defined(FRAMEVEC_HUGE_APERTURE) && defined(FRAMEVEC_HAS_FOLLOW_PFNMAP_MASK)

static vm_fault_t framevec_leaf_fault(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

static vm_fault_t framevec_leaf_huge_fault(struct vm_fault *vmf,
					   unsigned int order)
{
	struct page *piece = vmf->vma->vm_file->private_data;

	if (order != PMD_ORDER || vmf->pgoff >= HPAGE_PMD_NR)
		return VM_FAULT_FALLBACK;
	return vmf_insert_pfn_pmd(vmf, page_to_pfn(piece), false);
}

static const struct vm_operations_struct framevec_leaf_vm_ops = {
	.fault		= framevec_leaf_fault,
	.huge_fault	= framevec_leaf_huge_fault,
};

static int framevec_leaf_mmap(struct file *file, struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &framevec_leaf_vm_ops;
	return 0;
}

static const struct file_operations framevec_leaf_fops = {
	.owner	= THIS_MODULE,
	.mmap	= framevec_leaf_mmap,
};

/* The leaf is looked at in its middle: is the rest of it told? */
static enum framevec_answer framevec_look_at_leaf(unsigned long start)
{
	const unsigned long addr = start + 3 * PAGE_SIZE;
	struct mm_struct *mm = current->mm;
	enum framevec_answer answer = FRAMEVEC_UNANSWERED;
	struct vm_area_struct *vma;
	struct framevec_leaf leaf;
	bool unlocked = false;

	if (mmap_read_lock_killable(mm))
		return FRAMEVEC_UNANSWERED;
	if (fixup_user_fault(mm, addr, 0, &unlocked) || unlocked)
		goto unlock;
	vma = vma_lookup(mm, addr);
	if (vma && vma->vm_ops == &framevec_leaf_vm_ops &&
	    !framevec_look(vma, addr, true, &leaf))
		answer = leaf.frames == HPAGE_PMD_NR - 3 ? FRAMEVEC_YES :
							   FRAMEVEC_NO;
unlock:
	mmap_read_unlock(mm);
	return answer;
}

static enum framevec_answer framevec_ask_leaves(void)
{
	enum framevec_answer answer = FRAMEVEC_UNANSWERED;
	struct page *piece;
	unsigned long addr;
	struct file *file;

	piece = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN,
			    HPAGE_PMD_ORDER);
	if (!piece)
		return FRAMEVEC_UNANSWERED;
	file = anon_inode_getfile("[framevec-leaf]", &framevec_leaf_fops, piece,
				  O_RDONLY);
	if (!IS_ERR(file)) {
		addr = framevec_map_huge(file, MAP_SHARED);
		if (addr) {
			answer = framevec_look_at_leaf(addr);
			vm_munmap(addr, PMD_SIZE);
		}
		/* At once: its operations are gone if the load fails later. */
		__fput_sync(file);
	}
	__free_pages(piece, HPAGE_PMD_ORDER);
	return answer;
}

#else

/*
 * Nothing to ask, or no way to: a kernel whose struct follow_pfnmap_args has no
 * addr_mask tells of one page; where vmf_insert_pfn_pmd() takes another form
 * than a plain frame number (before 6.17), the module makes no huge leaf to look
 * at. The unanswered question costs such a kernel time, and no correctness.
 */
static enum framevec_answer framevec_ask_leaves(void)
{
	return FRAMEVEC_UNANSWERED;
}

#endif

#ifdef FRAMEVEC_HAS_FAULT_FLAG_UNSHARE

#define FRAMEVEC_CAN_UNSHARE	true

/* A file of a tmpfs of its own that nobody else can see. */
static struct file *framevec_tmpfs_file(const char *huge, loff_t size)
{
	struct file_system_type *type = get_fs_type("tmpfs");
	struct vfsmount *mount;
	struct file *file;
	char options[32];

	if (!type)
		return ERR_PTR(-ENODEV);
	/* Parsing writes to them. */
	snprintf(options, sizeof(options), "huge=%s", huge);
	mount = vfs_kern_mount(type, SB_KERNMOUNT, type->name,
			       IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) ?
			       options : NULL);
	if (IS_ERR(mount))
		return ERR_CAST(mount);
	file = shmem_file_setup_with_mnt(mount, "framevec", size,
					 FRAMEVEC_SHMEM_FLAGS);
	/* The file holds it for as long as it is needed. */
	kern_unmount(mount);
	return file;
}

/* The page at @addr, with a reference; faulted in for read. */
static struct page *framevec_page_at(unsigned long addr)
{
	struct page *page;

	return get_user_pages_fast(addr, 1, 0, &page) == 1 ? page : NULL;
}

/* With a small page, of which no fault is endless. */
static enum framevec_answer framevec_pin_private(unsigned long addr)
{
	enum framevec_answer answer;
	struct page *page;
	bool small;

	page = framevec_page_at(addr);
	if (!page)
		return FRAMEVEC_UNANSWERED;
	small = !PageCompound(page);
	put_page(page);
	if (!small || pin_user_pages_fast(addr, 1, FOLL_LONGTERM, &page) != 1)
		return FRAMEVEC_UNANSWERED;
	answer = PageAnon(page) ? FRAMEVEC_YES : FRAMEVEC_NO;
	unpin_user_page(page);
	return answer;
}

static enum framevec_answer framevec_ask_unshares(void)
{
	enum framevec_answer answer = FRAMEVEC_UNANSWERED;
	struct file *file = framevec_tmpfs_file("never", PAGE_SIZE);
	unsigned long addr;

	if (IS_ERR(file))
		return FRAMEVEC_UNANSWERED;
	addr = vm_mmap(file, 0, PAGE_SIZE, PROT_READ, MAP_PRIVATE, 0);
	if (!IS_ERR_VALUE(addr)) {
		answer = framevec_pin_private(addr);
		vm_munmap(addr, PAGE_SIZE);
	}
	fput(file);
	return answer;
}

#else

#define FRAMEVEC_CAN_UNSHARE	false

/* A kernel without that fault can't unshare. */
static enum framevec_answer framevec_ask_unshares(void)
{
	return FRAMEVEC_NO;
}

#endif

#if defined(FRAMEVEC_HAS_FAULT_FLAG_UNSHARE) && \
	defined(CONFIG_TRANSPARENT_HUGEPAGE)

/* Is the page at @addr the process's own? */
static enum framevec_answer framevec_is_own(unsigned long addr)
{
	struct page *page = framevec_page_at(addr);
	bool own;

	if (!page)
		return FRAMEVEC_UNANSWERED;
	own = PageAnon(compound_head(page));
	put_page(page);
	return own ? FRAMEVEC_YES : FRAMEVEC_NO;
}

static bool framevec_huge_mapped(struct mm_struct *mm, unsigned long addr)
{
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	p4d = p4d_offset(pgd_offset(mm, addr), addr);
	if (p4d_none(*p4d))
		return false;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud))
		return false;
	pmd = pmd_offset(pud, addr);
	return pmd_trans_huge(READ_ONCE(*pmd));
}

/* One turn of the fault that get_user_pages() would take for ever. */
static enum framevec_answer framevec_unshare_once(unsigned long addr)
{
	struct mm_struct *mm = current->mm;
	bool unlocked = false;
	int ret;

	if (mmap_read_lock_killable(mm))
		return FRAMEVEC_UNANSWERED;
	ret = fixup_user_fault(mm, addr, FAULT_FLAG_UNSHARE, &unlocked);
	mmap_read_unlock(mm);
	return ret ? FRAMEVEC_UNANSWERED : framevec_is_own(addr);
}

static enum framevec_answer framevec_unshare_huge(unsigned long addr)
{
	enum framevec_answer own = framevec_is_own(addr);
	struct mm_struct *mm = current->mm;
	bool huge = false;
	int i;

	if (own != FRAMEVEC_NO || mmap_read_lock_killable(mm))
		return FRAMEVEC_UNANSWERED;
	huge = framevec_huge_mapped(mm, addr);
	mmap_read_unlock(mm);
	if (!huge)
		return FRAMEVEC_UNANSWERED;

	for (i = 0; i < FRAMEVEC_UNSHARE_TURNS && own == FRAMEVEC_NO; i++)
		own = framevec_unshare_once(addr);
	return own;
}

/* Does the fault that unshares a huge page of the page cache come to an end? */
static enum framevec_answer framevec_ask_unshare_ends(void)
{
	struct file *file = framevec_tmpfs_file("always", PMD_SIZE);
	enum framevec_answer answer = FRAMEVEC_UNANSWERED;
	unsigned long addr;

	if (IS_ERR(file))
		return FRAMEVEC_UNANSWERED;
	addr = framevec_map_huge(file, MAP_PRIVATE);
	if (addr) {
		answer = framevec_unshare_huge(addr);
		vm_munmap(addr, PMD_SIZE);
	}
	fput(file);
	return answer;
}

#else

/* There are no huge pages to unshare. */
static enum framevec_answer framevec_ask_unshare_ends(void)
{
	return FRAMEVEC_YES;
}

#endif

/**
 * framevec_ask_behaviour() - fill in framevec_behaviour
 *
 * Where a question is not answered:
 * - leaves: no. A look then tells of one page, which is true everywhere.
 * - unshares: FAULT_FLAG_UNSHARE stands in for it. It came with 6.0, for memory
 *   shared by fork(), and 6.2 uses it for private file memory, too. On a kernel
 *   in between the worst is a copy that the kernel would not have made.
 * - copies: as unshares. The write fault makes the copy that the pin would have
 *   made, so a needless one costs two system-visible traces (a soft-dirty bit,
 *   an event of userfaultfd's write protection) and no correctness.
 */
void framevec_ask_behaviour(void)
{
	enum framevec_answer leaves, unshares, ends;

	if (!current->mm) {
		leaves = FRAMEVEC_UNANSWERED;
		unshares = FRAMEVEC_UNANSWERED;
	} else {
		leaves = framevec_ask_leaves();
		unshares = framevec_ask_unshares();
	}
	framevec_behaviour.leaves = leaves == FRAMEVEC_YES;
	framevec_behaviour.unshares = unshares == FRAMEVEC_UNANSWERED ?
		FRAMEVEC_CAN_UNSHARE : unshares == FRAMEVEC_YES;

	ends = FRAMEVEC_UNANSWERED;
	if (current->mm && framevec_behaviour.unshares)
		ends = framevec_ask_unshare_ends();
	framevec_behaviour.copies = framevec_behaviour.unshares &&
				    ends != FRAMEVEC_YES;
	pr_debug("leaves %d, unshares %d, unsharing of a huge page ends %d\n",
		 leaves, unshares, ends);
}
