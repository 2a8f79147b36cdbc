// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * For tests: a driver whose mappings behave as a few rare ones do. It maps
 * pages of its own by faults, each filled with its own byte, and is told by
 * write() what to do with them: struct odd_command.
 *
 * Offsets of the second half map the same pages, but there the driver is asked
 * before the first write to a page (pfn_mkwrite). read() tells how often.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/set_memory.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"

#define ODD_ORDER	6
#define ODD_PAGES	BIT(ODD_ORDER)
#define ODD_FIRST_BYTE	0x40

enum odd_what {
	ODD_ZAP,	/* unmap all pages from everybody; they are faulted in again */
	ODD_REFUSE,	/* faults of @page are refused (SIGBUS) if @count is not 0 */
	ODD_MISS,	/* the next @count faults of @page map nothing, and say they did */
	ODD_CACHE,	/* caching mode of @page: @count is an enum odd_cache */
};

enum odd_cache { ODD_WRITE_BACK, ODD_WRITE_COMBINING, ODD_UNCACHED };

struct odd_command {
	u32 what;
	u32 page;
	u32 count;
};

static struct odd_page {
	void *memory;
	bool refused;
	atomic_t misses;
} odd_pages[ODD_PAGES];

static vm_fault_t odd_fault(struct vm_fault *vmf)
{
	struct odd_page *page = odd_pages + vmf->pgoff % ODD_PAGES;

	if (READ_ONCE(page->refused))
		return VM_FAULT_SIGBUS;
	if (atomic_add_unless(&page->misses, -1, 0))
		return VM_FAULT_NOPAGE;
	/* The caching mode is that of the kernel's own mapping. */
	return vmf_insert_pfn(vmf->vma, vmf->address,
			      page_to_pfn(virt_to_page(page->memory)));
}

static atomic_t odd_asked;

static vm_fault_t odd_pfn_mkwrite(struct vm_fault *vmf)
{
	atomic_inc(&odd_asked);
	return 0;
}

static const struct vm_operations_struct odd_vm_ops = {
	.fault	= odd_fault,
};

static const struct vm_operations_struct odd_asked_vm_ops = {
	.fault		= odd_fault,
	.pfn_mkwrite	= odd_pfn_mkwrite,
};

static int odd_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff >= 2 * ODD_PAGES ||
	    vma_pages(vma) > ODD_PAGES - vma->vm_pgoff % ODD_PAGES)
		return -EINVAL;
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = vma->vm_pgoff < ODD_PAGES ? &odd_vm_ops :
						  &odd_asked_vm_ops;
	return 0;
}

static int odd_set_cache(struct odd_page *page, u32 cache)
{
	const unsigned long addr = (unsigned long)page->memory;
	int ret;

	/* From one mode to another by way of the common one. */
	ret = set_memory_wb(addr, 1);
	if (!ret && cache == ODD_WRITE_COMBINING)
		ret = set_memory_wc(addr, 1);
	else if (!ret && cache == ODD_UNCACHED)
		ret = set_memory_uc(addr, 1);
	return ret;
}

static ssize_t odd_write(struct file *file, const char __user *from,
			 size_t count, loff_t *pos)
{
	struct odd_command command;
	struct odd_page *page;
	int ret = 0;

	if (count != sizeof(command) || copy_from_user(&command, from, count))
		return -EINVAL;
	if (command.page >= ODD_PAGES)
		return -EINVAL;
	page = odd_pages + command.page;

	switch (command.what) {
	case ODD_ZAP:
		unmap_mapping_range(file->f_mapping, 0, 0, 1);
		break;
	case ODD_REFUSE:
		WRITE_ONCE(page->refused, command.count);
		break;
	case ODD_MISS:
		atomic_set(&page->misses, command.count);
		break;
	case ODD_CACHE:
		ret = odd_set_cache(page, command.count);
		break;
	default:
		ret = -EINVAL;
	}
	return ret ?: count;
}

static ssize_t odd_read(struct file *file, char __user *to, size_t count,
			loff_t *pos)
{
	u32 asked = atomic_read(&odd_asked);

	if (count != sizeof(asked))
		return -EINVAL;
	return copy_to_user(to, &asked, sizeof(asked)) ? -EFAULT : count;
}

static const struct file_operations odd_fops = {
	.owner	= THIS_MODULE,
	.mmap	= odd_mmap,
	.read	= odd_read,
	.write	= odd_write,
};

static struct miscdevice odd_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "framevec-odd",
	.fops	= &odd_fops,
	.mode	= 0600,
};

static void odd_free(void)
{
	unsigned int i;

	for (i = 0; i < ODD_PAGES; i++)
		odd_set_cache(odd_pages + i, ODD_WRITE_BACK);
	free_pages((unsigned long)odd_pages[0].memory, ODD_ORDER);
}

static int __init odd_init(void)
{
	/* The frames follow each other, as a device's do. */
	void *memory = (void *)__get_free_pages(GFP_KERNEL, ODD_ORDER);
	unsigned int i;
	int ret;

	if (!memory)
		return -ENOMEM;
	for (i = 0; i < ODD_PAGES; i++) {
		odd_pages[i].memory = memory + i * PAGE_SIZE;
		memset(odd_pages[i].memory, ODD_FIRST_BYTE + i, PAGE_SIZE);
	}
	ret = misc_register(&odd_device);
	if (ret)
		odd_free();
	return ret;
}
module_init(odd_init);

static void __exit odd_exit(void)
{
	misc_deregister(&odd_device);
	odd_free();
}
module_exit(odd_exit);

MODULE_DESCRIPTION("Device mappings that behave oddly, for tests");
MODULE_LICENSE("Dual MIT/GPL");
