/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * framevec: frame vectors for user space.
 *
 * A frame vector holds the page frames behind a range of user memory. Of
 * ordinary memory the frames are pinned (FOLL_LONGTERM) until they are
 * unpinned; of device memory (VM_IO or VM_PFNMAP) their numbers are noted.
 *
 * /dev/framevec answers INFO and CREATE. CREATE returns a descriptor, and that
 * descriptor is the vector: it answers every other ioctl, and closing it, by
 * close(), exit() or SIGKILL, gives back all that it holds. mmap() of
 * /dev/framevec maps the aperture: memory of the module's own, in the form of
 * device memory.
 *
 * A snapshot is not a pin
 * -----------------------
 * Of device memory nothing is held: a vector has the frame numbers of a moment,
 * and the frames are the driver's to take away. When the mapping changes
 * (munmap, mremap, mprotect, MAP_FIXED over it, the driver's own unmap, or the
 * end of the process) the vector is stale, for good: poll() says POLLPRI, STAT
 * says FRAMEVEC_STATE_STALE, and every use but UNPIN and STAT says ESTALE.
 *
 * The device's side
 * -----------------
 * read() and write() on a vector go through the kernel's own view of the
 * frames, as a device's access would. Position 0 is the first byte of the
 * range, and the last is the last of the range: the rest of the first and the
 * last frame is out of reach. Reading at the end gives 0 bytes, writing there
 * ENOSPC. lseek() moves the position of read() and write() within the range;
 * PIN and UNPIN leave it as it is. A vector that is not pinned for write says EBADF to write(). Of
 * device memory 1, 2, 4 or 8 bytes at a position that is a multiple of as much
 * are one access of that width.
 *
 * General form of an ioctl
 * ------------------------
 * Each takes a pointer to a struct of its own. Its first field, size, is the
 * size of the struct as the caller knows it. A kernel that knows a longer one
 * takes the missing fields as zero; a kernel that knows a shorter one accepts
 * the call as long as what it does not know is zero. Structs only grow, fields
 * never change their meaning. Fields marked "out" are ignored on entry. All
 * others must be set; unknown flags and non-zero reserved fields are refused.
 *
 * Errnos, the same for every ioctl
 * --------------------------------
 *  EINVAL	size smaller than the first published struct, an unknown flag, a
 *		reserved field that is not zero, or a number outside its range:
 *		zero or more than max_frames frames asked for, a range that wraps,
 *		more frames than the vector's capacity, or an index past its end.
 *		TO_PAGES: a frame without a struct page.
 *  E2BIG	size larger than this kernel knows, and the rest is not zero.
 *  EFAULT	the struct, or an array that it points to, can't be read or
 *		written. From PIN with a reason: the range can't be pinned.
 *  ENOTTY	not an ioctl of this descriptor.
 *  ENOMEM	no kernel memory; or RLIMIT_MEMLOCK: from CREATE with a
 *		memlock_scope, from PIN with FRAMEVEC_REASON_MEMLOCK.
 *  EPERM	the caller may not: frame numbers without CAP_SYS_ADMIN, force
 *		without the module parameter allow_force, or a pin by another
 *		mm than the one that created the vector.
 *  EBUSY	PIN: the vector holds frames already.
 *  ENODATA	the vector holds no frames.
 *  ESTALE	the mapping of a snapshot has changed.
 *  EINTR	a signal came while the call waited for another one on the same
 *		vector, and nothing was done; or the process is being killed.
 *		A signal that has a handler does not end a PIN, read() or write()
 *		that has begun.
 *  EOPNOTSUPP	PIN: a file system whose blocks may not be held (fsdax).
 *  EHWPOISON	PIN: a frame of the range has failed.
 *  EOVERFLOW	PIN: a frame of the range has been pinned too often.
 *
 * A call that fails changes nothing: no frame stays pinned, none is charged.
 * UNPIN, TO_PAGES and TO_PFNS make sure of that before they begin; only if the
 * memory of their struct goes away under them do the conversions, and UNPIN
 * with TIMING, say EFAULT with the work done.
 */
#ifndef _UAPI_FRAMEVEC_H
#define _UAPI_FRAMEVEC_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define FRAMEVEC_DEVICE		"/dev/framevec"

/* Told by INFO. A user of this header works with the same number only. */
#define FRAMEVEC_ABI		1

#define FRAMEVEC_IOC_TYPE	0xF5

