// SPDX-License-Identifier: Apache-2.0
/*
 * tmpcopyup: the tree that a tmpfs is going to cover is copied into it first. Without a heap: the
 * open directories of the current branch are kept on a short stack, and a directory is read again
 * from the entry after the one that was entered.
 */
#include <dirent.h>
#include <string.h>
#include <sys/sendfile.h>
#include <time.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#define DEPTH_MAX 256 /* two descriptors each */
#define CHUNK (1U << 20)
#define BYTES_MAX (4ULL << 30) /* of data; memory of the container, if nothing else limits it */
#define SECONDS_MAX 60

static uint64_t bytes_left;
static int64_t deadline_s;

struct level {
	int from;
	int to;
};

struct entry { /* struct linux_dirent64 */
	uint64_t ino;
	int64_t next;
	uint16_t size;
	uint8_t type;
	char name[];
};

static int copy_owner(int fd, const struct stat *status)
{
	const struct timespec times[2] = {status->st_atim, status->st_mtim};
	int result = sys_result(fchown(fd, status->st_uid, status->st_gid));

	if (result >= 0)
		result = sys_result(fchmod(fd, status->st_mode & 07777));
	if (result >= 0)
		result = sys_result(futimens(fd, times));
	return result;
}

static int64_t now_s(void)
{
	struct timespec now;

	return clock_gettime(CLOCK_MONOTONIC, &now) < 0 ? 0 : (int64_t)now.tv_sec;
}

/* Data up to an offset, or to the end of a file that has no size (procfs). */
static int copy_data(int from, int to, off_t at, off_t end)
{
	for (;;) {
		size_t most = end >= 0 && end - at < (off_t)CHUNK ? (size_t)(end - at) : CHUNK;
		long copied;

		if (now_s() > deadline_s)
			return -ETIMEDOUT;
		if (most > bytes_left)
			return -EFBIG;
		copied = most == 0 ? 0 : sendfile(to, from, &at, most);
		if (copied < 0 && errno == EINTR)
			continue;
		if (copied <= 0)
			return copied < 0 ? -errno : 0;
		bytes_left -= (uint64_t)copied;
	}
}

/* Holes stay holes: an image's sparse file may be larger than all memory. */
static int copy_sparse(int from, int to, off_t size)
{
	off_t end = 0;
	int result = 0;

	while (result >= 0 && end < size) {
		off_t at = lseek(from, end, SEEK_DATA);

		if (at < 0 && errno == ENXIO) /* a hole up to the end */
			break;
		end = at < 0 ? -1 : lseek(from, at, SEEK_HOLE);
		if (end < 0)
			return -errno;
		if (lseek(to, at, SEEK_SET) < 0)
			return -errno;
		result = copy_data(from, to, at, end);
	}
	return result < 0 ? result : sys_result(ftruncate(to, size));
}

