/* SPDX-License-Identifier: Apache-2.0 */
/* One wrapper per system call, named after it, returning a negative errno. */
#ifndef SYS_H
#define SYS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef RESOLVE_IN_ROOT
#error "the kernel headers are too old"
#endif

/* 32-bit architectures kept the 16-bit ids under the plain names. */
#ifdef SYS_setresuid32
#define SYSCALL_SETRESUID SYS_setresuid32
#define SYSCALL_SETRESGID SYS_setresgid32
#define SYSCALL_GETRESUID SYS_getresuid32
#define SYSCALL_GETRESGID SYS_getresgid32
#define SYSCALL_SETGROUPS SYS_setgroups32
#define SYSCALL_GETGROUPS SYS_getgroups32
#else
#define SYSCALL_SETRESUID SYS_setresuid
#define SYSCALL_SETRESGID SYS_setresgid
#define SYSCALL_GETRESUID SYS_getresuid
#define SYSCALL_GETRESGID SYS_getresgid
#define SYSCALL_SETGROUPS SYS_setgroups
#define SYSCALL_GETGROUPS SYS_getgroups
#endif

static inline int sys_result(long value)
{
	return value < 0 ? -errno : (int)value;
}

/* Not open(3): musl follows it with an fcntl, for kernels that did not know O_CLOEXEC. */
static inline int sys_openat(int dir, const char *name, int flags, mode_t mode)
{
	return sys_result(syscall(SYS_openat, dir, name, flags | O_CLOEXEC | O_LARGEFILE, mode));
}

static inline int sys_open(const char *path, int flags)
{
	return sys_openat(AT_FDCWD, path, flags, 0);
}

static inline int sys_openat2(int dir, const char *path, const struct open_how *how)
{
	return sys_result(syscall(SYS_openat2, dir, path, how, sizeof(*how)));
}

static inline int sys_fstat(int fd, struct stat *status)
{
	return sys_result(fstat(fd, status));
}

/* Of the name itself, should it be a link. */
static inline int sys_fstatat(int dir, const char *name, struct stat *status)
{
	return sys_result(fstatat(dir, name, status, AT_SYMLINK_NOFOLLOW));
}

static inline int sys_fstatfs(int fd, struct statfs *status)
{
	return sys_result(fstatfs(fd, status));
}

/* What statx(2) says of an inode and its mount; musl has no declaration of the whole. */
struct mount_status {
	uint32_t mask;
	uint8_t before[0x1c - sizeof(uint32_t)];
	uint16_t mode;
	uint16_t padding;
	uint64_t inode;
	uint8_t between[0x80 - 0x28];
	uint32_t rdev_major, rdev_minor;
	uint8_t device[0x90 - 0x88];
	uint64_t mount_id;
	uint8_t after[0x100 - 0x98];
};
#define MASK_TYPE 0x1U	      /* STATX_TYPE */
#define MASK_INODE 0x100U     /* STATX_INO */
#define MASK_MOUNT_ID 0x1000U /* STATX_MNT_ID */

static inline int sys_statx(int dir, const char *name, int flags, unsigned int mask,
			    struct mount_status *status)
{
	return sys_result(syscall(SYS_statx, dir, name, flags, mask, status));
}

static inline int sys_open_tree(int dir, const char *path, unsigned int flags)
{
	return sys_result(syscall(SYS_open_tree, dir, path, flags | OPEN_TREE_CLOEXEC));
}

static inline int sys_move_mount(int from, int to, const char *to_path, unsigned int flags)
{
	return sys_result(
		syscall(SYS_move_mount, from, "", to, to_path, flags | MOVE_MOUNT_F_EMPTY_PATH));
}

static inline int sys_mount_setattr(int dir, const char *path, unsigned int flags,
				    struct mount_attr *attr)
{
	return sys_result(syscall(SYS_mount_setattr, dir, path, flags, attr, sizeof(*attr)));
}

static inline int sys_fsopen(const char *name)
{
	return sys_result(syscall(SYS_fsopen, name, FSOPEN_CLOEXEC));
}

static inline int sys_fsconfig(int fs, unsigned int command, const char *key, const char *value)
{
	return sys_result(syscall(SYS_fsconfig, fs, command, key, value, 0));
}

static inline int sys_fsconfig_fd(int fs, const char *key, int fd)
{
	return sys_result(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, key, NULL, fd));
}

static inline int sys_fsmount(int fs, unsigned int attributes)
{
	return sys_result(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes));
}

static inline int sys_mount(const char *source, const char *target, const char *type,
			    unsigned long flags, const char *data)
{
	return sys_result(syscall(SYS_mount, source, target, type, flags, data));
}

#define FLAG_DETACH 2	/* MNT_DETACH */
#define FLAG_NOFOLLOW 8 /* UMOUNT_NOFOLLOW */

static inline int sys_umount2(const char *target, int flags)
{
	return sys_result(syscall(SYS_umount2, target, flags));
}

static inline int sys_pivot_root(const char *root, const char *old)
{
	return sys_result(syscall(SYS_pivot_root, root, old));
}

static inline int sys_fchdir(int fd)
{
	return sys_result(fchdir(fd));
}

static inline int sys_chdir(const char *path)
{
	return sys_result(chdir(path));
}

static inline int sys_chroot(const char *path)
{
	return sys_result(chroot(path));
}

static inline int sys_setns(int fd, unsigned int kind)
{
	return sys_result(syscall(SYS_setns, fd, kind));
}

static inline int sys_unshare(unsigned int flags)
{
	return sys_result(syscall(SYS_unshare, flags));
}

/* A child with a copy of the memory. clone3 can put it into a cgroup; filters of containers around
 * us refuse that call, as they cannot look into its arguments, and without a cgroup clone does the
 * same. */
