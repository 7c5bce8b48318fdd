// SPDX-License-Identifier: Apache-2.0
/* From the working directory to the exec of the container's program. */
#include <limits.h>
#include <string.h>
#include <time.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

char program_path[PATH_MAX] LARGE;

static int verify_inside(void)
{
	char path[PATH_MAX];
	long length = syscall(SYS_getcwd, path, sizeof(path));

	if (length < 0)
		return -errno;
	if (path[0] == '/') /* "(unreachable)/..." otherwise */
		return 0;
	detail(path);
	return -EXDEV;
}

static bool refused(int result)
{
	return result == -EACCES || result == -EPERM;
}

static int enter_directory(const struct op_change_directory *op, uint32_t *step)
{
	const struct creation creation = {
		.type = S_IFDIR, .mode = 0755, .parents = 0755, .uid = (uid_t)-1, .gid = (gid_t)-1};
	int result;
	CLEANUP_DROP int fd = resolve(op->path, O_PATH | O_DIRECTORY, 0);

	if (fd == -ENOENT && op->create != 0) {
		*step = STEP_CHANGE_DIRECTORY_CREATE;
		fd = resolve_or_create(op->path, &creation, step, STEP_CHANGE_DIRECTORY_CREATE);
	}
	if (fd < 0)
		return fd;
	*step = STEP_CHANGE_DIRECTORY_CHDIR;
	result = sys_fchdir(fd);
	if (result < 0)
		return result;
	*step = STEP_CHANGE_DIRECTORY_VERIFY;
	return verify_inside();
}

/* The user may have rights that root without capabilities has not, and the other way round: one
 * success is enough. */
int run_change_directory(const struct op_change_directory *op, uint32_t *step)
{
	static bool entered;
	int result;

	if (entered) {
		entered = false;
		return 0;
	}
	result = enter_directory(op, step);
	if (op->retry_later == 0)
		return result;
	entered = result >= 0;
	if (*step == STEP_CHANGE_DIRECTORY_VERIFY)
		return result;
	return refused(result) ? 0 : result;
}

/*
 * A regular file that this user may execute, as execve will see it: faccessat2 with the effective
 * ids also answers EACCES for a mount that is noexec.
 */
static int examine(const char *path, uint32_t *step)
{
	struct stat status;
	int result;

	*step = STEP_FIND_EXECUTABLE_STAT;
	result = sys_result(fstatat(AT_FDCWD, path, &status, 0));
	if (result < 0)
		return result;
	*step = STEP_FIND_EXECUTABLE_DIRECTORY;
	if (S_ISDIR(status.st_mode))
		return -EISDIR;
	*step = STEP_FIND_EXECUTABLE_PERMISSION;
	if (!S_ISREG(status.st_mode))
		return -EACCES;
	return sys_faccessat2(AT_FDCWD, path, X_OK, AT_EACCESS);
}

/* The shortest leading part of the path that cannot be looked at goes into the report. */
static void blame_component(char *path)
{
	for (size_t i = 1; path[i] != '\0'; i++) {
		struct stat status;
		int result;

		if (path[i] != '/')
			continue;
		path[i] = '\0';
		result = sys_result(fstatat(AT_FDCWD, path, &status, 0));
		if (result >= 0)
			result = sys_faccessat2(AT_FDCWD, path, X_OK, AT_EACCESS);
		if (result < 0) {
			detail(path);
			path[i] = '/';
			return;
		}
		path[i] = '/';
	}
	detail(path);
}

static bool join(const char *directory, size_t length, const char *name)
{
	size_t size = strlen(name);

	if (length == 0) { /* an empty entry of PATH is the working directory */
		directory = ".";
		length = 1;
	}
	if (length + 1 + size + 1 > sizeof(program_path))
		return false;
	memcpy(program_path, directory, length);
	program_path[length] = '/';
	memcpy(program_path + length + 1, name, size + 1);
	return true;
}

static int search(const char *name, const char *path, uint32_t *step)
{
	bool blamed = false;

	for (;;) {
		size_t length = strcspn(path, ":");
		int result = -ENOENT;

		if (join(path, length, name))
			result = examine(program_path, step);
		if (result >= 0)
			return 0;
		if (result == -EACCES && !blamed) {
			blame_component(program_path);
			blamed = true;
		}
		if (path[length] == '\0')
			break;
		path += length + 1;
	}
	*step = STEP_FIND_EXECUTABLE_PATH;
	return -ENOENT;
}

int run_find_executable(const struct op_find_executable *op, uint32_t *step)
{
	size_t length = strlen(op->name);
	int result;

	if (length == 0)
		return -ENOENT;
	if (strchr(op->name, '/') == NULL)
		return search(op->name, op->search, step);
	if (length >= sizeof(program_path))
		return -ENAMETOOLONG;
	memcpy(program_path, op->name, length + 1);
	result = examine(program_path, step);
	if (result == -EACCES)
		blame_component(program_path);
	return result;
}

