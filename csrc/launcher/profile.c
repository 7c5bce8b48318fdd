// SPDX-License-Identifier: Apache-2.0
/*
 * Finds out which blocks of the heap commands write to. Only the build runs this.
 *
 * The heap is made read-only. Each write then faults; the handler notes the address, allows the
 * page for one instruction (the trap flag) and forbids it again. Some microseconds a write, a
 * second or two for every hot command once. The blocks are known by the number of their allocation,
 * which is the same in the next run, since nothing that the program does before the dump depends on
 * the machine or on the time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

#include "interpreter.h"
#include "region.h"

enum { WATCHED_MAX = 64 << 20, GRANULES = WATCHED_MAX / HEAP_GRANULE, PAGES_AT_ONCE = 4 };

uint32_t *heap_owners;
const uint8_t *heap_hot;
size_t heap_hot_count;

static uintptr_t watched_end;
static uint8_t *written; /* a byte for each granule */
static uintptr_t allowed[PAGES_AT_ONCE];
static unsigned int allowed_count;

static void *map_zeros(size_t size)
{
	void *zeros = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (zeros == MAP_FAILED)
		die("no memory for the profile");
	return zeros;
}

#if defined(__x86_64__)
#define TRAP_FLAG 0x100

/* One instruction with the page writable; an instruction that writes to a second page comes here
 * again. */
static void on_write(int number, siginfo_t *info, void *context)
{
	const uintptr_t address = (uintptr_t)info->si_addr;
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (address < HEAP_BASE || address >= watched_end || allowed_count == PAGES_AT_ONCE) {
		signal(number, SIG_DFL);
		return;
	}
	written[(address - HEAP_BASE) / HEAP_GRANULE] = 1;
	allowed[allowed_count] = address & ~(uintptr_t)(PAGE_SIZE - 1);
	mprotect((void *)allowed[allowed_count++], PAGE_SIZE, PROT_READ | PROT_WRITE);
	registers[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	while (allowed_count > 0)
		mprotect((void *)allowed[--allowed_count], PAGE_SIZE, PROT_READ);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	if (sigaction(number, &action, NULL) < 0)
		die("cannot handle signals for the profile");
}

/* Every page but those of the interpreter's own stacks, which are written to all the time. */
static void protect(void)
{
	for (uintptr_t page = HEAP_BASE; page < watched_end; page += PAGE_SIZE)
		if (heap_owners[(page - HEAP_BASE) / HEAP_GRANULE] != HEAP_PAGES &&
		    mprotect((void *)page, PAGE_SIZE, PROT_READ) < 0)
			die("cannot protect the heap for the profile");
}

void profile_watch(void)
{
	watched_end = heap_close_holes();
	if (watched_end - HEAP_BASE > WATCHED_MAX)
		die("the heap is too large for the profile");
	written = map_zeros(GRANULES);
	handle(SIGSEGV, on_write);
	handle(SIGTRAP, on_step);
	protect();
}
#else
void profile_watch(void)
{
	die("the profile is written for x86_64");
}
#endif

void profile_record(void)
{
	heap_owners = map_zeros((size_t)HEAP_RESERVED / HEAP_GRANULE * sizeof(*heap_owners));
}

/* A byte for each block number: whether it was written to. */
void profile_save(const char *path)
{
	const size_t granules = (watched_end - HEAP_BASE) / HEAP_GRANULE;
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	uint32_t owner = 0, most = 0;
	uint8_t *hot;

	for (size_t i = 0; i < granules; i++)
		if (heap_owners[i] != HEAP_PAGES && heap_owners[i] > most)
			most = heap_owners[i];
	hot = map_zeros((size_t)most + 1);
	for (size_t i = 0; i < granules; i++) {
		if (heap_owners[i])
			owner = heap_owners[i];
		if (written[i] && owner != 0 && owner != HEAP_PAGES)
			hot[owner - 1] = 1;
	}
	if (fd < 0 || write(fd, hot, most) != (ssize_t)most || close(fd) < 0)
		die("cannot write the profile");
}

/* An absent profile is none: the dump is then made without. */
void profile_load(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat facts;
	void *hot;

	if (fd < 0)
		return;
	if (fstat(fd, &facts) < 0)
		die("cannot read the profile");
	hot = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (hot == MAP_FAILED)
		die("cannot read the profile");
	heap_hot = hot;
	heap_hot_count = (size_t)facts.st_size;
}
