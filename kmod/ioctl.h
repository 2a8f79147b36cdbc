/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The general form of an ioctl, as uapi/framevec.h describes it: how its struct
 * comes in and goes out.
 */
#ifndef _FRAMEVEC_IOCTL_H
#define _FRAMEVEC_IOCTL_H

#include <linux/fs.h>
#include <linux/types.h>

#include "uapi/framevec.h"

/**
 * struct framevec_cmd - a call being served
 * @user: the caller's struct
 * @size: its size, as the caller says
 * @arg: our copy of it
 */
struct framevec_cmd {
	void __user *user;
	u32 size;
	union {
		struct framevec_info info;
		struct framevec_create create;
		struct framevec_pin pin;
		struct framevec_unpin unpin;
		struct framevec_stat stat;
		struct framevec_read_pfns read_pfns;
		struct framevec_extents extents;
		struct framevec_convert convert;
	} arg;
};

/**
 * struct framevec_op - an ioctl
 * @cmd: its number
 * @size: the size of its struct
 * @min_size: the size of its struct when it was first published
 * @flags: the flags that are known
 * @serve: serves it
 */
struct framevec_op {
	unsigned int cmd;
	u32 size;
	u32 min_size;
	u32 flags;
	int (*serve)(struct file *file, struct framevec_cmd *cmd);
};

#define FRAMEVEC_OP(_cmd, _struct, _last, _flags, _serve)		\
	{								\
		.cmd = (_cmd),						\
		.size = sizeof(_struct),				\
		.min_size = offsetofend(_struct, _last),		\
		.flags = (_flags),					\
		.serve = (_serve),					\
	}

long framevec_serve(struct file *file, unsigned int nr, unsigned long user,
		    const struct framevec_op *ops, unsigned int nr_ops);
int framevec_respond(const struct framevec_cmd *cmd);

#endif /* _FRAMEVEC_IOCTL_H */
