// SPDX-License-Identifier: Apache-2.0
/*
 * Starting programs.
 *
 * Both starters use clone3(CLONE_VM | CLONE_VFORK), or clone where a filter around us refuses that,
 * as it cannot look into its arguments: the child borrows the caller's memory and the
 * caller sleeps until the child execs or exits. That costs the same whatever the size of the caller
 * (fork would copy its page tables: 1.2 ms), and lets the child report a failure by writing to a
 * variable. The price: between clone and exec the child may only make system calls and touch its
 * own stack; nothing here allocates or takes a lock.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native.h"

/* Most objects that a child is handed: far above what any plan needs, and it bounds the arrays
 * here. */
enum { NATIVE_MAX_OBJECTS = 1024 };
enum { CHILD_STACK = 32768, KERNEL_SIGNALS = 64, CHILD_FAILED = 127 };

/* Where a child failed; the numbers are the indices of STEPS in pyrunc/host/syscalls.py. */
enum step {
	STEP_CLONE,
	STEP_SIGNALS,
	STEP_DESCRIPTORS,
	STEP_SESSION,
	STEP_CHDIR,
	STEP_EXEC,
	STEP_KEYRING,
	STEP_CGROUP
};

/* What the child needs and what it reports. Lives on the caller's stack, shared through CLONE_VM.
 */
struct start {
	uint64_t old_mask;
	uint64_t ignored; /* the signals to reset: signal 1 is bit 0 */
	volatile int error;
	volatile int step;
	/* spawn */
	int exe_fd;
	const char *argv0;
	const int *fds;
	int count;
	int base;
	const int *stdio;
	int cgroup_fd; /* a cgroup2 that the child enters itself, or -1 */
	/* run_program */
	const char *path;
	char *const *argv;
	char *const *env;
	const char *cwd;
	int options;
};

/* The kernel's own layout: the signal set of the C library is larger, and its wrappers leave out
 * signals 32, 33. */
static int set_signal_mask(const uint64_t *mask, uint64_t *old)
{
	return (int)syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, old, sizeof(*mask));
}

/*
 * The signals that are ignored here, signal 1 as bit 0: three calls instead of one for each signal.
 * Where /proc does not tell, all of them, which is as right and only takes longer.
 */
static uint64_t ignored_signals(void)
{
	static const char name[] = "\nSigIgn:\t";
	char text[4096];
	const char *found;
	char *end;
	uint64_t ignored;
	ssize_t size;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return ~UINT64_C(0);
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size <= 0)
		return ~UINT64_C(0);
	text[size] = '\0';
	found = strstr(text, name);
	if (!found)
		return ~UINT64_C(0);
	found += sizeof(name) - 1;
	ignored = strtoull(found, &end, 16);
	return end == found + 16 && *end == '\n' ? ignored : ~UINT64_C(0);
}

static void fail(struct start *start, enum step step)
{
	start->error = errno;
	start->step = (int)step;
	_exit(CHILD_FAILED);
}

/*
 * Ignored signals stay ignored over execve and Python ignores SIGPIPE and SIGXFSZ; a caller may
 * ignore others. CLONE_CLEAR_SIGHAND has reset the handlers, but keeps what is ignored. Where it is
 * missing `ignored` names all signals.
 */
static void default_signals(struct start *start)
{
	const uint8_t default_action[64] = {
		0}; /* larger than struct sigaction of any kernel; 0 is SIG_DFL */
	const uint64_t nothing_blocked = 0;

	for (int signal = 1; signal <= KERNEL_SIGNALS; signal++)
		if ((start->ignored >> (signal - 1) & 1) != 0 && signal != SIGKILL &&
		    signal != SIGSTOP &&
		    syscall(SYS_rt_sigaction, signal, default_action, NULL, sizeof(uint64_t)) < 0)
			fail(start, STEP_SIGNALS);
	if (set_signal_mask(&nothing_blocked, NULL) < 0)
		fail(start, STEP_SIGNALS);
}

/* A duplicate at or above `floor`, so that placing another descriptor cannot overwrite it. */
static int lift(struct start *start, int fd, int floor)
{
	const int lifted = fcntl(fd, F_DUPFD_CLOEXEC, floor);

	if (lifted < 0)
		fail(start, STEP_DESCRIPTORS);
	return lifted;
}

/* Put fd at `target`, open over execve. dup2 onto itself would leave close-on-exec set. */
static void place(struct start *start, int fd, int target)
{
	if ((fd == target ? fcntl(fd, F_SETFD, 0) : dup2(fd, target)) < 0)
		fail(start, STEP_DESCRIPTORS);
}

/*
 * fds[i] becomes base + i. A source inside the target range is lifted above it first, else an
 * earlier dup2 could overwrite it; the executable likewise. All above the range is marked
 * close-on-exec (execveat still needs the executable). Below the range lie only stdio and the
 * preserved descriptors, which keep the flag that they have: whatever this program opened itself
 * has it set. stdio[i] becomes descriptor i of the first three, -1 keeps the caller's; it comes
 * last, since a source may be one of the three itself.
 */
static void place_objects(struct start *start)
{
	const int end = start->base + start->count;
	int sources[NATIVE_MAX_OBJECTS];
	int stdio[3];

	for (int i = 0; i < start->count; i++) {
		sources[i] = start->fds[i];
		if (sources[i] >= start->base && sources[i] < end && sources[i] != start->base + i)
			sources[i] = lift(start, sources[i], end);
	}
	start->exe_fd = lift(start, start->exe_fd, end);
	for (int i = 0; i < 3; i++)
		stdio[i] = start->stdio[i] < 0 ? -1 : lift(start, start->stdio[i], end);
	for (int i = 0; i < start->count; i++)
		place(start, sources[i], start->base + i);
	for (int i = 0; i < 3; i++)
		if (stdio[i] >= 0)
			place(start, stdio[i], i);
	if (native_close_range((unsigned int)end, ~0U, 1) < 0)
		fail(start, STEP_DESCRIPTORS);
}

