// SPDX-License-Identifier: Apache-2.0
/* The terminal, from the container's own devpts, and the three standard descriptors. */
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif
#ifndef DEVPTS_SUPER_MAGIC
#define DEVPTS_SUPER_MAGIC 0x1cd1
#endif
#define DEVPTS_ROOT_INO 1
#define PTS_MAJOR_FIRST 136
#define PTS_MAJOR_LAST 143
#define CONSOLE_PATH "/dev/console"

static bool on_devpts(int fd)
{
	struct statfs status;

	return sys_fstatfs(fd, &status) == 0 && status.f_type == DEVPTS_SUPER_MAGIC;
}

/* Everything below the root of a devpts is made by the kernel, so its ptmx is one. */
static int open_master(uint32_t *step)
{
	struct stat status;
	int result;
	CLEANUP_CLOSE int master = -1;
	CLEANUP_CLOSE int devpts = resolve("/dev/pts", O_PATH | O_DIRECTORY, 0);

	if (devpts < 0)
		return devpts;
	*step = STEP_OPEN_CONSOLE_VERIFY;
	result = sys_fstat(devpts, &status);
	if (result < 0)
		return result;
	if (!on_devpts(devpts) || status.st_ino != DEVPTS_ROOT_INO)
		return -ENODEV;
	*step = STEP_OPEN_CONSOLE_OPEN;
	master = sys_openat(devpts, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW, 0);
	if (master < 0)
		return master;
	*step = STEP_OPEN_CONSOLE_VERIFY;
	result = sys_fstat(master, &status);
	if (result < 0)
		return result;
	if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(5, 2) || !on_devpts(master))
		return -ENODEV;
	return give(&master);
}

static int open_peer(int master, const struct op_open_console *op, uint32_t *step)
{
	struct winsize size = {.ws_row = (unsigned short)op->rows,
			       .ws_col = (unsigned short)op->columns};
	struct stat status;
	int unlocked = 0;
	int result;
	CLEANUP_CLOSE int peer = -1;

	*step = STEP_OPEN_CONSOLE_UNLOCK;
	result = sys_ioctl(master, TIOCSPTLCK, &unlocked);
	if (result < 0)
		return result;
	*step = STEP_OPEN_CONSOLE_PEER;
	peer = sys_result(syscall(SYS_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (peer < 0)
		return peer;
	result = sys_fstat(peer, &status);
	if (result < 0)
		return result;
	if (!S_ISCHR(status.st_mode) || major(status.st_rdev) < PTS_MAJOR_FIRST ||
	    major(status.st_rdev) > PTS_MAJOR_LAST)
		return -ENODEV;
	*step = STEP_OPEN_CONSOLE_SIZE;
	if (op->rows > UINT16_MAX || op->columns > UINT16_MAX)
		return -ERANGE;
	result = (op->rows | op->columns) != 0 ? sys_ioctl(peer, TIOCSWINSZ, &size) : 0;
	if (result < 0)
		return result;
	*step = STEP_OPEN_CONSOLE_CHOWN;
	result = sys_result(fchown(peer, op->uid, (gid_t)-1));
	return result < 0 ? result : give(&peer);
}

static int bind_console(int peer, uint32_t *step)
{
	const struct creation creation = {.type = S_IFREG,
					  .mode = 0666,
					  .parents = 0755,
					  .uid = (uid_t)-1,
					  .gid = (gid_t)-1,
					  .nofollow = true};
	struct stat status;
	int result;
	CLEANUP_CLOSE int tree = -1;
	CLEANUP_CLOSE int target = -1;

	*step = STEP_OPEN_CONSOLE_CONSOLE;
	target = resolve_or_create(CONSOLE_PATH, &creation, step, STEP_OPEN_CONSOLE_CONSOLE);
	if (target < 0)
		return target;
	result = sys_fstat(target, &status);
	if (result < 0)
		return result;
	if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode))
		return -ENODEV;
	*step = STEP_OPEN_CONSOLE_ATTACH;
	tree = sys_open_tree(peer, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
	if (tree < 0)
		return tree;
	result = sys_move_mount(tree, target, "", MOVE_MOUNT_T_EMPTY_PATH);
	return result < 0 ? result : note_mount(tree);
}

static int become_stdio(int peer, uint32_t *step)
{
	int result = 0;

	*step = STEP_OPEN_CONSOLE_STDIO;
	for (int fd = 0; fd <= 2 && result >= 0; fd++)
		result = sys_result(dup2(peer, fd));
	return result < 0 ? result : 0;
}

int run_open_console(const struct op_open_console *op, uint32_t *step)
{
	int result;
	CLEANUP_CLOSE int peer = -1;
	CLEANUP_CLOSE int master = open_master(step);

	if (master < 0)
		return master;
	peer = open_peer(master, op, step);
	if (peer < 0)
		return peer;
	result = op->bind != 0 ? bind_console(peer, step) : 0;
	if (result < 0)
		return result;
	*step = STEP_OPEN_CONSOLE_SEND;
	result = sync_await_sending(RENDEZVOUS_CONSOLE, master);
	if (result < 0)
		return result;
	close_descriptor(&master); /* the container must not hold the other side of its terminal */
	return become_stdio(peer, step);
}

/* Of the process that stays: with the leader of a session its terminal goes. */
int run_take_terminal(const struct op_take_terminal *op, uint32_t *step)
{
	(void)op;
	(void)step;
	return sys_ioctl(0, TIOCSCTTY, NULL);
}

static bool is_null(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

/* What the caller gave may be of a file system that refuses, or belong to somebody whom the user
 * namespace does not know. */
int run_own_stdio(const struct op_own_stdio *op, uint32_t *step)
{
	(void)step;
	for (int fd = 0; fd <= 2; fd++) {
		struct stat status;
		int result = sys_fstat(fd, &status);

		if (result < 0 || status.st_uid == op->uid)
			continue;
		if (!S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode) &&
		    (op->files == 0 || !S_ISREG(status.st_mode)))
			continue;
		result = sys_result(fchown(fd, op->uid, (gid_t)-1));
		if (result < 0 && result != -EPERM && result != -EROFS && result != -EINVAL)
			return result;
	}
	return 0;
}

int run_reopen_null(const struct op_reopen_null *op, uint32_t *step)
{
	(void)op;
	for (int fd = 0; fd <= 2; fd++) {
		struct stat status;
		int flags;
		int result = sys_fstat(fd, &status);
		CLEANUP_DROP int null = -1;

		if (result < 0 || !is_null(&status))
			continue;
		flags = fcntl(fd, F_GETFL);
		null = open_verified("/dev/null",
				     flags < 0 ? O_RDWR : (uint64_t)(flags & O_ACCMODE), S_IFCHR,
				     makedev(1, 3));
		if (null == -ENODEV)
			*step = STEP_REOPEN_NULL_VERIFY;
		if (null < 0)
			return null;
		result = sys_result(fcntl(null, F_SETFL, 0)); /* without O_NONBLOCK */
		if (result >= 0)
			result = sys_result(dup2(null, fd));
		if (result < 0)
			return result;
	}
	return 0;
}
