/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The tracepoints framevec:pin, framevec:unpin and framevec:stale, for tracefs,
 * perf and bpftrace. They cost a no-op each while nobody listens: no clock is
 * read for them. No frame number is in them. docs/observability.md has their
 * fields.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM framevec

#if !defined(_FRAMEVEC_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _FRAMEVEC_TRACE_H

#include <linux/mmu_notifier.h>
#include <linux/pid.h>
#include <linux/tracepoint.h>

#include "frame_vector.h"

/* The words are those of lib/uapi.ts. */
TRACE_DEFINE_ENUM(FRAMEVEC_KIND_NONE);
TRACE_DEFINE_ENUM(FRAMEVEC_KIND_PAGES);
TRACE_DEFINE_ENUM(FRAMEVEC_KIND_PFNS);

#define framevec_show_kind(kind)				\
	__print_symbolic(kind,					\
		{ FRAMEVEC_KIND_NONE,		"none" },	\
		{ FRAMEVEC_KIND_PAGES,		"pages" },	\
		{ FRAMEVEC_KIND_PFNS,		"pfns" })

TRACE_DEFINE_ENUM(FRAMEVEC_REASON_NONE);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_NO_MAPPING);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_NOT_READABLE);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_NOT_WRITABLE);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_KIND_CHANGES);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_SECRET);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_FILE);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_DAX);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_END_OF_FILE);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_MEMLOCK);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_INTERRUPTED);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_OWNER);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_FORCE);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_NO_MEMORY);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_POISON);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_NO_PAGE);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_REFUSED);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_FILE_FAULT);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_DEVICE_FAULT);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_TOO_MANY_PINS);
TRACE_DEFINE_ENUM(FRAMEVEC_REASON_UNKNOWN);

#define framevec_show_reason(reason)				\
	__print_symbolic(reason,				\
		{ FRAMEVEC_REASON_NONE,		"none" },	\
		{ FRAMEVEC_REASON_NO_MAPPING,	"no-mapping" },	\
		{ FRAMEVEC_REASON_NOT_READABLE,	"not-readable" }, \
		{ FRAMEVEC_REASON_NOT_WRITABLE,	"not-writable" }, \
		{ FRAMEVEC_REASON_KIND_CHANGES,	"kind-changes" }, \
		{ FRAMEVEC_REASON_SECRET,	"secret" },	\
		{ FRAMEVEC_REASON_FILE,		"file" },	\
		{ FRAMEVEC_REASON_DAX,		"dax" },	\
		{ FRAMEVEC_REASON_END_OF_FILE,	"end-of-file" }, \
		{ FRAMEVEC_REASON_MEMLOCK,	"memlock" },	\
		{ FRAMEVEC_REASON_INTERRUPTED,	"interrupted" }, \
		{ FRAMEVEC_REASON_OWNER,	"owner" },	\
		{ FRAMEVEC_REASON_FORCE,	"force" },	\
		{ FRAMEVEC_REASON_NO_MEMORY,	"no-memory" },	\
		{ FRAMEVEC_REASON_POISON,	"poison" },	\
		{ FRAMEVEC_REASON_NO_PAGE,	"no-page" },	\
		{ FRAMEVEC_REASON_REFUSED,	"refused" },	\
		{ FRAMEVEC_REASON_FILE_FAULT,	"file-fault" },	\
		{ FRAMEVEC_REASON_DEVICE_FAULT,	"device-fault" }, \
		{ FRAMEVEC_REASON_TOO_MANY_PINS, "too-many-pins" }, \
		{ FRAMEVEC_REASON_UNKNOWN,	"unknown" })

#define framevec_show_flags(flags)				\
	__print_flags(flags, "|",				\
		{ FRAMEVEC_PIN_WRITE,		"write" },	\
		{ FRAMEVEC_PIN_FORCE,		"force" },	\
		{ FRAMEVEC_PIN_PARTIAL,		"partial" },	\
		{ FRAMEVEC_PIN_TIMING,		"timing" })

TRACE_DEFINE_ENUM(MMU_NOTIFY_UNMAP);
TRACE_DEFINE_ENUM(MMU_NOTIFY_CLEAR);
TRACE_DEFINE_ENUM(MMU_NOTIFY_PROTECTION_VMA);
TRACE_DEFINE_ENUM(MMU_NOTIFY_PROTECTION_PAGE);
TRACE_DEFINE_ENUM(MMU_NOTIFY_RELEASE);
TRACE_DEFINE_ENUM(MMU_NOTIFY_MIGRATE);

#define framevec_show_cause(cause)				\
	__print_symbolic(cause,					\
		{ MMU_NOTIFY_UNMAP,		"unmap" },	\
		{ MMU_NOTIFY_CLEAR,		"clear" },	\
		{ MMU_NOTIFY_PROTECTION_VMA,	"protect" },	\
		{ MMU_NOTIFY_PROTECTION_PAGE,	"protect-page" }, \
		{ MMU_NOTIFY_RELEASE,		"exit" },	\
		{ MMU_NOTIFY_MIGRATE,		"migrate" })

