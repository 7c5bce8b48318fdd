/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the families of ops share. Functions that can fail return a negative errno. One thread, no
 * heap, no signal handlers.
 */
#ifndef INIT_H
#define INIT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "plan_ops.h"

/* A table of which little is used: behind all small variables, which then share a page. The linker
 * puts sections in the order of their names. */
#define LARGE __attribute__((section(".bss.zz")))

#define CLEANUP_CLOSE __attribute__((cleanup(close_descriptor)))

/* Descriptors have one owner: -1 after they are closed or given away. */
void close_descriptor(int *fd);
int give(int *fd);
/*
 * Closed later, together with others whose numbers are next to it in one call: for what is
 * close-on-exec and nobody waits for the end of. close_dropped comes before anybody else acts (a
 * message, a hook), before the root changes and before descriptors are closed by number.
 */
#define CLEANUP_DROP __attribute__((cleanup(drop_descriptor)))
void drop_descriptor(int *fd);
void close_dropped(void);

/* The bounded text of an error report: the most useful fact, such as the component of a path that
 * failed. */
extern char detail_text[DETAIL_SIZE];
void detail_clear(void);
void detail(const char *text);
void detail_more(const char *text);
void detail_bytes(const char *text, size_t length);

/* The descriptor table of the plan. */
int slot_get(uint32_t slot);
int slot_put(uint32_t slot, int fd);
/* A mount of known type, and with its id or 0: no clone changes either. */
int slot_put_tree(uint32_t slot, int fd, mode_t type, uint32_t mount);
mode_t slot_type(uint32_t slot); /* S_IFDIR, S_IFREG for all else, 0: not known */
uint32_t slot_mount(uint32_t slot);
int slot_close(uint32_t slot);

/* sync.c: messages (plan_ops.h), one expected type in each state. */
extern uint32_t current_op; /* index of the op that runs */
extern int sync_fd;
int sync_send(enum message_type type, uint32_t step, int32_t value);
int sync_await(uint32_t name, uint32_t extra); /* without descriptors: write and read only */
int sync_await_sending(uint32_t name, int fd); /* one descriptor goes to the parent */
int sync_await_receiving(uint32_t name, uint32_t slot,
			 uint32_t n); /* up to n descriptors come back into slots */
void sync_switch(int fd);	      /* from now on messages go to this descriptor */
_Noreturn void leave(void);	      /* without a word: nobody listens */

/* ops_trace.c: note that an op has ended; nothing unless trace_times ran. */
void trace_op(uint32_t index);

/* main.c */
extern int descriptor_base; /* the first descriptor that is not the container's */
extern pid_t own_pid; /* as this task sees it itself; asked for before a filter may forbid it */

/* resolve.c: paths below the root of this task, which already is the container's. */
struct creation {
	mode_t type;	/* S_IFDIR or S_IFREG */
	mode_t mode;	/* of the object itself */
	mode_t parents; /* of missing parents */
	uid_t uid;	/* (uid_t)-1: as it is */
	gid_t gid;
	uint64_t resolve; /* RESOLVE_NO_SYMLINKS or 0, besides the usual ones */
	bool nofollow;	  /* the last component may be no link */
};

/* A path and its last component, which is no "." and no "..". */
struct place {
	char text[PATH_MAX + 1];
	const char *parent; /* "": the root */
	const char *name;
	size_t length; /* of the parent in the path */
};

int open_root(void);
/* While the root stays the same, look-ups start at one descriptor of it instead of a new one each.
 */
int keep_root(void);
void forget_parent(void); /* create.c: the directory that is kept from op to op */
void forget_root(void); /* before anything that changes the root, or closes descriptors by number */
/* Around the making of an object whose mode is exact; no calls where the umask is known to be 0. */
mode_t exact_modes(void);
void usual_modes(mode_t mask);
extern bool umask_is_clear; /* set_umask 0 */
int resolve(const char *path, uint64_t flags, uint64_t extra);
/* Creates missing parents. The descriptor stays ours and good for this op: the next one may use it,
 * too. */
int resolve_parent(const char *path, mode_t mode, struct place *place);
extern bool made_target; /* whether resolve_or_create made the object itself */
int resolve_or_create(const char *path, const struct creation *creation, uint32_t *step,
		      uint32_t create_step);
bool same_object(const struct stat *one, const struct stat *other);

/* ops_verify.c: what was attached, in its order, for the comparison at the end. */
int note_mount(int fd);
int note_mount_id(uint32_t id);
int note_root(int fd);
uint64_t attributes_of(uint64_t flags); /* MOUNT_ATTR_* of the flags of statfs */

/* Open what is known to be an object of this type and number by an O_PATH look-up first: no side
 * effect of open before. */
int open_verified(const char *path, uint64_t flags, mode_t type, dev_t rdev);

/* The descriptor of the program that find_executable found, and the home that find_home found. */
struct strings; /* plan.h */
struct bytes;
extern char program_path[4096];
char *found_home(void); /* HOME=directory; of the root where nothing was found */
void tell_program(const char *path, bool refused); /* program.c: into the report's detail */
int set_variable(const struct strings *env, uint32_t index, char *variable); /* NO_INDEX: none */

/* ops_credentials.c: a filter for this task, which may have CAP_SYS_ADMIN as permitted only. */
int load_filter_as_admin(const struct bytes *filter, unsigned int flags);

bool is_procfs(int fd);
extern bool hidden; /* set_dumpable 0: kept through changes of credentials */
extern bool death_signal;
int keep_hidden(void);
int clear_death_signal(void);
void set_death_signal(void);
size_t format_decimal(char *buffer, uint64_t value); /* buffer of 21 bytes */

#endif
