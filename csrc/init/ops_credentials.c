// SPDX-License-Identifier: Apache-2.0
/* Ids, groups, capabilities and the seccomp filter; each is read back. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX of the kernel */
#define CAPABILITIES_MAX 64

int run_set_no_new_privileges(const struct op_set_no_new_privileges *op, uint32_t *step)
{
	int result = sys_prctl(PR_SET_NO_NEW_PRIVS, 1);

	(void)op;
	(void)step;
	if (result < 0)
		return result;
	result = sys_prctl(PR_GET_NO_NEW_PRIVS, 0);
	return result == 0 ? -EPERM : result;
}

/*
 * The kernel's last capability is what tells the end: EINVAL below it is a failure. What may be in
 * the set need not be looked at, and of what the kernel says to have dropped only the last: should
 * somebody answer the calls in its place, all are answered alike.
 */
static int verify_bounding_set(uint64_t keep, uint64_t dropped, uint32_t last)
{
	for (uint32_t capability = 0; capability < CAPABILITIES_MAX; capability++) {
		int result = 0;

		if (((keep | dropped) >> capability & 1) != 0)
			continue;
		result = sys_prctl(PR_CAPBSET_READ, capability);

		if (result == -EINVAL && capability > last)
			return 0;
		if (result < 0)
			return result;
		if (result != 0)
			return -EPERM;
	}
	return 0;
}

/* Without CAP_SETPCAP nothing can be dropped, and what is not in the set need not be. */
int run_limit_bounding_set(const struct op_limit_bounding_set *op, uint32_t *step)
{
	uint64_t dropped = 0;
	uint64_t newest = 0;
	int refused = 0;
	int result;

	if (op->last >= CAPABILITIES_MAX)
		return -EINVAL;
	for (uint32_t capability = 0; capability <= op->last; capability++) {
		if ((op->keep >> capability & 1) != 0)
			continue;
		result = sys_prctl(PR_CAPBSET_DROP, capability);
		if (result >= 0) {
			dropped |= newest;
			newest = (uint64_t)1 << capability;
		} else if (refused == 0) {
			refused = result;
		}
	}
	result = verify_bounding_set(op->keep, dropped, op->last);
	if (result == -EPERM && refused < 0) {
		*step = STEP_LIMIT_BOUNDING_SET_DROP;
		return refused;
	}
	return result;
}

static void sort(gid_t *gids, size_t count)
{
	for (size_t gap = count / 2; gap > 0; gap /= 2) {
		for (size_t i = gap; i < count; i++) {
			gid_t gid = gids[i];
			size_t j = i;

			for (; j >= gap && gids[j - gap] > gid; j -= gap)
				gids[j] = gids[j - gap];
			gids[j] = gid;
		}
	}
}

int run_set_groups(const struct op_set_groups *op, uint32_t *step)
{
	static gid_t seen[GROUPS_MAX] LARGE;
	gid_t *wanted = (gid_t *)(void *)op->gids.data;
	size_t count = op->gids.length / sizeof(gid_t);
	int result;

	if (op->gids.length % sizeof(gid_t) != 0 || count > GROUPS_MAX)
		return -EINVAL;
	result = sys_setgroups(count, count == 0 ? NULL : wanted);
	if (result < 0)
		return result;
	*step = STEP_SET_GROUPS_VERIFY;
	result = sys_getgroups(GROUPS_MAX, seen);
	if (result < 0)
		return result;
	/* the kernel keeps them in the order of its own ids */
	sort(seen, (size_t)result);
	sort(wanted, count);
	if ((size_t)result != count || memcmp(seen, wanted, op->gids.length) != 0)
		return -EPERM;
	return 0;
}

static bool all_are(const uint32_t ids[3], uint32_t wanted)
{
	return ids[0] == wanted && ids[1] == wanted && ids[2] == wanted;
}

int run_set_ids(const struct op_set_ids *op, uint32_t *step)
{
	uid_t ids[3];
	int result = sys_prctl(PR_SET_KEEPCAPS, 1);

	if (result < 0)
		return result;
	*step = STEP_SET_IDS_SETGID;
	result = sys_setresgid(op->gid);
	if (result < 0)
		return result;
	*step = STEP_SET_IDS_SETUID;
	result = sys_setresuid(op->uid);
	if (result < 0)
		return result;
	*step = STEP_SET_IDS_HIDE;
	result = keep_hidden();
	if (result < 0)
		return result;
	*step = STEP_SET_IDS_VERIFY;
	result = sys_getresuid(ids);
	if (result < 0 || !all_are(ids, op->uid))
		return result < 0 ? result : -EPERM;
	result = sys_getresgid(ids);
	if (result < 0 || !all_are(ids, op->gid))
		return result < 0 ? result : -EPERM;
	return 0;
}

