/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of pyrunc._native, declared once: cffi reads this file as it is, native.h includes it, so that
 * the C compiler checks what Python is told. (cffi reads no preprocessor lines; hence there are none.)
 *
 * Every function returns a number >= 0, or a negative errno. Every descriptor that one of them makes is
 * close-on-exec. A descriptor list that "may be NULL" is NULL exactly when its count is 0.
 */

/* processes (process.c) */
int native_spawn(int exe_fd, const char *argv0, const int *fds, unsigned int count, int base,
		 const int *stdio, int cgroup_fd, int *pidfd, int *step);
/* options of native_run_program */
enum { NATIVE_NEW_SESSION = 1, NATIVE_NEW_KEYRING = 2 };
int native_run_program(const char *path, char *const *argv, char *const *env, const int *fds, unsigned int count,
		       const char *cwd, int options, int *pidfd, int *step);
int native_refused_calls(void);
int native_pidfd_open(int pid);
int native_pidfd_send_signal(int pidfd, int signal);
int native_ptrace(int request, int pid, uint64_t address, uint64_t data);
int native_pidfd_getfd(int pidfd, int fd);
int native_hold_signals(uint64_t others);
int native_waitid_pidfd(int pidfd, int nohang, int *code, int *status);
int native_set_subreaper(int on);
int native_landlock_abi(void);
int native_prlimit(int pid, int resource, uint64_t soft, uint64_t hard);
int native_sched_setaffinity(int pid, const uint8_t *mask, size_t size);

/* descriptors and files (descriptors.c) */
int native_close_range(unsigned int first, unsigned int last, int cloexec);
int native_openat2(int dir_fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int native_rename_new(int dir_fd, const char *old_name, const char *new_name);
int native_memfd_sealed(const char *name, const uint8_t *data, size_t size, int executable);
int native_mount_id(int dir_fd, const char *path, int flags, uint64_t *mount_id);
int64_t native_filesystem_magic(int fd);
int native_poll(const int *fds, const short *events, short *revents, unsigned int count, int timeout_ms);

/* sockets (sockets.c) */
int native_socketpair_seqpacket(int *pair, int patience_ms);
int native_connect_unix(const char *path, int type);
int64_t native_send_message(int fd, const uint8_t *data, size_t size, const int *fds, unsigned int count);
int64_t native_recv_message(int fd, uint8_t *data, size_t size, int *fds, unsigned int room, unsigned int *received);

/* mounts (mounts.c) */
int native_open_tree(int dir_fd, const char *path, unsigned int flags);
int native_move_mount(int from_fd, const char *from_path, int to_fd, const char *to_path, unsigned int flags);
int native_mount_setattr(int dir_fd, const char *path, unsigned int flags, uint64_t attr_set, uint64_t attr_clear,
			 uint64_t propagation, int userns_fd);
int native_fspick(const char *path);
int native_fsopen(const char *type);
int native_fsmount(int fs_fd, unsigned int attributes);
int native_fsconfig(int fs_fd, unsigned int command, const char *key, const char *value, int aux);
int native_mount(const char *source, const char *target, const char *fstype, uint64_t flags, const char *data);
int native_umount2(const char *target, int flags);

/* terminals (terminal.c) */
int native_get_winsize(int fd, unsigned short *rows, unsigned short *columns);
int native_set_winsize(int fd, unsigned short rows, unsigned short columns);
int native_terminal_state_size(void);
int native_terminal_raw(int fd, int lines, uint8_t *saved);
int native_terminal_plain(int fd);
enum { NATIVE_END_RAW = 0x100 };
int native_terminal_end(int fd, int exhausted);
int native_terminal_restore(int fd, const uint8_t *saved);

/* bpf (bpf.c) */
int native_bpf(int command, uint8_t *attr, unsigned int size);
