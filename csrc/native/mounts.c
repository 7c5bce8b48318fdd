// SPDX-License-Identifier: Apache-2.0
/* The mount interfaces. By number: musl and the C library of Debian 12 differ in which of them they
 * wrap. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native.h"

/* From <sys/mount.h>, which cannot be included together with <linux/mount.h>. */
int mount(const char *source, const char *target, const char *fstype, unsigned long flags,
	  const void *data);
int umount2(const char *target, int flags);

int native_open_tree(int dir_fd, const char *path, unsigned int flags)
{
	return native_result(syscall(SYS_open_tree, dir_fd, path, flags | OPEN_TREE_CLOEXEC));
}

int native_move_mount(int from_fd, const char *from_path, int to_fd, const char *to_path,
		      unsigned int flags)
{
	return native_result(syscall(SYS_move_mount, from_fd, from_path, to_fd, to_path, flags));
}

int native_mount_setattr(int dir_fd, const char *path, unsigned int flags, uint64_t attr_set,
			 uint64_t attr_clear, uint64_t propagation, int userns_fd)
{
	struct mount_attr attr = {
		.attr_set = attr_set, .attr_clr = attr_clear, .propagation = propagation};

	if (userns_fd >= 0)
		attr.userns_fd = (__u64)userns_fd;
	return native_result(syscall(SYS_mount_setattr, dir_fd, path, flags, &attr, sizeof(attr)));
}

int native_fspick(const char *path)
{
	return native_result(syscall(SYS_fspick, AT_FDCWD, path, FSPICK_CLOEXEC));
}

int native_fsopen(const char *type)
{
	return native_result(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
}

int native_fsmount(int fs_fd, unsigned int attributes)
{
	return native_result(syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, attributes));
}

int native_fsconfig(int fs_fd, unsigned int command, const char *key, const char *value, int aux)
{
	return native_result(syscall(SYS_fsconfig, fs_fd, command, key, value, aux));
}

int native_mount(const char *source, const char *target, const char *fstype, uint64_t flags,
		 const char *data)
{
	return native_result(mount(source, target, fstype, flags, data));
}

int native_umount2(const char *target, int flags)
{
	return native_result(umount2(target, flags));
}
