// SPDX-License-Identifier: Apache-2.0
/*
 * trace ADDRESSES PROGRAM ARGUMENT...: prints those of the addresses (one a line, hexadecimal; the
 * functions of a static program) that the program comes to, in the order of its coming. Exits as
 * the program does. Used by tools/function_order.py.
 *
 * Each address gets a breakpoint that goes when it was met. Children that share the memory until
 * they execute another program meet them too, so they are followed until then.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FUNCTIONS_MAX = 1 << 17, BREAKPOINT = 0xcc };
static const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			    PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

struct function {
	size_t address; /* the first member: compare() reads it */
	unsigned char code;
};
static struct function functions[FUNCTIONS_MAX];
static size_t count;

static _Noreturn void become(char **argv)
{
	const int nothing = open("/dev/null", O_RDWR);

	for (int fd = 0; fd < 3; fd++)
		dup2(nothing, fd);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	execv(*argv, argv);
	_exit(127);
}

static int open_memory(pid_t process)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", process);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void set_breakpoints(pid_t process, FILE *listing)
{
	static const unsigned char breakpoint = BREAKPOINT;
	const int memory = open_memory(process);
	size_t address;

	while (fscanf(listing, "%zx", &address) == 1) {
		if (count == FUNCTIONS_MAX ||
		    pread(memory, &functions[count].code, 1, (off_t)address) != 1 ||
		    pwrite(memory, &breakpoint, 1, (off_t)address) != 1)
			exit(127);
		functions[count++].address = address;
	}
	close(memory);
}

static int compare(const void *one, const void *other)
{
	const size_t a = *(const size_t *)one, b = *(const size_t *)other;

	return (a > b) - (a < b);
}

/* Print the function and let the process run what stands there. False: not one of ours. */
static int meet(pid_t process)
{
	struct user_regs_struct registers;
	const struct function *found;
	int memory;

	ptrace(PTRACE_GETREGS, process, NULL, &registers);
	registers.rip--;
	found = bsearch(&registers.rip, functions, count, sizeof(*functions), compare);
	if (!found)
		return 0;
	memory = open_memory(process);
	if (pwrite(memory, &found->code, 1, (off_t)found->address) != 1)
		exit(127);
	close(memory);
	ptrace(PTRACE_SETREGS, process, NULL, &registers);
	printf("%zx\n", found->address);
	return 1;
}

/* The signal that a stopped process is to get; -1: it is not ours any more. */
static long answer(pid_t process, pid_t first, int status)
{
	const int event = status >> 16, number = WSTOPSIG(status);

	if (event == PTRACE_EVENT_EXEC && process != first)
		return -1;
	if (event || number == SIGSTOP) /* a new child begins with SIGSTOP */
		return 0;
	return number == SIGTRAP && meet(process) ? 0 : number;
}

int main(int argc, char **argv)
{
	FILE *listing = argc > 2 ? fopen(argv[1], "r") : NULL;
	const pid_t first = listing ? fork() : -1;
	pid_t process = first;
	int status;

	if (first == 0)
		become(argv + 2);
	if (first < 0 || waitpid(first, &status, 0) < 0 || !WIFSTOPPED(status))
		return 127;
	set_breakpoints(first, listing);
	ptrace(PTRACE_SETOPTIONS, first, NULL, options);
	ptrace(PTRACE_CONT, first, NULL, 0L);
	while ((process = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status)) {
			const long number = answer(process, first, status);

			if (number < 0)
				ptrace(PTRACE_DETACH, process, NULL, 0L);
			else
				ptrace(PTRACE_CONT, process, NULL, number);
		} else if (process == first) {
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
	}
	return 127;
}
