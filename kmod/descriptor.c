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
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "descriptor.h"
#include "frame_vector.h"
#include "ioctl.h"
#include "transfer.h"

/**
 * struct framevec_descriptor - what is behind the file
 * @lock: one call at a time works on @vec. It is outside mmap_lock: pins and
 *	copies to user space happen under it.
 * @vec: the vector, from open to release
 *
 * There is no other state: between calls @lock is free, and the invariant is
 * that of the vector. A pin of which the caller could not be told is undone. The
 * file's position is that of read() and write(), is moved by
 * these and lseek() alone, and is checked against what is held at each use.
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

	if (cmd->arg.pin.reserved || cmd->arg.pin.reserved2)
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
	struct framevec_unpin *arg = &cmd->arg.unpin;
	int ret;

	if (arg->reserved)
		return -EINVAL;
	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	/* Answer first: once unpinned there is no way back. */
	arg->frames = desc->vec->nr;
	arg->gup_ns = 0;
	arg->call_ns = 0;
	ret = desc->vec->kind ? framevec_respond(cmd) : -ENODATA;
	if (!ret)
		ret = framevec_unpin(desc->vec, arg);
	mutex_unlock(&desc->lock);
	/* Only the times are not known before. */
	if (!ret && (arg->flags & FRAMEVEC_UNPIN_TIMING))
		ret = framevec_respond(cmd);
	return ret;
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
		      (vec->got_ref ? FRAMEVEC_STATE_GOT_REF : 0) |
		      (framevec_stale(vec) ? FRAMEVEC_STATE_STALE : 0);
	stat->capacity = vec->capacity;
	stat->frames = vec->nr;
	stat->offset = vec->offset;
	stat->length = vec->length;
	mutex_unlock(&desc->lock);
	return framevec_respond(cmd);
}

/*
 * Copies to user space that tell frame numbers: those of a snapshot must have
 * been true at a moment during the call, so staleness is asked for at its end,
 * too.
 */
static int framevec_read_pfns(const struct framevec *vec, u64 first, u64 count,
			      u64 __user *to)
{
	u64 some[64];
	unsigned int i, n;

	while (count) {
		n = min_t(u64, count, ARRAY_SIZE(some));
		for (i = 0; i < n; i++)
			some[i] = framevec_pfn(vec, first + i);
		if (copy_to_user(to, some, n * sizeof(*some)))
			return -EFAULT;
		first += n;
		to += n;
		count -= n;
		cond_resched();
	}
	return 0;
}

static int framevec_serve_read_pfns(struct file *file, struct framevec_cmd *cmd)
{
	const struct framevec_read_pfns *arg = &cmd->arg.read_pfns;
	struct framevec_descriptor *desc = file->private_data;
	const struct framevec *vec = desc->vec;
	int ret;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	ret = framevec_check(vec);
	if (ret)
		goto unlock;
	if (!arg->count || arg->first >= vec->nr ||
	    arg->count > vec->nr - arg->first)
		ret = -EINVAL;
	else
		ret = framevec_read_pfns(vec, arg->first, arg->count,
					 u64_to_user_ptr(arg->pfns));
	if (!ret && framevec_stale(vec))
		ret = -ESTALE;
unlock:
	mutex_unlock(&desc->lock);
	return ret;
}

static int framevec_tell_extents(const struct framevec *vec,
				 struct framevec_extents *arg)
{
	u64 __user *to_pfns = u64_to_user_ptr(arg->pfns);
	u32 __user *to_counts = u64_to_user_ptr(arg->counts);
	u64 capacity = min_t(u64, arg->capacity, vec->nr);
	unsigned int i = arg->first, n, end;
	u64 pfns[32];
	u32 counts[ARRAY_SIZE(pfns)];

	arg->extents = 0;
	while (arg->extents < capacity && i < vec->nr) {
		for (n = 0; n < ARRAY_SIZE(pfns) &&
		     arg->extents + n < capacity && i < vec->nr; n++, i = end) {
			end = framevec_next_extent(vec, i);
			pfns[n] = framevec_pfn(vec, i);
			counts[n] = end - i;
		}
		if (arg->pfns && copy_to_user(to_pfns + arg->extents, pfns,
					      n * sizeof(*pfns)))
			return -EFAULT;
		if (copy_to_user(to_counts + arg->extents, counts,
				 n * sizeof(*counts)))
			return -EFAULT;
		arg->extents += n;
		cond_resched();
	}
	arg->next = i;
	return 0;
}

