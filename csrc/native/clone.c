// SPDX-License-Identifier: Apache-2.0
/* Children on a stack of their own, and calls that a filter of a container around us refuses. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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
 * pyrunc/host/refusals.py. The last ones look at the caller's rights before their arguments. */
static const long REFUSABLE[] = {
	SYS_openat2,	 SYS_mount_setattr, SYS_pidfd_open, SYS_pidfd_send_signal,
	SYS_pidfd_getfd, SYS_memfd_create,  SYS_fsconfig,   SYS_open_tree,
	SYS_statx,	 SYS_fsopen,	    SYS_fsmount,    SYS_move_mount,
};

enum { CALLS = sizeof(REFUSABLE) / sizeof(*REFUSABLE), OF_RIGHTS = 3 };

/* All arguments are -1, which the kernel refuses with another error before it does anything. */
static int probe(unsigned int first, unsigned int end)
{
	int refused = 0;

	for (unsigned int i = first; i < end; i++)
		if (syscall(REFUSABLE[i], -1L, -1L, -1L, -1L, -1L, -1L) < 0 &&
		    native_is_refused(errno))
			refused |= 1 << i;
	return refused;
}

static _Noreturn void probe_child(void *refused)
{
	*(int *)refused = probe(CALLS - OF_RIGHTS, CALLS);
	_exit(0);
}

/* The last calls again, with all rights: in namespaces of a child's own. */
static int probe_with_rights(int refused)
{
	_Alignas(16) uint8_t stack[8192];
	int again = 0;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_NEWUSER | CLONE_NEWNS,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};
	const long pid = native_clone_older(&args, probe_child, &again);

	if (pid < 0)
		return geteuid() == 0 ? refused : 0;
	while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return again;
}

int native_refused_calls(void)
{
	const int refused = probe(0, CALLS - OF_RIGHTS);
	const int rights = probe(CALLS - OF_RIGHTS, CALLS);

	return refused | (rights ? probe_with_rights(rights) : 0);
}
