/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Frame vectors: the page frames behind a range of user memory.
 */
#ifndef _FRAMEVEC_FRAME_VECTOR_H
#define _FRAMEVEC_FRAME_VECTOR_H

#include <linux/sizes.h>
#include <linux/types.h>

#include "uapi/framevec.h"

struct mm_struct;
struct page;

/*
 * The array of frames stays below INT_MAX bytes, which is all that kvmalloc()
 * gives, and a count of frames fits an int.
 */
#define FRAMEVEC_MAX_FRAMES	SZ_128M

/**
 * struct framevec - a frame vector
 * @mm: the mm that created the vector, the only one to pin with it
 * @kind: what @frames holds
 * @got_ref: the frames were pinned, unpin must put them
 * @write: they were pinned for write, unpin marks them dirty
 * @capacity: entries in @frames
 * @nr: entries of @frames in use
 * @offset: bytes from the start of the first frame to the first byte
 * @length: bytes held
 * @head: frames in the first block
 * @whole: a bit for each block whose frames follow each other
 * @pages: the frames of kind pages
 *
 * Life. framevec_create() makes it, framevec_destroy() ends it and unpins what
 * it still holds. A vector has a reference to the struct mm_struct of its
 * creator (mmgrab), not to the address space: the pages of a process that has
 * exited stay pinned for as long as somebody holds its vector, its page tables
 * do not. So what is charged to mm->pinned_vm is refunded to the very mm that
 * was charged, be it after exec() or after exit_mmap().
 *
 * Locks. None: the caller makes sure that one call at a time works on a
 * vector. (A vector that user space holds has a mutex for that in its
 * descriptor.) Pin and unpin sleep and take mmap_lock, so the caller's lock is
 * outside mmap_lock.
 *
 * Blocks. Memory is pinned in chunks that end where a page table ends. When a
 * chunk's frames follow each other, as a huge page's do, its bit in @whole is
 * set, and who walks the vector takes one step for it instead of one a frame.
 * The first block has @head frames, each later one FRAMEVEC_BLOCK.
 */
struct framevec {
	struct mm_struct *mm;
	enum framevec_kind kind;
	bool got_ref;
	bool write;
	unsigned int capacity;
	unsigned int nr;
	unsigned int offset;
	unsigned int head;
	u64 length;
	unsigned long *whole;
	struct page **pages;
};

bool framevec_force_allowed(void);
struct framevec *framevec_create(unsigned long capacity);
void framevec_destroy(struct framevec *vec);
int framevec_pin(struct framevec *vec, struct framevec_pin *arg);
int framevec_unpin(struct framevec *vec, struct framevec_unpin *arg);
int framevec_read_pfns(struct framevec *vec, u64 first, u64 count,
		       u64 __user *to);

#endif /* _FRAMEVEC_FRAME_VECTOR_H */
