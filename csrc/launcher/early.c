// SPDX-License-Identifier: Apache-2.0
/*
 * The state that every process starts afresh, dumped or not: the C library allocates before main
 * (thread-local storage, the loader's tables), and what it allocates belongs to this process and
 * not to the dump.
 */
#include "region.h"

_Alignas(16) char early_buffer[EARLY_SIZE];
size_t early_used;
bool heap_open; /* set by main: from now on malloc uses the dumped heap */

/* Where the program is, for libraries that the C library would look for beside it: there are none,
 * and so no link is read at each start. Takes the place of the C library's. */
const char *_dl_get_origin(void);
const char *_dl_get_origin(void)
{
	return (const char *)-1;
}
