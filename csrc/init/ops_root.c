// SPDX-License-Identifier: Apache-2.0
/* The container's root: attached, entered, left for the hooks, and made the only one. */
#include <limits.h>
#include <string.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#define MOUNTINFO_MAX (256U << 10)

/* The parent has its rights over the host's files still, and attaches the clone in our mount
 * namespace. */
static int attached_by_parent(uint32_t slot)
{
	int tree;
	int result = sync_await_receiving(RENDEZVOUS_SOURCE, slot, 1);

	if (result < 0)
		return result;
	tree = slot_get(slot);
	return tree < 0 ? tree : note_root(tree);
}

int run_attach_root(const struct op_attach_root *op, uint32_t *step)
{
	int result;
	CLEANUP_CLOSE int tree = -1;
	CLEANUP_DROP int fd = sys_open(op->path, O_PATH | O_DIRECTORY);

	if (fd < 0)
		return op->ask != 0 && fd == -EACCES ? attached_by_parent(op->slot) : fd;
	*step = STEP_ATTACH_ROOT_CLONE;
	tree = sys_open_tree(fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE);
	if (tree < 0)
		return tree;
	*step = STEP_ATTACH_ROOT_ATTACH;
	result = sys_move_mount(tree, fd, "", MOVE_MOUNT_T_EMPTY_PATH);
	if (result >= 0)
		result = note_root(tree);
	return result < 0 ? result : slot_put(op->slot, give(&tree));
}

static int enter(int fd, uint32_t *step, uint32_t chroot_step)
{
	int result = sys_fchdir(fd);

	if (result < 0)
		return result;
	*step = chroot_step;
	return sys_chroot(".");
}

int run_enter_root(const struct op_enter_root *op, uint32_t *step)
{
	int root = slot_get(op->root);
	int host;
	int result;

	if (root < 0)
		return root;
	host = open_root();
	if (host < 0)
		return host;
	result = slot_put(op->host, host);
	if (result < 0)
		return result;
	*step = STEP_ENTER_ROOT_CHDIR;
	result = enter(root, step, STEP_ENTER_ROOT_CHROOT);
	if (result < 0)
		return result;
	return keep_root();
}

/* A mount over the container's root: what comes later is resolved, and pivoted to, above it. The
 * slot stays open for attributes that come at the end. */
int run_cover_root(const struct op_cover_root *op, uint32_t *step)
{
	struct stat status;
	int tree = slot_get(op->slot);
	int kept;
	int result;
	CLEANUP_CLOSE int root = open_root();

	if (tree < 0 || root < 0)
		return tree < 0 ? tree : root;
	result = sys_fstat(tree, &status);
	if (result < 0)
		return result;
	if (!S_ISDIR(status.st_mode))
		return -ENOTDIR;
	*step = STEP_COVER_ROOT_ATTACH;
	result = sys_move_mount(tree, root, "", MOVE_MOUNT_T_EMPTY_PATH);
	if (result >= 0)
		result = note_mount(tree);
	if (result >= 0)
		result = note_root(tree);
	if (result < 0)
		return result;
	*step = STEP_COVER_ROOT_CHDIR;
	result = enter(tree, step, STEP_COVER_ROOT_CHROOT);
	if (result >= 0)
		result = keep_root();
	if (result >= 0)
		result = slot_close(op->root);
	if (result < 0)
		return result;
	kept = sys_result(fcntl(tree, F_DUPFD_CLOEXEC, 0));
	return kept < 0 ? kept : slot_put(op->root, kept);
}

int run_leave_root(const struct op_leave_root *op, uint32_t *step)
{
	int host = slot_get(op->host);
	int result;

	if (host < 0)
		return host;
	forget_root();
	result = enter(host, step, STEP_LEAVE_ROOT_CHROOT);
	return result < 0 ? result : slot_close(op->host);
}

/* pivot_root(".", ".") puts the old root on top of the new one; it is left through a descriptor
 * that is opened before. */
int run_pivot(const struct op_pivot *op, uint32_t *step)
{
	int root = slot_get(op->slot);
	int result;
	CLEANUP_CLOSE int old = open_root();

	if (root < 0 || old < 0)
		return root < 0 ? root : old;
	forget_root();
	result = sys_fchdir(root);
	if (result < 0)
		return result;
	*step = STEP_PIVOT_PIVOT;
	result = sys_pivot_root(".", ".");
	if (result < 0)
		return result;
	*step = STEP_PIVOT_PROPAGATION;
	result = sys_fchdir(old);
	if (result >= 0) /* the detach must not reach the host where / is shared */
		result = sys_mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL);
	if (result < 0)
		return result;
	*step = STEP_PIVOT_DETACH;
	result = sys_umount2(".", FLAG_DETACH);
	if (result < 0)
		return result;
	*step = STEP_PIVOT_ROOT;
	result = sys_chdir("/");
	if (result >= 0)
		result = keep_root();
	return result < 0 ? result : slot_close(op->slot);
}

