/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out which blocks of the heap commands use. Only the build runs this.
 *
 * The heap is made inaccessible. Each access then faults; the handler notes the address, allows the
 * page for one instruction (the trap flag) and forbids it again. Some microseconds an access, some
 * seconds for every hot command once. The blocks are known by the number of their allocation, which
 * is the same in the next run, since nothing that the program does before the dump depends on the
 * machine or on the time.
 *
 * A system call that is given such an address fails instead of faulting: so the kernel is asked to
 * let us know before each one (syscall user dispatch, Linux 5.11), and one that fails so is made
 * again while the heap may be read. Where the kernel cannot do that, only writes are seen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "interpreter.h"
#include "region.h"

enum {
	WATCHED_MAX = 64 << 20,
	GRANULES = WATCHED_MAX / HEAP_GRANULE,
	PAGES = WATCHED_MAX / PAGE_SIZE,
	PAGES_AT_ONCE = 4,
	/* So many accesses to a page in a row told nothing new: it is left open for a command. */
	READS_MAX = 24,
	WRITES_MAX = 250,
	/* So many accesses told something new: other code runs, and uses other objects of open
	   pages. */
	DISCOVERIES_MAX = 6,
};

uint32_t *heap_owners;
const uint8_t *heap_profile;
size_t heap_profile_count;

static uintptr_t watched_end;
static struct {
	uint8_t read, written;
	uint8_t often_read, often_written;  /* by a command that engines call often */
} * used;				    /* for each granule */
static bool often;			    /* such a command runs */
static uint8_t reads[PAGES], writes[PAGES]; /* that told nothing new */

static void *map_zeros(size_t size)
{
	void *zeros = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (zeros == MAP_FAILED)
		die("no memory for the profile");
	return zeros;
}

static unsigned int discoveries; /* since all pages were closed */

static void close_again(void);

void profile_next_command(bool is_called_often)
{
	often = is_called_often;
	close_again();
}

static void note(uintptr_t address, bool write)
{
	const size_t granule = (address - HEAP_BASE) / HEAP_GRANULE;
	uint8_t *known = write ? &used[granule].written : &used[granule].read;
	uint8_t *known_often = write ? &used[granule].often_written : &used[granule].often_read;
	uint8_t *count = &(write ? writes : reads)[(address - HEAP_BASE) / PAGE_SIZE];

	if (!*known || (often && !*known_often)) {
		*count = 0;
		discoveries++;
	} else if (*count < (write ? WRITES_MAX : READS_MAX))
		++*count;
	*known = 1;
	if (often)
		*known_often = 1;
}

#if defined(__x86_64__)
enum { TRAP_FLAG = 0x100, WRITE_FAULT = 2, SYSCALL_LENGTH = 2, SYS_DISPATCH = 2 };
#define RESTORER 0x04000000 /* SA_RESTORER */

/* Where the kernel hands system calls through without asking us; it looks at this byte. */
static volatile char dispatch = SYSCALL_DISPATCH_FILTER_ALLOW;
static int closed = PROT_READ; /* what may be done to watched pages: with dispatch, nothing */
static bool open_to_all;       /* the heap may be read at the moment */
static gregset_t call;	       /* the registers at a system call */
static bool in_call;
static uintptr_t allowed[PAGES_AT_ONCE];
static unsigned int allowed_count;

/* Ends a handler. In a place of its own, since this system call must always be handed through. */
void profile_return(void);
__asm__(".pushsection .text.profile_return,\"ax\",@progbits\n"
	".globl profile_return\n"
	"profile_return:\n"
	"	mov $15, %eax\n" /* rt_sigreturn */
	"	syscall\n"
	"	ud2\n"
	".popsection");
enum { RETURN_LENGTH = 16 };

/* Every page but those of the interpreter's own stacks, which are used all the time. */
static void protect(int protection)
{
	uintptr_t first = HEAP_BASE;

	for (uintptr_t page = HEAP_BASE; page <= watched_end; page += PAGE_SIZE) {
		if (page < watched_end &&
		    heap_owners[(page - HEAP_BASE) / HEAP_GRANULE] != HEAP_PAGES)
			continue;
		if (page > first && mprotect((void *)first, page - first, protection) < 0)
			die("cannot protect the heap for the profile");
		first = page + PAGE_SIZE;
	}
	open_to_all = protection == PROT_READ;
}

/* Forbids what was left open. */
static void close_pages(void)
{
	discoveries = 0;
	memset(reads, 0, sizeof(reads));
	memset(writes, 0, sizeof(writes));
	protect(closed);
}

/* What may be done to a page while nothing is noted about it. */
static int usual(uintptr_t page)
{
	const size_t index = (page - HEAP_BASE) / PAGE_SIZE;

	if (writes[index] == WRITES_MAX)
		return PROT_READ | PROT_WRITE;
	return reads[index] == READS_MAX ? PROT_READ : closed;
}

/* One instruction with the page accessible; an instruction that uses a second page comes here
 * again. */
static void on_access(int number, siginfo_t *info, void *context)
{
	const uintptr_t address = (uintptr_t)info->si_addr;
	const uintptr_t page = address & ~(uintptr_t)(PAGE_SIZE - 1);
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	const bool write = registers[REG_ERR] & WRITE_FAULT;

	dispatch = SYSCALL_DISPATCH_FILTER_ALLOW;
	if (address < HEAP_BASE || address >= watched_end || allowed_count == PAGES_AT_ONCE) {
		signal(number, SIG_DFL);
		return;
	}
	note(address, write);
	mprotect((void *)page, PAGE_SIZE, write ? PROT_READ | PROT_WRITE : PROT_READ);
	if (usual(page) & (write ? PROT_WRITE : PROT_READ) && closed == PROT_NONE && !open_to_all) {
		dispatch = SYSCALL_DISPATCH_FILTER_BLOCK;
		return;
	}
	allowed[allowed_count++] = page;
	registers[REG_EFL] |= TRAP_FLAG;
}

