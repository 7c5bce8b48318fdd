/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of a plan: every field is checked against the bytes that are left. */
#ifndef PLAN_H
#define PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_SIZE_MIN 64U
#define PLAN_SIZE_MAX (16U << 20)

struct plan_header {
	char magic[8];
	uint64_t digest;
	uint32_t length;
	uint32_t count;
	uint32_t objects;
	uint32_t reserved;
};

struct bytes {
	uint8_t *data; /* aligned to 8 */
	uint32_t length;
};

struct strings {
	char **items; /* count pointers and a NULL */
	uint32_t count;
};

/* The part of a plan that is not read yet. The plan lies at an address that is a multiple of 8. */
struct reader {
	uint8_t *at;
	uint8_t *end;
	bool fill; /* write the pointers of string lists into the plan: in the second pass only */
};

bool read_u32(struct reader *reader, uint32_t *value);
bool read_slot(struct reader *reader, uint32_t *value);
bool read_i32(struct reader *reader, int32_t *value);
bool read_u64(struct reader *reader, uint64_t *value);
bool read_str(struct reader *reader, const char **value);
bool read_bytes(struct reader *reader, struct bytes *value);
bool read_strs(struct reader *reader, struct strings *value);
bool read_end(struct reader *reader);

/* Decode everything without doing anything. */
bool plan_check(uint8_t *plan, size_t size);

/* Run a checked plan. Returns only when an op has failed: its negative errno, its index and its
 * step. */
int plan_run(uint8_t *plan, uint32_t *op, uint32_t *step);

#endif