static inline int sys_clone3(struct clone_args *args)
{
	int result = sys_result(syscall(SYS_clone3, args, sizeof(*args)));
	unsigned long flags = (unsigned long)(args->flags | args->exit_signal);

	if ((result != -ENOSYS && result != -EPERM) || (args->flags & CLONE_INTO_CGROUP) != 0)
		return result;
#ifdef __s390__
	return sys_result(syscall(SYS_clone, 0, flags, NULL, NULL, 0));
#else
	return sys_result(syscall(SYS_clone, flags, 0, NULL, NULL, 0));
#endif
}

/* Like fork, with a pidfd. Not clone3, which a filter cannot look into and many therefore refuse: a
 * hook may be started under the container's own. */
static inline int sys_clone_pidfd(int *pidfd)
{
	unsigned long flags = CLONE_PIDFD | SIGCHLD;
#ifdef __s390__
	return sys_result(syscall(SYS_clone, 0, flags, pidfd, NULL, 0));
#else
	return sys_result(syscall(SYS_clone, flags, 0, pidfd, NULL, 0));
#endif
}

/* The end of this process, whatever a filter refuses. */
static inline _Noreturn void sys_end(int status)
{
	for (;;) {
		(void)syscall(SYS_exit_group, status);
		(void)syscall(SYS_exit, status);
		__builtin_trap();
	}
}

static inline int sys_pidfd_open(pid_t pid)
{
	return sys_result(syscall(SYS_pidfd_open, pid, 0));
}

int close_each(unsigned int first, unsigned int last, unsigned int flags); /* common.c */

static inline int sys_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	int result = sys_result(syscall(SYS_close_range, first, last, flags));

	if (result == -ENOSYS || result == -EPERM) /* a filter around us */
		result = close_each(first, last, flags);
	return result;
}

static inline int sys_prctl(int option, unsigned long value)
{
	return sys_result(prctl(option, value, 0UL, 0UL, 0UL));
}

static inline int sys_prctl_ambient(unsigned long operation, unsigned long capability)
{
	return sys_result(prctl(PR_CAP_AMBIENT, operation, capability, 0UL, 0UL));
}

static inline int sys_seccomp(unsigned int operation, unsigned int flags, const void *argument)
{
	return sys_result(syscall(SYS_seccomp, operation, flags, argument));
}

static inline int sys_setgroups(size_t count, const gid_t *groups)
{
	return sys_result(syscall(SYSCALL_SETGROUPS, count, groups));
}

static inline int sys_getgroups(size_t count, gid_t *groups)
{
	return sys_result(syscall(SYSCALL_GETGROUPS, count, groups));
}

static inline int sys_setresuid(uid_t uid)
{
	return sys_result(syscall(SYSCALL_SETRESUID, uid, uid, uid));
}

static inline int sys_setresgid(gid_t gid)
{
	return sys_result(syscall(SYSCALL_SETRESGID, gid, gid, gid));
}

static inline int sys_getresuid(uid_t ids[3])
{
	return sys_result(syscall(SYSCALL_GETRESUID, &ids[0], &ids[1], &ids[2]));
}

static inline int sys_getresgid(gid_t ids[3])
{
	return sys_result(syscall(SYSCALL_GETRESGID, &ids[0], &ids[1], &ids[2]));
}

static inline int sys_capget(struct __user_cap_header_struct *header,
			     struct __user_cap_data_struct *data)
{
	return sys_result(syscall(SYS_capget, header, data));
}

static inline int sys_capset(struct __user_cap_header_struct *header,
			     const struct __user_cap_data_struct *data)
{
	return sys_result(syscall(SYS_capset, header, data));
}

static inline int sys_keyctl(int operation, unsigned long one, unsigned long two,
			     unsigned long three)
{
	return sys_result(syscall(SYS_keyctl, operation, one, two, three, 0UL));
}

static inline int sys_faccessat2(int dir, const char *path, int mode, int flags)
{
	int result = sys_result(syscall(SYS_faccessat2, dir, path, mode, flags));

	/* No answer of faccessat2 itself: a filter around us. The real and the effective ids are
	 * the same here. */
	if (result == -ENOSYS || result == -EPERM)
		result = sys_result(syscall(SYS_faccessat, dir, path, mode));
	return result;
}

static inline int sys_fchmodat2(int dir, const char *path, mode_t mode, unsigned int flags)
{
	return sys_result(syscall(SYS_fchmodat2, dir, path, mode, flags));
}

static inline int sys_fchownat(int fd, uid_t uid, gid_t gid)
{
	return sys_result(fchownat(fd, "", uid, gid, AT_EMPTY_PATH));
}

static inline int sys_mkdirat(int dir, const char *name, mode_t mode)
{
	return sys_result(mkdirat(dir, name, mode));
}

static inline int sys_mknodat(int dir, const char *name, mode_t mode, dev_t rdev)
{
	return sys_result(mknodat(dir, name, mode, rdev));
}

static inline int sys_symlinkat(const char *target, int dir, const char *name)
{
	return sys_result(symlinkat(target, dir, name));
}

static inline int sys_unlinkat(int dir, const char *name)
{
	return sys_result(unlinkat(dir, name, 0));
}

static inline int sys_ioctl(int fd, unsigned long request, void *argument)
{
	return sys_result(syscall(SYS_ioctl, fd, request, argument));
}

static inline int sys_read(int fd, void *buffer, size_t size)
{
	long result;

	do
		result = read(fd, buffer, size);
	while (result < 0 && errno == EINTR);
	return sys_result(result);
}

static inline int sys_write(int fd, const void *buffer, size_t size)
{
	long result;

	do
		result = write(fd, buffer, size);
	while (result < 0 && errno == EINTR);
	return sys_result(result);
}

#endif
