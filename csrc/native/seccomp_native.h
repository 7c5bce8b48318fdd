/* SPDX-License-Identifier: Apache-2.0 */
/* libseccomp, and the one seccomp(2) call that Python makes. */
#ifndef PYRUNC_SECCOMP_NATIVE_H
#define PYRUNC_SECCOMP_NATIVE_H

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Whether the kernel knows these SECCOMP_FILTER_FLAG_* bits: with an address that cannot be read it
 * answers EFAULT when it does, EINVAL when it does not. Nothing is loaded either way.
 */
static inline int native_seccomp_flags_known(unsigned int flags)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
}

/*
 * What libseccomp answers for `count` names, each ended by a NUL: one call from Python instead of
 * some four hundred for each architecture of a profile.
 */
static inline void native_seccomp_numbers(uint32_t arch_token, const char *names, int *numbers,
					  size_t count)
{
	for (size_t i = 0; i < count; i++) {
		numbers[i] = seccomp_syscall_resolve_name_arch(arch_token, names);
		names += strlen(names) + 1;
	}
}

#endif
