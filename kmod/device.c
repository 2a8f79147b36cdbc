// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * /dev/framevec: tells what the module is, makes vectors, maps the aperture.
 */
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/user_namespace.h>

#include "aperture.h"
#include "behaviour.h"
#include "compat.h"
#include "descriptor.h"
#include "frame_vector.h"
#include "ioctl.h"

/* To ask is no attempt: it leaves no denial in the audit log. */
static bool framevec_may_read_pfns(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

static int framevec_serve_info(struct file *file, struct framevec_cmd *cmd)
{
	struct framevec_info *info = &cmd->arg.info;

	info->abi = FRAMEVEC_ABI;
	info->page_size = PAGE_SIZE;
	info->max_frames = FRAMEVEC_MAX_FRAMES;
	info->features = (framevec_force_allowed() ? FRAMEVEC_FEATURE_FORCE : 0) |
			 (framevec_may_read_pfns() ? FRAMEVEC_FEATURE_PFNS : 0) |
			 (framevec_behaviour.leaves ? FRAMEVEC_FEATURE_LEAVES : 0) |
			 (framevec_behaviour.unshares ? FRAMEVEC_FEATURE_UNSHARES : 0) |
			 (framevec_behaviour.copies ? FRAMEVEC_FEATURE_COPIES : 0);
	info->aperture_size = framevec_aperture_size();
	return framevec_respond(cmd);
}

static int framevec_serve_create(struct file *file, struct framevec_cmd *cmd)
{
	struct framevec_create *create = &cmd->arg.create;
	struct framevec_shortage shortage = {};
	struct file *vector;
	int fd, ret;

	if (create->reserved || create->reserved2)
		return -EINVAL;
	vector = framevec_descriptor(create->capacity, &shortage);
	create->memlock_scope = shortage.scope;
	create->memlock_need = shortage.need;
	create->memlock_used = shortage.used;
	create->memlock_limit = shortage.limit;
	if (IS_ERR(vector)) {
		ret = shortage.scope ? framevec_respond(cmd) : 0;
		return ret ?: PTR_ERR(vector);
	}
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		ret = fd;
		goto put_vector;
	}
	create->fd = fd;
	ret = framevec_respond(cmd);
	if (ret)
		goto put_fd;
	fd_install(fd, vector);
	return 0;

put_fd:
	put_unused_fd(fd);
put_vector:
	fput(vector);
	return ret;
}

static const struct framevec_op framevec_device_ops[] = {
	FRAMEVEC_OP(FRAMEVEC_IOC_INFO, struct framevec_info, aperture_size, 0,
		    framevec_serve_info),
	FRAMEVEC_OP(FRAMEVEC_IOC_CREATE, struct framevec_create, reserved, 0,
		    framevec_serve_create),
};

static long framevec_device_ioctl(struct file *file, unsigned int cmd,
				  unsigned long user)
{
	return framevec_serve(file, cmd, user, framevec_device_ops,
			      ARRAY_SIZE(framevec_device_ops));
}

static const struct file_operations framevec_device_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= framevec_device_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.mmap		= framevec_aperture_mmap,
#ifdef FRAMEVEC_HUGE_APERTURE
	.get_unmapped_area = framevec_aperture_get_area,
#endif
	.llseek		= noop_llseek,
};

static struct miscdevice framevec_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "framevec",
	.fops	= &framevec_device_fops,
	.mode	= 0600,
};

static int __init framevec_init(void)
{
	framevec_ask_behaviour();
	return misc_register(&framevec_device);
}

static void __exit framevec_exit(void)
{
	misc_deregister(&framevec_device);
	framevec_aperture_free();
}

module_init(framevec_init);
module_exit(framevec_exit);

MODULE_AUTHOR("The framevec authors");
MODULE_DESCRIPTION("Frame vectors: the page frames behind a user's buffer");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("0.1.0");
