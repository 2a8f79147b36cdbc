// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The device's side: access to the frames through the kernel's own mapping of
 * them, as a DMA engine would see and change them.
 *
 * Pinned frames are copied straight from and to the direct map. Frames of a
 * snapshot are touched only under the lock that the notifier's callback takes,
 * a few bytes at a time: so no access comes after the mapping has changed.
 */
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "frame_vector.h"
#include "transfer.h"

/*
 * What is read or written at once with interrupts off. A register takes about a
 * microsecond to read, so of device memory it is little.
 */
#define FRAMEVEC_SIP	256
#define FRAMEVEC_SIP_IO	16

/**
 * struct framevec_window - the kernel's mapping of a frame of a snapshot
 * @index: which frame; UINT_MAX: none
 * @ram: its address, if it is RAM
 * @io: its address, if it is not
 */
struct framevec_window {
	unsigned int index;
	void *ram;
	void __iomem *io;
};

static void framevec_window_close(struct framevec_window *window)
{
	if (window->io)
		iounmap(window->io);
	*window = (struct framevec_window){ .index = UINT_MAX };
}

static int framevec_window_move(struct framevec *vec,
				struct framevec_window *window,
				unsigned int index)
{
	unsigned long pfn = framevec_pfn(vec, index);

	if (window->index == index)
		return 0;
	framevec_window_close(window);
	if (page_is_ram(pfn)) {
		window->ram = pfn_to_kaddr(pfn);
	} else {
		window->io = framevec_ioremap(PFN_PHYS(pfn), PAGE_SIZE,
					      vec->snapshot.prot);
		if (!window->io)
			return -ENOMEM;
	}
	window->index = index;
	return 0;
}

static void framevec_io_read(void *to, const void __iomem *from, size_t n)
{
	if (!IS_ALIGNED((unsigned long)from, n)) {
		memcpy_fromio(to, from, n);
		return;
	}
	switch (n) {
	case 1:
		*(u8 *)to = readb(from);
		break;
	case 2:
		*(u16 *)to = readw(from);
		break;
	case 4:
		*(u32 *)to = readl(from);
		break;
	case 8:
		*(u64 *)to = readq(from);
		break;
	default:
		memcpy_fromio(to, from, n);
	}
}

static void framevec_io_write(void __iomem *to, const void *from, size_t n)
{
	if (!IS_ALIGNED((unsigned long)to, n)) {
		memcpy_toio(to, from, n);
		return;
	}
	switch (n) {
	case 1:
		writeb(*(const u8 *)from, to);
		break;
	case 2:
		writew(*(const u16 *)from, to);
		break;
	case 4:
		writel(*(const u32 *)from, to);
		break;
	case 8:
		writeq(*(const u64 *)from, to);
		break;
	default:
		memcpy_toio(to, from, n);
	}
}

/* @n bytes between @sip and the frame in the window, unless it is stale. */
static int framevec_sip(struct framevec *vec,
			const struct framevec_window *window,
			unsigned int offset, void *sip, size_t n, bool write)
{
	struct framevec_snapshot *snapshot = &vec->snapshot;
	unsigned long irq;
	int ret = 0;

	raw_spin_lock_irqsave(&snapshot->lock, irq);
	if (snapshot->stale)
		ret = -ESTALE;
	else if (window->ram && write)
		memcpy(window->ram + offset, sip, n);
	else if (window->ram)
		memcpy(sip, window->ram + offset, n);
	else if (write)
		framevec_io_write(window->io + offset, sip, n);
	else
		framevec_io_read(sip, window->io + offset, n);
	raw_spin_unlock_irqrestore(&snapshot->lock, irq);
	return ret;
}

