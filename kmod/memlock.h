/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _FRAMEVEC_MEMLOCK_H
#define _FRAMEVEC_MEMLOCK_H

#include <linux/types.h>

struct framevec_pin;
struct mm_struct;

unsigned int framevec_charge(struct mm_struct *mm, unsigned int want,
			     struct framevec_pin *arg);
void framevec_refund(struct mm_struct *mm, unsigned int frames);

#endif /* _FRAMEVEC_MEMLOCK_H */
