// SPDX-License-Identifier: Apache-2.0
/* Landlock: a rule set, its rules, and the domain. */
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

/* The same numbers on every architecture; the kernel's headers may be older than these. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2

/* struct landlock_ruleset_attr of ABI 6: older kernels take what is 0 at its end. */
struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct path_beneath {
	uint64_t access;
	int32_t parent;
} __attribute__((packed));

struct net_port {
	uint64_t access;
	uint64_t port;
};

static int add_rule(uint32_t slot, int type, const void *rule)
{
	int ruleset = slot_get(slot);

	if (ruleset < 0)
		return ruleset;
	return sys_result(syscall(SYS_landlock_add_rule, ruleset, type, rule, 0));
}

int run_create_ruleset(const struct op_create_ruleset *op, uint32_t *step)
{
	const struct ruleset ruleset = {.fs = op->fs, .net = op->net, .scoped = op->scoped};
	int fd = sys_result(syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0));

	(void)step;
	return fd < 0 ? fd : slot_put(op->slot, fd);
}

int run_allow_path(const struct op_allow_path *op, uint32_t *step)
{
	CLEANUP_CLOSE int fd = resolve(op->path, O_PATH, 0);
	const struct path_beneath rule = {.access = op->access, .parent = fd};

	if (fd < 0)
		return fd;
	*step = STEP_ALLOW_PATH_RULE;
	return add_rule(op->slot, RULE_PATH_BENEATH, &rule);
}

int run_allow_port(const struct op_allow_port *op, uint32_t *step)
{
	const struct net_port rule = {.access = op->access, .port = op->port};

	(void)step;
	return add_rule(op->slot, RULE_NET_PORT, &rule);
}

int run_restrict_self(const struct op_restrict_self *op, uint32_t *step)
{
	int ruleset = slot_get(op->slot);
	int result;

	(void)step;
	if (ruleset < 0)
		return ruleset;
	result = sys_result(syscall(SYS_landlock_restrict_self, ruleset, op->flags));
	return result < 0 ? result : slot_close(op->slot);
}
