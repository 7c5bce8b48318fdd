// SPDX-License-Identifier: Apache-2.0
/*
 * What is missing of a path inside the container is created one component at a time, below the
 * descriptor of its parent (resolve.c).
 */
#include <limits.h>
#include <string.h>

#include "init.h"
#include "sys.h"

#define LINKS_MAX                                                                                  \
	40 /* as the kernel; also bounds a fight with somebody who renames what we look at */

struct walk {
	char path[PATH_MAX]; /* rewritten where a link dangles */
	size_t at;	     /* end of the part that `parent` stands for */
	int parent;	     /* -1: the root, which is opened only when something is made in it */
	unsigned int links;
	bool absent; /* the whole path was looked up, and is not there */
};

/* The directory in which the last op has made something, for the next op. */
static struct {
	const char *path; /* in the plan, or a constant; `length` bytes of it */
	size_t length;
	uint64_t resolve;
	uint32_t op;
	int fd;
} kept_parent = {.fd = -1};
bool made_target;

void forget_parent(void)
{
	drop_descriptor(&kept_parent.fd);
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
	drop_descriptor(&walk->parent);
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

static int make(int parent, const char *name, bool last, const struct creation *creation)
{
	bool directory = !last || creation->type == S_IFDIR;
	mode_t mode = last ? creation->mode : creation->parents;
	mode_t mask = exact_modes();
	CLEANUP_CLOSE int fd = -1;
	int result;

	if (directory)
		result = sys_mkdirat(parent, name, mode);
	else
		result = fd =
			sys_openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
	usual_modes(mask);
	close_descriptor(&fd);
	if (result < 0)
		return result;
	fd = sys_openat(parent, name, O_PATH | O_NOFOLLOW | (directory ? O_DIRECTORY : 0), 0);
	if (fd < 0)
		return fd;
	if (creation->uid != (uid_t)-1 || creation->gid != (gid_t)-1)
		result = sys_fchownat(fd, creation->uid, creation->gid);
	made_target = last && result >= 0;
	return result < 0 ? result : give(&fd);
}

/* What the kernel did not find: absent, or a link to something absent, which is why it cannot be
 * made. */
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
	fd = make(walk->parent, name, last, creation);
	if (fd >= 0) {
		walk->links = 0;
		advance(walk, fd, end);
		return 0;
	}
	if (fd != -EEXIST)
		return fd;
	length = readlinkat(walk->parent, name, target, sizeof(target));
	if (length == (long)sizeof(target))
		return -ENAMETOOLONG;
	if (length > 0) {
		if (creation->resolve != 0 || (last && creation->nofollow))
			return -ELOOP;
		return replace_link(walk, start, end, target, (size_t)length);
	}
	return errno == EINVAL || errno == ENOENT
		       ? 0
		       : -errno; /* somebody else was at it: look again */
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
		drop_descriptor(&walk.parent);
	else if (walk.parent < 0)
		walk.parent = open_root();
	return result < 0 ? result : walk.parent;
}

static int split(const char *path, struct place *place)
{
	size_t length = strlen(path), end;
	char *text = place->text + 1;

	while (length > 0 && path[length - 1] == '/')
		length--;
	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	place->text[0] = '\0';
	memcpy(text, path, length);
	text[length] = '\0';
	for (end = length; length > 0 && text[length - 1] != '/';)
		length--;
	place->name = text + length;
	if (length == end || strcmp(place->name, ".") == 0 || strcmp(place->name, "..") == 0)
		return -EINVAL;
	place->length = length > 0 ? length - 1 : 0;
	place->parent = length > 0 ? text : place->text;
	if (length > 0)
		text[place->length] = '\0';
	return 0;
}

static bool is_kept(const struct place *place, uint64_t flags)
{
	return kept_parent.fd >= 0 && current_op - kept_parent.op <= 1 &&
	       kept_parent.resolve == flags && kept_parent.length == place->length &&
	       memcmp(kept_parent.path, place->parent, place->length) == 0;
}

/* `path` outlives the op: it is in the plan, or a constant. */
static void keep_parent(const char *path, const struct place *place, uint64_t flags, int fd)
{
	forget_parent();
	kept_parent.path = path;
	kept_parent.length = place->length;
	kept_parent.resolve = flags;
	kept_parent.op = current_op;
	kept_parent.fd = fd;
}

/*
 * The last component alone, below a directory that is there: whatever has this name, a link too,
 * makes it fail, and the path is looked up as a whole then. Without `look_up`, only beside what the
 * last op has made.
 */
static int make_last(const char *path, const struct creation *creation, bool look_up)
{
	struct place place;
	int fd;

	if (creation->nofollow || split(path, &place) < 0)
		return -EEXIST;
	if (!is_kept(&place, creation->resolve)) {
		if (!look_up)
			return -EEXIST;
		fd = resolve(place.parent, O_PATH | O_DIRECTORY, creation->resolve);
		if (fd < 0)
			return fd;
		keep_parent(path, &place, creation->resolve, fd);
	}
	fd = make(kept_parent.fd, place.name, true, creation);
	if (fd >= 0)
		kept_parent.op = current_op;
	else
		forget_parent();
	return fd;
}

int resolve_or_create(const char *path, const struct creation *creation, uint32_t *step,
		      uint32_t create_step)
{
	int fd;

	made_target = false;
	fd = make_last(path, creation, false);
	if (fd >= 0)
		return fd;
	fd = creation->nofollow ? -ENOENT : resolve(path, O_PATH, creation->resolve);
	if (fd == -ENOENT) {
		*step = create_step;
		fd = make_last(path, creation, true);
		return fd >= 0 ? fd : create_all(path, creation);
	}
	if (fd < 0)
		detail(path);
	return fd;
}

int resolve_parent(const char *path, mode_t mode, struct place *place)
{
	const struct creation directories = {
		.type = S_IFDIR, .mode = mode, .parents = mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
	uint32_t ignored;
	int fd = split(path, place);

	if (fd < 0)
		return fd;
	if (!is_kept(place, 0)) {
		fd = resolve_or_create(place->parent, &directories, &ignored, 0);
		if (fd < 0)
			return fd;
		keep_parent(path, place, 0, fd);
	}
	kept_parent.op = current_op;
	return kept_parent.fd;
}