/* On /dev/framevec */
#define FRAMEVEC_IOC_INFO	_IO(FRAMEVEC_IOC_TYPE, 0x00)
#define FRAMEVEC_IOC_CREATE	_IO(FRAMEVEC_IOC_TYPE, 0x01)
/* On a vector */
#define FRAMEVEC_IOC_PIN	_IO(FRAMEVEC_IOC_TYPE, 0x10)
#define FRAMEVEC_IOC_UNPIN	_IO(FRAMEVEC_IOC_TYPE, 0x11)
#define FRAMEVEC_IOC_STAT	_IO(FRAMEVEC_IOC_TYPE, 0x12)
#define FRAMEVEC_IOC_READ_PFNS	_IO(FRAMEVEC_IOC_TYPE, 0x13)
#define FRAMEVEC_IOC_EXTENTS	_IO(FRAMEVEC_IOC_TYPE, 0x14)
#define FRAMEVEC_IOC_TO_PAGES	_IO(FRAMEVEC_IOC_TYPE, 0x15)
#define FRAMEVEC_IOC_TO_PFNS	_IO(FRAMEVEC_IOC_TYPE, 0x16)

/* What a vector holds. */
enum framevec_kind {
	FRAMEVEC_KIND_NONE	= 0,	/* nothing */
	FRAMEVEC_KIND_PAGES	= 1,	/* pinned frames */
	FRAMEVEC_KIND_PFNS	= 2,	/* frame numbers: a snapshot, not a pin */
};

/* Why PIN stopped before the end of the range, or TO_PAGES did nothing. */
enum framevec_reason {
	FRAMEVEC_REASON_NONE		= 0,	/* it did not */
	FRAMEVEC_REASON_NO_MAPPING	= 1,	/* nothing is mapped there */
	FRAMEVEC_REASON_NOT_READABLE	= 2,	/* mapped without PROT_READ */
	FRAMEVEC_REASON_NOT_WRITABLE	= 3,	/* to be written, no PROT_WRITE */
	FRAMEVEC_REASON_KIND_CHANGES	= 4,	/* memory next to device memory */
	FRAMEVEC_REASON_SECRET		= 5,	/* memfd_secret memory */
	FRAMEVEC_REASON_FILE		= 6,	/* to be written, shared file that tracks dirt */
	FRAMEVEC_REASON_DAX		= 7,	/* file system's blocks themselves (fsdax) */
	FRAMEVEC_REASON_END_OF_FILE	= 8,	/* mapped beyond the last page of its file */
	FRAMEVEC_REASON_MEMLOCK		= 9,	/* RLIMIT_MEMLOCK: see memlock_* */
	FRAMEVEC_REASON_INTERRUPTED	= 10,	/* by a fatal signal */
	FRAMEVEC_REASON_OWNER		= 11,	/* another mm created the vector */
	FRAMEVEC_REASON_FORCE		= 12,	/* FRAMEVEC_PIN_FORCE without allow_force */
	FRAMEVEC_REASON_NO_MEMORY	= 13,	/* no frame, no huge page, or only movable ones */
	FRAMEVEC_REASON_POISON		= 14,	/* a failed frame */
	FRAMEVEC_REASON_NO_PAGE		= 15,	/* a frame without a struct page */
	FRAMEVEC_REASON_REFUSED		= 16,	/* there, but no longterm pin of it */
	FRAMEVEC_REASON_FILE_FAULT	= 17,	/* its file system has no page for it */
	FRAMEVEC_REASON_DEVICE_FAULT	= 18,	/* the device's driver has no frame for it */
	FRAMEVEC_REASON_TOO_MANY_PINS	= 19,	/* its reference count is nearly full */
	FRAMEVEC_REASON_UNKNOWN		= 20,	/* the kernel does not tell */
};

/* Which count has reached RLIMIT_MEMLOCK. */
enum framevec_memlock_scope {
	FRAMEVEC_MEMLOCK_NONE		= 0,	/* none, or the module does not tell */
	FRAMEVEC_MEMLOCK_PROCESS	= 1,	/* the frames of this mm (VmPin) */
	FRAMEVEC_MEMLOCK_USER		= 2,	/* the frames and vectors of this user */
};

/* framevec_info.features */
#define FRAMEVEC_FEATURE_FORCE	0x1ULL	/* allow_force is on */
#define FRAMEVEC_FEATURE_PFNS	0x2ULL	/* the caller may read frame numbers */
#define FRAMEVEC_FEATURE_LEAVES	0x4ULL	/* one look covers a huge device mapping */
/* A pin for read of private file memory pins a copy of the process's own. */
#define FRAMEVEC_FEATURE_UNSHARES	0x8ULL
/* Where the page cache has a huge page, a write fault makes that copy. */
#define FRAMEVEC_FEATURE_COPIES		0x10ULL

/**
 * struct framevec_info - FRAMEVEC_IOC_INFO: what this module is
 * @size: sizeof(struct framevec_info)
 * @flags: 0
 * @abi: out: FRAMEVEC_ABI
 * @page_size: out: bytes in a frame
 * @max_frames: out: the largest capacity of a vector, frames
 * @features: out: FRAMEVEC_FEATURE_*
 * @aperture_size: out: bytes of /dev/framevec that can be mapped; 0: none
 *
 * Does nothing else, so its time is the price of a call.
 */