/* What CLONE_INTO_CGROUP would have done. */
static void enter_cgroup(struct start *start)
{
	const int fd = openat(start->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) < 0)
		fail(start, STEP_CGROUP);
	close(fd);
}

/* execve of the descriptor's name below /proc, which is the caller's. */
static void execute_by_name(struct start *start, char *const *argv, char *const *env)
{
	char name[sizeof("/proc/self/fd/") + 10] = "/proc/self/fd/";
	char digits[10];
	size_t length = strlen(name);
	size_t count = 0;
	unsigned int rest = (unsigned int)start->exe_fd;

	do
		digits[count++] = (char)('0' + rest % 10);
	while ((rest /= 10) != 0);
	while (count > 0)
		name[length++] = digits[--count];
	name[length] = '\0';
	execve(name, argv, env);
}

static void spawn_child(void *data)
{
	struct start *start = data;
	char *const argv[] = {(char *)(uintptr_t)start->argv0, NULL};
	char *const env[] = {NULL};

	default_signals(start);
	if (start->cgroup_fd >= 0)
		enter_cgroup(start);
	place_objects(start);
	syscall(SYS_execveat, start->exe_fd, "", argv, env, AT_EMPTY_PATH);
	if (native_is_refused(errno))
		execute_by_name(start, argv, env);
	fail(start, STEP_EXEC);
}

/*
 * fds[i] becomes descriptor i; of the first three -1 keeps what the caller has there. Nothing else
 * survives.
 */
static void place_stdio(struct start *start)
{
	int sources[NATIVE_MAX_OBJECTS];

	for (int i = 0; i < start->count; i++) {
		sources[i] = start->fds[i];
		if (sources[i] >= 0 && sources[i] < start->count && sources[i] != i)
			sources[i] = lift(start, sources[i], start->count);
	}
	for (int i = 0; i < start->count; i++)
		if (sources[i] >= 0)
			place(start, sources[i], i);
	if (native_close_range((unsigned int)start->count, ~0U, 1) < 0)
		fail(start, STEP_DESCRIPTORS);
}

/* A kernel without keyrings has nothing that could be inherited. */
static void leave_keyring(struct start *start)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		fail(start, STEP_KEYRING);
}

static void program_child(void *data)
{
	struct start *start = data;

	default_signals(start);
	place_stdio(start);
	if ((start->options & NATIVE_NEW_SESSION) && setsid() < 0)
		fail(start, STEP_SESSION);
	if (start->options & NATIVE_NEW_KEYRING)
		leave_keyring(start);
	if (start->cwd && chdir(start->cwd) < 0)
		fail(start, STEP_CHDIR);
	execve(start->path, start->argv, start->env);
	fail(start, STEP_EXEC);
}

/* Start body in a child and return its pid once it has become another program, or a negative errno.
 */
static int start_child(struct start *start, child_main *body, int cgroup_fd, int *pidfd, int *step)
{
	_Alignas(16) uint8_t stack[CHILD_STACK];
	const uint64_t all_blocked = ~UINT64_C(0);
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};
	long pid;
	int error;

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (__u64)cgroup_fd;
	}
	start->error = 0;
	start->cgroup_fd = -1;
	start->ignored = ignored_signals();
	start->step = STEP_CLONE;
	*pidfd = -1;
	/* A handler of ours may not run in the child: it would see, and change, the caller's
	 * memory. */
	if (set_signal_mask(&all_blocked, &start->old_mask) < 0)
		return -errno;
	pid = native_clone(&args, body, start);
	if (pid < 0 && native_is_refused(errno)) {
		/* The child moves into the cgroup, and resets the handlers, itself. */
		start->cgroup_fd = cgroup_fd;
		start->ignored = ~UINT64_C(0);
		args.flags &= ~(__u64)(CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND);
		pid = native_clone_older(&args, body, start);
	}
	error = pid < 0 ? errno : start->error;
	set_signal_mask(&start->old_mask, NULL);
	*step = start->step;
	if (error == 0)
		return (int)pid;
	if (pid > 0) {
		while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
			;
		close(*pidfd);
		*pidfd = -1;
	}
	return -error;
}

int native_spawn(int exe_fd, const char *argv0, const int *fds, unsigned int count, int base,
		 const int *stdio, int cgroup_fd, int *pidfd, int *step)
{
	struct start start = {.exe_fd = exe_fd,
			      .argv0 = argv0,
			      .fds = fds,
			      .count = (int)count,
			      .base = base,
			      .stdio = stdio};

	*step = STEP_DESCRIPTORS;
	if (base < 3 || count > NATIVE_MAX_OBJECTS)
		return -EINVAL;
	return start_child(&start, spawn_child, cgroup_fd, pidfd, step);
}

int native_run_program(const char *path, char *const *argv, char *const *env, const int *fds,
		       unsigned int count, const char *cwd, int options, int *pidfd, int *step)
{
	struct start start = {.path = path,
			      .argv = argv,
			      .env = env,
			      .fds = fds,
			      .count = (int)count,
			      .cwd = cwd,
			      .options = options};

	*step = STEP_DESCRIPTORS;
	if (count < 3 || count > NATIVE_MAX_OBJECTS)
		return -EINVAL;
	return start_child(&start, program_child, -1, pidfd, step);
}
