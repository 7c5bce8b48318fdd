// SPDX-License-Identifier: Apache-2.0
/* The decoder with handlers that do nothing. The header is made right, so that what is mutated are
 * the ops. */
#include "../plan.c" // NOLINT(bugprone-suspicious-include): its static functions are what is tested

#include <stdlib.h>

#define STUB(name)                                                                                 \
	int run_##name(const struct op_##name *op, uint32_t *step)                                 \
	{                                                                                          \
		(void)op;                                                                          \
		(void)step;                                                                        \
		return 0;                                                                          \
	}
FOR_EACH_OP(STUB)

void detail_clear(void)
{
}

void trace_op(uint32_t index)
{
	(void)index;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan_header header;
	uint32_t op = 0;
	uint32_t step = 0;
	uint8_t *plan;

	if (size < sizeof(header))
		return 0;
	plan = malloc(size); /* aligned, and its end is watched */
	memcpy(plan, data, size);
	memcpy(&header, plan, sizeof(header));
	memcpy(header.magic, PLAN_MAGIC, sizeof(PLAN_MAGIC));
	header.digest = PLAN_DIGEST;
	header.length = (uint32_t)size;
	memcpy(plan, &header, sizeof(header));
	if (plan_check(plan, size) && plan_run(plan, &op, &step) != -EPROTO)
		abort();
	if (op > header.count)
		abort();
	free(plan);
	return 0;
}
