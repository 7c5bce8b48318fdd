// SPDX-License-Identifier: Apache-2.0
/* Mounts attached inside the container's root: targets are descriptors, never strings. */
#include <string.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#define ST_RDONLY_FLAG 1
#define PROC_ROOT_INO 1

static const struct creation NEW_DIRECTORY = {
	.type = S_IFDIR, .mode = 0755, .parents = 0755, .uid = (uid_t)-1, .gid = (gid_t)-1};

/* Known without a call where the kernel or this program has made it. */
static int look_at_tree(uint32_t slot, int tree, mode_t *type)
{
	struct stat status = {.st_mode = slot_type(slot)};
	int result = status.st_mode != 0 ? 0 : sys_fstat(tree, &status);

	*type = status.st_mode & S_IFMT;
	return result;
}

static bool is_procfs_root(int fd)
{
	struct stat status;

	return is_procfs(fd) && sys_fstat(fd, &status) == 0 && status.st_ino == PROC_ROOT_INO;
}

/* On procfs only another procfs, or a file that the planner allowed by name, may be mounted. */
static int verify_target(int tree, int target, const struct op_attach *op)
{
	/* nothing can be made on procfs */
	if (made_target || (op->flags & ATTACH_PROC_ALLOWED) != 0 || !is_procfs(target))
		return 0;
	if (is_procfs_root(target) && is_procfs_root(tree))
		return 0;
	detail("the target is on procfs");
	return -EPERM;
}

/* The kernel mounts a directory on a directory only, anything else on anything else, and says
 * EINVAL otherwise, as it does for much. */
static int move_to(int tree, mode_t type, int target, uint32_t *step)
{
	struct stat covered;
	int result;

	*step = STEP_ATTACH_ATTACH;
	result = sys_move_mount(tree, target, "", MOVE_MOUNT_T_EMPTY_PATH);
	if (result != -EINVAL || sys_fstat(target, &covered) < 0 ||
	    S_ISDIR(covered.st_mode) == S_ISDIR(type))
		return result;
	*step = STEP_ATTACH_VERIFY;
	detail(S_ISDIR(type) ? "the target is not a directory"
			     : "what is mounted is not a directory");
	return -ENOTDIR;
}

int run_attach(const struct op_attach *op, uint32_t *step)
{
	struct creation creation = NEW_DIRECTORY;
	mode_t type;
	int tree = slot_get(op->slot);
	int result;
	CLEANUP_DROP int target = -1;

	if (tree < 0)
		return tree;
	result = look_at_tree(op->slot, tree, &type);
	if (result < 0)
		return result;
	if (!S_ISDIR(type)) {
		creation.type = S_IFREG;
		creation.mode = 0644;
	}
	creation.nofollow = (op->flags & ATTACH_NOFOLLOW) != 0;
	if ((op->flags & ATTACH_REAL_DIRECTORY) != 0)
		creation.resolve = RESOLVE_NO_SYMLINKS;
	target = resolve_or_create(op->path, &creation, step, STEP_ATTACH_CREATE);
	if (target < 0)
		return target;
	*step = STEP_ATTACH_VERIFY;
	result = verify_target(tree, target, op);
	if (result >= 0)
		result = move_to(tree, type, target, step);
	if (result >= 0)
		result = slot_mount(op->slot) != 0 ? note_mount_id(slot_mount(op->slot))
						   : note_mount(tree);
	if (result < 0 || (op->flags & ATTACH_KEEP) != 0)
		return result;
	return slot_close(op->slot);
}

int run_clone_inside(const struct op_clone_inside *op, uint32_t *step)
{
	unsigned int flags =
		OPEN_TREE_CLONE | AT_EMPTY_PATH | (op->recursive != 0 ? AT_RECURSIVE : 0);
	int tree;
	CLEANUP_DROP int fd =
		resolve(op->path, O_PATH | (op->nofollow != 0 ? O_NOFOLLOW : 0), op->resolve);

	if (fd < 0)
		return fd;
	*step = STEP_CLONE_INSIDE_VERIFY;
	if (op->proc == 0 && is_procfs(fd)) {
		detail("a link of the image leads to procfs");
		return -EPERM;
	}
	*step = STEP_CLONE_INSIDE_CLONE;
	tree = sys_open_tree(fd, "", flags);
	return tree < 0 ? tree : slot_put(op->slot, tree);
}

int run_map_mount(const struct op_map_mount *op, uint32_t *step)
{
	int tree = slot_get(op->slot);

	(void)step;
	return tree < 0 ? tree : sync_await_sending(RENDEZVOUS_MAP, tree);
}

/* mount(2) takes a string: "." of the resolved directory, so that nothing is looked up a second
 * time. */
