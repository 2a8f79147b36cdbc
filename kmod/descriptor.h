/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _FRAMEVEC_DESCRIPTOR_H
#define _FRAMEVEC_DESCRIPTOR_H

struct file;
struct framevec_shortage;

struct file *framevec_descriptor(unsigned long capacity,
				 struct framevec_shortage *shortage);

#endif /* _FRAMEVEC_DESCRIPTOR_H */
