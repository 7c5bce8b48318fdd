// SPDX-License-Identifier: Apache-2.0
/* Directories, links and device nodes inside the container's root. */
#include <limits.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#define PARENT_MODE 0755

int run_make_directory(const struct op_make_directory *op, uint32_t *step)
{
	const struct creation creation = {.type = S_IFDIR,
					  .mode = op->mode,
					  .parents = op->mode,
					  .uid = op->uid,
					  .gid = op->gid};
	struct stat status;
	int result;
	CLEANUP_DROP int fd =
		resolve_or_create(op->path, &creation, step, STEP_MAKE_DIRECTORY_CREATE);

	if (fd < 0)
		return fd;
	result = sys_fstat(fd, &status);
	if (result < 0)
		return result;
	return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

int run_make_symlink(const struct op_make_symlink *op, uint32_t *step)
{
	struct place place;
	int result;
	int parent = resolve_parent(op->path, PARENT_MODE, &place);

	if (parent < 0)
		return parent;
	*step = STEP_MAKE_SYMLINK_REMOVE;
	result = op->replace != 0 ? sys_unlinkat(parent, place.name) : 0;
	if (result < 0 && result != -ENOENT)
		return result;
	*step = STEP_MAKE_SYMLINK_SYMLINK;
	result = sys_symlinkat(op->target, parent, place.name);
	return result == -EEXIST && op->replace == 0 ? 0 : result;
}

/*
 * The descriptor is opened with O_PATH, which fchmod refuses. Before fchmodat2 (Linux 6.6) the name
 * is used: this task's root is the container's, so no name leads out, and what was changed is
 * verified to be the node.
 */
static int change_mode(int parent, const char *name, int fd, mode_t mode)
{
	struct stat node;
	struct stat named;
	int result = sys_fchmodat2(fd, "", mode, AT_EMPTY_PATH);

	if (result != -ENOSYS && result != -EPERM)
		return result;
	result = sys_fstat(fd, &node);
	if (result >= 0)
		result = sys_fstatat(parent, name, &named);
	if (result < 0)
		return result;
	if (!same_object(&node, &named))
		return -ESTALE;
	return sys_result(fchmodat(parent, name, mode, 0));
}

static int finish_node(int parent, const char *name, const struct stat *seen,
		       const struct op_make_device *op, uint32_t *step)
{
	struct stat status;
	int result;
	CLEANUP_DROP int fd = sys_openat(parent, name, O_PATH | O_NOFOLLOW, 0);

	if (fd < 0)
		return fd;
	result = sys_fstat(fd, &status);
	if (result < 0 || !same_object(seen, &status))
		return result < 0 ? result : -ESTALE;
	/* a default ACL of the directory may have taken bits away */
	*step = STEP_MAKE_DEVICE_CHMOD;
	if ((status.st_mode & 07777) != (op->mode & 07777))
		result = change_mode(parent, name, fd, op->mode & 07777);
	if (result < 0)
		return result;
	*step = STEP_MAKE_DEVICE_CHOWN;
	if (status.st_uid == op->uid && status.st_gid == op->gid)
		return 0;
	return sys_fchownat(fd, op->uid, op->gid);
}

static bool is_finished(const struct stat *status, const struct op_make_device *op)
{
	return (status->st_mode & 07777) == (op->mode & 07777) && status->st_uid == op->uid &&
	       status->st_gid == op->gid;
}

int run_make_device(const struct op_make_device *op, uint32_t *step)
{
	struct stat status;
	struct place place;
	mode_t mask;
	int made;
	int result;
	int parent = resolve_parent(op->path, PARENT_MODE, &place);

	if (parent < 0)
		return parent;
	*step = STEP_MAKE_DEVICE_MKNOD;
	mask = exact_modes();
	made = sys_mknodat(parent, place.name, op->mode, op->rdev);
	usual_modes(mask);
	if (made < 0 && made != -EEXIST)
		return made;
	*step = STEP_MAKE_DEVICE_VERIFY;
	result = sys_fstatat(parent, place.name, &status);
	if (result < 0)
		return result;
	if ((status.st_mode & S_IFMT) != (op->mode & S_IFMT) || status.st_rdev != op->rdev)
		return -EEXIST;
	/* one that was there is perhaps the host's, mounted here: its owner and mode are not ours
	 */
	if (made == -EEXIST || is_finished(&status, op))
		return 0;
	return finish_node(parent, place.name, &status, op, step);
}
