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

#endif
