// SPDX-License-Identifier: Apache-2.0
/* Hooks that run in the init's namespaces: their own session, their own environment, a time limit,
 * a bounded report. */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#define POLL_MAX_MS 1000
#define REPORT 3 /* the descriptor of a hook's report until it executes */

struct hook {
	const struct op_run_hook *op;
	pid_t pid;
	int pidfd;
	int input;     /* its standard input, non-blocking */
	int output[2]; /* its standard output and error, non-blocking; both in the first unless
			  one goes to a file */
	int failure;   /* the report of a failed start; closed by the exec */
	char number[21];
	size_t written;
	int64_t began_ms;
	int64_t end_ms; /* 0: no limit */
	char tail[DETAIL_SIZE];
	size_t used;
};

static int64_t now_ms(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		return 0;
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The ends of the pipes that are the hook's. */
struct ends {
	int input;
	int out;
	int err;
	int failure;
};

/* What a hook that cannot be started tells the init. */
struct report {
	uint32_t step;
	int32_t result;
};

/* Its session, its directory, its three descriptors; the report goes to the fourth. */
static int settle_hook(const struct op_run_hook *op, const struct ends *ends)
{
	int result = 0;

	if (signal(SIGPIPE, SIG_DFL) == SIG_ERR || setsid() < 0)
		result = -errno;
	if (result >= 0 && op->directory != 0)
		result = sys_fchdir(slot_get(op->directory));
	else if (result >= 0 && op->cwd[0] != '\0')
		result = sys_chdir(op->cwd);
	if (result >= 0 &&
	    (dup2(ends->input, 0) < 0 || dup2(ends->out, 1) < 0 || dup2(ends->err, 2) < 0))
		result = -errno;
	if (result >= 0)
		result = sys_result(dup3(ends->failure, REPORT, O_CLOEXEC));
	if (result >= 0)
		result = sys_close_range(REPORT + 1, ~0U, 0);
	return result;
}

static _Noreturn void become_hook(const struct op_run_hook *op, const struct ends *ends)
{
	struct report report = {.step = STEP_RUN_HOOK_SPAWN};
	int failure = ends->failure;

	report.result = settle_hook(op, ends);
	if (report.result >= 0) {
		failure = REPORT;
		if (op->filter.length != 0) {
			report.step = STEP_RUN_HOOK_FILTER;
			report.result = load_filter_as_admin(&op->filter, op->filter_flags);
		}
	}
	if (report.result >= 0) {
		report.step = STEP_RUN_HOOK_SPAWN;
		execve(op->path, op->argv.items, op->env.items);
		report.result = -errno;
	}
	(void)!write(failure, &report, sizeof(report));
	sys_end(255);
}

static int spawn_in(struct hook *hook, const struct ends *ends)
{
	/* the number that the hook is told is the init's, in the init's own pid namespace */
	format_decimal(hook->number, (uint64_t)own_pid);
	hook->pid = sys_clone_pidfd(&hook->pidfd);
	if (hook->pid == 0)
		become_hook(hook->op, ends);
	return hook->pid < 0 ? hook->pid : 0;
}

/* A pipe of which the hook writes to `theirs` and we read from `ours`. */
static int make_pipe(int *ours, int *theirs)
{
	int pair[2];
	int result = sys_result(pipe2(pair, O_CLOEXEC));

	if (result < 0)
		return result;
	*ours = pair[0];
	*theirs = pair[1];
	return 0;
}

static int make_pipes(struct hook *hook, struct ends *ends)
{
	/* the other way round: the hook reads */
	int result = make_pipe(&ends->input, &hook->input);

	if (result >= 0)
		result = make_pipe(&hook->output[0], &ends->out);
	if (result >= 0 && (hook->op->out != 0 || hook->op->err != 0))
		result = make_pipe(&hook->output[1], &ends->err);
	if (result >= 0)
		result = make_pipe(&hook->failure, &ends->failure);
	return result;
}

/* The exec closes the pipe of the report. */
static int await_exec(const struct hook *hook, uint32_t *step)
{
	struct report report;
	int result = sys_read(hook->failure, &report, sizeof(report));

	if (result <= 0)
		return result;
	if (result != (int)sizeof(report) || report.result >= 0)
		return -EPROTO;
	*step = report.step;
	return report.result;
}

/* A pipe that blocks would hold up the time limit. */
static int unblock(int fd)
{
	return fd < 0 ? 0 : sys_result(fcntl(fd, F_SETFL, O_NONBLOCK));
}

static int spawn(struct hook *hook, uint32_t *step)
{
	struct ends ends = {-1, -1, -1, -1};
	int result = make_pipes(hook, &ends);

	if (result >= 0) {
		struct ends theirs = ends;

		if (theirs.err < 0)
			theirs.err = theirs.out;
		result = spawn_in(hook, &theirs);
	}
	close_descriptor(&ends.input);
	close_descriptor(&ends.out);
	close_descriptor(&ends.err);
	close_descriptor(&ends.failure);
	if (result >= 0)
		result = await_exec(hook, step);
	if (result >= 0)
		result = unblock(hook->input);
	for (int i = 0; i < 2 && result >= 0; i++)
		result = unblock(hook->output[i]);
	return result;
}

/* Head, number and tail are one text; `written` counts through all three. */
static void feed(struct hook *hook)
{
	const char *parts[] = {hook->op->head, hook->number, hook->op->tail};
	size_t skip = hook->written;

	for (size_t i = 0; i < 3; i++) {
		size_t length = strlen(parts[i]);
		int result;

		if (skip >= length) {
			skip -= length;
			continue;
		}
		result = sys_write(hook->input, parts[i] + skip, length - skip);
		if (result == -EAGAIN)
			return;
		if (result < 0)
			break;
		hook->written += (size_t)result;
		if ((size_t)result < length - skip)
			return;
		skip = 0;
	}
	close_descriptor(&hook->input);
}

static void keep_tail(struct hook *hook, const char *text, size_t length)
{
	size_t keep;

	if (length > sizeof(hook->tail)) {
		text += length - sizeof(hook->tail);
		length = sizeof(hook->tail);
	}
	keep = sizeof(hook->tail) - length;
	if (keep > hook->used)
		keep = hook->used;
	memmove(hook->tail, hook->tail + hook->used - keep, keep);
	memcpy(hook->tail + keep, text, length);
	hook->used = keep + length;
}

/* To the file of the host that a slot holds. The hook itself never gets that descriptor: it could
 * open the file again for more than appending. */
static int write_file(uint32_t slot, const char *text, size_t length)
{
	size_t written = 0;

	if (slot == 0)
		return 0;
	while (written < length) {
		int result = sys_write(slot_get(slot), text + written, length - written);

		if (result < 0)
			return result;
		written += (size_t)result;
	}
	return 0;
}

static int drain(struct hook *hook, int which)
{
	char text[4096];
	int length = 0;
	int result = 0;
	uint32_t slot = which == 0 ? hook->op->out : hook->op->err;

	for (int i = 0; i < 16 && (i == 0 || length == (int)sizeof(text)); i++) {
		length = sys_read(hook->output[which], text, sizeof(text));
		if (length > 0)
			keep_tail(hook, text, (size_t)length);
		if (length > 0 && result >= 0)
			result = write_file(slot, text, (size_t)length);
	}
	if (length == 0)
		close_descriptor(&hook->output[which]);
	return result;
}

static int next_wait(const struct hook *hook)
{
	int64_t left = POLL_MAX_MS;

	if (hook->end_ms != 0 && hook->end_ms - now_ms() < left)
		left = hook->end_ms - now_ms();
	return left < 0 ? 0 : (int)left;
}

/* Until it ends. A child that it leaves behind with its output open does not hold us up. */
static int watch(struct hook *hook, uint32_t *step)
{
	for (;;) {
		struct pollfd fds[] = {
			{.fd = hook->pidfd, .events = POLLIN},
			{.fd = hook->input, .events = POLLOUT},
			{.fd = hook->output[0], .events = POLLIN},
			{.fd = hook->output[1], .events = POLLIN},
		};
		int result = 0;

		if (poll(fds, 4, next_wait(hook)) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents != 0)
			feed(hook);
		for (int i = 0; i < 2 && result >= 0; i++)
			if (fds[2 + i].revents != 0)
				result = drain(hook, i);
		if (result < 0) {
			*step = STEP_RUN_HOOK_OUTPUT;
			return result;
		}
		if (fds[0].revents != 0)
			return 0;
		if (hook->end_ms != 0 && now_ms() >= hook->end_ms)
			return -ETIMEDOUT;
	}
}

static int collect(struct hook *hook)
{
	int status = 0;

	while (waitpid(hook->pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}

static int finish(struct hook *hook, int result, uint32_t *step)
{
	int status;

	if (result < 0)
		kill(-hook->pid,
		     SIGKILL); /* its session: the leader is our child and not yet collected */
	if (result < 0)
		kill(hook->pid, SIGKILL);
	status = collect(hook);
	for (int i = 0; i < 2; i++) {
		int rest = hook->output[i] >= 0 ? drain(hook, i) : 0;

		if (result >= 0 && rest < 0)
			*step = STEP_RUN_HOOK_OUTPUT;
		if (result >= 0)
			result = rest;
	}
	detail_bytes(hook->tail, hook->used);
	if (result < 0)
		return result;
	*step = STEP_RUN_HOOK_EXIT;
	return -status;
}

/* The parent may have gone: that is seen when it is needed, and SIGPIPE is ignored here. */
static void report_end(const struct hook *hook)
{
	int64_t lasted = now_ms() - hook->began_ms;

	(void)sync_send(MESSAGE_HOOK, 0, lasted < INT32_MAX ? (int32_t)lasted : INT32_MAX);
}

int run_run_hook(const struct op_run_hook *op, uint32_t *step)
{
	struct hook hook = {
		.op = op, .pid = -1, .pidfd = -1, .input = -1, .output = {-1, -1}, .failure = -1};
	int result;

	close_dropped(); /* a hook may unmount what they hold */
	result = set_variable(&op->env, op->home, found_home());
	if (result < 0)
		return result;
	hook.began_ms = now_ms();
	if (op->timeout_ms != 0)
		hook.end_ms = hook.began_ms + op->timeout_ms;
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) /* a hook need not read its input */
		return -errno;
	result = spawn(&hook, step);
	if (result >= 0) {
		*step = STEP_RUN_HOOK_TIMEOUT;
		result = watch(&hook, step);
	}
	if (hook.pid > 0)
		result = finish(&hook, result, step);
	if (result == 0)
		report_end(&hook);
	if (signal(SIGPIPE, SIG_DFL) == SIG_ERR && result >= 0)
		result = -errno;
	close_descriptor(&hook.pidfd);
	close_descriptor(&hook.input);
	close_descriptor(&hook.output[0]);
	close_descriptor(&hook.output[1]);
	close_descriptor(&hook.failure);
	return result;
}
