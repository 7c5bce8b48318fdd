/* SPDX-License-Identifier: Apache-2.0 */
/* Between memory.c (blocks) and space.c (where they lie). */
#ifndef PYRUNC_SPACE_H
#define PYRUNC_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "region.h"

static inline uintptr_t round_up(uintptr_t value, size_t step)
{
	return (value + step - 1) & ~(uintptr_t)(step - 1);
}

/* Space for `size` bytes in one of the places of a dump in the making; NULL: there is none. */
char *space_take_at(size_t size, enum place place);

/* Pages of the kernel above the dumped heap; NULL: there are none. */
void *space_map(size_t size);

/* Whole pages, which the profile does not watch. */
char *space_take_pages(size_t size);

/* Makes what ends at `end` longer, if nothing lies behind it. */
bool space_grow(char *end, size_t more);

/* Numbers the next block; where it belongs. A restored process has only one place. */
enum place space_of_next(void);

/* The block that was numbered last begins here. */
void space_record(const void *block);

/* From now on every slab is a new one. Returns the end of the heap, at a page. */
uintptr_t space_close_slabs(void);

/* From now on this is a restored process, whose heap ended here. */
void space_prepare_dump(uintptr_t end);

#endif
