// SPDX-License-Identifier: Apache-2.0
/*
 * The home directory, from the container's /etc/passwd: hostile input that decides nothing but one
 * variable. Only a regular file is read, at most a megabyte of it, for at most 50 ms; whatever is
 * odd means "/".
 */
#include <string.h>
#include <time.h>

#include "passwd.h"

#include "init.h"
#include "plan_ops.h"
#include "sys.h"

#define FILE_MAX (1U << 20)
#define BUDGET_NS 50000000
#define PREFIX "HOME="

static char home_variable[PASSWD_LINE_MAX] LARGE;

char *found_home(void)
{
	if (home_variable[0] == '\0')
		memcpy(home_variable, PREFIX "/", sizeof(PREFIX "/"));
	return home_variable;
}

static bool parse_uid(const char *text, const char *end, uint32_t *uid)
{
	uint64_t value = 0;

	if (text == end || end - text > 10)
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
	}
	*uid = (uint32_t)value;
	return value < UINT32_MAX;
}

bool passwd_line(const char *line, size_t length, uint32_t uid, char *home)
{
	const char *end = line + length;
	const char *fields[6]; /* name, password, uid, gid, gecos, home */
	const char *next = line;
	uint32_t found;
	size_t size;

	for (int i = 0; i < 6; i++) {
		fields[i] = next;
		next = memchr(next, ':', (size_t)(end - next));
		if (next == NULL)
			return false;
		next++;
	}
	if (!parse_uid(fields[2], fields[3] - 1, &found) || found != uid)
		return false;
	size = (size_t)(next - 1 - fields[5]);
	if (size == 0 || fields[5][0] != '/' || memchr(fields[5], '\0', size) != NULL)
		return false;
	if (size + sizeof(PREFIX) > PASSWD_LINE_MAX)
		return false;
	memcpy(home, PREFIX, sizeof(PREFIX) - 1);
	memcpy(home + sizeof(PREFIX) - 1, fields[5], size);
	home[sizeof(PREFIX) - 1 + size] = '\0';
	return true;
}

/* Feed the next bytes; a line that does not fit is skipped. Returns true when the line of the uid
 * was found. */
bool passwd_feed(struct passwd *passwd, const char *text, size_t length, uint32_t uid, char *home)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n') {
			bool found =
				!passwd->skip && passwd_line(passwd->line, passwd->used, uid, home);

			passwd->used = 0;
			passwd->skip = false;
			if (found)
				return true;
		} else if (passwd->used == sizeof(passwd->line)) {
			passwd->skip = true;
		} else {
			passwd->line[passwd->used++] = text[i];
		}
	}
	return false;
}

static bool in_time(const struct timespec *start)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		return false;
	return (int64_t)(now.tv_sec - start->tv_sec) * 1000000000 + (now.tv_nsec - start->tv_nsec) <
	       BUDGET_NS;
}

static void read_file(int fd, uint32_t uid)
{
	struct passwd passwd = {.used = 0, .skip = false};
	struct timespec start;
	char text[4096];
	size_t total = 0;

	if (clock_gettime(CLOCK_MONOTONIC, &start) < 0)
		return;
	while (total < FILE_MAX && in_time(&start)) {
		int length = sys_read(fd, text, sizeof(text));

		if (length <= 0)
			break;
		if (passwd_feed(&passwd, text, (size_t)length, uid, home_variable))
			return;
		total += (size_t)length;
	}
	if (!passwd.skip) /* the last line need not end */
		passwd_line(passwd.line, passwd.used, uid, home_variable);
}

int run_find_home(const struct op_find_home *op, uint32_t *step)
{
	CLEANUP_CLOSE int fd = open_verified("/etc/passwd", O_RDONLY, S_IFREG, 0);

	(void)step;
	if (fd >= 0)
		read_file(fd, op->uid);
	return 0;
}
