/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of pyrunc._native. Each function is one system call that Python lacks, named
 * after it. */
#ifndef PYRUNC_NATIVE_H
#define PYRUNC_NATIVE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "native.cdef.h"

/* The result of a libc or syscall(2) call as this module's functions return it. */
static inline int native_result(long result)
{
	return result < 0 ? -errno : (int)result;
}

/* clone.c: clone3 and, where a filter around us refuses that, clone, whose child calls body(data)
 * on the stack in `args`; body never returns. -1 with errno on failure. */
struct clone_args;
typedef void child_main(void *data);
long native_clone(struct clone_args *args, child_main *body, void *data);
long native_clone_older(const struct clone_args *args, child_main *body, void *data);
/* Whether an errno of a call that never ends so by itself is that of a filter. */
int native_is_refused(int error);

#endif
