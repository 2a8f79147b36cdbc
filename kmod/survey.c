// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What the mappings say of a range. A range is classified by its VMAs and not
 * by whether get_user_pages() fails: GUP-fast succeeds on device mappings of
 * ordinary pages.
 */
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/hugetlb_inline.h>
#include <linux/mm.h>
#include <linux/userfaultfd_k.h>

#include "compat.h"
#include "gup.h"
#include "survey.h"

/**
 * framevec_is_device() - is this a mapping of device memory?
 * @vma: the mapping
 *
 * Return: true for VM_IO and VM_PFNMAP, of which the frames can't be pinned.
 */
bool framevec_is_device(const struct vm_area_struct *vma)
{
	return vma->vm_flags & (VM_IO | VM_PFNMAP);
}

static enum framevec_kind framevec_vma_kind(const struct vm_area_struct *vma)
{
	return framevec_is_device(vma) ? FRAMEVEC_KIND_PFNS :
					 FRAMEVEC_KIND_PAGES;
}

/* Would the file system miss a write that comes through a pin? */
static bool framevec_tracks_dirty(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_SHARED) && vma->vm_ops &&
	       (vma->vm_ops->page_mkwrite || vma->vm_ops->pfn_mkwrite);
}

static bool framevec_is_secret(const struct vm_area_struct *vma)
{
	return vma->vm_file &&
	       file_inode(vma->vm_file)->i_sb->s_magic == SECRETMEM_MAGIC;
}

static bool framevec_is_private_file(const struct vm_area_struct *vma)
{
	return vma->vm_file &&
	       (vma->vm_flags & (VM_SHARED | VM_MAYWRITE | VM_HUGETLB)) ==
	       VM_MAYWRITE;
}

/**
 * framevec_vma_reason() - why can't the memory of a mapping be held?
 * @vma: the mapping
 * @flags: FRAMEVEC_PIN_*
 *
 * Return: the reason, or FRAMEVEC_REASON_NONE: as far as the mapping tells, it
 * can.
 */
enum framevec_reason framevec_vma_reason(const struct vm_area_struct *vma,
					 unsigned int flags)
{
	unsigned long can_read = VM_READ, can_write = VM_WRITE;

	if ((flags & FRAMEVEC_PIN_FORCE) && !framevec_is_device(vma)) {
		can_read |= VM_MAYREAD;
		/* FOLL_FORCE breaks COW, and so never writes what is shared. */
		if (!(vma->vm_flags & VM_SHARED))
			can_write |= VM_MAYWRITE;
	}

	if (flags & FRAMEVEC_PIN_WRITE) {
		if (!(vma->vm_flags & can_write))
			return FRAMEVEC_REASON_NOT_WRITABLE;
	} else if (!(vma->vm_flags & can_read)) {
		return FRAMEVEC_REASON_NOT_READABLE;
	}

	if (framevec_is_device(vma))
		return FRAMEVEC_REASON_NONE;
	if (framevec_is_secret(vma))
		return FRAMEVEC_REASON_SECRET;
	/* 6.9 and later refuse this in get_user_pages(), older ones allow it. */
	if ((flags & FRAMEVEC_PIN_WRITE) && framevec_tracks_dirty(vma))
		return FRAMEVEC_REASON_FILE;
	return FRAMEVEC_REASON_NONE;
}

/**
 * framevec_survey() - how far can a range be held, and as what?
 * @mm: current->mm
 * @start: first address, on a page boundary
 * @end: address after the last, on a page boundary
 * @flags: FRAMEVEC_PIN_*
 * @survey: the answer
 *
 * The mmap lock is taken and dropped, so the answer may be old already when it
 * is used. A pin does not depend on it: get_user_pages() has the last word.
 *
 * Return: 0, or -EINTR if the task is being killed.
 */
int framevec_survey(struct mm_struct *mm, unsigned long start,
		    unsigned long end, unsigned int flags,
		    struct framevec_survey *survey)
{
	struct vm_area_struct *vma;
	enum framevec_kind kind;

	survey->kind = FRAMEVEC_KIND_NONE;
	survey->reason = FRAMEVEC_REASON_NONE;
	survey->end = start;
	survey->private_file = false;
	survey->armed = false;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	do {
		vma = vma_lookup(mm, survey->end);
		if (!vma) {
			survey->reason = FRAMEVEC_REASON_NO_MAPPING;
			break;
		}
		kind = framevec_vma_kind(vma);
		if (survey->kind != FRAMEVEC_KIND_NONE && survey->kind != kind)
			survey->reason = FRAMEVEC_REASON_KIND_CHANGES;
		else
			survey->reason = framevec_vma_reason(vma, flags);
		if (survey->reason)
			break;
		survey->kind = kind;
		survey->end = vma->vm_end;
		survey->private_file |= !(flags & FRAMEVEC_PIN_WRITE) &&
					framevec_is_private_file(vma);
		survey->armed |= userfaultfd_armed(vma);
	} while (survey->end < end);
	mmap_read_unlock(mm);

	survey->end = min(survey->end, end);
	return 0;
}