static void make_call(greg_t *registers)
{
	memcpy(registers, call, sizeof(call));
	registers[REG_RIP] -= SYSCALL_LENGTH;
	registers[REG_EFL] |= TRAP_FLAG;
	in_call = true;
}

static void on_step(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)number;
	(void)info;
	if (in_call && registers[REG_RAX] == -EFAULT && !open_to_all) {
		protect(PROT_READ);
		make_call(registers);
		return;
	}
	in_call = false;
	if (open_to_all && closed != PROT_READ)
		protect(closed);
	while (allowed_count > 0) {
		const uintptr_t page = allowed[--allowed_count];

		mprotect((void *)page, PAGE_SIZE, usual(page));
	}
	registers[REG_EFL] &= ~TRAP_FLAG;
	if (closed != PROT_READ && discoveries >= DISCOVERIES_MAX)
		close_pages();
	if (closed != PROT_READ)
		dispatch = SYSCALL_DISPATCH_FILTER_BLOCK;
}

/* A step after these would not come to us: in a child that shares our memory, or blocked. */
static bool ends_stepping(greg_t number)
{
	return number == SYS_clone3 || number == SYS_clone || number == SYS_vfork ||
	       number == SYS_fork || number == SYS_rt_sigprocmask;
}

/* Before a system call: let it happen, then go on watching, at the latest after the next write. */
static void on_system_call(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)number;
	(void)info;
	dispatch = SYSCALL_DISPATCH_FILTER_ALLOW;
	memcpy(call, registers, sizeof(call));
	if (ends_stepping(registers[REG_RAX])) {
		protect(PROT_READ);
		registers[REG_RIP] -= SYSCALL_LENGTH;
	} else {
		make_call(registers);
	}
}

/* The kernel's own call: the C library would end handlers in a place of its own. */
static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	const struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = {handler, SA_SIGINFO | RESTORER, profile_return, 0};

	if (syscall(SYS_rt_sigaction, number, &action, NULL, sizeof(action.mask)) < 0)
		die("cannot handle signals for the profile");
}

static void close_again(void)
{
	const char before = dispatch;

	dispatch = SYSCALL_DISPATCH_FILTER_ALLOW;
	close_pages();
	dispatch = before;
}

uintptr_t profile_watch(void)
{
	watched_end = heap_close_holes();
	if (watched_end - HEAP_BASE > WATCHED_MAX)
		die("the heap is too large for the profile");
	used = map_zeros(GRANULES * sizeof(*used));
	handle(SIGSEGV, on_access);
	handle(SIGTRAP, on_step);
	handle(SIGSYS, on_system_call);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, profile_return, RETURN_LENGTH,
		  &dispatch) == 0)
		closed = PROT_NONE;
	protect(closed);
	if (closed != PROT_READ)
		dispatch = SYSCALL_DISPATCH_FILTER_BLOCK;
	return watched_end;
}

static void stop_watching(void)
{
	dispatch = SYSCALL_DISPATCH_FILTER_ALLOW;
	protect(PROT_READ | PROT_WRITE);
}
#else
uintptr_t profile_watch(void)
{
	die("the profile is written for x86_64");
}

static void close_again(void)
{
}

static void stop_watching(void)
{
}
#endif

void profile_record(void)
{
	heap_owners = map_zeros((size_t)HEAP_RESERVED / HEAP_GRANULE * sizeof(*heap_owners));
}

/* Where a block belongs that has this granule; the lowest place but PLACE_COLD of all its granules
 * counts. */
static enum place place_of(size_t granule)
{
	if (used[granule].often_written)
		return PLACE_OFTEN_WRITTEN;
	if (used[granule].often_read)
		return PLACE_OFTEN_READ;
	if (used[granule].written)
		return PLACE_WRITTEN;
	return used[granule].read ? PLACE_READ : PLACE_COLD;
}

/* A byte for each block number: its place. */
void profile_save(const char *path)
{
	const size_t granules = (watched_end - HEAP_BASE) / HEAP_GRANULE;
	uint32_t owner = 0, most = 0;
	uint8_t *places;
	int fd;

	stop_watching();
	for (size_t i = 0; i < granules; i++)
		if (heap_owners[i] != HEAP_PAGES && heap_owners[i] > most)
			most = heap_owners[i];
	places = map_zeros((size_t)most + 1);
	for (size_t i = 0; i < granules; i++) {
		const enum place place = place_of(i);

		if (heap_owners[i])
			owner = heap_owners[i];
		if (owner == 0 || owner == HEAP_PAGES || place == PLACE_COLD)
			continue;
		if (places[owner - 1] == PLACE_COLD || place < places[owner - 1])
			places[owner - 1] = (uint8_t)place;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, places, most) != (ssize_t)most || close(fd) < 0)
		die("cannot write the profile");
}

/* An absent profile is none: the dump is then made without. */
void profile_load(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat facts;
	void *places;

	if (fd < 0)
		return;
	if (fstat(fd, &facts) < 0)
		die("cannot read the profile");
	places = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (places == MAP_FAILED)
		die("cannot read the profile");
	heap_profile = places;
	heap_profile_count = (size_t)facts.st_size;
}
