// SPDX-License-Identifier: Apache-2.0
/*
 * The posture (AR-7): before the parent may say "created", what is seen in the root is compared
 * with what the plan has put there. Mounts are known by their ids, which cannot be used again while
 * they are attached.
 */
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#define ST_NOSYMFOLLOW_FLAG 0x2000
#define MOUNTS_MAX 16384

static uint32_t mounts[MOUNTS_MAX] LARGE; /* pages that nothing is noted on cost nothing */
static uint32_t mount_count;
static struct mount_status root;

uint64_t attributes_of(uint64_t flags)
{
	static const struct {
		uint64_t flag;
		uint64_t attribute;
	} table[] = {
		{ST_RDONLY, MOUNT_ATTR_RDONLY},
		{ST_NOSUID, MOUNT_ATTR_NOSUID},
		{ST_NODEV, MOUNT_ATTR_NODEV},
		{ST_NOEXEC, MOUNT_ATTR_NOEXEC},
		{ST_NOATIME, MOUNT_ATTR_NOATIME},
		{ST_NODIRATIME, MOUNT_ATTR_NODIRATIME},
		{ST_NOSYMFOLLOW_FLAG, MOUNT_ATTR_NOSYMFOLLOW},
	};
	uint64_t attributes = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if ((flags & table[i].flag) != 0)
			attributes |= table[i].attribute;
	/* strict atime is the absence of both flags, relatime is the attribute 0 */
	if ((flags & (ST_NOATIME | ST_RELATIME)) == 0)
		attributes |= MOUNT_ATTR_STRICTATIME;
	return attributes;
}

static int look_at(int fd, const char *path, struct mount_status *status)
{
	return sys_statx(fd, path, AT_EMPTY_PATH, MASK_INODE | MASK_MOUNT_ID, status);
}

int note_mount_id(uint32_t id)
{
	if (mount_count == MOUNTS_MAX)
		return -ENFILE;
	mounts[mount_count++] = id;
	return 0;
}

int note_mount(int fd)
{
	struct mount_status status;
	int result = look_at(fd, "", &status);

	return result < 0 ? result : note_mount_id((uint32_t)status.mount_id);
}

int note_root(int fd)
{
	return look_at(fd, "", &root);
}

/* The number of a mount among those that were attached, from 1; 0: it is not one of them. */
static uint32_t number_of(uint64_t id)
{
	uint32_t number = mount_count;

	while (number > 0 && mounts[number - 1] != (uint32_t)id)
		number--;
	return number;
}

static bool nothing_there(int result)
{
	return result == -ENOENT || result == -ENOTDIR;
}

/* The deepest directory on the way to a path that is there. */
static int resolve_above(const char *path)
{
	char above[PATH_MAX];
	char *slash;
	int fd = -ENOENT;

	if (strlen(path) >= sizeof(above))
		return -ENAMETOOLONG;
	memcpy(above, path, strlen(path) + 1);
	while (nothing_there(fd) && (slash = strrchr(above, '/')) != NULL) {
		*slash = '\0';
		fd = resolve(above, O_PATH, 0);
	}
	return fd;
}

/*
 * The number of the first mount of the plan that is met on the way up from a path; 0: there is
 * none. A mount that is not of the plan came with a recursive clone, whose top is one.
 */
static int64_t number_above(const char *path)
{
	struct mount_status status;
	char above[PATH_MAX];
	uint32_t number = 0;
	char *slash;

	if (strlen(path) >= sizeof(above))
		return -ENAMETOOLONG;
	memcpy(above, path, strlen(path) + 1);
	while (number == 0 && (slash = strrchr(above, '/')) != NULL) {
		CLEANUP_DROP int fd = -1;
		int result;

		*slash = '\0';
		fd = resolve(above, O_PATH, 0);
		if (nothing_there(fd))
			continue;
		result = fd < 0 ? fd : look_at(fd, "", &status);
		if (result < 0)
			return result;
		number = number_of(status.mount_id);
	}
	return number;
}

/* The bind of a link itself (src-nofollow): a look-up that follows leaves the mount again. */
static int find_link(const struct op_verify_mount *op, int *fd)
{
	struct mount_status status;
	CLEANUP_DROP int link = resolve(op->path, O_PATH | O_NOFOLLOW, 0);

	if (link < 0 || look_at(link, "", &status) < 0 || number_of(status.mount_id) != op->index)
		return -ESTALE;
	drop_descriptor(fd);
	*fd = give(&link);
	return 1;
}

/*
 * 1: the very mount is seen. 0: a later one of the plan lies over it, or a mount that came along
 * with a later one; then the path may lead nowhere any more, but on the way there the later one is
 * met.
 */
static int find_mount(const struct op_verify_mount *op, int *fd, uint32_t *step)
{
	struct mount_status status;
	int64_t number;
	bool whole;
	int result;

	*fd = resolve(op->path, O_PATH, 0);
	whole = !nothing_there(*fd);
	if (!whole)
		*fd = resolve_above(op->path);
	if (*fd < 0) {
		result = *fd;
		return find_link(op, fd) > 0 ? 1 : result;
	}
	*step = STEP_VERIFY_MOUNT_MOUNT;
	result = look_at(*fd, "", &status);
	if (result < 0)
		return result;
	number = number_of(status.mount_id);
	if (number == 0)
		number = number_above(op->path);
	if (number < 0)
		return (int)number;
	if (number > op->index)
		return 0;
	return whole && number == op->index ? 1 : find_link(op, fd);
}

int run_verify_mount(const struct op_verify_mount *op, uint32_t *step)
{
	struct statfs status;
	int result = 1;
	CLEANUP_DROP int fd = -1;

	if (op->index != 0)
		result = find_mount(op, &fd, step);
	else
		fd = resolve(op->path, O_PATH, 0);
	if (result <= 0 || fd < 0)
		return result <= 0 ? result : fd;
	*step = STEP_VERIFY_MOUNT_FLAGS;
	result = sys_fstatfs(fd, &status);
	if (result < 0)
		return result;
	if ((op->attributes & ~attributes_of((uint64_t)status.f_flags)) != 0)
		return -EPERM;
	*step = STEP_VERIFY_MOUNT_MAGIC;
	if (op->magic != 0 && (uint64_t)status.f_type != op->magic)
		return -EMEDIUMTYPE;
	return 0;
}

int run_verify_root(const struct op_verify_root *op, uint32_t *step)
{
	struct mount_status status;
	int result = look_at(AT_FDCWD, "/", &status);

	(void)op;
	if (result < 0)
		return result;
	*step = STEP_VERIFY_ROOT_COMPARE;
	return status.mount_id == root.mount_id && status.inode == root.inode ? 0 : -ESTALE;
}
