// SPDX-License-Identifier: Apache-2.0
/*
 * malloc over a heap at a fixed address, so that the heap can be written into the program and be
 * there again, with every pointer valid, when the program starts.
 *
 * Blocks have a header of 16 bytes and come in size classes with a free list each; their space is
 * that of space.c. The state is in this file's data, which is inside the dumped region.
 *
 * While the dump is made, blocks are numbered in the order of their allocation. The build first
 * runs the program to see which of them commands use (profile.c), and then makes the dump with
 * those blocks side by side.
 *
 * This replaces the C library's malloc in a static link: each function that the library's own
 * malloc.o defines is defined here too, else the linker would pull that in. Compile with
 * -fno-builtin (a compiler may turn malloc and memset into calloc, which here would be a loop).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "region.h"
#include "space.h"

enum {
	SMALL_LIMIT = 512, /* classes of 16 bytes up to here, four classes per power of two above */
	SMALL_CLASSES = SMALL_LIMIT / 16 + 1,
	CLASSES = SMALL_CLASSES + 4 * 40,
};
#define MAPPED_LIMIT                                                                               \
	((size_t)1 << 20) /* from here, blocks of a restored process are mappings of their own */
#define SIZE_LIMIT ((size_t)1 << 46)

/* What a block is: the place of its kind in a dump, or one of two that have no free list. */
enum { KIND_MAPPED = PLACES, KIND_ALIGNED };

struct header {
	size_t size; /* bytes that the user may write */
	size_t kind;
};

struct free_block {
	struct free_block *next;
};

static struct free_block *free_lists[PLACES][CLASSES];
static uintptr_t closed_end; /* below, holes are closed */
static bool dumped;	     /* true only in a restored process */
static volatile char lock;

