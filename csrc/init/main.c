// SPDX-License-Identifier: Apache-2.0
/*
 * pyrunc-init: executes a plan inside new namespaces and becomes the container's program. It is
 * started by pyrunc only: from a sealed memory file, with argv[0] "pyrunc-init:BASE", an empty
 * environment, and from descriptor BASE on the socket, the sealed plan, its own program and the
 * objects of the plan.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#endif
#ifndef F_SEAL_SEAL
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#define F_SEAL_WRITE 8
#endif

#define OFFSET_SYNC 0
#define OFFSET_PLAN 1
#define OFFSET_PROGRAM 2
#define OFFSET_OBJECTS 3
#define BASE_MAX 65536

int descriptor_base;
pid_t own_pid;

static const char PREFIX[] = "pyrunc-init:";

static bool sealed(int fd)
{
	const int wanted = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & wanted) == wanted;
}

static int parse_base(const char *name)
{
	int base = 0;

	if (strncmp(name, PREFIX, sizeof(PREFIX) - 1) != 0)
		return -1;
	name += sizeof(PREFIX) - 1;
	if (*name == '\0')
		return -1;
	for (; *name != '\0'; name++) {
		if (*name < '0' || *name > '9' || base > BASE_MAX)
			return -1;
		base = base * 10 + (*name - '0');
	}
	return base >= 3 && base <= BASE_MAX ? base : -1;
}

static _Noreturn void refuse(const char *why)
{
	static const char who[] = "pyrunc-init: started by pyrunc only: ";

	if (write(2, who, sizeof(who) - 1) > 0 && write(2, why, strlen(why)) > 0)
		(void)!write(2, "\n", 1);
	_exit(255);
}

/* The pages are private, so that pointers can be filled into the lists of strings. */
static uint8_t *map_plan(int fd, size_t *size)
{
	struct stat status;
	void *plan;

	if (!sealed(fd) || sys_fstat(fd, &status) < 0)
		refuse("the plan is not sealed");
	if (status.st_size < (off_t)PLAN_SIZE_MIN || status.st_size > (off_t)PLAN_SIZE_MAX)
		refuse("the size of the plan");
	*size = (size_t)status.st_size;
	plan = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (plan == MAP_FAILED)
		refuse("the plan cannot be mapped");
	return plan;
}

/* Nothing else is open from here on, and nothing of ours stays open over an exec. */
static int take_objects(const uint8_t *plan)
{
	struct plan_header header;
	int result = sys_close_range((unsigned int)descriptor_base + OFFSET_PLAN,
				     (unsigned int)descriptor_base + OFFSET_PROGRAM, 0);

	memcpy(&header, plan, sizeof(header));
	for (uint32_t i = 0; i < header.objects && result >= 0; i++)
		result = slot_put(i + 1, descriptor_base + OFFSET_OBJECTS + (int)i);
	if (result >= 0)
		result = sys_close_range(
			(unsigned int)descriptor_base + OFFSET_OBJECTS + header.objects, ~0U, 0);
	if (result >= 0)
		result = sys_close_range((unsigned int)descriptor_base, ~0U, CLOSE_RANGE_CLOEXEC);
	return result;
}

/* Before the first op. */
static _Noreturn void fail(const char *why, int result)
{
	detail(why);
	current_op = UINT32_MAX;
	sync_send(MESSAGE_ERROR, 0, -result);
	leave();
}

static _Noreturn void run(uint8_t *plan)
{
	uint32_t step = 0;
	int result = plan_run(plan, &current_op, &step);

	sync_send(MESSAGE_ERROR, step, -result);
	leave();
}

int main(int argc, char **argv, char **envp)
{
	uint8_t *plan;
	size_t size;
	int result;

	if (argc != 1 || envp[0] != NULL || getauxval(AT_SECURE) != 0)
		refuse("arguments or environment");
	descriptor_base = parse_base(argv[0]);
	if (descriptor_base < 0)
		refuse("its name");
	if (!sealed(descriptor_base + OFFSET_PROGRAM))
		refuse("its program is not sealed");
	plan = map_plan(descriptor_base + OFFSET_PLAN, &size);
	sync_fd = descriptor_base + OFFSET_SYNC;
	own_pid = getpid();
	set_death_signal();
	sys_prctl(PR_SET_NAME, (unsigned long)"pyrunc-init");
	if (!plan_check(plan, size))
		fail("the plan is malformed or of another version", -EPROTO);
	result = take_objects(plan);
	if (result < 0)
		fail("its descriptors cannot be closed", result);
	run(plan);
}
