/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A survey tells, from the mappings alone, how far a range can be held, as
 * what, and why it ends there.
 */
#ifndef _FRAMEVEC_SURVEY_H
#define _FRAMEVEC_SURVEY_H

#include <linux/types.h>

#include "uapi/framevec.h"

struct framevec_gup;
struct mm_struct;
struct vm_area_struct;

/**
 * struct framevec_survey - what the mappings say of a range
 * @kind: what can be held of it; NONE if not even its first page
 * @reason: why it ends before the end of the range
 * @end: the first address that can't be held, or the end of the range
 * @private_file: there is private file memory in it, to be pinned for read
 * @armed: userfaultfd serves faults of a part of it
 */
struct framevec_survey {
	enum framevec_kind kind;
	enum framevec_reason reason;
	unsigned long end;
	bool private_file;
	bool armed;
};

int framevec_survey(struct mm_struct *mm, unsigned long start,
		    unsigned long end, unsigned int flags,
		    struct framevec_survey *survey);
bool framevec_private_file(struct mm_struct *mm, unsigned long addr,
			   unsigned long *end);
bool framevec_is_device(const struct vm_area_struct *vma);
enum framevec_reason framevec_vma_reason(const struct vm_area_struct *vma,
					 unsigned int flags);
enum framevec_reason framevec_errno_reason(int err);
enum framevec_reason framevec_diagnose(struct mm_struct *mm, unsigned long addr,
				       unsigned int flags,
				       const struct framevec_gup *gup);
int framevec_reason_errno(enum framevec_reason reason);

#endif /* _FRAMEVEC_SURVEY_H */