/* From here on pyrunc is gone: `start` listens on a fifo instead of the socket, whose end tells
 * `create` that all is well. */
int run_wait_at_gate(const struct op_wait_at_gate *op, uint32_t *step)
{
	int gate = slot_get(op->gate);
	int report = slot_get(op->report);
	char byte;
	int result;

	(void)step;
	if (gate < 0 || report < 0)
		return gate < 0 ? gate : report;
	result = clear_death_signal();
	if (result < 0)
		return result;
	sync_switch(report);
	result = sys_read(gate, &byte, 1);
	if (result == 0)
		leave();
	if (result >= 0)
		result = slot_close(op->gate);
	close_dropped();
	return result;
}

/*
 * Descriptors are closed for good, not only marked: a working directory or program in /proc/self/fd
 * would still find them.
 */
static bool closed;

/* All from `first` except those in `kept`, which has `n` entries; -1 is no entry. */
static int close_except(unsigned int first, const int *kept, size_t n)
{
	forget_root();
	for (;;) {
		unsigned int next = ~0U;
		int result;

		for (size_t i = 0; i < n; i++)
			if (kept[i] >= 0 && (unsigned int)kept[i] >= first &&
			    (unsigned int)kept[i] < next)
				next = (unsigned int)kept[i];
		if (next > first) {
			result = sys_close_range(first, next == ~0U ? next : next - 1, 0);
			if (result < 0)
				return result;
		}
		if (next == ~0U)
			return 0;
		first = next + 1;
	}
}

static bool may_preserve(uint32_t preserved)
{
	return preserved <= (uint32_t)sync_fd - 3;
}

int run_close_descriptors(const struct op_close_descriptors *op, uint32_t *step)
{
	const uint32_t slots[] = {op->gate, op->report, op->out, op->err, op->program};
	int kept[] = {sync_fd, -1, -1, -1, -1, -1};

	(void)step;
	if (!may_preserve(op->preserved))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		if (slots[i] != 0)
			kept[i + 1] = slot_get(slots[i]);
	closed = true;
	return close_except(3 + op->preserved, kept, sizeof(kept) / sizeof(kept[0]));
}

static int close_all(uint32_t preserved)
{
	if (!may_preserve(preserved))
		return -EINVAL;
	if (!closed)
		return close_except(3 + preserved, &sync_fd, 1);
	close_dropped();
	return 0;
}

int set_variable(const struct strings *env, uint32_t index, char *variable)
{
	if (index == NO_INDEX)
		return 0;
	if (index >= env->count)
		return -EINVAL;
	env->items[index] = variable;
	return 0;
}

/* The variables that the init fills in, and no descriptor of the runtime any more. */
static int settle(const struct strings *env, uint32_t home, uint32_t listen, uint32_t preserved)
{
	static char listen_variable[sizeof("LISTEN_PID=") + 20] = "LISTEN_PID=";
	int result;

	format_decimal(listen_variable + sizeof("LISTEN_PID=") - 1, (uint64_t)own_pid);
	result = set_variable(env, home, found_home());
	if (result >= 0)
		result = set_variable(env, listen, listen_variable);
	return result < 0 ? result : close_all(preserved);
}

static int announce(void)
{
	int result = clear_death_signal();

	if (result < 0)
		return result;
	result = sync_send(MESSAGE_EXEC, 0, 0);
	if (result < 0)
		leave();
	return result;
}

int run_execute_slot(const struct op_execute_slot *op, uint32_t *step)
{
	int program = slot_get(op->slot);
	int result = program < 0 ? program : settle(&op->env, op->home, op->listen, op->preserved);

	if (result < 0)
		return result;
	*step = STEP_EXECUTE_SLOT_EXECVE;
	result = announce();
	if (result < 0)
		return result;
	syscall(SYS_execveat, program, "", op->argv.items, op->env.items, AT_EMPTY_PATH);
	return -errno;
}

int run_execute(const struct op_execute *op, uint32_t *step)
{
	int result;

	if (program_path[0] == '\0')
		return -ENOENT;
	result = settle(&op->env, op->home, op->listen, op->preserved);
	if (result < 0)
		return result;
	*step = STEP_EXECUTE_EXECVE;
	result = announce();
	if (result < 0)
		return result;
	execve(program_path, op->argv.items, op->env.items);
	result = -errno;
	detail(program_path);
	if (result == -ENOENT || result == -ENOEXEC || result == -ELIBBAD)
		tell_program(program_path, result == -ENOEXEC);
	return result;
}
