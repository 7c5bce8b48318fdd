// SPDX-License-Identifier: Apache-2.0
/* Detached mounts: made and given their attributes before anybody can see them. */
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#define ATIME_BITS (MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME)
#define SIMPLE_BITS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define STRING_MAX 255 /* fsconfig takes no longer string */

static int set_attributes(int fd, const char *path, uint64_t set, uint64_t clear, bool recursive)
{
	struct mount_attr attr = {.attr_set = set, .attr_clr = clear};
	unsigned int flags = recursive ? AT_RECURSIVE : 0;

	if ((set | clear) == 0)
		return 0;
	return sys_mount_setattr(fd, path, path[0] == '\0' ? flags | AT_EMPTY_PATH : flags, &attr);
}

int run_propagate_root(const struct op_propagate_root *op, uint32_t *step)
{
	(void)step;
	return sys_mount(NULL, "/", NULL, (unsigned long)op->flags, NULL);
}

/* What the clone itself fails with; other errors are those of the look-up. */
static bool is_not_cloned(int result)
{
	return result == -EINVAL || result == -EPERM;
}

/* The parent has its rights over the host's files still, and clones where nothing is locked yet. */
static int clone_failed(const struct op_clone_tree *op, int result)
{
	if (op->ask == 0 || (result != -EACCES && result != -EINVAL))
		return result;
	return sync_await_receiving(RENDEZVOUS_SOURCE, op->slot, 1);
}

int run_clone_tree(const struct op_clone_tree *op, uint32_t *step)
{
	struct mount_status status;
	int result;
	unsigned int flags = OPEN_TREE_CLONE | AT_NO_AUTOMOUNT |
			     (op->recursive != 0 ? AT_RECURSIVE : 0) |
			     (op->nofollow != 0 ? AT_SYMLINK_NOFOLLOW : 0);
	CLEANUP_DROP int tree = sys_open_tree(AT_FDCWD, op->path, flags);

	if (is_not_cloned(tree))
		*step = STEP_CLONE_TREE_CLONE;
	if (tree < 0)
		return clone_failed(op, tree);
	*step = STEP_CLONE_TREE_VERIFY;
	result = sys_statx(tree, "", AT_EMPTY_PATH, MASK_TYPE | MASK_MOUNT_ID, &status);
	if (result < 0)
		return result;
	if (op->type != 0 && (status.mode & S_IFMT) != op->type)
		return op->type == S_IFDIR ? -ENOTDIR : -ENODEV;
	if (op->rdev != 0 && makedev(status.rdev_major, status.rdev_minor) != op->rdev)
		return -ENODEV;
	return slot_put_tree(op->slot, give(&tree), status.mode & S_IFMT,
			     (status.mask & MASK_MOUNT_ID) != 0 ? (uint32_t)status.mount_id : 0);
}

/* The kernel tells in words what it dislikes, one message per read: "e overlay: Unrecognized mount
 * option". */
static void read_log(int fs)
{
	char text[DETAIL_SIZE];
	int length = sys_read(fs, text, sizeof(text) - 1);

	if (length <= 2)
		return;
	while (length > 2 && text[length - 1] == '\n')
		length--;
	text[length] = '\0';
	if (detail_text[0] != '\0')
		detail_more(": ");
	detail_more(text + 2);
}

static int set_option(int fs, char *option)
{
	char *equals = strchr(option, '=');
	int result;

	if (equals == NULL)
		return sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL);
	*equals = '\0';
	result = sys_fsconfig(fs, FSCONFIG_SET_STRING, option, equals + 1);
	*equals = '=';
	return result;
}

static bool has_long_option(const struct op_new_mount *op)
{
	for (uint32_t i = 0; i < op->options.count; i++) {
		const char *equals = strchr(op->options.items[i], '=');

		if (equals != NULL && strlen(equals + 1) > STRING_MAX)
			return true;
	}
	return strlen(op->source) > STRING_MAX;
}

static int join_options(const struct strings *options, char *data, size_t size)
{
	size_t used = 0;

	for (uint32_t i = 0; i < options->count; i++) {
		size_t length = strlen(options->items[i]);

		if (used + length + 2 > size)
			return -E2BIG;
		if (i > 0)
			data[used++] = ',';
		memcpy(data + used, options->items[i], length);
		used += length;
	}
	data[used] = '\0';
	return 0;
}

