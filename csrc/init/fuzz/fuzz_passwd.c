// SPDX-License-Identifier: Apache-2.0
/* The parser of /etc/passwd: the first byte says in how large pieces the rest arrives. */
#include "../passwd.c" // NOLINT(bugprone-suspicious-include): its static functions are what is tested

#include <stdlib.h>

int open_verified(const char *path, uint64_t flags, mode_t type, dev_t rdev)
{
	(void)path;
	(void)flags;
	(void)type;
	(void)rdev;
	return -1;
}

void close_descriptor(int *fd)
{
	(void)fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct passwd passwd;
	char *home = calloc(1, PASSWD_LINE_MAX);
	size_t piece = size == 0 ? 1 : (size_t)data[0] + 1;
	bool found = false;

	memset(&passwd, 0, sizeof(passwd));
	for (size_t at = 1; at < size && !found; at += piece) {
		size_t length = size - at < piece ? size - at : piece;
		char *text = malloc(length);

		memcpy(text, data + at, length);
		found = passwd_feed(&passwd, text, length, 1, home);
		free(text);
	}
	if (!found)
		found = passwd_line(passwd.line, passwd.used, 1, home);
	if (found && strncmp(home, "HOME=/", 6) != 0)
		abort();
	free(home);
	return 0;
}
