/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _FRAMEVEC_TRANSFER_H
#define _FRAMEVEC_TRANSFER_H

#include <linux/types.h>

struct framevec;

ssize_t framevec_read(struct framevec *vec, char __user *to, size_t count,
		      loff_t *pos);
ssize_t framevec_write(struct framevec *vec, const char __user *from,
		       size_t count, loff_t *pos);

#endif /* _FRAMEVEC_TRANSFER_H */