/* Up to a frame's end, of a snapshot. Returns bytes or an errno. */
static ssize_t framevec_copy_snapshot(struct framevec *vec,
				      struct framevec_window *window,
				      unsigned int index, unsigned int offset,
				      char __user *user, size_t n, bool write)
{
	u64 sip[FRAMEVEC_SIP / sizeof(u64)];
	size_t most;
	int ret;

	ret = framevec_window_move(vec, window, index);
	if (ret)
		return ret;
	most = window->io ? FRAMEVEC_SIP_IO : FRAMEVEC_SIP;
	/* So that later sips are aligned. */
	n = min(n, most - offset % most);
	if (write && copy_from_user(sip, user, n))
		return -EFAULT;
	ret = framevec_sip(vec, window, offset, sip, n, write);
	if (ret)
		return ret;
	if (!write && copy_to_user(user, sip, n))
		return -EFAULT;
	return n;
}

/*
 * Up to a frame's end, of a pin. Returns bytes or an errno. Bytes that could
 * not be copied leave the frame as it is: copy_from_user() would zero them, and
 * __copy_from_user() does not.
 */
static ssize_t framevec_copy_pinned(struct framevec *vec, unsigned int index,
				    unsigned int offset, char __user *user,
				    size_t n, bool write)
{
	struct page *page = pfn_to_page(framevec_pfn(vec, index));
	size_t left;
	void *at;

	/* The direct map does not have it any more. */
	if (PageHWPoison(page))
		return -EHWPOISON;
	at = page_address(page) + offset;
	left = write ? __copy_from_user(at, user, n) :
		       __copy_to_user(user, at, n);
	return left < n ? n - left : -EFAULT;
}

static ssize_t framevec_transfer(struct framevec *vec, char __user *user,
				 size_t count, loff_t *pos, bool write)
{
	struct framevec_window window = { .index = UINT_MAX };
	unsigned int index, offset;
	size_t done = 0, n;
	ssize_t ret = 0;
	u64 at;

	if (vec->kind == FRAMEVEC_KIND_NONE)
		return -ENODATA;
	if (write && !vec->write)
		return -EBADF;
	if (framevec_stale(vec))
		return -ESTALE;
	if (*pos < 0)
		return -EINVAL;
	if (*pos >= vec->length)
		return write && count ? -ENOSPC : 0;
	count = min_t(u64, count, vec->length - *pos);
	if (!access_ok(user, count))
		return -EFAULT;

	while (done < count) {
		at = vec->offset + *pos;
		index = at >> PAGE_SHIFT;
		offset = offset_in_page(at);
		n = min_t(size_t, count - done, PAGE_SIZE - offset);
		if (vec->got_ref)
			ret = framevec_copy_pinned(vec, index, offset,
						   user + done, n, write);
		else
			ret = framevec_copy_snapshot(vec, &window, index, offset,
						     user + done, n, write);
		if (ret < 0)
			break;
		done += ret;
		*pos += ret;
		if (done < count && fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	framevec_window_close(&window);
	return done ?: ret;
}

/**
 * framevec_read() - read what a device would read
 * @vec: the vector
 * @to: where to
 * @count: bytes
 * @pos: from the first byte of the range, not of its frame; moved on
 *
 * Return: bytes, fewer at the end of the range; 0 there; -ENODATA, -ESTALE,
 * -EFAULT, -EHWPOISON, -ENOMEM.
 */
ssize_t framevec_read(struct framevec *vec, char __user *to, size_t count,
		      loff_t *pos)
{
	return framevec_transfer(vec, to, count, pos, false);
}

/**
 * framevec_write() - write what a device would write
 * @vec: the vector, pinned for write
 * @from: where from
 * @count: bytes
 * @pos: from the first byte of the range, not of its frame; moved on
 *
 * Return: bytes, fewer at the end of the range; -ENOSPC there; -EBADF: not
 * pinned for write; -ENODATA, -ESTALE, -EFAULT, -EHWPOISON, -ENOMEM.
 */
ssize_t framevec_write(struct framevec *vec, const char __user *from,
		       size_t count, loff_t *pos)
{
	return framevec_transfer(vec, (char __user *)from, count, pos, true);
}