/* A pin was asked for: @ret is 0 or the errno. */
TRACE_EVENT(pin,
	TP_PROTO(const struct framevec *vec, const struct framevec_pin *arg,
		 int ret),
	TP_ARGS(vec, arg, ret),

	TP_STRUCT__entry(
		__field(u64, vector)
		__field(u64, addr)
		__field(u64, length)
		__field(u64, fail_addr)
		__field(u64, gup_ns)
		__field(u64, call_ns)
		__field(pid_t, owner)
		__field(u32, frames)
		__field(u32, kind)
		__field(u32, flags)
		__field(u32, reason)
		__field(int, ret)
	),

	TP_fast_assign(
		__entry->vector = vec->id;
		__entry->addr = arg->addr;
		__entry->length = arg->length;
		__entry->fail_addr = arg->fail_addr;
		__entry->gup_ns = arg->gup_ns;
		__entry->call_ns = arg->call_ns;
		__entry->owner = pid_nr(vec->owner);
		__entry->frames = arg->frames;
		__entry->kind = arg->kind;
		__entry->flags = arg->flags;
		__entry->reason = arg->reason;
		__entry->ret = ret;
	),

	TP_printk("vector=%llu owner=%d addr=0x%llx length=%llu flags=%s ret=%d kind=%s frames=%u reason=%s fail_addr=0x%llx gup_ns=%llu call_ns=%llu",
		  __entry->vector, __entry->owner, __entry->addr,
		  __entry->length, framevec_show_flags(__entry->flags),
		  __entry->ret, framevec_show_kind(__entry->kind),
		  __entry->frames, framevec_show_reason(__entry->reason),
		  __entry->fail_addr, __entry->gup_ns, __entry->call_ns)
);

/* Frames were let go: by UNPIN, or because the vector's last holder is gone. */
TRACE_EVENT(unpin,
	TP_PROTO(const struct framevec *vec, const struct framevec_unpin *arg,
		 bool stale),
	TP_ARGS(vec, arg, stale),

	TP_STRUCT__entry(
		__field(u64, vector)
		__field(u64, addr)
		__field(u64, length)
		__field(u64, held_ms)
		__field(u64, gup_ns)
		__field(u64, call_ns)
		__field(pid_t, owner)
		__field(u32, frames)
		__field(u32, kind)
		__field(bool, write)
		__field(bool, got_ref)
		__field(bool, stale)
	),

	TP_fast_assign(
		__entry->vector = vec->id;
		__entry->addr = vec->addr;
		__entry->length = vec->length;
		__entry->held_ms = framevec_held_ms(vec);
		__entry->gup_ns = arg->gup_ns;
		__entry->call_ns = arg->call_ns;
		__entry->owner = pid_nr(vec->owner);
		__entry->frames = vec->nr;
		__entry->kind = vec->kind;
		__entry->write = vec->write;
		__entry->got_ref = vec->got_ref;
		__entry->stale = stale;
	),

	TP_printk("vector=%llu owner=%d addr=0x%llx length=%llu kind=%s frames=%u write=%d got_ref=%d stale=%d held_ms=%llu gup_ns=%llu call_ns=%llu",
		  __entry->vector, __entry->owner, __entry->addr,
		  __entry->length, framevec_show_kind(__entry->kind),
		  __entry->frames, __entry->write, __entry->got_ref,
		  __entry->stale, __entry->held_ms, __entry->gup_ns,
		  __entry->call_ns)
);

/*
 * A snapshot's mapping has changed, for the first time since it was taken. Comes
 * from the notifier, in the task that makes the change, where it may not sleep.
 * The range of the change goes beyond the snapshot's as a rule.
 */
TRACE_EVENT(stale,
	TP_PROTO(const struct framevec *vec,
		 const struct mmu_notifier_range *range),
	TP_ARGS(vec, range),

	TP_STRUCT__entry(
		__field(u64, vector)
		__field(u64, addr)
		__field(u64, length)
		__field(u64, change_start)
		__field(u64, change_end)
		__field(pid_t, owner)
		__field(u32, frames)
		__field(u32, cause)
	),

	TP_fast_assign(
		__entry->vector = vec->id;
		__entry->addr = vec->snapshot.notifier.interval_tree.start;
		__entry->length = (u64)vec->nr << PAGE_SHIFT;
		__entry->change_start = range->start;
		__entry->change_end = range->end;
		__entry->owner = pid_nr(vec->owner);
		__entry->frames = vec->nr;
		__entry->cause = range->event;
	),

	TP_printk("vector=%llu owner=%d addr=0x%llx length=%llu frames=%u cause=%s change=0x%llx-0x%llx",
		  __entry->vector, __entry->owner, __entry->addr,
		  __entry->length, __entry->frames,
		  framevec_show_cause(__entry->cause),
		  __entry->change_start, __entry->change_end)
);

#endif /* _FRAMEVEC_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