static int copy_file(const struct level *level, const char *name, const struct stat *status)
{
	struct stat opened;
	int result;
	CLEANUP_CLOSE int to = -1;
	CLEANUP_CLOSE int from =
		sys_openat(level->from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);

	if (from < 0)
		return from;
	result = sys_fstat(from, &opened);
	if (result < 0)
		return result;
	if (!same_object(status, &opened))
		return -ESTALE;
	to = sys_openat(level->to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (to < 0)
		return to;
	result = opened.st_size > 0 ? copy_sparse(from, to, opened.st_size) : -EINVAL;
	if (result == -EINVAL) { /* a file system without sizes or without SEEK_DATA */
		result = sys_result((int)lseek(to, 0, SEEK_SET));
		result = result < 0 ? result : copy_data(from, to, 0, -1);
	}
	return result < 0 ? result : copy_owner(to, status);
}

static int copy_link(const struct level *level, const char *name, const struct stat *status)
{
	char target[4096];
	long length = readlinkat(level->from, name, target, sizeof(target));
	int result;

	if (length < 0)
		return -errno;
	if (length == (long)sizeof(target))
		return -ENAMETOOLONG;
	target[length] = '\0';
	result = sys_symlinkat(target, level->to, name);
	if (result < 0)
		return result;
	return sys_result(
		fchownat(level->to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW));
}

static int copy_node(const struct level *level, const char *name, const struct stat *status)
{
	int result = sys_mknodat(level->to, name, status->st_mode, status->st_rdev);

	if (result < 0)
		return result;
	return sys_result(
		fchownat(level->to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW));
}

static int enter_directory(struct level *level, const char *name, const struct stat *status,
			   struct level *below)
{
	int result = sys_mkdirat(level->to, name, 0700);

	if (result < 0)
		return result;
	below->from = sys_openat(level->from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (below->from < 0)
		return below->from;
	below->to = sys_openat(level->to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (below->to < 0)
		return below->to;
	return copy_owner(below->to, status);
}

/* Returns 1 when a directory was entered. */
static int copy_entry(struct level *level, const struct entry *entry, struct level *below)
{
	struct stat status;
	int result;

	if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
		return 0;
	detail(entry->name);
	if (now_s() > deadline_s)
		return -ETIMEDOUT;
	result = sys_result(fstatat(level->from, entry->name, &status, AT_SYMLINK_NOFOLLOW));
	if (result < 0)
		return result;
	if (S_ISREG(status.st_mode))
		return copy_file(level, entry->name, &status);
	if (S_ISLNK(status.st_mode))
		return copy_link(level, entry->name, &status);
	if (!S_ISDIR(status.st_mode))
		return copy_node(level, entry->name, &status);
	result = enter_directory(level, entry->name, &status, below);
	return result < 0 ? result : 1;
}

/* Goes on in a directory up to its end (0) or to the first directory in it (1). */
static int copy_some(struct level *level, struct level *below)
{
	_Alignas(8) char buffer[4096];

	for (;;) {
		long size = syscall(SYS_getdents64, level->from, buffer, sizeof(buffer));

		if (size <= 0)
			return size < 0 ? -errno : 0;
		for (long at = 0; at < size;) {
			const struct entry *entry = (const void *)(buffer + at);
			int result = copy_entry(level, entry, below);

			if (result > 0 && lseek(level->from, entry->next, SEEK_SET) < 0)
				result = -errno;
			if (result != 0)
				return result;
			at += entry->size;
		}
	}
}

static int copy_tree(struct level levels[DEPTH_MAX])
{
	int depth = 0;

	while (depth >= 0) {
		int result;

		if (depth + 1 == DEPTH_MAX)
			return -ELOOP;
		result = copy_some(&levels[depth], &levels[depth + 1]);
		if (result < 0)
			return result;
		if (result > 0) {
			depth++;
			continue;
		}
		close_descriptor(&levels[depth].from);
		close_descriptor(&levels[depth].to);
		depth--;
	}
	return 0;
}

int run_copy_up(const struct op_copy_up *op, uint32_t *step)
{
	struct level levels[DEPTH_MAX];
	struct stat status;
	int tree = slot_get(op->slot);
	int result;

	if (tree < 0)
		return tree;
	for (int i = 0; i < DEPTH_MAX; i++)
		levels[i] = (struct level){-1, -1};
	levels[0].from = resolve(op->path, O_RDONLY | O_DIRECTORY, 0);
	if (levels[0].from == -ENOENT || levels[0].from == -ENOTDIR)
		return 0;
	levels[0].to = sys_openat(tree, ".", O_RDONLY | O_DIRECTORY, 0);
	if (levels[0].from < 0 || levels[0].to < 0)
		return levels[0].from < 0 ? levels[0].from : levels[0].to;
	*step = STEP_COPY_UP_COPY;
	bytes_left = BYTES_MAX;
	deadline_s = now_s() + SECONDS_MAX;
	result = sys_fstat(levels[0].from, &status);
	if (result >= 0)
		result = copy_owner(levels[0].to, &status);
	if (result >= 0)
		result = copy_tree(levels);
	if (result >= 0)
		detail_clear();
	for (int i = 0; i < DEPTH_MAX; i++) {
		close_descriptor(&levels[i].from);
		close_descriptor(&levels[i].to);
	}
	return result;
}
