// SPDX-License-Identifier: Apache-2.0
/* What kind of file a program is that execve has refused: a word of it goes into the report, after
 * the path. The file is the image's, so every read has a bound and every offset is only an argument
 * of pread. */
#include <elf.h>
#include <string.h>

#include "init.h"
#include "sys.h"

#define MAX_HEADERS 64 /* program headers that are looked at */

/* The headers of 32-bit and 64-bit files, as what is asked of them. */
struct elf {
	uint64_t headers; /* offset of the program headers */
	uint32_t size, count, machine, bits;
};

static bool read_at(int fd, void *buffer, size_t size, uint64_t offset)
{
	return offset <= INT64_MAX && pread(fd, buffer, size, (off_t)offset) == (ssize_t)size;
}

static bool read_elf(int fd, struct elf *elf)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr narrow;
		Elf64_Ehdr wide;
	} header;

	if (!read_at(fd, &header, sizeof(header.narrow), 0) ||
	    memcmp(header.ident, ELFMAG, SELFMAG) != 0)
		return false;
	elf->bits = header.ident[EI_CLASS] == ELFCLASS32 ? 32 : 64;
	elf->machine = header.narrow.e_machine; /* at one offset in both */
	if (header.ident[EI_DATA] == ELFDATA2MSB)
		elf->machine = elf->machine >> 8 | (elf->machine & 0xff) << 8;
	elf->count = 0;
	if (elf->bits == 32) {
		elf->headers = header.narrow.e_phoff;
		elf->size = sizeof(Elf32_Phdr);
		elf->count = header.narrow.e_phnum;
	} else if (read_at(fd, &header, sizeof(header.wide), 0)) {
		elf->headers = header.wide.e_phoff;
		elf->size = sizeof(Elf64_Phdr);
		elf->count = header.wide.e_phnum;
	}
	return true;
}

/* The offset of the name of the dynamic loader, or 0. */
static uint64_t find_interpreter(int fd, const struct elf *elf)
{
	for (uint32_t i = 0; i < elf->count && i < MAX_HEADERS; i++) {
		union {
			Elf32_Phdr narrow;
			Elf64_Phdr wide;
		} header;

		if (!read_at(fd, &header, elf->size, elf->headers + (uint64_t)i * elf->size))
			return 0;
		if (header.narrow.p_type == PT_INTERP) /* at one offset in both */
			return elf->bits == 32 ? header.narrow.p_offset : header.wide.p_offset;
	}
	return 0;
}

static void tell_machine(const struct elf *elf)
{
	char number[21];

	detail_more("\nmachine ");
	format_decimal(number, elf->machine);
	detail_more(number);
	detail_more(elf->bits == 32 ? " 32" : " 64");
}

static void tell_elf(int fd, const struct elf *elf, bool refused)
{
	char name[DETAIL_SIZE] = "";
	uint64_t offset = refused ? 0 : find_interpreter(fd, elf);

	if (offset == 0) {
		tell_machine(elf);
		return;
	}
	if (offset > INT64_MAX || pread(fd, name, sizeof(name) - 1, (off_t)offset) <= 0)
		return;
	detail_more("\ninterpreter ");
	detail_more(name);
}

/* `refused`: the kernel knows no handler for the file (ENOEXEC). */
void tell_program(const char *path, bool refused)
{
	char line[DETAIL_SIZE] = "";
	struct elf elf = {0};
	CLEANUP_CLOSE int fd = sys_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || pread(fd, line, sizeof(line) - 1, 0) < 0)
		return;
	if (read_elf(fd, &elf)) {
		tell_elf(fd, &elf, refused);
		return;
	}
	detail_more("\n");
	if (strncmp(line, "#!", 2) != 0) {
		detail_more("data");
		return;
	}
	line[2 + strcspn(line + 2, "\n")] = '\0';
	detail_more("#!");
	detail_more(line + 2 + strspn(line + 2, " \t"));
}