static int read_mountinfo(char *text, size_t size)
{
	size_t used = 0;
	CLEANUP_CLOSE int fd = sys_open("/proc/self/mountinfo", O_RDONLY);

	if (fd < 0)
		return fd;
	while (used < size) {
		int result = sys_read(fd, text + used, size - used);

		if (result < 0)
			return result;
		if (result == 0)
			return (int)used;
		used += (size_t)result;
	}
	return -E2BIG;
}

/* The kernel writes blank, tab, newline and backslash as \ooo. */
static void unescape(char *path)
{
	char *to = path;

	for (char *from = path; *from != '\0'; from++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
		    from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 +
				       (from[3] - '0'));
			from += 3;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

static char *field(char **rest)
{
	char *start = *rest;
	char *blank = start == NULL ? NULL : strchr(start, ' ');

	if (blank != NULL)
		*blank++ = '\0';
	*rest = blank;
	return start;
}

/* The mount point of a line that is a whole procfs or sysfs outside of the container's root, else
 * NULL. */
static char *host_view(char *line, const char *root)
{
	char *separator = strstr(line, " - ");
	char *rest = line;
	char *type;
	char *view;
	char *point;
	size_t length = strlen(root);

	if (separator == NULL)
		return NULL;
	type = separator + 3;
	*separator = '\0';
	if (strncmp(type, "proc ", 5) != 0 && strncmp(type, "sysfs ", 6) != 0)
		return NULL;
	for (int i = 0; i < 3; i++) /* mount id, parent id, device */
		field(&rest);
	view = field(&rest);
	point = field(&rest);
	if (view == NULL || point == NULL || strcmp(view, "/") != 0)
		return NULL;
	unescape(point);
	if (strncmp(point, root, length) == 0 && (point[length] == '/' || point[length] == '\0'))
		return NULL;
	return point;
}

/* After MS_MOVE the mounts below the old root could still be reached; a procfs or sysfs there would
 * be one without masks. */
static int hide(const char *point)
{
	int result = sys_mount(NULL, point, NULL, MS_SLAVE | MS_REC, NULL);

	if (result < 0)
		return result == -ENOENT || result == -EINVAL ? 0 : result;
	result = sys_umount2(point, FLAG_DETACH | FLAG_NOFOLLOW);
	if (result == -EINVAL || result == -EPERM) /* locked in a user namespace */
		result = sys_mount("tmpfs", point, "tmpfs", 0, "");
	return result;
}

static int hide_all(const char *root)
{
	static char text[MOUNTINFO_MAX] LARGE;
	char *line = text;
	int size = read_mountinfo(text, sizeof(text) - 1);

	if (size < 0)
		return size;
	text[size] = '\0';
	while (*line != '\0') {
		char *next = strchr(line, '\n');
		char *point;
		int result;

		if (next != NULL)
			*next++ = '\0';
		point = host_view(line, root);
		result = point == NULL ? 0 : hide(point);
		if (result < 0) {
			detail(point);
			return result;
		}
		if (next == NULL)
			break;
		line = next;
	}
	return 0;
}

int run_move_root(const struct op_move_root *op, uint32_t *step)
{
	int root = slot_get(op->slot);
	int result;

	if (root < 0)
		return root;
	forget_root();
	result = hide_all(op->path);
	if (result < 0)
		return result;
	*step = STEP_MOVE_ROOT_CHDIR;
	result = sys_fchdir(root);
	if (result < 0)
		return result;
	*step = STEP_MOVE_ROOT_MOVE;
	result = sys_mount(".", "/", NULL, MS_MOVE, NULL);
	if (result < 0)
		return result;
	*step = STEP_MOVE_ROOT_CHROOT;
	result = sys_chroot(".");
	if (result >= 0)
		result = sys_chdir("/");
	return result < 0 ? result : slot_close(op->slot);
}

int run_change_root(const struct op_change_root *op, uint32_t *step)
{
	CLEANUP_CLOSE int fd = sys_open(op->path, O_PATH | O_DIRECTORY);
	int result;

	if (fd < 0)
		return fd;
	forget_root();
	result = enter(fd, step, STEP_CHANGE_ROOT_CHROOT);
	return result < 0 ? result : sys_chdir("/");
}
