// SPDX-License-Identifier: Apache-2.0
/*
 * Performs system calls under a filter and says what became of them.
 *
 *   probe FILTER FLAGS            for each line "MODE NR A0 A1 A2 A3 A4 A5" of standard input (MODE 64 or 32) one child
 *                                 loads the filter and calls; the answer is "value N", "signal N" or "trap NR"
 *   probe FILTER FLAGS PROGRAM..  loads the filter and becomes the program; with a listener (flag 8) it says "listener FD"
 *                                 and waits for a line, so that somebody can take the descriptor
 *
 * FILTER is a file of struct sock_filter, "-" for none. The child reports through shared memory, so that it needs no
 * system call after the one under test but its end, and the parent does not insist on that one succeeding.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct answer {
	volatile int kind; /* 0 nothing yet, 1 value, 2 trap */
	volatile long value;
};

static struct answer *answer;

static void fail(const char *what)
{
	perror(what);
	exit(125);
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	answer->value = info->si_syscall;
	answer->kind = 2;
	for (;;)
		__builtin_trap();
}

static void hand_over(int listener)
{
	char line[32];
	const int size = snprintf(line, sizeof(line), "listener %d\n", listener);

	if (write(STDOUT_FILENO, line, (size_t)size) != size || read(STDIN_FILENO, line, sizeof(line)) <= 0)
		_exit(125);
	close(listener);
}

static void load(const char *file, unsigned int flags)
{
	static struct sock_filter room[4096];
	struct sock_fprog program = { .filter = room };
	const int fd = open(file, O_RDONLY | O_CLOEXEC);
	const ssize_t size = fd < 0 ? -1 : read(fd, room, sizeof(room));

	if (size < 0)
		fail(file);
	close(fd);
	program.len = (unsigned short)((size_t)size / sizeof(room[0]));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail("no_new_privs");
	const long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (result < 0)
		fail("seccomp");
	if (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
		hand_over((int)result);
}

/* Raw calls: the C library would look at the result, and has no 32-bit entry. */
static long call64(const long *a)
{
	register long r10 __asm__("r10") = a[4];
	register long r8 __asm__("r8") = a[5];
	register long r9 __asm__("r9") = a[6];
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(a[0]), "D"(a[1]), "S"(a[2]), "d"(a[3]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static long call32(const long *a)
{
	long result;

	/* The sixth argument lives in ebp, which the compiler keeps for itself. */
	__asm__ volatile("push %%rbp\n\tmov %[sixth], %%rbp\n\tint $0x80\n\tpop %%rbp"
			 : "=a"(result)
			 : "a"(a[0]), "b"(a[1]), "c"(a[2]), "d"(a[3]), "S"(a[4]), "D"(a[5]), [sixth] "r"(a[6])
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

static void child(const char *file, unsigned int flags, int mode, const long *a)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	long value;

	sigaction(SIGSYS, &action, NULL);
	if (strcmp(file, "-") != 0)
		load(file, flags);
	value = mode == 32 ? call32(a) : call64(a);
	answer->value = value;
	answer->kind = 1;
	for (;;)
		__builtin_trap();
}

static void report(int status)
{
	if (answer->kind == 1)
		printf("value %ld\n", answer->value);
	else if (answer->kind == 2)
		printf("trap %ld\n", answer->value);
	else if (WIFSIGNALED(status))
		printf("signal %d\n", WTERMSIG(status));
	else
		printf("exit %d\n", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	const unsigned int flags = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 0) : 0;
	char line[512];

	if (argc < 3)
		return 2;
	if (argc > 3) {
		if (strcmp(argv[1], "-") != 0)
			load(argv[1], flags);
		execv(argv[3], argv + 3);
		return errno == ENOENT ? 127 : 126;
	}
	answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (answer == MAP_FAILED)
		fail("mmap");
	while (fgets(line, sizeof(line), stdin)) {
		int mode, status;
		long a[7];
		char *at = line;
		pid_t pid;

		mode = (int)strtol(at, &at, 0);
		for (int i = 0; i < 7; i++)
			a[i] = (long)strtoull(at, &at, 0);
		answer->kind = 0;
		pid = fork();
		if (pid < 0)
			fail("fork");
		if (pid == 0)
			child(argv[1], flags, mode, a);
		if (waitpid(pid, &status, 0) < 0)
			fail("waitpid");
		report(status);
	}
	return 0;
}
