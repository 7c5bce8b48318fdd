// SPDX-License-Identifier: Apache-2.0
/* Resource limits. */
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

int run_set_limit(const struct op_set_limit *op, uint32_t *step)
{
	const uint64_t limit[2] = {op->soft, op->hard};

	(void)step;
	return sys_result(syscall(SYS_prlimit64, 0, op->resource, limit, NULL));
}