static void take_lock(void)
{
	while (__atomic_test_and_set(&lock, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void release_lock(void)
{
	__atomic_clear(&lock, __ATOMIC_RELEASE);
}

/* The class of a size, and the size that blocks of this class have. */
static unsigned int size_class(size_t size, size_t *block_size)
{
	unsigned int log2;
	size_t step;

	if (size <= SMALL_LIMIT) {
		*block_size = round_up(size ? size : 1, 16);
		return (unsigned int)(*block_size / 16);
	}
	log2 = 63 - (unsigned int)__builtin_clzl(size - 1); /* 2^log2 < size <= 2^(log2 + 1) */
	step = (size_t)1 << (log2 - 2);
	*block_size = round_up(size, step);
	return SMALL_CLASSES + (log2 - 9) * 4 +
	       (unsigned int)((*block_size - 1 - ((size_t)1 << log2)) / step);
}

static bool is_early(const void *block)
{
	return (const char *)block >= early_buffer &&
	       (const char *)block < early_buffer + EARLY_SIZE;
}

static struct header *header_of(void *block)
{
	return (struct header *)block - 1;
}

static void *early_malloc(size_t size)
{
	const size_t needed = round_up(size, 16) + sizeof(struct header);
	struct header *header = (struct header *)(early_buffer + early_used);

	if (needed > EARLY_SIZE - early_used) {
		errno = ENOMEM;
		return NULL;
	}
	early_used += needed;
	header->size = size;
	return header + 1;
}

/* Whole pages for the interpreter's arena allocator; never given back. */
void *heap_pages(size_t size)
{
	char *pages;

	take_lock();
	pages = space_take_pages(size);
	release_lock();
	return pages;
}

/* A large block goes back to the kernel when it is freed. Only after the restore: a dump holds no
 * mappings. */
static void *map_block(size_t size)
{
	const size_t length = round_up(size + sizeof(struct header), PAGE_SIZE);
	struct header *header = space_map(length);

	if (!header) {
		errno = ENOMEM;
		return NULL;
	}
	header->size = length - sizeof(*header);
	header->kind = KIND_MAPPED;
	return header + 1;
}

/*
 * Clear what is not used (any more) of a block, while there is a dump to come: it may tell of the
 * machine that makes the dump, and differs from one dump to the next.
 */
static void wipe(void *block, size_t used)
{
	if (!dumped)
		memset((char *)block + used, 0, header_of(block)->size - used);
}

/* malloc itself; by this name for the functions below, because a compiler believes to know malloc.
 */
static void *allocate(size_t size)
{
	struct free_block *found;
	struct header *header;
	size_t block_size;
	unsigned int class;
	enum place place;

	if (size > SIZE_LIMIT) {
		errno = ENOMEM;
		return NULL;
	}
	if (!heap_open)
		return early_malloc(size);
	if (dumped && size >= MAPPED_LIMIT)
		return map_block(size);
	class = size_class(size, &block_size);
	take_lock();
	place = space_of_next();
	found = free_lists[place][class];
	if (found) {
		free_lists[place][class] = found->next;
		space_record(found);
		release_lock();
		return found;
	}
	header = (struct header *)space_take_at(block_size + sizeof(*header), place);
	if (header)
		space_record(header + 1);
	release_lock();
	if (!header) {
		errno = ENOMEM;
		return NULL;
	}
	header->size = block_size;
	header->kind = (size_t)place;
	return header + 1;
}

void *malloc(size_t size)
{
	return allocate(size);
}

void free(void *block)
{
	struct free_block *freed = block;
	struct header *header;
	unsigned int class;
	enum place place;
	size_t block_size;

	if (!block || is_early(block))
		return;
	header = header_of(block);
	if (header->kind == KIND_MAPPED) {
		munmap(header, header->size + sizeof(*header));
		return;
	}
	if (header->kind == KIND_ALIGNED) /* rare, and its size fits no class: given up */
		return;
	/* Part of the dump: an object that were made of it would pose as one that is never freed
	 * (interpreter_make_immortal). */
	if ((uintptr_t)block < closed_end)
		return;
	wipe(block, 0);
	class = size_class(header->size, &block_size);
	/* A restored process has touched the page of what it frees: that is the best to use again.
	 */
	place = dumped ? PLACE_COLD : (enum place)header->kind;
	take_lock();
	freed->next = free_lists[place][class];
	free_lists[place][class] = freed;
	release_lock();
}

void *calloc(size_t count, size_t size)
{
	size_t total;
	void *block;

	if (__builtin_mul_overflow(count, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	block = allocate(total);
	/* Fresh heap pages are zero, but the class may have handed out a used block; a mapping is
	 * zero. */
	if (block && (is_early(block) || header_of(block)->kind != KIND_MAPPED))
		memset(block, 0, total);
	return block;
}

/* The last block of the heap grows in place: lists and buffers that grow step by step need no copy.
 */
static bool grow_last(struct header *header, size_t size)
{
	char *block = (char *)(header + 1);
	bool grown = false;
	size_t block_size;

	size_class(size, &block_size);
	take_lock();
	if (space_grow(block + header->size, block_size - header->size)) {
		header->size = block_size;
		grown = true;
	}
	release_lock();
	return grown;
}

void *realloc(void *block, size_t size)
{
	struct header *header;
	void *moved;

	if (!block)
		return allocate(size);
	header = header_of(block);
	if (size <= header->size) {
		if (!is_early(block) && header->kind < PLACES)
			wipe(block, size);
		return block;
	}
	/* While dumping, no block grows in place: that depends on what lies behind it, and would
	 * shift all numbers. */
	if (dumped && !is_early(block) && header->kind == PLACE_COLD && size < MAPPED_LIMIT &&
	    grow_last(header, size))
		return block;
	moved = allocate(size);
	if (!moved)
		return NULL;
	memcpy(moved, block, header->size);
	free(block);
	return moved;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	struct header *header;
	char *block;

	if (alignment <= 16)
		return allocate(size);
	if (alignment & (alignment - 1) || size > SIZE_LIMIT || alignment > SIZE_LIMIT) {
		errno = EINVAL;
		return NULL;
	}
	block = allocate(size + alignment + sizeof(*header));
	if (!block)
		return NULL;
	block = (char *)round_up((uintptr_t)block + sizeof(*header), alignment);
	header = header_of(block);
	header->size = size;
	header->kind = KIND_ALIGNED;
	return block;
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	void *aligned;

	if (alignment % sizeof(void *) != 0 || alignment & (alignment - 1) || alignment == 0)
		return EINVAL;
	aligned = aligned_alloc(alignment, size);
	if (!aligned)
		return ENOMEM;
	*block = aligned;
	return 0;
}

void *memalign(size_t alignment, size_t size)
{
	return aligned_alloc(alignment, size);
}

void *valloc(size_t size)
{
	return aligned_alloc(PAGE_SIZE, size);
}

void *pvalloc(size_t size)
{
	return size > SIZE_LIMIT ? NULL : aligned_alloc(PAGE_SIZE, round_up(size, PAGE_SIZE));
}

size_t malloc_usable_size(void *block)
{
	return block ? header_of(block)->size : 0;
}

/*
 * The holes are given up: blocks of the restored process that fell into them would each cost the
 * copy of a page. Behind the dumped heap they lie side by side. Returns the end of the heap.
 */
uintptr_t heap_close_holes(void)
{
	memset(free_lists, 0, sizeof(free_lists));
	closed_end = space_close_slabs();
	return closed_end;
}

/* Put the heap into the state in which a restored process shall find it; returns how much of it to
 * write. */
void heap_prepare_dump(size_t *size)
{
	*size = heap_close_holes() - HEAP_BASE;
	space_prepare_dump(closed_end);
	dumped = true;
}
