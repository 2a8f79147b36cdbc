// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A vector's descriptor: what user space holds of a frame vector.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "descriptor.h"
#include "frame_vector.h"
#include "ioctl.h"

/**
 * struct framevec_descriptor - what is behind the file
 * @lock: one call at a time works on @vec. It is outside mmap_lock: pins and
 *	copies to user space happen under it.
 * @vec: the vector, from open to release
 *
 * The file owns the vector: it is destroyed at the last fput(), when no ioctl
 * can be under way. So close() in one thread while another pins is no race,
 * and a task that dies takes its pins with it, unless another one has the
 * descriptor too.
 */
struct framevec_descriptor {
	struct mutex lock;	/* see above */
	struct framevec *vec;
};

static int framevec_serve_pin(struct file *file, struct framevec_cmd *cmd)
{
	struct framevec_descriptor *desc = file->private_data;
	struct framevec_unpin undo = {};
	int ret, err;

	if (cmd->arg.pin.reserved)
		return -EINVAL;
	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	ret = framevec_pin(desc->vec, &cmd->arg.pin);
	if (!ret || cmd->arg.pin.reason) {
		err = framevec_respond(cmd);
		/* What nobody was told of must not stay pinned. */
		if (err && !ret)
			framevec_unpin(desc->vec, &undo);
		ret = err ?: ret;
	}
	mutex_unlock(&desc->lock);
	return ret;
}

static int framevec_serve_unpin(struct file *file, struct framevec_cmd *cmd)
{
	struct framevec_descriptor *desc = file->private_data;
	int ret;

	if (cmd->arg.unpin.reserved)
		return -EINVAL;
	/* Fail first: once unpinned there is no way back. */
	ret = framevec_respond(cmd);
	if (ret)
		return ret;
	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	ret = framevec_unpin(desc->vec, &cmd->arg.unpin);
	mutex_unlock(&desc->lock);
	return ret ?: framevec_respond(cmd);
}

static int framevec_serve_stat(struct file *file, struct framevec_cmd *cmd)
{
	struct framevec_descriptor *desc = file->private_data;
	struct framevec_stat *stat = &cmd->arg.stat;
	const struct framevec *vec = desc->vec;

	if (stat->reserved)
		return -EINVAL;
	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	stat->kind = vec->kind;
	stat->state = (vec->write ? FRAMEVEC_STATE_WRITE : 0) |
		      (vec->got_ref ? FRAMEVEC_STATE_GOT_REF : 0);
	stat->capacity = vec->capacity;
	stat->frames = vec->nr;
	stat->offset = vec->offset;
	stat->length = vec->length;
	mutex_unlock(&desc->lock);
	return framevec_respond(cmd);
}

static int framevec_serve_read_pfns(struct file *file, struct framevec_cmd *cmd)
{
	const struct framevec_read_pfns *arg = &cmd->arg.read_pfns;
	struct framevec_descriptor *desc = file->private_data;
	int ret;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	ret = framevec_read_pfns(desc->vec, arg->first, arg->count,
				 u64_to_user_ptr(arg->pfns));
	mutex_unlock(&desc->lock);
	return ret;
}

static const struct framevec_op framevec_descriptor_ops[] = {
	FRAMEVEC_OP(FRAMEVEC_IOC_PIN, struct framevec_pin, call_ns,
		    FRAMEVEC_PIN_WRITE | FRAMEVEC_PIN_FORCE |
		    FRAMEVEC_PIN_PARTIAL | FRAMEVEC_PIN_TIMING,
		    framevec_serve_pin),
	FRAMEVEC_OP(FRAMEVEC_IOC_UNPIN, struct framevec_unpin, call_ns,
		    FRAMEVEC_UNPIN_TIMING, framevec_serve_unpin),
	FRAMEVEC_OP(FRAMEVEC_IOC_STAT, struct framevec_stat, length, 0,
		    framevec_serve_stat),
	FRAMEVEC_OP(FRAMEVEC_IOC_READ_PFNS, struct framevec_read_pfns, pfns, 0,
		    framevec_serve_read_pfns),
};

static long framevec_descriptor_ioctl(struct file *file, unsigned int cmd,
				      unsigned long user)
{
	return framevec_serve(file, cmd, user, framevec_descriptor_ops,
			      ARRAY_SIZE(framevec_descriptor_ops));
}

/* Tells no address and no frame number: anybody with the same uid reads it. */
static void framevec_descriptor_fdinfo(struct seq_file *m, struct file *file)
{
	static const char * const kinds[] = { "none", "pages", "pfns" };
	struct framevec_descriptor *desc = file->private_data;
	const struct framevec *vec = desc->vec;

	seq_printf(m, "framevec-capacity:\t%u\n", vec->capacity);
	/* A reader of /proc shall not wait for somebody's long pin. */
	if (!mutex_trylock(&desc->lock)) {
		seq_puts(m, "framevec-busy:\t1\n");
		return;
	}
	seq_printf(m, "framevec-kind:\t%s\n", kinds[vec->kind]);
	seq_printf(m, "framevec-frames:\t%u\n", vec->nr);
	seq_printf(m, "framevec-offset:\t%u\n", vec->offset);
	seq_printf(m, "framevec-length:\t%llu\n", vec->length);
	seq_printf(m, "framevec-write:\t%d\n", vec->write);
	seq_printf(m, "framevec-got-ref:\t%d\n", vec->got_ref);
	mutex_unlock(&desc->lock);
}

static int framevec_descriptor_release(struct inode *inode, struct file *file)
{
	struct framevec_descriptor *desc = file->private_data;

	framevec_destroy(desc->vec);
	mutex_destroy(&desc->lock);
	kfree(desc);
	return 0;
}

static const struct file_operations framevec_descriptor_fops = {
	.owner		= THIS_MODULE,
	.release	= framevec_descriptor_release,
	.unlocked_ioctl	= framevec_descriptor_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= framevec_descriptor_fdinfo,
	.llseek		= noop_llseek,
};

/**
 * framevec_descriptor() - a file that is a new, empty vector
 * @capacity: the most frames that it shall hold
 *
 * Return: the file, or an ERR_PTR: -EINVAL, -ENOMEM, -ENFILE.
 */
struct file *framevec_descriptor(unsigned long capacity)
{
	struct framevec_descriptor *desc;
	struct file *file;

	desc = kzalloc(sizeof(*desc), GFP_KERNEL_ACCOUNT);
	if (!desc)
		return ERR_PTR(-ENOMEM);
	mutex_init(&desc->lock);
	desc->vec = framevec_create(capacity);
	if (IS_ERR(desc->vec)) {
		file = ERR_CAST(desc->vec);
		goto free_desc;
	}
	file = anon_inode_getfile("[framevec]", &framevec_descriptor_fops, desc,
				  O_RDWR | O_CLOEXEC);
	if (IS_ERR(file))
		goto destroy_vec;
	return file;

destroy_vec:
	framevec_destroy(desc->vec);
free_desc:
	mutex_destroy(&desc->lock);
	kfree(desc);
	return file;
}
