// SPDX-License-Identifier: Apache-2.0
/* Children on a stack of their own, and calls that a filter of a container around us refuses. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native.h"

/*
 * clone or clone3 with up to three arguments, whose child calls body(start) on its own stack.
 * Written in assembly because the child wakes up on an empty stack: no compiled code may run there
 * before the call. body never returns. The arguments of clone that its flags leave unused hold
 * anything.
 */
static long clone_call(long call, const long *given, child_main *body, void *data)
{
#if defined(__x86_64__)
	long result;
	register child_main *body_register __asm__("r8") = body;
	register void *data_register __asm__("r9") = data;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "movq %%r9, %%rdi\n\t"
			 "callq *%%r8\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result)
			 : "0"(call), "D"(given[0]), "S"(given[1]), "d"(given[2]),
			   "r"(body_register), "r"(data_register)
			 : "rcx", "r11", "memory", "cc");
#elif defined(__aarch64__)
	register long result __asm__("x0") = given[0];
	register long second __asm__("x1") = given[1];
	register long third __asm__("x2") = given[2];
	register long number __asm__("x8") = call;
	register child_main *body_register __asm__("x10") = body;
	register void *data_register __asm__("x11") = data;

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x30, xzr\n\t"
			 "mov x0, x11\n\t"
			 "blr x10\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(result)
			 : "r"(second), "r"(third), "r"(number), "r"(body_register),
			   "r"(data_register)
			 : "memory", "cc");
#else
#error "clone_call is written for x86_64 and aarch64"
#endif
	if (result < 0) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

long native_clone(struct clone_args *args, child_main *body, void *data)
{
	const long given[] = {(long)args, sizeof(*args), 0};

	return clone_call(SYS_clone3, given, body, data);
}

long native_clone_older(const struct clone_args *args, child_main *body, void *data)
{
	const long given[] = {(long)(args->flags | args->exit_signal),
			      (long)(args->stack + args->stack_size), (long)args->pidfd};

	return clone_call(SYS_clone, given, body, data);
}

int native_is_refused(int error)
{
	return error == ENOSYS || error == EPERM;
}

/* Calls without an older one that gives the same guarantee, in the order of REFUSABLE of
 * pyrunc/host/refusals.py. */
static const long REFUSABLE[] = {
	SYS_openat2,	 SYS_mount_setattr, SYS_pidfd_open,   SYS_pidfd_send_signal,
	SYS_pidfd_getfd, SYS_close_range,   SYS_memfd_create,
};

/* All arguments are -1, which the kernel refuses with another error before it does anything. */
int native_refused_calls(void)
{
	int refused = 0;

	for (unsigned int i = 0; i < sizeof(REFUSABLE) / sizeof(*REFUSABLE); i++)
		if (syscall(REFUSABLE[i], -1L, -1L, -1L, -1L, -1L, -1L) < 0 &&
		    native_is_refused(errno))
			refused |= 1 << i;
	return refused;
}