static int framevec_serve_extents(struct file *file, struct framevec_cmd *cmd)
{
	struct framevec_descriptor *desc = file->private_data;
	struct framevec_extents *arg = &cmd->arg.extents;
	const struct framevec *vec = desc->vec;
	int ret;

	if (arg->reserved)
		return -EINVAL;
	if (arg->pfns && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	ret = framevec_check(vec);
	if (ret)
		goto unlock;
	if (!arg->capacity || arg->first >= vec->nr)
		ret = -EINVAL;
	else
		ret = framevec_tell_extents(vec, arg);
	if (!ret && framevec_stale(vec))
		ret = -ESTALE;
unlock:
	mutex_unlock(&desc->lock);
	return ret ?: framevec_respond(cmd);
}

static int framevec_serve_convert(struct file *file, struct framevec_cmd *cmd,
				  int (*convert)(struct framevec *vec,
						 struct framevec_convert *arg))
{
	struct framevec_descriptor *desc = file->private_data;
	int ret, err;

	if (cmd->arg.convert.reserved)
		return -EINVAL;
	/* Fail first: what nobody could be told of must not happen. */
	ret = framevec_respond(cmd);
	if (ret)
		return ret;
	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	ret = convert(desc->vec, &cmd->arg.convert);
	mutex_unlock(&desc->lock);
	err = framevec_respond(cmd);
	return err ?: ret;
}

static int framevec_serve_to_pages(struct file *file, struct framevec_cmd *cmd)
{
	return framevec_serve_convert(file, cmd, framevec_to_pages);
}

static int framevec_serve_to_pfns(struct file *file, struct framevec_cmd *cmd)
{
	return framevec_serve_convert(file, cmd, framevec_to_pfns);
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
	FRAMEVEC_OP(FRAMEVEC_IOC_EXTENTS, struct framevec_extents, next, 0,
		    framevec_serve_extents),
	FRAMEVEC_OP(FRAMEVEC_IOC_TO_PAGES, struct framevec_convert, frame, 0,
		    framevec_serve_to_pages),
	FRAMEVEC_OP(FRAMEVEC_IOC_TO_PFNS, struct framevec_convert, frame, 0,
		    framevec_serve_to_pfns),
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
	struct pid_namespace *ns = proc_pid_ns(file_inode(m->file)->i_sb);

	seq_printf(m, "framevec-id:\t%llu\n", vec->id);
	seq_printf(m, "framevec-owner:\t%d\n", pid_nr_ns(vec->owner, ns));
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
	seq_printf(m, "framevec-stale:\t%d\n", framevec_stale(vec));
	if (vec->kind != FRAMEVEC_KIND_NONE)
		seq_printf(m, "framevec-age-ms:\t%llu\n",
			   framevec_held_ms(vec));
	mutex_unlock(&desc->lock);
}

static ssize_t framevec_descriptor_read(struct file *file, char __user *to,
					size_t count, loff_t *pos)
{
	struct framevec_descriptor *desc = file->private_data;
	ssize_t ret;

	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	ret = framevec_read(desc->vec, to, count, pos);
	mutex_unlock(&desc->lock);
	return ret;
}

static ssize_t framevec_descriptor_write(struct file *file,
					 const char __user *from, size_t count,
					 loff_t *pos)
{
	struct framevec_descriptor *desc = file->private_data;
	ssize_t ret;

	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	ret = framevec_write(desc->vec, from, count, pos);
	mutex_unlock(&desc->lock);
	return ret;
}

/* The end is the end of what is held: of an empty vector it is 0. */
static loff_t framevec_descriptor_llseek(struct file *file, loff_t offset,
					 int whence)
{
	struct framevec_descriptor *desc = file->private_data;
	loff_t ret;

	if (mutex_lock_interruptible(&desc->lock))
		return -ERESTARTSYS;
	ret = fixed_size_llseek(file, offset, whence, desc->vec->length);
	mutex_unlock(&desc->lock);
	return ret;
}

/* Takes no lock: a long pin must not make poll() wait. */
static __poll_t framevec_descriptor_poll(struct file *file,
					 struct poll_table_struct *table)
{
	struct framevec_descriptor *desc = file->private_data;

	poll_wait(file, &desc->vec->snapshot.readers, table);
	return framevec_stale(desc->vec) ? EPOLLPRI : 0;
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
	.read		= framevec_descriptor_read,
	.write		= framevec_descriptor_write,
	.poll		= framevec_descriptor_poll,
	.llseek		= framevec_descriptor_llseek,
};

/**
 * framevec_descriptor() - a file that is a new, empty vector
 * @capacity: the most frames that it can hold
 * @shortage: told which limit was reached, if that is why there is none
 *
 * Return: the file, or an ERR_PTR: -EINVAL, -ENOMEM, -ENFILE.
 */
struct file *framevec_descriptor(unsigned long capacity,
				 struct framevec_shortage *shortage)
{
	struct framevec_descriptor *desc;
	struct file *file;

	desc = kzalloc(sizeof(*desc), GFP_KERNEL_ACCOUNT);
	if (!desc)
		return ERR_PTR(-ENOMEM);
	mutex_init(&desc->lock);
	desc->vec = framevec_new(capacity, shortage);
	if (IS_ERR(desc->vec)) {
		file = ERR_CAST(desc->vec);
		goto free_desc;
	}
	file = anon_inode_getfile("[framevec]", &framevec_descriptor_fops, desc,
				  O_RDWR | O_CLOEXEC);
	if (IS_ERR(file))
		goto destroy_vec;
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE |
			FMODE_ATOMIC_POS;
	return file;

destroy_vec:
	framevec_destroy(desc->vec);
free_desc:
	mutex_destroy(&desc->lock);
	kfree(desc);
	return file;
}
