/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of /etc/passwd, apart from the system so that it can be fuzzed. */
#ifndef PASSWD_H
#define PASSWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PASSWD_LINE_MAX 4096

struct passwd {
	size_t used;
	bool skip;
	char line[PASSWD_LINE_MAX];
};

/* `home` has PASSWD_LINE_MAX bytes and receives HOME=directory. */
bool passwd_line(const char *line, size_t length, uint32_t uid, char *home);
bool passwd_feed(struct passwd *passwd, const char *text, size_t length, uint32_t uid, char *home);

#endif
