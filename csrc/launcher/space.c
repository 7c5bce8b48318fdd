// SPDX-License-Identifier: Apache-2.0
/*
 * Where the blocks of memory.c come from: a heap at a fixed address, from which space is taken by
 * moving a pointer. When it is full, a restored process takes further chunks from the kernel.
 *
 * A dump in the making has a place of its own for each kind of block that the profile knows
 * (profile.c): a page that is written to has to be copied, and a page that is read has to be
 * mapped, so what commands use lies side by side. All functions are called with the lock of
 * memory.c held. The state is inside the dumped region.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "region.h"
#include "space.h"

#define CHUNK_SIZE ((size_t)8 << 20)
#define SLAB_SIZE ((size_t)64 << 10)
#define PIECE_SIZE ((size_t)64 << 10) /* of a file, what the kernel maps at once */

/*
 * The first slab of a place holds nearly all that belongs there, in one piece. They lie side by
 * side in this order: of a file the kernel maps 64 KB around a page that is used, and what it maps
 * counts as resident.
 */
static const size_t first_slab_size[PLACES] = {
	[PLACE_OFTEN_WRITTEN] = (size_t)16 << 10,
	[PLACE_OFTEN_READ] = (size_t)400 << 10,
	[PLACE_WRITTEN] = (size_t)48 << 10,
	[PLACE_READ] = (size_t)1536 << 10,
};

static char *heap_next, *heap_end;
static struct {
	char *next, *end;
} slabs[PLACES];
static uint32_t block_number;
static bool restored;

/* The program that makes the dump has no heap segment yet. */
static bool reserve_heap(void)
{
	void *base = mmap((void *)HEAP_BASE, HEAP_RESERVED, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (base != (void *)HEAP_BASE)
		return false;
	heap_next = base;
	heap_end = heap_next + HEAP_RESERVED;
	return true;
}

/* Above the dump: an object at a lower address poses as one that is never freed
 * (interpreter_make_immortal), and some kernels (User-Mode Linux) would choose such an address. */
void *space_map(size_t size)
{
	static uintptr_t hint = HEAP_BASE + HEAP_RESERVED;
	void *mapped = mmap((void *)hint, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	if (mapped == MAP_FAILED)
		return NULL;
	if ((uintptr_t)mapped < HEAP_BASE) {
		munmap(mapped, size);
		return NULL;
	}
	hint = round_up((uintptr_t)mapped + size, PAGE_SIZE);
	return mapped;
}

/* Space for `size` bytes at an address that `alignment` divides; NULL: there is none. */
static char *take(size_t size, size_t alignment)
{
	char *taken = (char *)round_up((uintptr_t)heap_next, alignment);
	const size_t chunk_size = size > CHUNK_SIZE ? round_up(size, PAGE_SIZE) : CHUNK_SIZE;

	if (heap_next == NULL) {
		if (!reserve_heap())
			return NULL;
		taken = heap_next;
	}
	if (taken > heap_end || size > (size_t)(heap_end - taken)) {
		if (!restored)
			return NULL;
		taken = space_map(chunk_size);
		if (!taken)
			return NULL;
		heap_end = taken + chunk_size;
	}
	heap_next = taken + size;
	return taken;
}

static bool take_slab(enum place place, size_t size, size_t alignment)
{
	char *taken = take(size, alignment);

	if (!taken)
		return false;
	slabs[place].next = taken;
	slabs[place].end = taken + size;
	return true;
}

static bool take_first_slabs(void)
{
	for (enum place place = PLACE_COLD + 1; place < PLACES; place++)
		if (!take_slab(place, first_slab_size[place],
			       place == PLACE_COLD + 1 ? PIECE_SIZE : PAGE_SIZE))
			return false;
	return true;
}

char *space_take_at(size_t size, enum place place)
{
	char *taken;

	/* A large table is used here and there, and would part what is used densely. */
	if (place == PLACE_COLD || size > SLAB_SIZE)
		return take(size, 16);
	if (!slabs[place].next && !take_first_slabs())
		return NULL;
	if (size > (size_t)(slabs[place].end - slabs[place].next) &&
	    !take_slab(place, SLAB_SIZE, PAGE_SIZE))
		return NULL;
	taken = slabs[place].next;
	slabs[place].next += size;
	return taken;
}

bool space_grow(char *end, size_t more)
{
	if (end != heap_next || more > (size_t)(heap_end - end))
		return false;
	heap_next += more;
	return true;
}

enum place space_of_next(void)
{
	uint32_t number;

	if (restored)
		return PLACE_COLD;
	number = block_number++;
	return heap_profile && number < heap_profile_count ? heap_profile[number] : PLACE_COLD;
}

void space_record(const void *block)
{
	if (heap_owners)
		heap_owners[((uintptr_t)block - HEAP_BASE) / HEAP_GRANULE] = block_number;
}

char *space_take_pages(size_t size)
{
	char *pages = take(round_up(size, PAGE_SIZE), PAGE_SIZE);

	if (pages && heap_owners)
		for (size_t page = 0; page < size; page += PAGE_SIZE)
			heap_owners[((uintptr_t)pages + page - HEAP_BASE) / HEAP_GRANULE] =
				HEAP_PAGES;
	return pages;
}

uintptr_t space_close_slabs(void)
{
	memset(slabs, 0, sizeof(slabs));
	heap_next = (char *)round_up((uintptr_t)heap_next, PAGE_SIZE);
	return (uintptr_t)heap_next;
}

void space_prepare_dump(uintptr_t end)
{
	heap_end = (char *)end + HEAP_ROOM;
	heap_profile = NULL;
	restored = true;
}
