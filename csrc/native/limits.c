// SPDX-License-Identifier: Apache-2.0
/* What a process may do and use, and what the kernel offers: one call each. */
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native.h"

int native_set_subreaper(int on)
{
	return native_result(prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0));
}

int native_landlock_abi(void)
{
	/* LANDLOCK_CREATE_RULESET_VERSION; the same number on every architecture. */
	return native_result(syscall(444, NULL, 0, 1U));
}

/* The C library's prlimit changes RLIM_INFINITY on some machines; the kernel's takes 64 bits
 * everywhere. */
int native_prlimit(int pid, int resource, uint64_t soft, uint64_t hard)
{
	const uint64_t limit[2] = {soft, hard};

	return native_result(syscall(SYS_prlimit64, pid, resource, limit, NULL));
}

int native_sched_setaffinity(int pid, const uint8_t *mask, size_t size)
{
	return native_result(syscall(SYS_sched_setaffinity, pid, size, mask));
}
