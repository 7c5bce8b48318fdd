// SPDX-License-Identifier: Apache-2.0
/* Looking after processes that were started: by pidfd, as a tracer, and by the signals that tell of
 * them. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native.h"

int native_pidfd_open(int pid)
{
	return native_result(syscall(SYS_pidfd_open, pid, 0));
}

int native_pidfd_send_signal(int pidfd, int signal)
{
	return native_result(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int native_ptrace(int request, int pid, uint64_t address, uint64_t data)
{
	return native_result(syscall(SYS_ptrace, request, pid, address, data));
}

int native_pidfd_getfd(int pidfd, int fd)
{
	return native_result(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
}

/*
 * Blocks the signals whose bit (signal - 1) is clear in `others` and returns a signalfd that reads
 * them. A blocked signal is queued even where it is ignored, so no handler is needed.
 */
int native_hold_signals(uint64_t others)
{
	const uint64_t c_library = UINT64_C(3) << 31; /* 32 and 33 are of its threads */
	const uint64_t held = ~(others | c_library);

	if (syscall(SYS_rt_sigprocmask, SIG_BLOCK, &held, NULL, sizeof(held)) < 0)
		return -errno;
	return native_result(
		syscall(SYS_signalfd4, -1, &held, sizeof(held), SFD_CLOEXEC | SFD_NONBLOCK));
}

/* 1: the child is reaped, `code` and `status` are si_code and si_status. 0: it still runs (only
 * with nohang). */
int native_waitid_pidfd(int pidfd, int nohang, int *code, int *status)
{
	siginfo_t info;

	info.si_pid = 0; /* waitid leaves it alone when nothing has changed */
	if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | (nohang ? WNOHANG : 0)) < 0)
		return -errno;
	if (info.si_pid == 0)
		return 0;
	*code = info.si_code;
	*status = info.si_status;
	return 1;
}