/*
 * Options longer than fsconfig takes (the layers of an overlay) go through mount(2), over /proc in
 * this mount namespace for a moment: a directory that every host has and that nobody else looks at
 * here.
 */
static int mount_long(const struct op_new_mount *op, uint32_t *step)
{
	char data[4096];
	int tree;
	int result = join_options(&op->options, data, sizeof(data));

	*step = STEP_NEW_MOUNT_CREATE;
	if (result < 0)
		return result;
	result = sys_mount(op->source, "/proc", op->fstype, 0, data);
	if (result < 0)
		return result;
	*step = STEP_NEW_MOUNT_MOUNT;
	tree = sys_open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE);
	result = sys_umount2("/proc", FLAG_DETACH);
	if (tree < 0)
		return tree;
	if (result >= 0)
		result = set_attributes(tree, "", op->attributes, 0, false);
	if (result < 0) {
		close(tree);
		return result;
	}
	return tree;
}

static int configure(int fs, const struct op_new_mount *op)
{
	int result = 0;

	if (op->source[0] != '\0')
		result = sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", op->source);
	if (result < 0)
		detail(op->source);
	for (uint32_t i = 0; result >= 0 && i < op->options.count; i++) {
		result = set_option(fs, op->options.items[i]);
		if (result < 0)
			detail(op->options.items[i]);
	}
	return result;
}

/* The descriptor of the detached mount. */
static int make_mount(const struct op_new_mount *op, int fs, uint32_t *step)
{
	int result;

	*step = STEP_NEW_MOUNT_OPTION;
	result = configure(fs, op);
	if (result >= 0) {
		*step = STEP_NEW_MOUNT_CREATE;
		result = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
	}
	if (result >= 0) {
		*step = STEP_NEW_MOUNT_MOUNT;
		result = sys_fsmount(fs, (unsigned int)op->attributes);
	}
	if (result < 0)
		read_log(fs);
	return result;
}

static int open_and_make(const struct op_new_mount *op, uint32_t *step)
{
	CLEANUP_DROP int fs = -1;

	if (has_long_option(op))
		return mount_long(op, step);
	fs = sys_fsopen(op->fstype);
	return fs < 0 ? fs : make_mount(op, fs, step);
}

int run_new_mount(const struct op_new_mount *op, uint32_t *step)
{
	int mount = open_and_make(op, step);

	return mount < 0 ? mount : slot_put_tree(op->slot, mount, S_IFDIR, 0);
}

struct outcome {
	int32_t result;
	uint32_t step;
	char detail[DETAIL_SIZE];
};

static int await_outcome(int pid, int from, uint32_t *step)
{
	struct outcome outcome;

	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	if (sys_read(from, &outcome, sizeof(outcome)) != (int)sizeof(outcome))
		return -ECHILD; /* it was killed */
	*step = outcome.step;
	detail_bytes(outcome.detail, DETAIL_SIZE);
	return outcome.result;
}

/* With the namespace by descriptor nobody has to be in it: -EINVAL before Linux 6.17. The one for
 * children is the one that was joined. */
static int make_proc_of(const struct op_new_mount *op, uint32_t *step)
{
	CLEANUP_CLOSE int fs = sys_fsopen("proc");
	CLEANUP_CLOSE int namespace = -1;
	int result;

	if (fs < 0)
		return fs;
	*step = STEP_NEW_JOINED_PROC_NAMESPACE;
	namespace = sys_open("/proc/self/ns/pid_for_children", O_RDONLY);
	if (namespace < 0)
		return namespace;
	result = sys_fsconfig_fd(fs, "pidns", namespace);
	return result < 0 ? result : make_mount(op, fs, step);
}

/*
 * setns(2) of a pid namespace is for children, and a procfs shows the one that its maker is in. The
 * child has the same table of descriptors, so that the mount is here when it has ended.
 */
