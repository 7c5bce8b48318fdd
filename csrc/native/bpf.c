// SPDX-License-Identifier: Apache-2.0
/* bpf(2); the caller packs union bpf_attr (pyrunc.syscalls.address gives the addresses that go into
 * it). */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "native.h"

int native_bpf(int command, uint8_t *attr, unsigned int size)
{
	return native_result(syscall(SYS_bpf, command, attr, size));
}
