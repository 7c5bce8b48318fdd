// SPDX-License-Identifier: Apache-2.0
/* Unix sockets, and descriptors sent through them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "native.h"

enum { MAX_SENT = 253 }; /* SCM_MAX_FD of the kernel */

union control {
	struct cmsghdr header;
	uint8_t room[CMSG_SPACE(MAX_SENT * sizeof(int))];
};

/* The first end gives up to receive after the time with EAGAIN; 0: never. */
int native_socketpair_seqpacket(int *pair, int patience_ms)
{
	const struct timeval patience = {.tv_sec = patience_ms / 1000,
					 .tv_usec = patience_ms % 1000 * 1000};
	int error = native_result(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));

	if (error < 0 || patience_ms == 0)
		return error;
	error = native_result(
		setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	if (error < 0) {
		close(pair[0]);
		close(pair[1]);
	}
	return error;
}

/*
 * sun_path holds 108 bytes and engines pass longer paths. So the socket file is opened first and
 * named through /proc/self/fd, which also means that it is the file opened that is connected to.
 */
static int connect_by_descriptor(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int path_fd = open(path, O_PATH | O_CLOEXEC);
	int error = 0;

	if (path_fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", path_fd);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	close(path_fd);
	return error;
}

int native_connect_unix(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t length = strlen(path);
	const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (length >= sizeof(address.sun_path)) {
		error = connect_by_descriptor(fd, path);
	} else {
		memcpy(address.sun_path, path, length);
		if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
			error = -errno;
	}
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int64_t native_send_message(int fd, const uint8_t *data, size_t size, const int *fds,
			    unsigned int count)
{
	union control control = {.room = {0}};
	struct iovec content = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &content, .msg_iovlen = 1};
	ssize_t sent;

	if (count > MAX_SENT)
		return -EINVAL;
	if (count > 0) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

/* Takes the descriptors of one control message; those that have no room are closed and make the
 * call fail. */
static int take_descriptors(struct msghdr *message, int *fds, unsigned int room,
			    unsigned int *received)
{
	int error = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header)) {
		const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			if (*received < room) {
				fds[(*received)++] = fd;
			} else {
				close(fd);
				error = -EMSGSIZE;
			}
		}
	}
	return error;
}

/* The size of the message; 0 is the end of the connection. A message that was cut short is an
 * error. */
int64_t native_recv_message(int fd, uint8_t *data, size_t size, int *fds, unsigned int room,
			    unsigned int *received)
{
	union control control;
	struct iovec content = {.iov_base = data, .iov_len = size};
	struct msghdr message = {.msg_iov = &content,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	const ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	int error;

	*received = 0;
	if (got < 0)
		return -errno;
	error = take_descriptors(&message, fds, room, received);
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		error = -EMSGSIZE;
	if (error == 0)
		return got;
	while (*received > 0)
		close(fds[--*received]);
	return error;
}