static int make_proc_in_child(const struct op_new_mount *mount, uint32_t *step)
{
	struct clone_args args = {.flags = CLONE_FILES, .exit_signal = SIGCHLD};
	struct outcome outcome = {0};
	int ends[2];
	int result = sys_result(pipe2(ends, O_CLOEXEC | O_NONBLOCK));

	*step = STEP_NEW_JOINED_PROC_CHILD;
	if (result < 0)
		return result;
	close_dropped(); /* by one of the two only */
	result = sys_clone3(&args);
	if (result == 0) {
		outcome.result = open_and_make(mount, &outcome.step);
		memcpy(outcome.detail, detail_text, DETAIL_SIZE);
		close_dropped(); /* the table of descriptors is that of the parent, too */
		_exit(sys_write(ends[1], &outcome, sizeof(outcome)) < 0);
	}
	if (result > 0)
		result = await_outcome(result, ends[0], step);
	close(ends[0]);
	close(ends[1]);
	return result;
}

int run_new_joined_proc(const struct op_new_joined_proc *op, uint32_t *step)
{
	const struct op_new_mount mount = {.slot = op->slot,
					   .fstype = "proc",
					   .source = op->source,
					   .options = op->options,
					   .attributes = op->attributes};
	int result = make_proc_of(&mount, step);

	if (result < 0 && *step == STEP_NEW_JOINED_PROC_NAMESPACE)
		result = make_proc_in_child(&mount, step);
	return result < 0 ? result : slot_put(op->slot, result);
}

/*
 * The flags of a host mount are locked in a user namespace. They stay as they are, except that a
 * flag which the configuration asks to clear in so many words must not silently stay.
 */
static int keep_locked(int fd, const struct op_set_attributes *op)
{
	struct statfs status;
	uint64_t now;
	uint64_t clear = op->clear;
	uint64_t set = op->set;
	int result = sys_fstatfs(fd, &status);

	if (result < 0)
		return result;
	now = attributes_of((uint64_t)status.f_flags);
	if ((op->clear & now & SIMPLE_BITS & op->explicit) != 0)
		return -EPERM;
	clear &= ~(now & SIMPLE_BITS);
	result = set_attributes(fd, "", set, clear, op->recursive != 0);
	if (result != -EPERM || ((set | clear) & ATIME_BITS) == 0)
		return result;
	if ((op->explicit & ATIME_BITS) != 0)
		return result;
	set &= ~(uint64_t)ATIME_BITS;
	clear &= ~(uint64_t)ATIME_BITS;
	return set_attributes(fd, "", set, clear, op->recursive != 0);
}

int run_set_attributes(const struct op_set_attributes *op, uint32_t *step)
{
	int fd = slot_get(op->slot);
	int result;

	if (fd < 0)
		return fd;
	result = set_attributes(fd, "", op->set, op->clear, op->recursive != 0);
	if (result != -EPERM || op->keep_locked == 0)
		return result;
	*step = STEP_SET_ATTRIBUTES_LOCKED;
	return keep_locked(fd, op);
}

int run_reset_atime(const struct op_reset_atime *op, uint32_t *step)
{
	struct statfs status;
	uint64_t rule;
	int fd = slot_get(op->slot);
	int result;

	if (fd < 0)
		return fd;
	result = sys_fstatfs(fd, &status);
	if (result < 0)
		return result;
	rule = attributes_of((uint64_t)status.f_flags) & MOUNT_ATTR__ATIME;
	if ((op->rules >> (rule / MOUNT_ATTR_NOATIME) & 1) == 0)
		return 0;
	*step = STEP_RESET_ATIME_SETATTR;
	result = set_attributes(fd, "", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME, false);
	return result == -EPERM && op->keep_locked != 0 ? 0 : result;
}

int run_set_propagation(const struct op_set_propagation *op, uint32_t *step)
{
	struct mount_attr attr = {.propagation = op->flags};
	int fd = slot_get(op->slot);

	(void)step;
	if (fd < 0)
		return fd;
	return sys_mount_setattr(fd, "", AT_EMPTY_PATH | (op->recursive != 0 ? AT_RECURSIVE : 0),
				 &attr);
}

int run_set_root_attributes(const struct op_set_root_attributes *op, uint32_t *step)
{
	(void)step;
	return set_attributes(AT_FDCWD, "/", op->set, op->clear, op->recursive != 0);
}
