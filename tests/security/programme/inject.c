// SPDX-License-Identifier: Apache-2.0
// Make one system call of a runtime fail or wait, or list its calls.
// Usage: inject LOG ROLE INDEX ERRNO COMMAND [ARGUMENT...]
//   ROLE is `parent` (the command), `init` (what it executes from its own program or a memory file,
//   until that executes the program of the container) or `none` (list only). The INDEX-th call of
//   the role fails with ERRNO (N@NUMBER: the N-th of its calls with that number); with an ERRNO below 0 it is done after as many milliseconds.
// LOG gets a line "ROLE INDEX NUMBER RESULT" for each call, or only for the one that was made to
// fail. The call is not done, but for close: the kernel closes a descriptor also when it reports a
// failure. Exits with the status of the command, or 128 and the number of the signal that ended it.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <linux/ptrace.h>
#include <stddef.h>
#include <unistd.h>
#ifndef __x86_64__
#error "registers of x86_64 only"
#endif

enum role { PARENT, INIT, PROGRAM };
static const char *const names[] = {"parent", "init"};

struct task {
	pid_t pid;
	enum role role;
	long number; // of the call that it is in
	long index;
	int failing;
	int known; // its creator has named it
};

static struct task tasks[512];
static size_t task_count;
static long counts[2];
static long wanted_index, wanted_errno, wanted_number = -1, of_number;
static int wanted_role;
static FILE *list;
static pid_t first;
static char own_program[4096];

static void die(const char *what)
{
	perror(what);
	exit(125);
}

static struct task *find(pid_t pid)
{
	for (size_t i = 0; i < task_count; i++)
		if (tasks[i].pid == pid)
			return &tasks[i];
	if (task_count == sizeof(tasks) / sizeof(*tasks)) {
		fputs("inject: too many tasks\n", stderr);
		exit(125);
	}
	tasks[task_count] = (struct task){.pid = pid};
	return &tasks[task_count++];
}

static void forget(pid_t pid)
{
	struct task *task = find(pid);
	*task = tasks[--task_count];
}

static void resume(pid_t pid, int request, int sig)
{
	// ESRCH: it was killed meanwhile; wait reports its end.
	if (ptrace(request, pid, NULL, (void *)(long)sig) < 0 && errno != ESRCH)
		die("ptrace: resume");
}

// What a task that has executed something is from now on.
static enum role after_exec(const struct task *task)
{
	char link[64], target[4096];
	snprintf(link, sizeof(link), "/proc/%d/exe", task->pid);
	ssize_t length = readlink(link, target, sizeof(target) - 1);
	if (task->pid == first)
		return PARENT;
	if (length < 0)
		return PROGRAM;
	target[length] = 0;
	return strncmp(target, "/memfd:", 7) == 0 || strcmp(target, own_program) == 0 ? INIT
										      : PROGRAM;
}

static void entered(struct task *task, long number)
{
	task->number = number;
	task->index = ++counts[task->role];
	long at = wanted_number < 0			 ? task->index
		  : (int)task->role != wanted_role	 ? -1
		  : number == wanted_number		 ? ++of_number
							 : -1;
	task->failing = (int)task->role == wanted_role && at == wanted_index;
	if (task->failing && wanted_errno < 0) {
		usleep((useconds_t)(-wanted_errno * 1000));
		task->failing = 0;
	}
	if (task->failing && number != SYS_close &&
	    ptrace(PTRACE_POKEUSER, task->pid, offsetof(struct user_regs_struct, orig_rax), -1L) <
		    0 &&
	    errno != ESRCH)
		die("ptrace: skip the call");
}

static void left(struct task *task, long result)
{
	if (task->failing) {
		result = -wanted_errno;
		if (ptrace(PTRACE_POKEUSER, task->pid, offsetof(struct user_regs_struct, rax),
			   result) < 0 &&
		    errno != ESRCH)
			die("ptrace: set the result");
	}
	if ((task->failing || wanted_role < 0) && task->index) {
		fprintf(list, "%s %ld %ld %ld\n", names[task->role], task->index, task->number,
			result);
		fflush(list);
	}
	task->failing = 0;
	task->index = 0;
}

static void at_call(struct task *task)
{
	struct ptrace_syscall_info info;
	if (ptrace((enum __ptrace_request)PTRACE_GET_SYSCALL_INFO, task->pid, sizeof(info), &info) <
	    0)
		return; // it was killed meanwhile
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		entered(task, (long)info.entry.nr);
	else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
		left(task, (long)info.exit.rval);
}

static void at_fork(struct task *task)
{
	unsigned long pid = 0;
	enum role role = task->role;
	if (ptrace(PTRACE_GETEVENTMSG, task->pid, NULL, &pid) < 0)
		return;
	struct task *child = find((pid_t)pid);
	int waits = child->known == 2; // it stopped before we knew whose it is
	child->role = role;
	child->known = 1;
	if (waits)
		resume(child->pid, PTRACE_SYSCALL, 0);
}

static void stopped(pid_t pid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	struct task *task = find(pid);
	if (!task->known) {
		task->known = 2;
		return;
	}
	if (sig == (SIGTRAP | 0x80)) {
		at_call(task);
	} else if (event == PTRACE_EVENT_EXEC) {
		task->role = after_exec(task);
		if (task->role == PROGRAM) {
			resume(pid, PTRACE_DETACH, 0);
			forget(pid);
			return;
		}
	} else if (event) {
		at_fork(task);
		task = find(pid);
	} else if (sig != SIGSTOP && sig != SIGTRAP) {
		resume(pid, PTRACE_SYSCALL, sig);
		return;
	}
	resume(pid, PTRACE_SYSCALL, 0);
}

static void begin(char **argv)
{
	int status;
	first = fork();
	if (first == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execv(argv[0], argv);
		_exit(127);
	}
	if (first < 0 || waitpid(first, &status, 0) != first || !WIFSTOPPED(status))
		die("start");
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		       PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
	if (ptrace(PTRACE_SETOPTIONS, first, NULL, (void *)options) < 0)
		die("ptrace: options");
	find(first)->known = 1;
	resume(first, PTRACE_SYSCALL, 0);
}

int main(int argc, char **argv)
{
	char *at;
	if (argc < 6)
		return 125;
	list = fopen(argv[1], "we");
	if (!list)
		die(argv[1]);
	wanted_role = strcmp(argv[2], "parent") == 0 ? PARENT
		      : strcmp(argv[2], "init") == 0 ? INIT
						     : -1;
	wanted_index = strtol(argv[3], &at, 10);
	if (*at == '@')
		wanted_number = strtol(at + 1, NULL, 10);
	wanted_errno = strtol(argv[4], NULL, 10);
	if (!realpath(argv[5], own_program))
		die(argv[5]);
	begin(argv + 5);
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0)
			die("wait");
		if (WIFSTOPPED(status)) {
			stopped(pid, status);
			continue;
		}
		forget(pid);
		if (pid == first)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}
