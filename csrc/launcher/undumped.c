// SPDX-License-Identifier: Apache-2.0
/*
 * The undumped program. As linked, it starts the interpreter, imports and trains the application,
 * and writes its data region and its heap to the file named by its only argument. undump.py makes
 * the executable from the two; started, that finds `restored` set and goes straight to the
 * application.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "interpreter.h"
#include "region.h"

static bool restored; /* inside the region: true only in what was dumped */

static void write_all(int fd, const void *data, size_t size)
{
	const char *next = data;

	while (size > 0) {
		const ssize_t written = write(fd, next, size);

		if (written < 0)
			die("cannot write the dump");
		next += written;
		size -= (size_t)written;
	}
}

static void dump(const char *path)
{
	struct dump_header header = {.magic = DUMP_MAGIC};
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	size_t heap_size;

	if (fd < 0)
		die("cannot create the dump");
	heap_prepare_dump(&heap_size);
	header.region_start = (uintptr_t)region_start;
	header.region_size = (size_t)(region_end - region_start);
	header.heap_start = HEAP_BASE;
	header.heap_size = heap_size;
	interpreter_make_immortal(HEAP_BASE + heap_size);
	restored = true;
	write_all(fd, &header, sizeof(header));
	write_all(fd, region_start, header.region_size);
	write_all(fd, (const void *)HEAP_BASE, heap_size);
	_exit(close(fd) < 0 ? 1 : 0);
}

/* undumped --profile FILE: find out which blocks of the heap commands write to. */
static _Noreturn void profile(const char *path)
{
	profile_record();
	interpreter_start();
	interpreter_train();
	interpreter_reattach();
	interpreter_make_immortal(profile_watch());
	interpreter_rehearse(profile_next_command);
	profile_save(path);
	_exit(0);
}

int main(int argc, char **argv)
{
	refuse_privileged_file();
	heap_open = true;
	if (restored) {
		process_prepare();
		interpreter_reattach();
		run_and_exit(argc, argv, "undumped");
	}
	if (argc != 3)
		die("usage: undumped --profile PROFILE | DUMP PROFILE (a tool of the build)");
	process_prepare();
	if (strcmp(argv[1], "--profile") == 0)
		profile(argv[2]);
	profile_load(argv[2]);
	interpreter_start();
	interpreter_train();
	dump(argv[1]);
}
