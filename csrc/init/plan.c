// SPDX-License-Identifier: Apache-2.0
/*
 * The decoder. A plan is read twice: once to check all of it, before anything has happened, and
 * once to run it. Lengths are compared by subtraction from the bytes that are left, so no sum can
 * wrap.
 */
#define PLAN_OPS_DECODER
#include "plan_ops.h"

#include <string.h>

#include "init.h"

static const char PLAN_MAGIC[8] = {'P', 'Y', 'R', 'U', 'N', 'C', '\0', '\1'};

static size_t left(const struct reader *reader)
{
	return (size_t)(reader->end - reader->at);
}

static bool read_raw(struct reader *reader, void *value, size_t size)
{
	if (left(reader) < size)
		return false;
	memcpy(value, reader->at, size);
	reader->at += size;
	return true;
}

/* Padding is zero: one meaning, one encoding. */
static bool skip_padding(struct reader *reader)
{
	while (((uintptr_t)reader->at & 7) != 0) {
		if (reader->at == reader->end || *reader->at != 0)
			return false;
		reader->at++;
	}
	return true;
}

bool read_u32(struct reader *reader, uint32_t *value)
{
	return read_raw(reader, value, sizeof(*value));
}

bool read_slot(struct reader *reader, uint32_t *value)
{
	return read_u32(reader, value) && *value < SLOT_LIMIT;
}

bool read_i32(struct reader *reader, int32_t *value)
{
	return read_raw(reader, value, sizeof(*value));
}

bool read_u64(struct reader *reader, uint64_t *value)
{
	return read_raw(reader, value, sizeof(*value));
}

bool read_str(struct reader *reader, const char **value)
{
	uint32_t length;

	if (!read_u32(reader, &length) || left(reader) <= length)
		return false;
	if (memchr(reader->at, '\0', (size_t)length + 1) != reader->at + length)
		return false;
	*value = (const char *)reader->at;
	reader->at += (size_t)length + 1;
	return true;
}

bool read_bytes(struct reader *reader, struct bytes *value)
{
	if (!read_u32(reader, &value->length) || !skip_padding(reader))
		return false;
	if (left(reader) < value->length)
		return false;
	value->data = reader->at;
	reader->at += value->length;
	return skip_padding(reader);
}

/* The strings fill `size` bytes exactly; each ends with a NUL. */
static bool read_items(struct reader *reader, struct strings *value, size_t size)
{
	uint8_t *end = reader->at + size;

	for (uint32_t i = 0; i < value->count; i++) {
		uint8_t *nul = memchr(reader->at, '\0', (size_t)(end - reader->at));

		if (nul == NULL)
			return false;
		if (reader->fill)
			value->items[i] = (char *)reader->at;
		reader->at = nul + 1;
	}
	return reader->at == end;
}

bool read_strs(struct reader *reader, struct strings *value)
{
	uint32_t size;
	uint64_t pointer;

	if (!read_u32(reader, &value->count) || !read_u32(reader, &size) || !skip_padding(reader))
		return false;
	if (left(reader) / sizeof(pointer) <= value->count)
		return false;
	value->items = (char **)(void *)reader->at;
	for (uint32_t i = 0; i <= value->count; i++)
		if (!read_u64(reader, &pointer) || pointer != 0)
			return false;
	return left(reader) >= size && read_items(reader, value, size);
}

bool read_end(struct reader *reader)
{
	return skip_padding(reader) && reader->at == reader->end;
}

/* Split the next op off; the rest begins behind it. */
static bool next_op(struct reader *rest, uint32_t *code, struct reader *op)
{
	uint32_t size;
	uint8_t *start = rest->at;

	if (!read_u32(rest, code) || !read_u32(rest, &size))
		return false;
	if (size < 8 || size % 8 != 0 || left(rest) < size - 8)
		return false;
	*op = (struct reader){.at = rest->at, .end = start + size, .fill = rest->fill};
	rest->at = start + size;
	return true;
}

bool plan_check(uint8_t *plan, size_t size)
{
	struct plan_header header;
	struct reader rest = {.at = plan, .end = plan + size, .fill = false};
	struct reader op;
	uint32_t code;

	if (size < PLAN_SIZE_MIN || size > PLAN_SIZE_MAX ||
	    !read_raw(&rest, &header, sizeof(header)))
		return false;
	if (memcmp(header.magic, PLAN_MAGIC, sizeof(PLAN_MAGIC)) != 0 ||
	    header.digest != PLAN_DIGEST)
		return false;
	if (header.length != size || header.objects >= SLOT_LIMIT || header.reserved != 0)
		return false;
	for (uint32_t i = 0; i < header.count; i++)
		if (!next_op(&rest, &code, &op) || !check_op(code, &op))
			return false;
	return left(&rest) == 0;
}

int plan_run(uint8_t *plan, uint32_t *op_index, uint32_t *step)
{
	struct plan_header header;
	struct reader rest = {.at = plan, .end = plan + sizeof(header), .fill = true};
	int result = -EPROTO;

	if (!read_raw(&rest, &header, sizeof(header)))
		return -EPROTO;
	rest.end = plan + header.length;
	for (*op_index = 0; *op_index < header.count; ++*op_index) {
		struct reader op;
		uint32_t code;

		*step = 0;
		detail_clear();
		if (!next_op(&rest, &code, &op))
			return -EPROTO;
		result = run_op(code, &op, step);
		if (result < 0)
			return result;
		trace_op(*op_index);
	}
	return -EPROTO; /* no plan ends without execute */
}
