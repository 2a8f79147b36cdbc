/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * One question about this kernel's headers per file. A file that compiles, with
 * the flags that the module is built with, answers yes: kmod/Kbuild then
 * defines FRAMEVEC_HAS_NAME in config.h, and compat.h acts on it.
 *
 * All headers that a question needs are included here, and control_yes.c
 * includes them too: if one is missing or does not compile, the build stops
 * instead of answering no. A question consists of declarations: they cause no
 * warning that could be mistaken for an answer.
 */
#ifndef _FRAMEVEC_PROBE_H
#define _FRAMEVEC_PROBE_H

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/shmem_fs.h>

/* Is it declared? A function, a static inline function or an enumerator. */
#define FRAMEVEC_DECLARED(what)		extern typeof(what) *framevec_probe

/* Does the struct have this field? */
#define FRAMEVEC_FIELD(type, field)	\
	extern typeof(((type *)NULL)->field) *framevec_probe

/* Does the function have this type? Parameters may have other names. */
#define FRAMEVEC_FORM(name, type...)	static_assert(__same_type(name, type))

/*
 * Can a module link against it? Kbuild reads this line, and looks the name up in
 * Module.symvers if the headers come with one. A declaration alone does not
 * tell: RHEL 9.6 declares functions that it does not export.
 */
#define FRAMEVEC_EXPORTED(name)		extern typeof(name) *framevec_probe_##name

#endif /* _FRAMEVEC_PROBE_H */
