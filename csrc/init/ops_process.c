// SPDX-License-Identifier: Apache-2.0
/* Attributes of the process that are neither namespaces nor credentials. */
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <string.h>
#include <sys/utsname.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

struct scheduler_attr { /* struct sched_attr with the utilisation clamps (Linux 5.3) */
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
	uint32_t util_min;
	uint32_t util_max;
};

int run_set_dumpable(const struct op_set_dumpable *op, uint32_t *step)
{
	(void)step;
	hidden = op->value == 0;
	return sys_prctl(PR_SET_DUMPABLE, op->value);
}

int run_set_session(const struct op_set_session *op, uint32_t *step)
{
	int session = sys_result(setsid());

	(void)op;
	(void)step;
	/* a filter around us may say that it was done */
	return session < 0 || session == own_pid ? session : -EPERM;
}

/* A filter around us may say that it was done. */
static int verify_name(const char *name, const char *(*field)(const struct utsname *))
{
	struct utsname seen;
	int result = sys_result(uname(&seen));

	if (result < 0)
		return result;
	return strcmp(field(&seen), name) == 0 ? 0 : -EPERM;
}

static const char *host_name(const struct utsname *seen)
{
	return seen->nodename;
}

static const char *domain_name(const struct utsname *seen)
{
	return seen->domainname;
}

int run_set_hostname(const struct op_set_hostname *op, uint32_t *step)
{
	int result = sys_result(syscall(SYS_sethostname, op->name, strlen(op->name)));

	if (result < 0)
		return result;
	*step = STEP_SET_HOSTNAME_VERIFY;
	return verify_name(op->name, host_name);
}

int run_set_domainname(const struct op_set_domainname *op, uint32_t *step)
{
	int result = sys_result(syscall(SYS_setdomainname, op->name, strlen(op->name)));

	if (result < 0)
		return result;
	*step = STEP_SET_DOMAINNAME_VERIFY;
	return verify_name(op->name, domain_name);
}

/* "type;uid;gid;permissions;description": the fourth field, in hexadecimal. */
static int parse_permissions(const char *text, unsigned long *permissions)
{
	for (int i = 0; i < 3; i++) {
		text = strchr(text, ';');
		if (text == NULL)
			return -EBADMSG;
		text++;
	}
	for (*permissions = 0; *text != ';'; text++) {
		if (*text >= '0' && *text <= '9')
			*permissions = *permissions * 16 + (unsigned long)(*text - '0');
		else if (*text >= 'a' && *text <= 'f')
			*permissions = *permissions * 16 + (unsigned long)(*text - 'a' + 10);
		else
			return -EBADMSG;
	}
	return 0;
}

/* Anonymous: nobody can join it by its name. */
int run_new_keyring(const struct op_new_keyring *op, uint32_t *step)
{
	char text[256];
	unsigned long permissions;
	int keyring = sys_keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0);
	int result;

	if (keyring < 0)
		return op->tolerate != 0 && keyring == -(int)op->tolerate ? 0 : keyring;
	if (op->permissions == 0)
		return 0;
	*step = STEP_NEW_KEYRING_PERMISSIONS;
	memset(text, 0, sizeof(text));
	result = sys_keyctl(KEYCTL_DESCRIBE, (unsigned long)keyring, (unsigned long)text,
			    sizeof(text) - 1);
	if (result >= 0)
		result = parse_permissions(text, &permissions);
	if (result < 0)
		return result;
	permissions |= op->permissions;
	return sys_keyctl(KEYCTL_SETPERM, (unsigned long)keyring, permissions, 0);
}

int run_set_umask(const struct op_set_umask *op, uint32_t *step)
{
	int before = sys_result((int)umask(op->mask & 0777)); /* fails where a filter forbids it */

	(void)step;
	if (before >= 0)
		umask_is_clear = (op->mask & 0777) == 0;
	return before < 0 ? before : 0;
}

int run_set_affinity(const struct op_set_affinity *op, uint32_t *step)
{
	uint8_t all[1024]; /* 8192 processors, the most that Linux can be built for; the cpuset cuts
			      it down */
	long result;

	(void)step;
	if (op->mask.length == 0) {
		memset(all, 0xff, sizeof(all));
		result = syscall(SYS_sched_setaffinity, 0, sizeof(all), all);
	} else {
		result = syscall(SYS_sched_setaffinity, 0, op->mask.length, op->mask.data);
	}
	return sys_result(result);
}

int run_set_scheduler(const struct op_set_scheduler *op, uint32_t *step)
{
	struct scheduler_attr attr = {
		.size = sizeof(attr),
		.policy = op->policy,
		.flags = op->flags,
		.nice = op->nice,
		.priority = op->priority,
		.runtime = op->runtime,
		.deadline = op->deadline,
		.period = op->period,
	};

	(void)step;
	return sys_result(syscall(SYS_sched_setattr, 0, &attr, 0));
}

int run_set_io_priority(const struct op_set_io_priority *op, uint32_t *step)
{
	(void)step;
	return sys_result(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, op->value));
}

int run_set_personality(const struct op_set_personality *op, uint32_t *step)
{
	(void)step;
	return sys_result(syscall(SYS_personality, (unsigned long)op->persona));
}

int run_set_memory_policy(const struct op_set_memory_policy *op, uint32_t *step)
{
	const void *nodes = op->nodes.length == 0 ? NULL : op->nodes.data;
	/* the kernel reads one bit less than it is told */
	unsigned long bits = op->nodes.length == 0 ? 0 : (unsigned long)op->nodes.length * 8 + 1;

	(void)step;
	if (op->nodes.length % sizeof(unsigned long) != 0)
		return -EINVAL;
	return sys_result(syscall(SYS_set_mempolicy, op->mode, nodes, bits));
}
