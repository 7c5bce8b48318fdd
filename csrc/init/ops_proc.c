// SPDX-License-Identifier: Apache-2.0
/*
 * The init's own procfs. Nothing is ever written through the /proc that the container shows: every
 * handle is the root of a procfs, and every file must lie on the very mount of the handle.
 */
#include <string.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#define PROC_ROOT_INO 1
#define PROC_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static int verified(int fd)
{
	struct stat status;

	if (fd < 0)
		return fd;
	if (is_procfs(fd) && sys_fstat(fd, &status) == 0 && status.st_ino == PROC_ROOT_INO)
		return fd;
	close(fd);
	detail("/proc is no procfs");
	return -ENODEV;
}

static int new_procfs(bool pids_only)
{
	CLEANUP_CLOSE int fs = sys_fsopen("proc");
	int result;

	if (fs < 0)
		return fs;
	if (pids_only) /* Linux 5.8; without it the handle shows more, but is as trustworthy */
		sys_fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid");
	result = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
	if (result < 0)
		return result;
	return sys_fsmount(fs, PROC_ATTRIBUTES);
}

/*
 * A new procfs is refused where the pid namespace is not ours or where parts of /proc are covered.
 * The clones and /proc itself may have something mounted over their entries, which RESOLVE_NO_XDEV
 * keeps us from following.
 */
static int open_ladder(bool pids_only)
{
	int fd = verified(new_procfs(pids_only));

	if (fd < 0)
		fd = verified(sys_open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE));
	if (fd < 0)
		fd = verified(sys_open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | AT_RECURSIVE));
	if (fd < 0)
		fd = verified(sys_open("/proc", O_PATH | O_DIRECTORY));
	return fd;
}

int run_open_proc(const struct op_open_proc *op, uint32_t *step)
{
	int fd;

	if (op->kind == PROC_HOST)
		fd = verified(sys_open("/proc", O_PATH | O_DIRECTORY));
	else if (op->kind == PROC_PIDS || op->kind == PROC_FULL)
		fd = open_ladder(op->kind == PROC_PIDS);
	else
		return -EINVAL;
	if (fd == -ENODEV)
		*step = STEP_OPEN_PROC_VERIFY;
	if (fd < 0)
		return fd;
	detail_clear();
	return slot_put(op->slot, fd);
}

/* "thread-self" is an ordinary link whose target is text; magic links, which lead elsewhere, are
 * refused. */
static int open_beneath(int proc, const char *path, uint64_t flags)
{
	const struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
	};

	return sys_openat2(proc, path, &how);
}

/* A label reads back alone or, for AppArmor, as "label (mode)": compared as a whole, so that no
 * prefix passes. */
static bool reads_as(const char *text, size_t length, const char *wanted)
{
	size_t size = strlen(wanted);

	while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\0'))
		length--;
	if (length < size || memcmp(text, wanted, size) != 0)
		return false;
	if (length == size)
		return true;
	return length > size + 3 && text[size] == ' ' && text[size + 1] == '(' &&
	       text[length - 1] == ')';
}

static int read_back(int proc, const struct op_write_proc *op)
{
	char text[4097];
	int length;
	CLEANUP_CLOSE int fd = open_beneath(proc, op->path, O_RDONLY);

	if (fd < 0)
		return fd;
	length = sys_read(fd, text, sizeof(text));
	if (length < 0)
		return length;
	if (reads_as(text, (size_t)length, op->readback))
		return 0;
	detail_bytes(text, (size_t)length);
	return -EIO;
}

int run_write_proc(const struct op_write_proc *op, uint32_t *step)
{
	size_t length = strlen(op->value);
	int result;
	int proc = slot_get(op->proc);
	CLEANUP_CLOSE int fd = -1;

	if (proc < 0)
		return proc;
	fd = open_beneath(proc, op->path, O_WRONLY);
	if (fd < 0)
		return op->tolerate != 0 && fd == -(int)op->tolerate ? 0 : fd;
	*step = STEP_WRITE_PROC_VERIFY;
	if (!is_procfs(fd))
		return -ENODEV;
	*step = STEP_WRITE_PROC_WRITE;
	result = sys_write(fd, op->value, length);
	if (result < 0)
		return op->tolerate != 0 && result == -(int)op->tolerate ? 0 : result;
	if ((size_t)result != length)
		return -EIO;
	*step = STEP_WRITE_PROC_READBACK;
	return op->readback[0] == '\0' ? 0 : read_back(proc, op);
}

int run_close_slot(const struct op_close_slot *op, uint32_t *step)
{
	(void)step;
	return slot_close(op->slot);
}