static void split(struct __user_cap_data_struct data[2], uint64_t effective, uint64_t permitted,
		  uint64_t inheritable)
{
	for (unsigned int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(effective >> (32 * i));
		data[i].permitted = (uint32_t)(permitted >> (32 * i));
		data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
	}
}

int run_adjust_capabilities(const struct op_adjust_capabilities *op, uint32_t *step)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	(void)step;
	split(data, op->effective, op->permitted, op->inheritable);
	return sys_capset(&header, data);
}

static int raise_ambient(uint64_t ambient)
{
	for (unsigned long capability = 0; capability < CAPABILITIES_MAX; capability++) {
		int result;

		if ((ambient >> capability & 1) == 0)
			continue;
		result = sys_prctl_ambient(PR_CAP_AMBIENT_RAISE, capability);
		if (result < 0) {
			char number[21];

			format_decimal(number, capability);
			detail(number);
			return result;
		}
	}
	return 0;
}

/* Ambient is what is permitted and inheritable at the same time, at most. */
static int verify_ambient(uint64_t possible, uint64_t wanted)
{
	for (unsigned long capability = 0; capability < CAPABILITIES_MAX; capability++) {
		int result = 0;

		if ((possible >> capability & 1) != 0)
			result = sys_prctl_ambient(PR_CAP_AMBIENT_IS_SET, capability);
		if (result < 0)
			return result;
		if (result != (int)(wanted >> capability & 1))
			return -EPERM;
	}
	return 0;
}

static int verify_capabilities(const struct __user_cap_data_struct wanted[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct seen[2];
	int result = sys_capget(&header, seen);

	if (result < 0)
		return result;
	return memcmp(seen, wanted, sizeof(seen)) == 0 ? 0 : -EPERM;
}

int run_set_capabilities(const struct op_set_capabilities *op, uint32_t *step)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	int result = sys_prctl(PR_SET_KEEPCAPS, 0);

	if (result < 0)
		return result;
	split(data, op->effective, op->permitted, op->inheritable);
	*step = STEP_SET_CAPABILITIES_CAPSET;
	result = sys_capset(&header, data);
	if (result < 0)
		return result;
	*step = STEP_SET_CAPABILITIES_CLEAR;
	result = sys_prctl_ambient(PR_CAP_AMBIENT_CLEAR_ALL, 0);
	if (result < 0)
		return result;
	*step = STEP_SET_CAPABILITIES_AMBIENT;
	result = raise_ambient(op->ambient);
	if (result < 0)
		return result;
	*step = STEP_SET_CAPABILITIES_VERIFY;
	result = verify_ambient(op->permitted & op->inheritable, op->ambient);
	return result < 0 ? result : verify_capabilities(data);
}

static int load_filter(const struct bytes *filter, unsigned int flags)
{
	struct sock_fprog program = {
		.len = (unsigned short)(filter->length / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(void *)filter->data,
	};

	if (filter->length % sizeof(struct sock_filter) != 0 ||
	    filter->length / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return -EINVAL;
	return sys_seccomp(SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* Make effective what is permitted of it: without no_new_privs a filter needs CAP_SYS_ADMIN. What
 * the task has after its execve, execve computes from the bounding and the ambient set. */
int load_filter_as_admin(const struct bytes *filter, unsigned int flags)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	int result = sys_capget(&header, data);

	if (result < 0)
		return result;
	data[0].effective |= data[0].permitted & 1U << CAP_SYS_ADMIN;
	result = sys_capset(&header, data);
	return result < 0 ? result : load_filter(filter, flags);
}

int run_load_seccomp(const struct op_load_seccomp *op, uint32_t *step)
{
	unsigned int flags = op->flags;
	int result;

	if (op->listener != 0)
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	result = load_filter(&op->filter, flags);
	if (result < 0)
		return result;
	/* with TSYNC a positive result is a thread that could not be synchronised: there is only
	 * one thread */
	if (op->listener == 0)
		return result == 0 ? 0 : -EIO;
	*step = STEP_LOAD_SECCOMP_LISTENER;
	flags = (unsigned int)result;
	if (op->listener == LISTENER_SENT)
		result = sync_await_sending(RENDEZVOUS_SECCOMP, (int)flags);
	else
		result = sync_await(RENDEZVOUS_SECCOMP, flags);
	close((int)flags);
	return result;
}