int run_mount_classic(const struct op_mount_classic *op, uint32_t *step)
{
	int result;
	int back;
	CLEANUP_DROP int target =
		resolve_or_create(op->path, &NEW_DIRECTORY, step, STEP_MOUNT_CLASSIC_CREATE);

	if (target < 0)
		return target;
	*step = STEP_MOUNT_CLASSIC_MOUNT;
	if (is_procfs(target) && strcmp(op->fstype, "proc") != 0 && (op->flags & MS_REMOUNT) == 0)
		return -EPERM;
	result = sys_fchdir(target);
	if (result < 0)
		return result;
	result = sys_mount(op->source, ".", op->fstype, (unsigned long)op->flags, op->data);
	back = sys_chdir("/");
	if (result < 0 || back < 0 || (op->flags & MS_REMOUNT) != 0)
		return result < 0 ? result : back;
	close_descriptor(&target);
	target = resolve(op->path, O_PATH, 0);
	return target < 0 ? target : note_mount(target);
}

int run_inherit_mode(const struct op_inherit_mode *op, uint32_t *step)
{
	struct stat status;
	int tree = slot_get(op->slot);
	int result;
	CLEANUP_DROP int directory = -1;
	CLEANUP_DROP int root = -1;

	if (tree < 0)
		return tree;
	directory = resolve(op->path, O_PATH, 0);
	if (directory == -ENOENT)
		return 0;
	if (directory < 0)
		return directory;
	result = sys_fstat(directory, &status);
	if (result < 0)
		return result;
	*step = STEP_INHERIT_MODE_CHMOD;
	root = sys_openat(tree, ".", O_RDONLY | O_DIRECTORY, 0);
	if (root < 0)
		return root;
	return sys_result(fchmod(root, status.st_mode & 07777));
}

static bool nothing_there(int result)
{
	return result == -ENOENT || result == -ENOTDIR;
}

/*
 * A mount that is attached to no namespace cannot be cloned before Linux 6.15: then the mask itself
 * is attached, and the following ones are clones of it.
 */
static int cover(int mask, int target, uint32_t *step, uint32_t attach_step)
{
	CLEANUP_DROP int tree = sys_open_tree(mask, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);

	if (tree < 0 && tree != -EINVAL)
		return tree;
	*step = attach_step;
	return sys_move_mount(tree < 0 ? mask : tree, target, "", MOVE_MOUNT_T_EMPTY_PATH);
}

/* What is seen at the path now is the mask. The last one that was looked at is still in its slot:
 * both are closed when all masks lie. */
static int verify_mask(const char *path, int mask)
{
	static struct stat wanted;
	static int known = -1;
	struct stat seen;
	int result;
	CLEANUP_DROP int fd = resolve(path, O_PATH, 0);

	if (fd < 0)
		return fd;
	result = sys_fstat(fd, &seen);
	if (result >= 0 && known != mask)
		result = sys_fstat(mask, &wanted);
	known = result < 0 ? -1 : mask;
	if (result < 0)
		return result;
	return same_object(&wanted, &seen) ? 0 : -ESTALE;
}

int run_mask(const struct op_mask *op, uint32_t *step)
{
	struct stat status;
	int mask;
	int result;
	CLEANUP_DROP int target = resolve(op->path, O_PATH, 0);

	if (target < 0)
		return nothing_there(target) ? 0 : target;
	result = sys_fstat(target, &status);
	if (result < 0)
		return result;
	*step = STEP_MASK_CLONE;
	mask = slot_get(S_ISDIR(status.st_mode) ? op->directory : op->null);
	if (mask < 0)
		return mask;
	result = cover(mask, target, step, STEP_MASK_ATTACH);
	if (result < 0)
		return result;
	*step = STEP_MASK_VERIFY;
	return verify_mask(op->path, mask);
}

static int verify_readonly(const char *path)
{
	struct statfs status;
	int result;
	CLEANUP_DROP int fd = resolve(path, O_PATH, 0);

	if (fd < 0)
		return fd;
	result = sys_fstatfs(fd, &status);
	if (result < 0)
		return result;
	return ((uint64_t)status.f_flags & ST_RDONLY_FLAG) != 0 ? 0 : -EROFS;
}

/* Read-only before it is attached: there is no moment in which the clone can be written through. */
int run_make_readonly(const struct op_make_readonly *op, uint32_t *step)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	int result;
	CLEANUP_DROP int tree = -1;
	CLEANUP_DROP int target = resolve(op->path, O_PATH, 0);

	if (target < 0)
		return nothing_there(target) ? 0 : target;
	*step = STEP_MAKE_READONLY_CLONE;
	tree = sys_open_tree(target, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE);
	if (tree < 0)
		return tree;
	*step = STEP_MAKE_READONLY_SETATTR;
	result = sys_mount_setattr(tree, "", AT_EMPTY_PATH, &attr);
	if (result < 0)
		return result;
	*step = STEP_MAKE_READONLY_ATTACH;
	result = sys_move_mount(tree, target, "", MOVE_MOUNT_T_EMPTY_PATH);
	if (result < 0)
		return result;
	*step = STEP_MAKE_READONLY_VERIFY;
	return verify_readonly(op->path);
}