/**
 * framevec_private_file() - is this private file memory?
 * @mm: current->mm
 * @addr: the address
 * @end: brought forward to where the mapping ends, if that is earlier
 *
 * Return: whether it is; false if the task is being killed.
 */
bool framevec_private_file(struct mm_struct *mm, unsigned long addr,
			   unsigned long *end)
{
	struct vm_area_struct *vma;
	bool private = false;

	if (mmap_read_lock_killable(mm))
		return false;
	vma = vma_lookup(mm, addr);
	if (vma) {
		private = framevec_is_private_file(vma);
		*end = min(*end, vma->vm_end);
	}
	mmap_read_unlock(mm);
	return private;
}

/* Is the page at @addr beyond the last one of its file? */
static bool framevec_beyond_file(const struct vm_area_struct *vma,
				 unsigned long addr)
{
	pgoff_t index;

	if (!vma->vm_file || !S_ISREG(file_inode(vma->vm_file)->i_mode))
		return false;
	index = ((addr - vma->vm_start) >> PAGE_SHIFT) + vma->vm_pgoff;
	return index >= DIV_ROUND_UP(i_size_read(file_inode(vma->vm_file)),
				     PAGE_SIZE);
}

/**
 * framevec_errno_reason() - what an errno of mm/ means
 * @err: negative
 *
 * Return: the reason; UNKNOWN if the errno does not tell.
 */
enum framevec_reason framevec_errno_reason(int err)
{
	switch (err) {
	case -EINTR:
	case -ERESTARTSYS:
		return FRAMEVEC_REASON_INTERRUPTED;
	case -ENOMEM:
		return FRAMEVEC_REASON_NO_MEMORY;
	case -EHWPOISON:
		return FRAMEVEC_REASON_POISON;
	case -EOPNOTSUPP:
		return FRAMEVEC_REASON_DAX;
	case -EOVERFLOW:
		return FRAMEVEC_REASON_TOO_MANY_PINS;
	default:
		return FRAMEVEC_REASON_UNKNOWN;
	}
}

/* Why did a fault in @vma end with EFAULT: SIGBUS or SIGSEGV, for the process? */
static enum framevec_reason framevec_fault_reason(struct vm_area_struct *vma,
						  unsigned long addr)
{
	if (framevec_is_device(vma))
		return FRAMEVEC_REASON_DEVICE_FAULT;
	if (framevec_beyond_file(vma, addr))
		return FRAMEVEC_REASON_END_OF_FILE;
	if (is_vm_hugetlb_page(vma))
		return FRAMEVEC_REASON_NO_MEMORY;
	if (vma->vm_file && S_ISREG(file_inode(vma->vm_file)->i_mode))
		return FRAMEVEC_REASON_FILE_FAULT;
	return FRAMEVEC_REASON_UNKNOWN;
}

/**
 * framevec_diagnose() - why could a page not be pinned?
 * @mm: current->mm
 * @addr: the page
 * @flags: FRAMEVEC_PIN_*
 * @gup: what get_user_pages() said of it
 *
 * Looks at the mappings and at nothing else: no page is faulted in for it, so
 * it never waits for anybody who serves faults.
 *
 * Return: the reason, never FRAMEVEC_REASON_NONE.
 */
enum framevec_reason framevec_diagnose(struct mm_struct *mm, unsigned long addr,
				       unsigned int flags,
				       const struct framevec_gup *gup)
{
	enum framevec_reason reason = framevec_errno_reason(gup->err);
	struct vm_area_struct *vma;

	if (reason == FRAMEVEC_REASON_UNKNOWN && gup->fault)
		reason = framevec_errno_reason(gup->fault);
	if (reason != FRAMEVEC_REASON_UNKNOWN || gup->err != -EFAULT)
		return reason;

	if (mmap_read_lock_killable(mm))
		return FRAMEVEC_REASON_INTERRUPTED;
	vma = vma_lookup(mm, addr);
	reason = vma ? framevec_vma_reason(vma, flags) :
		       FRAMEVEC_REASON_NO_MAPPING;
	/* The page is there for everybody but a longterm pin, or it is not. */
	if (!reason)
		reason = gup->fault ? framevec_fault_reason(vma, addr) :
				      FRAMEVEC_REASON_REFUSED;
	mmap_read_unlock(mm);
	return reason;
}

/**
 * framevec_reason_errno() - the errno that goes with a reason
 * @reason: any but FRAMEVEC_REASON_NONE
 *
 * Return: a negative errno.
 */
int framevec_reason_errno(enum framevec_reason reason)
{
	switch (reason) {
	case FRAMEVEC_REASON_MEMLOCK:
	case FRAMEVEC_REASON_NO_MEMORY:
		return -ENOMEM;
	case FRAMEVEC_REASON_INTERRUPTED:
		return -EINTR;
	case FRAMEVEC_REASON_OWNER:
	case FRAMEVEC_REASON_FORCE:
		return -EPERM;
	case FRAMEVEC_REASON_DAX:
		return -EOPNOTSUPP;
	case FRAMEVEC_REASON_POISON:
		return -EHWPOISON;
	case FRAMEVEC_REASON_TOO_MANY_PINS:
		return -EOVERFLOW;
	default:
		return -EFAULT;
	}
}
