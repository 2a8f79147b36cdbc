// SPDX-License-Identifier: GPL-2.0 OR MIT
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "ioctl.h"

/* Once published, a struct only grows: these are the sizes of this ABI's. */
static_assert(sizeof(struct framevec_info) == 40);
static_assert(sizeof(struct framevec_create) == 56);
static_assert(sizeof(struct framevec_pin) == 104);
static_assert(sizeof(struct framevec_unpin) == 32);
static_assert(sizeof(struct framevec_stat) == 40);
static_assert(sizeof(struct framevec_read_pfns) == 32);
static_assert(sizeof(struct framevec_extents) == 56);
static_assert(sizeof(struct framevec_convert) == 24);

/**
 * framevec_serve() - find an ioctl, take its struct, serve it
 * @file: the descriptor
 * @nr: the ioctl's number
 * @user: address of the caller's struct
 * @ops: the ioctls of this descriptor
 * @nr_ops: how many
 *
 * Return: what the ioctl says; -ENOTTY: there is no such one; -EFAULT, -EINVAL,
 * -E2BIG: its struct.
 */
long framevec_serve(struct file *file, unsigned int nr, unsigned long user,
		    const struct framevec_op *ops, unsigned int nr_ops)
{
	/* size and flags are the first fields of every struct. */
	struct framevec_info *head;
	const struct framevec_op *op;
	struct framevec_cmd cmd;
	int ret;

	for (op = ops; op < ops + nr_ops; op++)
		if (op->cmd == nr)
			break;
	if (op == ops + nr_ops)
		return -ENOTTY;

	cmd.user = (void __user *)user;
	if (get_user(cmd.size, (u32 __user *)cmd.user))
		return -EFAULT;
	if (cmd.size < op->min_size)
		return -EINVAL;
	if (cmd.size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(&cmd.arg, op->size, cmd.user, cmd.size);
	if (ret)
		return ret;

	head = &cmd.arg.info;
	/* It may have been changed since it was read. */
	head->size = cmd.size;
	if (head->flags & ~op->flags)
		return -EINVAL;
	cmd.size = min(cmd.size, op->size);
	return op->serve(file, &cmd);
}

/**
 * framevec_respond() - give the struct back to the caller
 * @cmd: the call
 *
 * Return: 0 or -EFAULT.
 */
int framevec_respond(const struct framevec_cmd *cmd)
{
	return copy_to_user(cmd->user, &cmd->arg, cmd->size) ? -EFAULT : 0;
}
