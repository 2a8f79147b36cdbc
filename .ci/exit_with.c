// SPDX-License-Identifier: MIT
// make ends with status 2 whatever a recipe says; `make vm RUN='exit 7'` shall end with 7.
// $(exit_with FILE) ends make with the status that stands in FILE.

#include <gnumake.h>
#include <stdio.h>
#include <stdlib.h>

int plugin_is_GPL_compatible;

static char *exit_with(const char *name, unsigned int argc, char **argv)
{
	FILE *file = fopen(argv[0], "r");
	int status = 2;

	(void)name;
	(void)argc;
	if (file) {
		if (fscanf(file, "%d", &status) != 1)
			status = 2;
		fclose(file);
		remove(argv[0]);
	}
	exit(status);
}

int exit_with_gmk_setup(void)
{
	gmk_add_function("exit_with", exit_with, 1, 1, GMK_FUNC_DEFAULT);
	return 1;
}
