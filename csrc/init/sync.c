// SPDX-License-Identifier: Apache-2.0
/*
 * The conversation with the parent. Without descriptors only read and write are used, because a
 * seccomp filter may already be in force. The end of the parent is the end of the init: until
 * "created" is committed nobody else would ever collect it.
 */
#include <string.h>
#include <sys/socket.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

uint32_t current_op;
int sync_fd = -1;

#define DESCRIPTORS_MAX                                                                            \
	64 /* more than there are cgroup hierarchies or mounts that the parent prepares at once */

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
};

/* A filter may refuse both calls; no signal that the kernel itself sends can be, not even by the
 * first process of a pid namespace. */
_Noreturn void leave(void)
{
	syscall(SYS_exit_group, 255);
	syscall(SYS_exit, 255);
	for (;;)
		__builtin_trap();
}

void sync_switch(int fd)
{
	close(sync_fd);
	sync_fd = fd;
}

static void fill(struct message *message, enum message_type type, uint32_t step, int32_t value)
{
	close_dropped();
	memset(message, 0, sizeof(*message));
	message->type = type;
	message->op = current_op;
	message->step = step;
	message->value = value;
	memcpy(message->detail, detail_text, DETAIL_SIZE);
}

int sync_send(enum message_type type, uint32_t step, int32_t value)
{
	struct message message;
	int result;

	fill(&message, type, step, value);
	result = sys_write(sync_fd, &message, sizeof(message));
	if (result >= 0 && result != (int)sizeof(message))
		return -EIO;
	return result < 0 ? result : 0;
}

/* One byte more than a message: what is too long is seen to be. */
struct answer {
	struct message message;
	char excess;
};

static int expect_go(const struct message *message, int size)
{
	if (size == 0 || size == -ECONNRESET)
		leave();
	if (size < 0)
		return size;
	if (size != (int)sizeof(*message) || message->type != MESSAGE_GO)
		return -EBADMSG;
	return 0;
}

static int send_or_leave(uint32_t name, uint32_t extra)
{
	int result = sync_send(MESSAGE_AWAIT, extra, (int32_t)name);

	if (result == -EPIPE || result == -ECONNRESET)
		leave();
	return result;
}

int sync_await(uint32_t name, uint32_t extra)
{
	struct answer answer;
	int result = send_or_leave(name, extra);

	if (result < 0)
		return result;
	return expect_go(&answer.message, sys_read(sync_fd, &answer, sizeof(answer)));
}

int sync_await_sending(uint32_t name, int fd)
{
	struct message message;
	struct answer answer;
	union control control = {0};
	struct iovec part = {.iov_base = &message, .iov_len = sizeof(message)};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *first;
	long result;

	fill(&message, MESSAGE_AWAIT, 0, (int32_t)name);
	header.msg_control = &control;
	header.msg_controllen = CMSG_SPACE(sizeof(int));
	first = CMSG_FIRSTHDR(&header);
	first->cmsg_level = SOL_SOCKET;
	first->cmsg_type = SCM_RIGHTS;
	first->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(first), &fd, sizeof(int));
	do
		result = sendmsg(sync_fd, &header, MSG_NOSIGNAL);
	while (result < 0 && errno == EINTR);
	if (result < 0 && (errno == EPIPE || errno == ECONNRESET))
		leave();
	if (result < 0)
		return -errno;
	return expect_go(&answer.message, sys_read(sync_fd, &answer, sizeof(answer)));
}

/* Put what came into the slots. Whatever has no slot is closed by the exec at the latest, but it is
 * an error. */
static int store(const struct msghdr *header, uint32_t slot, uint32_t count)
{
	const struct cmsghdr *first = CMSG_FIRSTHDR(header);
	uint32_t received;

	if ((header->msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0)
		return -EMSGSIZE;
	if (first == NULL)
		return 0;
	if (first->cmsg_level != SOL_SOCKET || first->cmsg_type != SCM_RIGHTS)
		return -EBADMSG;
	received = (uint32_t)((first->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	if (received > count)
		return -EMSGSIZE;
	for (uint32_t i = 0; i < received; i++) {
		int fd;
		int result;

		memcpy(&fd, CMSG_DATA(first) + i * sizeof(int), sizeof(int));
		result = slot_put(slot + i, fd);
		if (result < 0)
			return result;
	}
	return 0;
}

int sync_await_receiving(uint32_t name, uint32_t slot, uint32_t count)
{
	struct message answer;
	union control control = {0};
	struct iovec part = {.iov_base = &answer, .iov_len = sizeof(answer)};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	long result = send_or_leave(name, 0);

	if (result < 0)
		return (int)result;
	header.msg_control = &control;
	header.msg_controllen = sizeof(control);
	do
		result = recvmsg(sync_fd, &header, MSG_CMSG_CLOEXEC);
	while (result < 0 && errno == EINTR);
	result = expect_go(&answer, result < 0 ? -errno : (int)result);
	if (result < 0)
		return (int)result;
	return store(&header, slot, count);
}
