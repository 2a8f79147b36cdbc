/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _FRAMEVEC_BEHAVIOUR_H
#define _FRAMEVEC_BEHAVIOUR_H

#include <linux/types.h>

/**
 * struct framevec_behaviour - what the running kernel does
 * @leaves: one look at a huge device mapping covers the whole leaf
 * @unshares: a longterm pin for read of private file memory pins a copy of the
 *	process's own, so that a later write is seen through the pin (since 6.2)
 * @copies: such memory has to be copied by a write fault where the page cache
 *	has a huge page. The kernel copies by a fault that unshares; where a huge
 *	page is mapped that fault never ends, and only SIGKILL helps (seen on
 *	6.12 and 7.3): each turn splits the huge page and maps it again. A write
 *	fault makes the same copy, page by page
 *
 * Asked once, when the module is loaded; constant afterwards.
 */
struct framevec_behaviour {
	bool leaves;
	bool unshares;
	bool copies;
};

extern struct framevec_behaviour framevec_behaviour;

void framevec_ask_behaviour(void);

#endif /* _FRAMEVEC_BEHAVIOUR_H */