struct framevec_info {
	__u32 size;
	__u32 flags;
	__u32 abi;
	__u32 page_size;
	__aligned_u64 max_frames;
	__aligned_u64 features;
	__aligned_u64 aperture_size;
};

/**
 * struct framevec_create - FRAMEVEC_IOC_CREATE: a new, empty vector
 * @size: sizeof(struct framevec_create)
 * @flags: 0
 * @capacity: the most frames that it can hold, 1 .. max_frames
 * @fd: out: its descriptor, O_CLOEXEC
 * @reserved: 0
 * @memlock_scope: out: enum framevec_memlock_scope: why ENOMEM, if it was
 *	RLIMIT_MEMLOCK
 * @reserved2: 0
 * @memlock_need: out: with a scope: pages of kernel memory that the vector needs
 * @memlock_used: out: likewise: frames and pages charged to the user already
 * @memlock_limit: out: likewise: RLIMIT_MEMLOCK in frames
 *
 * Only the mm that creates a vector can pin with it.
 *
 * The vector's kernel memory, 8 bytes for each frame of its capacity and about
 * a page besides, is charged to the caller's user until the last descriptor is
 * closed, unless the caller has CAP_IPC_LOCK. Pins of the vector by the same
 * user are charged only for what they exceed it.
 *
 * Errors: ENOMEM; EMFILE, ENFILE: no descriptor to be had.
 */
struct framevec_create {
	__u32 size;
	__u32 flags;
	__aligned_u64 capacity;
	__s32 fd;
	__u32 reserved;
	__u32 memlock_scope;
	__u32 reserved2;
	__aligned_u64 memlock_need;
	__aligned_u64 memlock_used;
	__aligned_u64 memlock_limit;
};

#define FRAMEVEC_PIN_WRITE	0x1U	/* to be written: unpin marks them dirty */
#define FRAMEVEC_PIN_FORCE	0x2U	/* FOLL_FORCE. You do not want this */
#define FRAMEVEC_PIN_PARTIAL	0x4U	/* fewer frames than asked for will do */
#define FRAMEVEC_PIN_TIMING	0x8U	/* fill gup_ns and call_ns */

/**
 * struct framevec_pin - FRAMEVEC_IOC_PIN: hold the frames behind a range
 * @size: sizeof(struct framevec_pin)
 * @flags: FRAMEVEC_PIN_*
 * @addr: the first byte; it need not be the first of its page
 * @length: bytes, at least 1
 * @kind: out: enum framevec_kind
 * @offset: out: bytes from the start of the first frame to @addr
 * @frames: out: frames held; with FRAMEVEC_PIN_PARTIAL maybe fewer than the
 *	range has
 * @reason: out: enum framevec_reason
 * @reserved: 0
 * @fail_addr: out: the first address that is not held; 0 without a reason
 * @memlock_need: out: with FRAMEVEC_REASON_MEMLOCK: frames to be charged
 * @memlock_used: out: likewise: frames charged already, to what @memlock_scope
 *	tells
 * @memlock_limit: out: likewise: RLIMIT_MEMLOCK in frames
 * @gup_ns: out: with FRAMEVEC_PIN_TIMING: time in get_user_pages() alone
 * @call_ns: out: with FRAMEVEC_PIN_TIMING: time in the whole call
 * @memlock_scope: out: with FRAMEVEC_REASON_MEMLOCK: enum framevec_memlock_scope
 * @reserved2: 0
 *
 * The out fields are written when the call fails with a reason, too. Without
 * FRAMEVEC_PIN_PARTIAL a range that can't be held whole is not held at all.
 *
 * A range that goes from one mapping to the next is held as long as both are
 * of one kind (and, for device memory, of one caching mode). A hole, or a change
 * of kind, ends it.
 *
 * Pinned frames are charged to the mm (VmPin) and, unless the caller has
 * CAP_IPC_LOCK, to its user, for as long as they are pinned, wherever the
 * descriptor goes. RLIMIT_MEMLOCK limits both counts. Device memory is not
 * charged.
 *
 * Errors: EBUSY, EFAULT, ENOMEM, EPERM, EINTR, EOPNOTSUPP, EHWPOISON, EOVERFLOW.
 */
struct framevec_pin {
	__u32 size;
	__u32 flags;
	__aligned_u64 addr;
	__aligned_u64 length;
	__u32 kind;
	__u32 offset;
	__u32 frames;
	__u32 reason;
	__aligned_u64 reserved;
	__aligned_u64 fail_addr;
	__aligned_u64 memlock_need;
	__aligned_u64 memlock_used;
	__aligned_u64 memlock_limit;
	__aligned_u64 gup_ns;
	__aligned_u64 call_ns;
	__u32 memlock_scope;
	__u32 reserved2;
};

