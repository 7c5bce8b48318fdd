// SPDX-License-Identifier: Apache-2.0
/*
 * Paths inside the container. The root of this task already is the container's, and every look-up
 * starts at a descriptor of it with RESOLVE_IN_ROOT, so neither a link nor ".." leads out. What is
 * missing is created one component at a time below the descriptor of its parent.
 */
#include <limits.h>
#include <string.h>
#include <time.h>

#include "init.h"
#include "sys.h"

#define TRIES_MAX 128
#define TRIES_MIN 32 /* also when we were not scheduled for long */
#define TRIES_NS 2000000
#define LINKS_MAX                                                                                  \
	40 /* as the kernel; also bounds a fight with somebody who renames what we look at */

struct walk {
	char path[PATH_MAX]; /* rewritten where a link dangles */
	size_t at;	     /* end of the part that `parent` stands for */
	int parent;	     /* -1: the root, which is opened only when something is made in it */
	unsigned int links;
	bool absent; /* the whole path was looked up, and is not there */
};

int open_root(void)
{
	return sys_open("/", O_PATH | O_DIRECTORY);
}

static int kept_root = -1;

void forget_root(void)
{
	close_descriptor(&kept_root);
}

/* Not below `descriptor_base`: the numbers there are the container's. */
int keep_root(void)
{
	CLEANUP_CLOSE int fd = open_root();

	forget_root();
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
	CLEANUP_CLOSE int opened = kept_root < 0 ? open_root() : -1;
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
	CLEANUP_CLOSE int seen = resolve(path, O_PATH, 0);

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

/* The next component of the path: its end; its start is moved behind the slashes. */
static size_t component(const char *path, size_t *start)
{
	size_t end;

	while (path[*start] == '/')
		++*start;
	end = *start;
	while (path[end] != '/' && path[end] != '\0')
		end++;
	return end;
}

/* Slashes and "/." behind the last component change nothing, least of all whether a link is
 * followed. */
static bool is_last(const char *path, size_t end)
{
	for (;;) {
		while (path[end] == '/')
			end++;
		if (path[end] != '.' || (path[end + 1] != '/' && path[end + 1] != '\0'))
			return path[end] == '\0';
		end++;
	}
}

static void advance(struct walk *walk, int fd, size_t end)
{
	close_descriptor(&walk->parent);
	walk->parent = fd;
	walk->at = end;
}

/* A dangling link is replaced by its target, and the walk starts again from the root. */
static int replace_link(struct walk *walk, size_t start, size_t end, const char *target,
			size_t length)
{
	size_t rest = strlen(walk->path + end);
	size_t kept = target[0] == '/' ? 0 : start;

	if (kept + length + rest + 1 > sizeof(walk->path))
		return -ENAMETOOLONG;
	memmove(walk->path + kept + length, walk->path + end, rest + 1);
	memcpy(walk->path + kept, target, length);
	advance(walk, -1, 0);
	return 0;
}

static int make(struct walk *walk, const char *name, bool last, const struct creation *creation)
{
	bool directory = !last || creation->type == S_IFDIR;
	mode_t mode = last ? creation->mode : creation->parents;
	mode_t mask = exact_modes();
	CLEANUP_CLOSE int fd = -1;
	int result;

	if (directory)
		result = sys_mkdirat(walk->parent, name, mode);
	else
		result = fd = sys_openat(walk->parent, name,
					 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
	usual_modes(mask);
	close_descriptor(&fd);
	if (result < 0)
		return result;
	fd = sys_openat(walk->parent, name, O_PATH | O_NOFOLLOW | (directory ? O_DIRECTORY : 0), 0);
	if (fd < 0)
		return fd;
	if (creation->uid != (uid_t)-1 || creation->gid != (gid_t)-1)
		result = sys_fchownat(fd, creation->uid, creation->gid);
	return result < 0 ? result : give(&fd);
}

/* What the kernel did not find: absent, or a link to something absent. */
static int create_component(struct walk *walk, size_t start, size_t end,
			    const struct creation *creation)
{
	char name[NAME_MAX + 1];
	char target[PATH_MAX];
	bool last = is_last(walk->path, end);
	long length;
	int fd;

	if (end - start > NAME_MAX)
		return -ENAMETOOLONG;
	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	memcpy(name, walk->path + start, end - start);
	name[end - start] = '\0';
	if (walk->parent < 0)
		walk->parent = open_root();
	if (walk->parent < 0)
		return walk->parent;
	length = readlinkat(walk->parent, name, target, sizeof(target));
	if (length == (long)sizeof(target))
		return -ENAMETOOLONG;
	if (length > 0) {
		if (creation->resolve != 0 || (last && creation->nofollow))
			return -ELOOP;
		return replace_link(walk, start, end, target, (size_t)length);
	}
	if (errno != ENOENT)
		return errno == EINVAL ? 0 : -errno; /* it is there now: look again */
	fd = make(walk, name, last, creation);
	if (fd < 0)
		return fd == -EEXIST ? 0 : fd;
	walk->links = 0;
	advance(walk, fd, end);
	return 0;
}

/* O_PATH with O_NOFOLLOW opens the link itself. */
static bool is_link(int fd)
{
	struct stat status;

	return sys_fstat(fd, &status) < 0 || S_ISLNK(status.st_mode);
}

/* The last component need not be looked for a second time: what has come there meanwhile is met
 * when it cannot be made. */
static int look_for(struct walk *walk, size_t end, const struct creation *creation, bool nofollow)
{
	char after = walk->path[end];
	int fd;

	if (walk->absent && is_last(walk->path, end)) {
		walk->absent = false;
		return -ENOENT;
	}
	walk->path[end] = '\0';
	fd = resolve(walk->path, O_PATH | (nofollow ? O_NOFOLLOW : 0), creation->resolve);
	walk->path[end] = after;
	return fd;
}

static int step_into(struct walk *walk, const struct creation *creation)
{
	size_t start = walk->at;
	size_t end = component(walk->path, &start);
	bool nofollow = creation->nofollow && is_last(walk->path, end);
	int fd = look_for(walk, end, creation, nofollow);

	if (fd >= 0 && nofollow && creation->type == S_IFDIR && is_link(fd)) {
		close(fd);
		fd = -ELOOP;
	}
	if (fd >= 0)
		advance(walk, fd, end);
	else if (fd == -ENOENT)
		fd = create_component(walk, start, end, creation);
	if (fd < 0) {
		walk->path[end] = '\0';
		detail(walk->path);
	}
	return fd < 0 ? fd : 0;
}

static int create_all(const char *path, const struct creation *creation)
{
	struct walk walk = {.parent = -1, .absent = !creation->nofollow};
	size_t length = strlen(path);
	int result = 0;

	if (length >= sizeof(walk.path))
		return -ENAMETOOLONG;
	memcpy(walk.path, path, length + 1);
	while (result >= 0 && !is_last(walk.path, walk.at))
		result = step_into(&walk, creation);
	if (result < 0)
		close_descriptor(&walk.parent);
	else if (walk.parent < 0)
		walk.parent = open_root();
	return result < 0 ? result : walk.parent;
}

int resolve_or_create(const char *path, const struct creation *creation, uint32_t *step,
		      uint32_t create_step)
{
	int fd = creation->nofollow ? -ENOENT : resolve(path, O_PATH, creation->resolve);

	if (fd == -ENOENT) {
		*step = create_step;
		return create_all(path, creation);
	}
	if (fd < 0)
		detail(path);
	return fd;
}

int resolve_parent(const char *path, mode_t mode, const char **name, char *buffer)
{
	const struct creation directories = {
		.type = S_IFDIR, .mode = mode, .parents = mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
	size_t length = strlen(path);
	uint32_t ignored;

	while (length > 0 && path[length - 1] == '/')
		length--;
	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(buffer, path, length);
	buffer[length] = '\0';
	while (length > 0 && buffer[length - 1] != '/')
		length--;
	*name = buffer + length;
	if ((*name)[0] == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
		return -EINVAL;
	if (length > 0)
		buffer[length - 1] = '\0';
	return resolve_or_create(length > 0 ? buffer : "", &directories, &ignored, 0);
}
