/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exercises csrc/launcher/memory.c: random allocations whose content is checked, before and after
 * the switch to the restored state. Prints "ok" or where a byte was wrong.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "region.h"

enum { BLOCKS = 2000, ROUNDS = 300000 };

char region_start[1], region_end[1];
_Alignas(16) char early_buffer[EARLY_SIZE];
size_t early_used;
bool heap_open;

/* The first blocks belong in different places, as a profile would say. */
static uint8_t places[ROUNDS];
uint32_t *heap_owners;
const uint8_t *heap_profile = places;
size_t heap_profile_count = ROUNDS;

static struct {
	unsigned char *data;
	size_t size;
	unsigned char mark;
} blocks[BLOCKS];

static uintptr_t dump_end; /* 0: nothing is dumped yet */

static uint64_t state = 88172645463325252ULL;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static size_t random_size(void)
{
	static const size_t scales[] = {16, 100, 600, 5000, 70000, 3000000};
	const uint64_t random = next_random();

	return (size_t)(random >> 8) % scales[random % 100 < 97 ? random % 4 : 4 + random % 2];
}

static void fail(const char *what, int index)
{
	fprintf(stderr, "%s: block %d of %zu bytes\n", what, index, blocks[index].size);
	exit(1);
}

static void verify(int index)
{
	for (size_t i = 0; i < blocks[index].size; i++)
		if (blocks[index].data[i] != blocks[index].mark)
			fail("overwritten", index);
}

static void fill(int index, size_t size)
{
	blocks[index].size = size;
	blocks[index].mark = (unsigned char)next_random();
	if (!blocks[index].data)
		fail("no memory", index);
	if ((uintptr_t)blocks[index].data < dump_end)
		fail("made of the dump", index);
	if (malloc_usable_size(blocks[index].data) < size)
		fail("usable size", index);
	memset(blocks[index].data, blocks[index].mark, size);
}

static void allocate(int index)
{
	const size_t size = random_size();
	const size_t alignment = (size_t)16 << next_random() % 9;

	switch (next_random() % 4) {
	case 0:
		blocks[index].data = calloc(1, size);
		for (size_t i = 0; i < size; i++)
			if (blocks[index].data[i])
				fail("calloc is not zero", index);
		break;
	case 1:
		blocks[index].data = memalign(alignment, size);
		if ((uintptr_t)blocks[index].data % alignment)
			fail("not aligned", index);
		break;
	default:
		blocks[index].data = malloc(size);
		if ((uintptr_t)blocks[index].data % 16)
			fail("not aligned", index);
	}
	fill(index, size);
}

static void step(void)
{
	const int index = (int)(next_random() % BLOCKS);
	const size_t size = random_size();
	const size_t kept = size < blocks[index].size ? size : blocks[index].size;
	unsigned char *old;

	verify(index);
	if (!blocks[index].data) {
		allocate(index);
	} else if (next_random() % 3) {
		free(blocks[index].data);
		blocks[index].data = NULL;
		blocks[index].size = 0;
	} else {
		old = blocks[index].data;
		blocks[index].data = realloc(old, size ? size : 1);
		blocks[index].size = kept;
		verify(index);
		if (blocks[index].data != old || (uintptr_t)old >= dump_end)
			fill(index, size);
	}
}

int main(void)
{
	size_t dumped;
	volatile size_t huge = SIZE_MAX / 2; /* the compiler would refuse a constant */
	void *aligned;

	heap_open = true;
	for (int i = 0; i < ROUNDS; i++)
		places[i] = (uint8_t)(i % (PLACES + 1) % PLACES);
	for (int round = 0; round < ROUNDS; round++) {
		if (round == ROUNDS / 2) {
			heap_prepare_dump(&dumped);
			dump_end = HEAP_BASE + dumped;
		}
		step();
	}
	if (malloc(huge) || errno != ENOMEM || calloc(huge, 4) || realloc(malloc(1), huge))
		fail("an impossible size was granted", 0);
	if (posix_memalign(&aligned, 3, 1) != EINVAL)
		fail("a bad alignment was accepted", 0);
	puts("ok");
	return 0;
}
