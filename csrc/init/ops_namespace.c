// SPDX-License-Identifier: Apache-2.0
/* Namespaces, the cgroup, and the fork into a new pid namespace. */
#include <linux/if.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef NSFS_MAGIC
#define NSFS_MAGIC 0x6e736673
#endif

static bool tolerated(int result, uint32_t number)
{
	return number != 0 && result == -(int)number;
}

int run_await(const struct op_await *op, uint32_t *step)
{
	int result = 0;

	if (op->name == RENDEZVOUS_READY) /* the parent may end as soon as it has answered */
		result = clear_death_signal();
	if (result < 0)
		return result;
	*step = STEP_AWAIT_RECEIVE;
	if (op->count == 0)
		return sync_await(op->name, 0);
	return sync_await_receiving(op->name, op->slot, op->count);
}

int run_open_namespace(const struct op_open_namespace *op, uint32_t *step)
{
	struct statfs status;
	int kind;
	CLEANUP_CLOSE int fd = sys_open(op->path, O_RDONLY | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return fd;
	*step = STEP_OPEN_NAMESPACE_VERIFY;
	if (sys_fstatfs(fd, &status) < 0 || status.f_type != NSFS_MAGIC)
		return -EINVAL;
	kind = sys_ioctl(fd, NS_GET_NSTYPE, NULL);
	if (kind < 0)
		return kind;
	if ((uint32_t)kind != op->kind)
		return -EINVAL;
	return slot_put(op->slot, give(&fd));
}

int run_join_namespace(const struct op_join_namespace *op, uint32_t *step)
{
	int fd = slot_get(op->slot);
	int result;

	(void)step;
	if (fd < 0)
		return fd;
	if ((op->kind & CLONE_NEWNS) != 0)
		forget_root();
	result = sys_setns(fd, op->kind);
	return tolerated(result, op->tolerate) ? 0 : result;
}

int run_join_process(const struct op_join_process *op, uint32_t *step)
{
	int fd = slot_get(op->slot);

	(void)step;
	forget_root();
	return fd < 0 ? fd : sys_setns(fd, op->flags);
}

int run_unshare(const struct op_unshare *op, uint32_t *step)
{
	(void)step;
	if ((op->flags & CLONE_NEWNS) != 0)
		forget_root();
	return sys_unshare(op->flags);
}

int run_become(const struct op_become *op, uint32_t *step)
{
	int result = op->keep_groups != 0 ? 0 : sys_setgroups(0, NULL);

	if (result < 0 && !tolerated(result, op->tolerate))
		return result;
	*step = STEP_BECOME_SETGID;
	result = sys_setresgid(op->gid);
	if (result < 0)
		return result;
	*step = STEP_BECOME_SETUID;
	result = sys_setresuid(op->uid);
	if (result < 0)
		return result;
	result = keep_hidden();
	set_death_signal();
	return result;
}

int run_join_cgroup(const struct op_join_cgroup *op, uint32_t *step)
{
	(void)step;
	for (uint32_t i = 0; i < op->count; i++) {
		int fd = slot_get(op->slot + i);
		int result;

		if (fd < 0)
			continue;
		result = sys_write(fd, "0", 1);
		if (result < 0)
			return result;
		slot_close(op->slot + i);
	}
	return 0;
}

/* A byte comes when the parent has been told the new pid; without it nobody would ever end us. */
static int await_report(int pipe[2])
{
	char byte;
	int result;

	close_descriptor(&pipe[1]);
	result = sys_read(pipe[0], &byte, 1);
	close_descriptor(&pipe[0]);
	if (result == 0)
		leave();
	return result;
}

/* What CLONE_INTO_CGROUP would have done. */
static int enter_cgroup(int cgroup)
{
	CLEANUP_CLOSE int fd = sys_openat(cgroup, "cgroup.procs", O_WRONLY, 0);

	return fd < 0 ? fd : sys_write(fd, "0", 1);
}

/*
 * The sibling has the same parent as its creator, so pyrunc reaps it and an engine's subreaper
 * inherits it. In the caller the returned pid is of the caller's pid namespace, the one that pyrunc
 * itself lives in; it is reported before the sibling may say anything.
 */
int run_fork(const struct op_fork *op, uint32_t *step)
{
	struct clone_args args = {.flags = CLONE_PARENT};
	int cgroup = slot_get(op->cgroup);
	bool moves = false;
	int ends[2];
	int pid = sys_result(pipe2(ends, O_CLOEXEC));

	if (pid < 0)
		return pid;
	forget_root(); /* others may see the child: it holds no directory */
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned int)cgroup;
	}
	pid = sys_clone3(&args);
	if (cgroup >= 0 && (pid == -ENOSYS || pid == -EPERM)) { /* a filter around us */
		args.flags &= ~(uint64_t)CLONE_INTO_CGROUP;
		pid = sys_clone3(&args);
		moves = true;
	}
	if (pid < 0)
		return pid;
	if (pid > 0) {
		if (sync_send(MESSAGE_FORKED, STEP_FORK_REPORT, pid) < 0)
			leave();
		_exit(sys_write(ends[1], "", 1) == 1 ? 0 : 255);
	}
	*step = STEP_FORK_REPORT;
	own_pid = getpid();
	set_death_signal();
	pid = await_report(ends);
	if (pid >= 0 && moves)
		pid = enter_cgroup(cgroup);
	if (pid < 0 || cgroup < 0)
		return pid;
	return slot_close(op->cgroup);
}

int run_raise_loopback(const struct op_raise_loopback *op, uint32_t *step)
{
	struct ifreq request = {0};
	int result;
	CLEANUP_CLOSE int fd = sys_result(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	(void)op;
	if (fd < 0)
		return fd;
	*step = STEP_RAISE_LOOPBACK_UP;
	memcpy(request.ifr_name, "lo", 3);
	result = sys_ioctl(fd, 0x8913 /* SIOCGIFFLAGS */, &request);
	if (result < 0)
		return result;
	request.ifr_flags |= IFF_UP;
	return sys_ioctl(fd, 0x8914 /* SIOCSIFFLAGS */, &request);
}
