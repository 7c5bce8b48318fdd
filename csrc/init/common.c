// SPDX-License-Identifier: Apache-2.0
/* Descriptors, slots and the text of the error report. */
#include <linux/magic.h>
#include <signal.h>
#include <string.h>

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

char detail_text[DETAIL_SIZE];
bool hidden;
bool death_signal;

#define DIRECTORY (1 << 30)
#define NO_DIRECTORY (1 << 29)
static struct {
	int fd;		/* + 1, so that the untouched table is empty; and what is known of it */
	uint32_t mount; /* the id of a mount, where it is known */
} slots[SLOT_LIMIT] LARGE;

void close_descriptor(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int give(int *fd)
{
	int value = *fd;

	*fd = -1;
	return value;
}

/*
 * As close_range, one by one. The parent leaves nothing open above what it hands over, and a new
 * descriptor is the lowest that is free: with as many slots as there can be, and some more, in use
 * none lies above the end.
 */
int close_each(unsigned int first, unsigned int last, unsigned int flags)
{
	const unsigned int end = (unsigned int)descriptor_base + 2 * SLOT_LIMIT;
	int result = 0;

	for (unsigned int fd = first; fd <= last && fd < end && result >= 0; fd++) {
		if (flags == CLOSE_RANGE_CLOEXEC)
			result = sys_result(fcntl((int)fd, F_SETFD, FD_CLOEXEC));
		else
			result = sys_result(close((int)fd));
		if (result == -EBADF)
			result = 0;
	}
	return result;
}

enum { DROPPED_MAX = 32 };
static int dropped[DROPPED_MAX];
static size_t dropped_count;

static void close_run(int first, int last)
{
	if (first == last && first >= 0)
		close(first);
	else if (first >= 0)
		sys_close_range((unsigned int)first, (unsigned int)last, 0);
}

static int take_lowest(void)
{
	size_t lowest = 0;
	int fd;

	for (size_t i = 1; i < dropped_count; i++)
		if (dropped[i] < dropped[lowest])
			lowest = i;
	fd = dropped[lowest];
	dropped[lowest] = dropped[--dropped_count];
	return fd;
}

static void close_all_dropped(void)
{
	int first = -1;
	int last = -1;

	while (dropped_count > 0) {
		int fd = take_lowest();

		if (fd != last + 1 || first < 0) {
			close_run(first, last);
			first = fd;
		}
		last = fd;
	}
	close_run(first, last);
}

void drop_descriptor(int *fd)
{
	if (*fd < 0)
		return;
	if (dropped_count == DROPPED_MAX)
		close_all_dropped();
	dropped[dropped_count++] = give(fd);
}

void close_dropped(void)
{
	forget_parent();
	close_all_dropped();
}

void detail_clear(void)
{
	if (detail_text[0] != '\0')
		memset(detail_text, 0, sizeof(detail_text));
}

void detail_bytes(const char *text, size_t length)
{
	if (length > DETAIL_SIZE)
		length = DETAIL_SIZE;
	memset(detail_text, 0, sizeof(detail_text));
	memcpy(detail_text, text, length);
}

void detail(const char *text)
{
	detail_bytes(text, strlen(text));
}

void detail_more(const char *text)
{
	size_t used = strnlen(detail_text, DETAIL_SIZE);

	for (; used < DETAIL_SIZE && *text != '\0'; used++)
		detail_text[used] = *text++;
}

int slot_get(uint32_t slot)
{
	if (slot == 0 || slot >= SLOT_LIMIT || slots[slot].fd == 0)
		return -EBADF;
	return (slots[slot].fd & ~(DIRECTORY | NO_DIRECTORY)) - 1;
}

/* Takes the descriptor in any case. */
int slot_put(uint32_t slot, int fd)
{
	if (slot == 0 || slot >= SLOT_LIMIT || slots[slot].fd != 0) {
		close(fd);
		return -EBUSY;
	}
	slots[slot].fd = fd + 1;
	slots[slot].mount = 0;
	return 0;
}

int slot_put_tree(uint32_t slot, int fd, mode_t type, uint32_t mount)
{
	int result = slot_put(slot, fd);

	if (result >= 0) {
		slots[slot].fd |= S_ISDIR(type) ? DIRECTORY : NO_DIRECTORY;
		slots[slot].mount = mount;
	}
	return result;
}

mode_t slot_type(uint32_t slot)
{
	if (slot >= SLOT_LIMIT || (slots[slot].fd & (DIRECTORY | NO_DIRECTORY)) == 0)
		return 0;
	return (slots[slot].fd & DIRECTORY) != 0 ? S_IFDIR : S_IFREG;
}

uint32_t slot_mount(uint32_t slot)
{
	return slot < SLOT_LIMIT ? slots[slot].mount : 0;
}

int slot_close(uint32_t slot)
{
	int fd = slot_get(slot);

	if (fd < 0)
		return fd;
	slots[slot].fd = 0;
	drop_descriptor(&fd);
	return 0;
}

bool is_procfs(int fd)
{
	struct statfs status;

	return sys_fstatfs(fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

bool same_object(const struct stat *one, const struct stat *other)
{
	return one->st_dev == other->st_dev && one->st_ino == other->st_ino &&
	       one->st_rdev == other->st_rdev &&
	       (one->st_mode & S_IFMT) == (other->st_mode & S_IFMT);
}

/* A change of the ids sets the dumpable flag to what fs.suid_dumpable says. */
int keep_hidden(void)
{
	return hidden ? sys_prctl(PR_SET_DUMPABLE, 0) : 0;
}

/* Best effort: the kernel clears it at each fork and change of ids; the end of the socket is what
 * counts. */
void set_death_signal(void)
{
	death_signal = sys_prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

int clear_death_signal(void)
{
	int result = death_signal ? sys_prctl(PR_SET_PDEATHSIG, 0) : 0;

	death_signal = result < 0;
	return result;
}

size_t format_decimal(char *buffer, uint64_t value)
{
	char reversed[20];
	size_t length = 0;

	do {
		reversed[length++] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	for (size_t i = 0; i < length; i++)
		buffer[i] = reversed[length - 1 - i];
	buffer[length] = '\0';
	return length;
}