#define FRAMEVEC_UNPIN_TIMING	0x1U	/* fill gup_ns and call_ns */

/**
 * struct framevec_unpin - FRAMEVEC_IOC_UNPIN: let the frames go
 * @size: sizeof(struct framevec_unpin)
 * @flags: FRAMEVEC_UNPIN_TIMING
 * @frames: out: frames that were held
 * @reserved: 0
 * @gup_ns: out: with the flag: time in unpin_user_pages() alone
 * @call_ns: out: with the flag: time in the whole call
 *
 * The vector is empty after it, and ready for the next PIN. Any holder of the
 * descriptor may unpin; the mm that pinned is refunded.
 *
 * Errors: ENODATA.
 */
struct framevec_unpin {
	__u32 size;
	__u32 flags;
	__u32 frames;
	__u32 reserved;
	__aligned_u64 gup_ns;
	__aligned_u64 call_ns;
};

#define FRAMEVEC_STATE_WRITE	0x1U	/* pinned for write */
#define FRAMEVEC_STATE_GOT_REF	0x2U	/* unpin has references to put */
#define FRAMEVEC_STATE_STALE	0x4U	/* a snapshot whose mapping has changed */

/**
 * struct framevec_stat - FRAMEVEC_IOC_STAT: what the vector holds
 * @size: sizeof(struct framevec_stat)
 * @flags: 0
 * @kind: out: enum framevec_kind
 * @state: out: FRAMEVEC_STATE_*
 * @capacity: out: frames
 * @frames: out: frames held
 * @offset: out: bytes from the start of the first frame to the first byte
 * @reserved: 0
 * @length: out: bytes held
 */
struct framevec_stat {
	__u32 size;
	__u32 flags;
	__u32 kind;
	__u32 state;
	__u32 capacity;
	__u32 frames;
	__u32 offset;
	__u32 reserved;
	__aligned_u64 length;
};

/**
 * struct framevec_read_pfns - FRAMEVEC_IOC_READ_PFNS: the frame numbers
 * @size: sizeof(struct framevec_read_pfns)
 * @flags: 0
 * @first: index of the first frame
 * @count: frames, at least 1; all of them must be held
 * @pfns: address of an array of @count __u64
 *
 * Errors: EPERM: only CAP_SYS_ADMIN of the initial namespace may know frame
 * numbers, as with /proc/PID/pagemap; ENODATA.
 */
struct framevec_read_pfns {
	__u32 size;
	__u32 flags;
	__aligned_u64 first;
	__aligned_u64 count;
	__aligned_u64 pfns;
};

/**
 * struct framevec_extents - FRAMEVEC_IOC_EXTENTS: runs of frames that follow
 * each other, as the segments of a scatter list do
 * @size: sizeof(struct framevec_extents)
 * @flags: 0
 * @first: index of the frame to begin with
 * @capacity: entries in each array, at least 1
 * @pfns: address of an array of __u64: the first frame number of each; or 0
 * @counts: address of an array of __u32: the frames of each
 * @extents: out: entries written
 * @reserved: 0
 * @next: out: index of the frame to go on with; all frames told: their number
 *
 * One step for each huge page, or for each run of a device mapping.
 *
 * Errors: EPERM: @pfns without CAP_SYS_ADMIN, as with READ_PFNS; ENODATA,
 * ESTALE.
 */
struct framevec_extents {
	__u32 size;
	__u32 flags;
	__aligned_u64 first;
	__aligned_u64 capacity;
	__aligned_u64 pfns;
	__aligned_u64 counts;
	__u32 extents;
	__u32 reserved;
	__aligned_u64 next;
};

/**
 * struct framevec_convert - FRAMEVEC_IOC_TO_PAGES, FRAMEVEC_IOC_TO_PFNS: the
 * same frames as the other kind
 * @size: sizeof(struct framevec_convert)
 * @flags: 0
 * @reason: out: FRAMEVEC_REASON_NO_PAGE where that is why
 * @reserved: 0
 * @frame: out: with a reason: index of the first such frame
 *
 * Neither takes a reference nor puts one: a snapshot turned into pages is
 * still a snapshot, and a pin turned into frame numbers is still a pin. To
 * convert to the kind that the vector has already is no error.
 *
 * Errors: EINVAL: a frame has no struct page, the vector is unchanged; ENODATA,
 * ESTALE.
 */
struct framevec_convert {
	__u32 size;
	__u32 flags;
	__u32 reason;
	__u32 reserved;
	__aligned_u64 frame;
};

#endif /* _UAPI_FRAMEVEC_H */
