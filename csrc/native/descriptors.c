// SPDX-License-Identifier: Apache-2.0
/* Descriptors and files. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "native.h"

/* Newer than the headers of Debian 12. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

enum { POLL_MAX = 256 };

/* struct linux_dirent64, of which the C library gives only its own kind. */
struct entry {
	uint64_t inode;
	int64_t offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

/* The descriptor that an entry of /proc/self/fd is about, -1: none. */
static int named_descriptor(const char *name)
{
	int fd = 0;

	if (name[0] == '.')
		return -1;
	for (; *name != '\0'; name++)
		fd = fd * 10 + (*name - '0');
	return fd;
}

static int close_one(int fd, int cloexec)
{
	if (cloexec)
		return native_result(fcntl(fd, F_SETFD, FD_CLOEXEC));
	return native_result(close(fd));
}

/* Those that a part of the directory names, but the directory itself. */
static int close_listed(const char *entries, long size, unsigned int first, unsigned int last,
			int directory, int cloexec)
{
	for (long at = 0; at < size;) {
		const struct entry *entry = (const struct entry *)(entries + at);
		const int fd = named_descriptor(entry->name);

		at += entry->size;
		if (fd < 0 || fd == directory || (unsigned int)fd < first ||
		    (unsigned int)fd > last)
			continue;
		if (close_one(fd, cloexec) < 0)
			return -errno;
	}
	return 0;
}

/* As close_range, where a filter around us refuses it: procfs lists all that are open. */
static int close_by_list(unsigned int first, unsigned int last, int cloexec)
{
	_Alignas(8) char entries[2048];
	const int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = native_result(directory);
	long size;

	if (result >= 0 && native_filesystem_magic(directory) != PROC_SUPER_MAGIC)
		result = -ENOSYS;
	while (result >= 0) {
		size = syscall(SYS_getdents64, directory, entries, sizeof(entries));
		if (size <= 0) {
			result = native_result(size);
			break;
		}
		result = close_listed(entries, size, first, last, directory, cloexec);
	}
	if (directory >= 0)
		close(directory);
	return result;
}

/* What statx(2) says of a mount; of that struct musl declares less, or nothing. */
struct mount_status {
	uint32_t mask;
	uint8_t before[0x90 - sizeof(uint32_t)];
	uint64_t mount_id;
	uint8_t after[0x100 - 0x98];
};
#define MASK_MOUNT_ID 0x1000U /* STATX_MNT_ID */

int native_close_range(unsigned int first, unsigned int last, int cloexec)
{
	const int result = native_result(
		syscall(SYS_close_range, first, last, cloexec ? CLOSE_RANGE_CLOEXEC : 0));

	if (result < 0 && native_is_refused(-result) && close_by_list(first, last, cloexec) >= 0)
		return 0;
	return result;
}

int native_openat2(int dir_fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	const struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};

	return native_result(syscall(SYS_openat2, dir_fd, path, &how, sizeof(how)));
}

/* Fails with EEXIST where rename(2) would replace. */
int native_rename_new(int dir_fd, const char *old_name, const char *new_name)
{
	return native_result(
		syscall(SYS_renameat2, dir_fd, old_name, dir_fd, new_name, RENAME_NOREPLACE));
}

/* From the start of the file; its offset stays there for who reads it. */
static int write_all(int fd, const uint8_t *data, size_t size)
{
	off_t offset = 0;

	while (size > 0) {
		const ssize_t written = pwrite(fd, data, size, offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		data += written;
		offset += written;
		size -= (size_t)written;
	}
	return 0;
}

/* MFD_EXEC and MFD_NOEXEC_SEAL came with Linux 6.3; older kernels refuse them with EINVAL. */
static int make_memfd(const char *name, int executable)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	const int fd = memfd_create(name, flags | (executable ? MFD_EXEC : MFD_NOEXEC_SEAL));

	if (fd >= 0 || errno != EINVAL)
		return native_result(fd);
	return native_result(memfd_create(name, flags));
}

/* A memory file with this content that nobody can change any more. */
int native_memfd_sealed(const char *name, const uint8_t *data, size_t size, int executable)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	const int fd = make_memfd(name, executable);
	int error;

	if (fd < 0)
		return fd;
	error = write_all(fd, data, size);
	if (error == 0 && fcntl(fd, F_ADD_SEALS, seals | F_SEAL_EXEC) < 0) {
		/* F_SEAL_EXEC (the mode stays as it is) came with Linux 6.3 too. */
		if (errno != EINVAL || fcntl(fd, F_ADD_SEALS, seals) < 0)
			error = -errno;
	}
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int native_mount_id(int dir_fd, const char *path, int flags, uint64_t *mount_id)
{
	struct mount_status result;

	if (syscall(SYS_statx, dir_fd, path, flags, MASK_MOUNT_ID, &result) < 0)
		return -errno;
	if (!(result.mask & MASK_MOUNT_ID))
		return -ENOSYS;
	*mount_id = result.mount_id;
	return 0;
}

int64_t native_filesystem_magic(int fd)
{
	struct statfs result;

	if (fstatfs(fd, &result) < 0)
		return -errno;
	return (int64_t)(uint32_t)result.f_type;
}

int native_poll(const int *fds, const short *events, short *revents, unsigned int count,
		int timeout_ms)
{
	struct pollfd polled[POLL_MAX];
	int ready;

	if (count > POLL_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < count; i++)
		polled[i] = (struct pollfd){.fd = fds[i], .events = events[i]};
	ready = poll(polled, count, timeout_ms);
	if (ready < 0)
		return -errno;
	for (unsigned int i = 0; i < count; i++)
		revents[i] = polled[i].revents;
	return ready;
}
