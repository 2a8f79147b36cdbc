/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _FRAMEVEC_APERTURE_H
#define _FRAMEVEC_APERTURE_H

#include <linux/types.h>

struct file;
struct vm_area_struct;

u64 framevec_aperture_size(void);
int framevec_aperture_mmap(struct file *file, struct vm_area_struct *vma);
unsigned long framevec_aperture_get_area(struct file *file, unsigned long addr,
					 unsigned long len, unsigned long pgoff,
					 unsigned long flags);
void framevec_aperture_free(void);

#endif /* _FRAMEVEC_APERTURE_H */
