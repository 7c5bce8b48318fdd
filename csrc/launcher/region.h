/* SPDX-License-Identifier: Apache-2.0 */
/* What is dumped: the data region that region.ld lays out, and the heap at a fixed address
 * (memory.c). */
#ifndef PYRUNC_REGION_H
#define PYRUNC_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Far above a static non-PIE program, below where the kernel puts mappings and PIE programs on any
 * of its layouts (47 bits: from 0x2aaaaaaaa000 upward with an unlimited stack, near 0x7f...
 * otherwise).
 */
#define HEAP_BASE ((uintptr_t)0x100000000000)
#define HEAP_RESERVED ((size_t)1 << 30) /* address space while dumping */
#define HEAP_ROOM                                                                                  \
	((size_t)16                                                                                \
	 << 20) /* zero pages behind the dumped heap; undump.py says the same to the kernel */
#define PAGE_SIZE ((size_t)4096)

/* Header of the raw dump that undump.py reads; all numbers 64 bits. */
struct dump_header {
	char magic[8];
	uint64_t region_start, region_size;
	uint64_t heap_start, heap_size;
};
#define DUMP_MAGIC "PYRUNCD1"

extern char region_start[], region_end[]; /* region.ld */

/* early.c: outside the dumped region, so a new process always starts with it empty. */
enum { EARLY_SIZE = 65536 };
extern _Alignas(16) char early_buffer[EARLY_SIZE];
extern size_t early_used;
extern bool heap_open;

/*
 * profile.c: which blocks commands use, by the number of their allocation. heap_owners has an entry
 * for each 16 bytes of the heap: the number, plus 1, of the block that begins there; HEAP_PAGES for
 * pages that are not watched.
 */
enum { HEAP_GRANULE = 16 };
#define HEAP_PAGES UINT32_MAX
enum place {
	PLACE_COLD,	     /* nobody has used it */
	PLACE_OFTEN_WRITTEN, /* by commands that engines call often */
	PLACE_OFTEN_READ,
	PLACE_WRITTEN, /* by others */
	PLACE_READ,
	PLACES,
};
extern uint32_t *heap_owners;	    /* NULL: not recorded */
extern const uint8_t *heap_profile; /* an enum place for each block; NULL: not known */
extern size_t heap_profile_count;
void profile_record(void);
uintptr_t profile_watch(void);
void profile_next_command(bool is_called_often);
void profile_save(const char *path);
void profile_load(const char *path);

/* memory.c */
uintptr_t heap_close_holes(void);
void heap_prepare_dump(size_t *size);
void *heap_pages(size_t size);

#endif
