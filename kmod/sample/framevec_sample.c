// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A driver that uses frame vectors: whoever writes the address and the length
 * of a buffer of his own to /dev/framevec-sample gets its bytes inverted, as if
 * by DMA.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/uaccess.h>

#include "frame_vector.h"

static int sample_invert(struct framevec *vec)
{
	struct sg_mapping_iter miter;
	struct sg_table table;
	size_t i;
	int ret;

	/* Device memory has no pages that a scatter list could hold. */
	if (!framevec_pages(vec) || !vec->got_ref)
		return -EOPNOTSUPP;
	ret = sg_alloc_table_from_pages(&table, framevec_pages(vec),
					framevec_count(vec), vec->offset,
					vec->length, GFP_KERNEL);
	if (ret)
		return ret;
	sg_miter_start(&miter, table.sgl, table.nents, SG_MITER_TO_SG);
	while (sg_miter_next(&miter))
		for (i = 0; i < miter.length; i++)
			((u8 *)miter.addr)[i] ^= 0xff;
	sg_miter_stop(&miter);
	sg_free_table(&table);
	return 0;
}

static ssize_t sample_write(struct file *file, const char __user *from,
			    size_t count, loff_t *pos)
{
	struct framevec_pin pin = { .flags = FRAMEVEC_PIN_WRITE };
	struct framevec_unpin unpin = {};
	struct framevec *vec;
	u64 range[2];
	int ret;

	if (count != sizeof(range) || copy_from_user(range, from, count))
		return -EINVAL;
	pin.addr = range[0];
	pin.length = range[1];
	vec = framevec_create((pin.length >> PAGE_SHIFT) + 2);
	if (IS_ERR(vec))
		return PTR_ERR(vec);
	ret = framevec_pin(vec, &pin);
	if (!ret) {
		ret = sample_invert(vec);
		framevec_unpin(vec, &unpin);
	}
	framevec_destroy(vec);
	return ret ?: count;
}

static const struct file_operations sample_fops = {
	.owner	= THIS_MODULE,
	.write	= sample_write,
};

static struct miscdevice sample_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "framevec-sample",
	.fops	= &sample_fops,
	.mode	= 0600,
};

module_misc_device(sample_device);

MODULE_DESCRIPTION("A driver that uses frame vectors");
MODULE_LICENSE("Dual MIT/GPL");
