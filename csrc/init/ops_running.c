// SPDX-License-Identifier: Apache-2.0
/* The mounts of a running container: its processes may change whatever they own meanwhile. */
#include <limits.h>
#include <string.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

int run_send_mount(const struct op_send_mount *op, uint32_t *step)
{
	int tree = slot_get(op->slot);

	(void)step;
	return tree < 0 ? tree : sync_await_sending(RENDEZVOUS_MOUNTED, tree);
}

/* The directory above the last component; no link is followed, since the path came from the kernel
 * and has none. */
static int open_parent(const char *path, const char **name, char buffer[PATH_MAX])
{
	size_t length = strlen(path);

	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(buffer, path, length + 1);
	while (length > 0 && buffer[length - 1] != '/')
		length--;
	*name = path + length;
	buffer[length] = '\0';
	if ((*name)[0] == '\0')
		return -EBUSY; /* the root itself */
	return resolve(buffer, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
}

/* What lies on top at the name: a mount of the container over ours is not ours to take away. */
static int verify_mount_id(int parent, const char *name, uint64_t id)
{
	struct mount_status status;
	int result = sys_statx(parent, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, MASK_MOUNT_ID,
			       &status);

	if (result < 0)
		return result;
	if ((status.mask & MASK_MOUNT_ID) == 0 || status.mount_id != id)
		return -ESTALE;
	return 0;
}

/* umount2(2) takes a string: a name below the working directory, which cannot be moved away. */
int run_detach_mount(const struct op_detach_mount *op, uint32_t *step)
{
	char buffer[PATH_MAX];
	const char *name;
	int result;
	int back;
	CLEANUP_CLOSE int parent = open_parent(op->path, &name, buffer);

	if (parent < 0)
		return parent;
	*step = STEP_DETACH_MOUNT_VERIFY;
	result = verify_mount_id(parent, name, op->id);
	if (result < 0)
		return result;
	*step = STEP_DETACH_MOUNT_DETACH;
	result = sys_fchdir(parent);
	if (result < 0)
		return result;
	result = sys_umount2(name, FLAG_DETACH | FLAG_NOFOLLOW);
	back = sys_chdir("/");
	return result < 0 ? result : back;
}
