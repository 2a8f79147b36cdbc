// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * RLIMIT_MEMLOCK. Two counts are held against it, each without a lock:
 *
 * mm->pinned_vm (VmPin): the frames that a process has pinned, together with
 * those of RDMA and io_uring. Always counted.
 *
 * user->locked_vm: what all processes of a user have pinned, and the kernel
 * memory of their vectors. Not counted for callers with CAP_IPC_LOCK, whom no
 * limit holds.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/user_namespace.h>

#include "memlock.h"

/* Does no limit hold the caller? Asks without an entry in the audit log. */
static bool framevec_unlimited(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_IPC_LOCK);
}

static atomic64_t *framevec_locked_vm(const struct cred *cred)
{
	/* atomic_long_t is atomic64_t where long has 64 bits. */
	BUILD_BUG_ON(sizeof(atomic_long_t) != sizeof(atomic64_t));
	return (atomic64_t *)&cred->user->locked_vm;
}

/*
 * Add @want to @count, or with @partial as much as @limit leaves. Returns what
 * was added; if that is less than @want, @used tells the count.
 */
static unsigned long framevec_take(atomic64_t *count, unsigned long want,
				   unsigned long limit, bool partial, u64 *used)
{
	s64 old = atomic64_read(count);
	unsigned long spare, n;

	do {
		*used = max_t(s64, old, 0);
		spare = *used < limit ? limit - *used : 0;
		n = want <= spare ? want : partial ? spare : 0;
	} while (n && !atomic64_try_cmpxchg(count, &old, old + n));
	return n;
}

/**
 * framevec_charge_memory() - charge the kernel memory of a new vector
 * @account: the vector's, with nothing charged
 * @bytes: its memory
 * @shortage: told why it was refused
 *
 * Whole pages are charged, so many small vectors cost as much as few large
 * ones.
 *
 * Return: 0 or -ENOMEM.
 */
int framevec_charge_memory(struct framevec_account *account, size_t bytes,
			   struct framevec_shortage *shortage)
{
	const unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	const unsigned long pages = DIV_ROUND_UP(bytes, PAGE_SIZE);
	u64 used;

	if (framevec_unlimited())
		return 0;
	if (!framevec_take(framevec_locked_vm(current_cred()), pages, limit,
			   false, &used)) {
		*shortage = (struct framevec_shortage){
			.scope = FRAMEVEC_MEMLOCK_USER,
			.need = pages, .used = used, .limit = limit,
		};
		return -ENOMEM;
	}
	account->creator = get_current_cred();
	account->memory = pages;
	return 0;
}

/**
 * framevec_refund_memory() - the vector's kernel memory is freed
 * @account: the vector's
 */
void framevec_refund_memory(struct framevec_account *account)
{
	if (!account->creator)
		return;
	atomic64_sub(account->memory, framevec_locked_vm(account->creator));
	put_cred(account->creator);
	account->creator = NULL;
	account->memory = 0;
}

/* Frames that the user pays for already, as memory of the vector. */
static unsigned long framevec_covered(const struct framevec_account *account,
				      const struct cred *pinner)
{
	return account->creator && account->creator->user == pinner->user ?
		account->memory : 0;
}

/**
 * framevec_charge_frames() - charge frames before they are pinned
 * @account: the vector's, with no frames charged; its mm is current->mm
 * @want: frames
 * @partial: fewer are acceptable
 * @shortage: told which limit was reached, if fewer than @want are charged
 *
 * Return: frames charged: @want; with @partial maybe fewer; 0 if a limit does
 * not allow it.
 */
unsigned int framevec_charge_frames(struct framevec_account *account,
				    unsigned int want, bool partial,
				    struct framevec_shortage *shortage)
{
	const unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	const bool unlimited = framevec_unlimited();
	unsigned long covered, n, extra;
	u64 used;

	n = framevec_take(&account->mm->pinned_vm, want,
			  unlimited ? ULONG_MAX : limit, partial, &used);
	if (n < want)
		*shortage = (struct framevec_shortage){
			.scope = FRAMEVEC_MEMLOCK_PROCESS,
			.need = want, .used = used, .limit = limit,
		};
	account->frames = n;
	if (unlimited || !n)
		return n;

	covered = framevec_covered(account, current_cred());
	extra = n > covered ? n - covered : 0;
	account->excess = framevec_take(framevec_locked_vm(current_cred()),
					extra, limit, partial, &used);
	if (account->excess)
		account->pinner = get_current_cred();
	if (account->excess < extra) {
		*shortage = (struct framevec_shortage){
			.scope = FRAMEVEC_MEMLOCK_USER,
			.need = want, .used = used - covered, .limit = limit,
		};
		n = partial ? covered + account->excess : 0;
		framevec_refund_frames(account, n);
	}
	return n;
}

/**
 * framevec_refund_frames() - frames are unpinned, or were not pinned
 * @account: the vector's
 * @keep: frames that stay charged
 *
 * May be called by any task: the mm and the user that were charged get it back.
 */
void framevec_refund_frames(struct framevec_account *account,
			    unsigned int keep)
{
	unsigned long excess = 0;

	if (account->pinner) {
		const unsigned long covered =
			framevec_covered(account, account->pinner);

		if (keep > covered)
			excess = keep - covered;
		atomic64_sub(account->excess - excess,
			     framevec_locked_vm(account->pinner));
		if (!excess) {
			put_cred(account->pinner);
			account->pinner = NULL;
		}
		account->excess = excess;
	}
	atomic64_sub(account->frames - keep, &account->mm->pinned_vm);
	account->frames = keep;
}
