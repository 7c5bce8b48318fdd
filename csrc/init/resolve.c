// SPDX-License-Identifier: Apache-2.0
/*
 * Paths inside the container. The root of this task already is the container's, and every look-up
 * starts at a descriptor of it with RESOLVE_IN_ROOT, so neither a link nor ".." leads out.
 */
#include <limits.h>
#include <string.h>
#include <time.h>

#include "init.h"
#include "sys.h"

#define TRIES_MAX 128
#define TRIES_MIN 32 /* also when we were not scheduled for long */
#define TRIES_NS 2000000

int open_root(void)
{
	return sys_open("/", O_PATH | O_DIRECTORY);
}

static int kept_root = -1;

void forget_root(void)
{
	drop_descriptor(&kept_root);
	close_dropped();
}

/* Not below `descriptor_base`: the numbers there are the container's. */
int keep_root(void)
{
	CLEANUP_CLOSE int fd = -1;

	forget_root();
	fd = open_root();
	if (fd >= 0 && fd < descriptor_base)
		kept_root = sys_result(fcntl(fd, F_DUPFD_CLOEXEC, descriptor_base));
	else
		kept_root = give(&fd);
	return kept_root < 0 ? kept_root : 0;
}

bool umask_is_clear;

mode_t exact_modes(void)
{
	return umask_is_clear ? 0 : umask(0);
}

void usual_modes(mode_t mask)
{
	if (!umask_is_clear)
		umask(mask);
}

static int64_t now_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		return 0;
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * A rename anywhere on the machine can make a scoped look-up of ".." fail with EAGAIN. It is tried
 * again, within bounds, and never done in a less safe way instead.
 */
static int openat2_patiently(int dir, const char *path, const struct open_how *how)
{
	int result = sys_openat2(dir, path, how);
	int64_t end;

	if (result != -EAGAIN && result != -EINTR)
		return result;
	end = now_ns() + TRIES_NS;
	for (int tries = 1; tries < TRIES_MAX && (tries < TRIES_MIN || now_ns() < end); tries++) {
		result = sys_openat2(dir, path, how);
		if (result != -EAGAIN && result != -EINTR)
			break;
	}
	return result;
}

int resolve(const char *path, uint64_t flags, uint64_t extra)
{
	CLEANUP_DROP int opened = kept_root < 0 ? open_root() : -1;
	int root = kept_root < 0 ? opened : kept_root;
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | extra,
	};

	if (root < 0)
		return root;
	return openat2_patiently(root, path[0] == '\0' ? "." : path, &how);
}

int open_verified(const char *path, uint64_t flags, mode_t type, dev_t rdev)
{
	struct stat before;
	struct stat after;
	int result;
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_DROP int seen = resolve(path, O_PATH, 0);

	if (seen < 0)
		return seen;
	result = sys_fstat(seen, &before);
	if (result < 0)
		return result;
	if ((before.st_mode & S_IFMT) != type || (rdev != 0 && before.st_rdev != rdev))
		return -ENODEV;
	/* Without O_NONBLOCK a pipe that was put there in the meantime would block. */
	fd = resolve(path, flags | O_NOCTTY | O_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	result = sys_fstat(fd, &after);
	if (result < 0)
		return result;
	return same_object(&before, &after) ? give(&fd) : -EAGAIN;
}
