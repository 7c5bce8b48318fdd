// SPDX-License-Identifier: Apache-2.0
/* When each op has ended, for --trace. The mapping is shared over the forks and goes at the execve.
 */
#include <sys/mman.h>
#include <time.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

static volatile uint64_t *times;
static uint32_t times_count;

int run_trace_times(const struct op_trace_times *op, uint32_t *step)
{
	struct stat status;
	void *mapped;
	int fd = slot_get(op->slot);

	*step = STEP_TRACE_TIMES_MAP;
	if (fd < 0)
		return fd;
	if (sys_fstat(fd, &status) < 0)
		return -errno;
	mapped = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		return -errno;
	times = mapped;
	times_count = (uint32_t)((size_t)status.st_size / sizeof(*times));
	return slot_close(op->slot);
}

void trace_op(uint32_t index)
{
	struct timespec now;

	if (index < times_count && clock_gettime(CLOCK_REALTIME, &now) == 0)
		times[index] = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}
