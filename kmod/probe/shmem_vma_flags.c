// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "probe.h"

FRAMEVEC_FORM(shmem_file_setup_with_mnt,
	      struct file *(struct vfsmount *, const char *, loff_t,
			    vma_flags_t));
