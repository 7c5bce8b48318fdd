/* SPDX-License-Identifier: Apache-2.0 */
/* Generated from pyrunc/init/optable.py by csrc/generate.py: do not edit. */
/* clang-format off */
#ifndef PLAN_OPS_H
#define PLAN_OPS_H

#include "plan.h"

#define PLAN_DIGEST 0x2882c061f399734dULL

enum rendezvous {
	RENDEZVOUS_NAMESPACES = 1,
	RENDEZVOUS_MOUNTS = 2,
	RENDEZVOUS_HOOKS = 3,
	RENDEZVOUS_CONSOLE = 4,
	RENDEZVOUS_SECCOMP = 5,
	RENDEZVOUS_READY = 6,
	RENDEZVOUS_MOUNTED = 7,
	RENDEZVOUS_CGROUPS = 8,
	RENDEZVOUS_SOURCE = 9,
	RENDEZVOUS_MAP = 10,
};

#define PROC_PIDS 0U
#define PROC_FULL 1U
#define PROC_HOST 2U
#define ATTACH_KEEP 1U
#define ATTACH_REAL_DIRECTORY 2U
#define ATTACH_PROC_ALLOWED 4U
#define ATTACH_NOFOLLOW 8U
#define LISTENER_SENT 2U
#define SLOT_LIMIT 4096U
#define NO_INDEX 4294967295U

enum message_type {
	MESSAGE_AWAIT = 1, /* init to parent: a rendezvous; `value` is its number */
	MESSAGE_FORKED = 2, /* init to parent: the init goes on as process `value` */
	MESSAGE_ERROR = 3, /* init to parent: `op`, `step` and errno; `value` is the errno */
	MESSAGE_GO = 4, /* parent to init: go on; descriptors may come along */
	MESSAGE_EXEC = 5, /* init to parent: about to execute the program */
	MESSAGE_HOOK = 6, /* init to parent: the hook `op` has ended well, after `value` ms */
};

#define DETAIL_SIZE 240
struct message {
	uint32_t type;
	uint32_t op;
	uint32_t step;
	int32_t value;
	char detail[DETAIL_SIZE];
};

enum op_code {
	OP_TRACE_TIMES = 1,
	OP_SET_DUMPABLE = 2,
	OP_SET_SESSION = 3,
	OP_OPEN_PROC = 4,
	OP_WRITE_PROC = 5,
	OP_CLOSE_SLOT = 6,
	OP_AWAIT = 7,
	OP_OPEN_NAMESPACE = 8,
	OP_JOIN_NAMESPACE = 9,
	OP_JOIN_PROCESS = 10,
	OP_UNSHARE = 11,
	OP_BECOME = 12,
	OP_JOIN_CGROUP = 13,
	OP_FORK = 14,
	OP_RAISE_LOOPBACK = 15,
	OP_PROPAGATE_ROOT = 16,
	OP_CLONE_TREE = 17,
	OP_NEW_MOUNT = 18,
	OP_NEW_JOINED_PROC = 19,
	OP_SET_ATTRIBUTES = 20,
	OP_RESET_ATIME = 21,
	OP_SET_PROPAGATION = 22,
	OP_ATTACH_ROOT = 23,
	OP_ENTER_ROOT = 24,
	OP_LEAVE_ROOT = 25,
	OP_COVER_ROOT = 26,
	OP_ATTACH = 27,
	OP_CLONE_INSIDE = 28,
	OP_MAP_MOUNT = 29,
	OP_MOUNT_CLASSIC = 30,
	OP_INHERIT_MODE = 31,
	OP_COPY_UP = 32,
	OP_MAKE_DIRECTORY = 33,
	OP_MAKE_SYMLINK = 34,
	OP_MAKE_DEVICE = 35,
	OP_MASK = 36,
	OP_MAKE_READONLY = 37,
	OP_PIVOT = 38,
	OP_MOVE_ROOT = 39,
	OP_CHANGE_ROOT = 40,
	OP_SET_ROOT_ATTRIBUTES = 41,
	OP_VERIFY_MOUNT = 42,
	OP_VERIFY_ROOT = 43,
	OP_SEND_MOUNT = 44,
	OP_DETACH_MOUNT = 45,
	OP_SET_HOSTNAME = 46,
	OP_SET_DOMAINNAME = 47,
	OP_NEW_KEYRING = 48,
	OP_OPEN_CONSOLE = 49,
	OP_TAKE_TERMINAL = 50,
	OP_OWN_STDIO = 51,
	OP_REOPEN_NULL = 52,
	OP_SET_UMASK = 53,
	OP_SET_LIMIT = 54,
	OP_SET_AFFINITY = 55,
	OP_SET_SCHEDULER = 56,
	OP_SET_IO_PRIORITY = 57,
	OP_SET_PERSONALITY = 58,
	OP_SET_MEMORY_POLICY = 59,
	OP_SET_NO_NEW_PRIVILEGES = 60,
	OP_LIMIT_BOUNDING_SET = 61,
	OP_SET_GROUPS = 62,
	OP_SET_IDS = 63,
	OP_SET_CAPABILITIES = 64,
	OP_ADJUST_CAPABILITIES = 65,
	OP_CLOSE_DESCRIPTORS = 66,
	OP_LOAD_SECCOMP = 67,
	OP_CHANGE_DIRECTORY = 68,
	OP_FIND_HOME = 69,
	OP_FIND_EXECUTABLE = 70,
	OP_CREATE_RULESET = 71,
	OP_ALLOW_PATH = 72,
	OP_ALLOW_PORT = 73,
	OP_RESTRICT_SELF = 74,
	OP_RUN_HOOK = 75,
	OP_WAIT_AT_GATE = 76,
	OP_EXECUTE_SLOT = 77,
	OP_EXECUTE = 78,
};

#define FOR_EACH_OP(X) \
	X(trace_times) \
	X(set_dumpable) \
	X(set_session) \
	X(open_proc) \
	X(write_proc) \
	X(close_slot) \
	X(await) \
	X(open_namespace) \
	X(join_namespace) \
	X(join_process) \
	X(unshare) \
	X(become) \
	X(join_cgroup) \
	X(fork) \
	X(raise_loopback) \
	X(propagate_root) \
	X(clone_tree) \
	X(new_mount) \
	X(new_joined_proc) \
	X(set_attributes) \
	X(reset_atime) \
	X(set_propagation) \
	X(attach_root) \
	X(enter_root) \
	X(leave_root) \
	X(cover_root) \
	X(attach) \
	X(clone_inside) \
	X(map_mount) \
	X(mount_classic) \
	X(inherit_mode) \
	X(copy_up) \
	X(make_directory) \
	X(make_symlink) \
	X(make_device) \
	X(mask) \
	X(make_readonly) \
	X(pivot) \
	X(move_root) \
	X(change_root) \
	X(set_root_attributes) \
	X(verify_mount) \
	X(verify_root) \
	X(send_mount) \
	X(detach_mount) \
	X(set_hostname) \
	X(set_domainname) \
	X(new_keyring) \
	X(open_console) \
	X(take_terminal) \
	X(own_stdio) \
	X(reopen_null) \
	X(set_umask) \
	X(set_limit) \
	X(set_affinity) \
	X(set_scheduler) \
	X(set_io_priority) \
	X(set_personality) \
	X(set_memory_policy) \
	X(set_no_new_privileges) \
	X(limit_bounding_set) \
	X(set_groups) \
	X(set_ids) \
	X(set_capabilities) \
	X(adjust_capabilities) \
	X(close_descriptors) \
	X(load_seccomp) \
	X(change_directory) \
	X(find_home) \
	X(find_executable) \
	X(create_ruleset) \
	X(allow_path) \
	X(allow_port) \
	X(restrict_self) \
	X(run_hook) \
	X(wait_at_gate) \
	X(execute_slot) \
	X(execute)

/* Map the memory file in a slot: when an op has ended, the time (CLOCK_REALTIME, ns, u64) goes */
/* to the place of its index. For --trace. */
enum step_trace_times { STEP_TRACE_TIMES_MAP };
struct op_trace_times {
	uint32_t slot;
};
int run_trace_times(const struct op_trace_times *op, uint32_t *step);

/* PR_SET_DUMPABLE: 0 hides /proc/PID of the init from everybody but root. */
enum step_set_dumpable { STEP_SET_DUMPABLE_PRCTL };
struct op_set_dumpable {
	uint32_t value;
};
int run_set_dumpable(const struct op_set_dumpable *op, uint32_t *step);

/* setsid: no controlling terminal of the caller is inherited. */
enum step_set_session { STEP_SET_SESSION_SETSID };
struct op_set_session {
	char nothing;
};
int run_set_session(const struct op_set_session *op, uint32_t *step);

/* Open a procfs into a slot: a new detached one (PROC_PIDS, PROC_FULL) or the one at /proc */
/* (PROC_HOST). */
enum step_open_proc { STEP_OPEN_PROC_OPEN, STEP_OPEN_PROC_VERIFY };
struct op_open_proc {
	uint32_t slot;
	uint32_t kind;
};
int run_open_proc(const struct op_open_proc *op, uint32_t *step);

/* Write a value with one write(2) to a file of a verified procfs. `tolerate` is an errno of open */
/* or write, or 0. Unless `readback` is empty, the file must then read as `readback`, alone or */
/* followed by ` (MODE)`, up to a newline. */
enum step_write_proc { STEP_WRITE_PROC_OPEN, STEP_WRITE_PROC_VERIFY, STEP_WRITE_PROC_WRITE, STEP_WRITE_PROC_READBACK };
struct op_write_proc {
	uint32_t proc;
	const char *path;
	const char *value;
	const char *readback;
	uint32_t tolerate;
};
int run_write_proc(const struct op_write_proc *op, uint32_t *step);

/* Close a slot. */
enum step_close_slot { STEP_CLOSE_SLOT_CLOSE };
struct op_close_slot {
	uint32_t slot;
};
int run_close_slot(const struct op_close_slot *op, uint32_t *step);

/* Tell the parent and wait for its answer. Descriptors that come with it fill up to `count` */
/* slots from `slot`; the rest stays empty. */
enum step_await { STEP_AWAIT_SEND, STEP_AWAIT_RECEIVE };
struct op_await {
	uint32_t name;
	uint32_t slot;
	uint32_t count;
};
int run_await(const struct op_await *op, uint32_t *step);

/* Open a namespace file (host path) and verify that it is one of the given kind (a CLONE_NEW* */
/* flag). */
enum step_open_namespace { STEP_OPEN_NAMESPACE_OPEN, STEP_OPEN_NAMESPACE_VERIFY };
struct op_open_namespace {
	uint32_t slot;
	const char *path;
	uint32_t kind;
};
int run_open_namespace(const struct op_open_namespace *op, uint32_t *step);

/* setns to an opened namespace. `tolerate` is an errno or 0. */
enum step_join_namespace { STEP_JOIN_NAMESPACE_SETNS };
struct op_join_namespace {
	uint32_t slot;
	uint32_t kind;
	uint32_t tolerate;
};
int run_join_namespace(const struct op_join_namespace *op, uint32_t *step);

/* setns to the namespaces (CLONE_NEW* flags) of the process behind a pidfd, all or none. */
enum step_join_process { STEP_JOIN_PROCESS_SETNS };
struct op_join_process {
	uint32_t slot;
	uint32_t flags;
};
int run_join_process(const struct op_join_process *op, uint32_t *step);

/* Unshare the namespaces given as CLONE_NEW* flags. */
enum step_unshare { STEP_UNSHARE_UNSHARE };
struct op_unshare {
	uint32_t flags;
};
int run_unshare(const struct op_unshare *op, uint32_t *step);

/* Take the ids that the user namespace maps: setgroups([]) unless `keep_groups`, setresgid, */
/* setresuid. `tolerate` is an errno of setgroups or 0. */
enum step_become { STEP_BECOME_SETGROUPS, STEP_BECOME_SETGID, STEP_BECOME_SETUID };
struct op_become {
	uint32_t uid;
	uint32_t gid;
	uint32_t keep_groups;
	uint32_t tolerate;
};
int run_become(const struct op_become *op, uint32_t *step);

/* Write 0 to each of `count` slots from `slot` that is not empty: the calling thread enters the */
/* cgroups; the slots are closed. */
enum step_join_cgroup { STEP_JOIN_CGROUP_WRITE };
struct op_join_cgroup {
	uint32_t slot;
	uint32_t count;
};
int run_join_cgroup(const struct op_join_cgroup *op, uint32_t *step);

/* clone3 a sibling that goes on with the plan; the caller reports its pid and exits. A cgroup2 */
/* directory in `cgroup`, unless that is empty, is entered. */
enum step_fork { STEP_FORK_CLONE, STEP_FORK_REPORT };
struct op_fork {
	uint32_t cgroup;
};
int run_fork(const struct op_fork *op, uint32_t *step);

/* Set the interface lo up. */
enum step_raise_loopback { STEP_RAISE_LOOPBACK_SOCKET, STEP_RAISE_LOOPBACK_UP };
struct op_raise_loopback {
	char nothing;
};
int run_raise_loopback(const struct op_raise_loopback *op, uint32_t *step);

/* mount(NULL, /, NULL, flags): MS_REC and one of the propagation flags. */
enum step_propagate_root { STEP_PROPAGATE_ROOT_MOUNT };
struct op_propagate_root {
	uint64_t flags;
};
int run_propagate_root(const struct op_propagate_root *op, uint32_t *step);

/* open_tree(OPEN_TREE_CLONE) of a host path into a slot. `type` (S_IFMT bits, 0: any) and `rdev` */
/* are verified. With `ask`, EACCES of a directory on the way and EINVAL (locked mounts below) */
/* are answered by asking the parent for the clone (rendezvous source). */
enum step_clone_tree { STEP_CLONE_TREE_OPEN, STEP_CLONE_TREE_CLONE, STEP_CLONE_TREE_VERIFY };
struct op_clone_tree {
	uint32_t slot;
	const char *path;
	uint32_t recursive;
	uint32_t nofollow;
	uint32_t type;
	uint64_t rdev;
	uint32_t ask;
};
int run_clone_tree(const struct op_clone_tree *op, uint32_t *step);

/* fsopen, fsconfig for each option (`key` or `key=value`), fsmount with MOUNT_ATTR_* flags into */
/* a slot. */
enum step_new_mount { STEP_NEW_MOUNT_OPEN, STEP_NEW_MOUNT_OPTION, STEP_NEW_MOUNT_CREATE, STEP_NEW_MOUNT_MOUNT };
struct op_new_mount {
	uint32_t slot;
	const char *fstype;
	const char *source;
	struct strings options;
	uint64_t attributes;
};
int run_new_mount(const struct op_new_mount *op, uint32_t *step);

/* A new procfs in a slot, of the pid namespace that the task has joined but is not in itself: */
/* with the option pidns (Linux 6.17), or else made by a child. */
enum step_new_joined_proc { STEP_NEW_JOINED_PROC_OPEN, STEP_NEW_JOINED_PROC_OPTION, STEP_NEW_JOINED_PROC_CREATE, STEP_NEW_JOINED_PROC_MOUNT, STEP_NEW_JOINED_PROC_NAMESPACE, STEP_NEW_JOINED_PROC_CHILD };
struct op_new_joined_proc {
	uint32_t slot;
	const char *source;
	struct strings options;
	uint64_t attributes;
};
int run_new_joined_proc(const struct op_new_joined_proc *op, uint32_t *step);

/* mount_setattr on a slot. With `keep_locked`, EPERM is answered by keeping the flags that a */
/* user namespace locks, except that a flag in `explicit` which cannot be cleared is an error. */
enum step_set_attributes { STEP_SET_ATTRIBUTES_SETATTR, STEP_SET_ATTRIBUTES_LOCKED };
struct op_set_attributes {
	uint32_t slot;
	uint64_t set;
	uint64_t clear;
	uint32_t recursive;
	uint32_t keep_locked;
	uint64_t explicit;
};
int run_set_attributes(const struct op_set_attributes *op, uint32_t *step);

/* mount_setattr on a slot: a mount with one of the access time rules in `rules` (1 << rule / 16 */
/* for MOUNT_ATTR_NOATIME and MOUNT_ATTR_STRICTATIME) gets the kernel's default, any other keeps */
/* its own. With `keep_locked` one that a user namespace locks stays. */
enum step_reset_atime { STEP_RESET_ATIME_LOOK, STEP_RESET_ATIME_SETATTR };
struct op_reset_atime {
	uint32_t slot;
	uint32_t rules;
	uint32_t keep_locked;
};
int run_reset_atime(const struct op_reset_atime *op, uint32_t *step);

/* mount_setattr with a propagation flag (MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE) on a */
/* slot. */
enum step_set_propagation { STEP_SET_PROPAGATION_SETATTR };
struct op_set_propagation {
	uint32_t slot;
	uint64_t flags;
	uint32_t recursive;
};
int run_set_propagation(const struct op_set_propagation *op, uint32_t *step);

/* Clone the rootfs (host path) with all below it and attach the clone over it; the slot is the */
/* container's root. With `ask`, EACCES of a directory on the way is answered by asking the */
/* parent to do it in the task's mount namespace (rendezvous source). */
enum step_attach_root { STEP_ATTACH_ROOT_OPEN, STEP_ATTACH_ROOT_CLONE, STEP_ATTACH_ROOT_ATTACH };
struct op_attach_root {
	uint32_t slot;
	const char *path;
	uint32_t ask;
};
int run_attach_root(const struct op_attach_root *op, uint32_t *step);

/* Keep / in slot `host` and make slot `root` the root of the calling task (fchdir, chroot). */
enum step_enter_root { STEP_ENTER_ROOT_OPEN, STEP_ENTER_ROOT_CHDIR, STEP_ENTER_ROOT_CHROOT };
struct op_enter_root {
	uint32_t root;
	uint32_t host;
};
int run_enter_root(const struct op_enter_root *op, uint32_t *step);

/* Make slot `host` the root again. */
enum step_leave_root { STEP_LEAVE_ROOT_CHDIR, STEP_LEAVE_ROOT_CHROOT };
struct op_leave_root {
	uint32_t host;
};
int run_leave_root(const struct op_leave_root *op, uint32_t *step);

/* move_mount the slot over the root of the calling task and make it the root; it takes the place */
/* of slot `root`, too. */
enum step_cover_root { STEP_COVER_ROOT_VERIFY, STEP_COVER_ROOT_ATTACH, STEP_COVER_ROOT_CHDIR, STEP_COVER_ROOT_CHROOT };
struct op_cover_root {
	uint32_t slot;
	uint32_t root;
};
int run_cover_root(const struct op_cover_root *op, uint32_t *step);

/* Resolve a path, create what is missing (a directory or an empty file, as the mounted object */
/* is), move_mount the slot there. */
enum step_attach { STEP_ATTACH_RESOLVE, STEP_ATTACH_CREATE, STEP_ATTACH_VERIFY, STEP_ATTACH_ATTACH };
struct op_attach {
	uint32_t slot;
	const char *path;
	uint32_t flags;
};
int run_attach(const struct op_attach *op, uint32_t *step);

/* open_tree(OPEN_TREE_CLONE) of a path into a slot: what earlier ops have attached there is */
/* seen. `resolve` are RESOLVE_* flags besides the usual ones. Procfs is refused unless `proc`: a */
/* link of the image could lead to it, past its masks. */
enum step_clone_inside { STEP_CLONE_INSIDE_RESOLVE, STEP_CLONE_INSIDE_VERIFY, STEP_CLONE_INSIDE_CLONE };
struct op_clone_inside {
	uint32_t slot;
	const char *path;
	uint32_t recursive;
	uint32_t nofollow;
	uint32_t resolve;
	uint32_t proc;
};
int run_clone_inside(const struct op_clone_inside *op, uint32_t *step);

/* Send the detached mount in a slot to the parent (rendezvous map), which maps its ids. */
enum step_map_mount { STEP_MAP_MOUNT_SEND };
struct op_map_mount {
	uint32_t slot;
};
int run_map_mount(const struct op_map_mount *op, uint32_t *step);

/* mount(2) on a resolved directory, for flags that the new mount interface does not carry */
/* (MS_REMOUNT, MS_I_VERSION, MS_SILENT). */
enum step_mount_classic { STEP_MOUNT_CLASSIC_RESOLVE, STEP_MOUNT_CLASSIC_CREATE, STEP_MOUNT_CLASSIC_MOUNT };
struct op_mount_classic {
	const char *path;
	const char *fstype;
	const char *source;
	uint64_t flags;
	const char *data;
};
int run_mount_classic(const struct op_mount_classic *op, uint32_t *step);

/* Give the root of the detached tmpfs in a slot the permissions of the directory that it is */
/* going to cover, if there is one. */
enum step_inherit_mode { STEP_INHERIT_MODE_RESOLVE, STEP_INHERIT_MODE_CHMOD };
struct op_inherit_mode {
	uint32_t slot;
	const char *path;
};
int run_inherit_mode(const struct op_inherit_mode *op, uint32_t *step);

/* Copy the tree below a path into the detached tmpfs of a slot (tmpcopyup). */
enum step_copy_up { STEP_COPY_UP_OPEN, STEP_COPY_UP_COPY };
struct op_copy_up {
	uint32_t slot;
	const char *path;
};
int run_copy_up(const struct op_copy_up *op, uint32_t *step);

/* Create a directory and its parents with this mode, owned by uid:gid; an existing directory is */
/* left alone. */
enum step_make_directory { STEP_MAKE_DIRECTORY_RESOLVE, STEP_MAKE_DIRECTORY_CREATE };
struct op_make_directory {
	const char *path;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
};
int run_make_directory(const struct op_make_directory *op, uint32_t *step);

/* Create a symbolic link. Something that exists is left alone, or, with `replace`, removed */
/* first. */
enum step_make_symlink { STEP_MAKE_SYMLINK_RESOLVE, STEP_MAKE_SYMLINK_REMOVE, STEP_MAKE_SYMLINK_SYMLINK };
struct op_make_symlink {
	const char *path;
	const char *target;
	uint32_t replace;
};
int run_make_symlink(const struct op_make_symlink *op, uint32_t *step);

/* mknod with `mode` (type and permissions), verify by descriptor, chmod, chown. An existing node */
/* must be the same device. */
enum step_make_device { STEP_MAKE_DEVICE_RESOLVE, STEP_MAKE_DEVICE_MKNOD, STEP_MAKE_DEVICE_VERIFY, STEP_MAKE_DEVICE_CHMOD, STEP_MAKE_DEVICE_CHOWN };
struct op_make_device {
	const char *path;
	uint32_t mode;
	uint64_t rdev;
	uint32_t uid;
	uint32_t gid;
};
int run_make_device(const struct op_make_device *op, uint32_t *step);

/* Hide a path: a directory under slot `directory` (a read-only tmpfs), anything else under slot */
/* `null` (/dev/null). ENOENT and ENOTDIR mean nothing to hide. */
enum step_mask { STEP_MASK_RESOLVE, STEP_MASK_CLONE, STEP_MASK_ATTACH, STEP_MASK_VERIFY };
struct op_mask {
	const char *path;
	uint32_t null;
	uint32_t directory;
};
int run_mask(const struct op_mask *op, uint32_t *step);

/* Cover a path with a read-only recursive clone of itself. ENOENT and ENOTDIR mean nothing to */
/* protect. */
enum step_make_readonly { STEP_MAKE_READONLY_RESOLVE, STEP_MAKE_READONLY_CLONE, STEP_MAKE_READONLY_SETATTR, STEP_MAKE_READONLY_ATTACH, STEP_MAKE_READONLY_VERIFY };
struct op_make_readonly {
	const char *path;
};
int run_make_readonly(const struct op_make_readonly *op, uint32_t *step);

/* fchdir(slot), pivot_root(., .), detach the old root, chdir(/). */
enum step_pivot { STEP_PIVOT_CHDIR, STEP_PIVOT_PIVOT, STEP_PIVOT_PROPAGATION, STEP_PIVOT_DETACH, STEP_PIVOT_ROOT };
struct op_pivot {
	uint32_t slot;
};
int run_pivot(const struct op_pivot *op, uint32_t *step);

/* --no-pivot: hide the proc and sysfs mounts of the host, MS_MOVE the root slot to /, chroot. */
enum step_move_root { STEP_MOVE_ROOT_HIDE, STEP_MOVE_ROOT_CHDIR, STEP_MOVE_ROOT_MOVE, STEP_MOVE_ROOT_CHROOT };
struct op_move_root {
	uint32_t slot;
	const char *path;
};
int run_move_root(const struct op_move_root *op, uint32_t *step);

/* chroot into a host path (no mount namespace). */
enum step_change_root { STEP_CHANGE_ROOT_OPEN, STEP_CHANGE_ROOT_CHROOT };
struct op_change_root {
	const char *path;
};
int run_change_root(const struct op_change_root *op, uint32_t *step);

/* mount_setattr on /. */
enum step_set_root_attributes { STEP_SET_ROOT_ATTRIBUTES_SETATTR };
struct op_set_root_attributes {
	uint64_t set;
	uint64_t clear;
	uint32_t recursive;
};
int run_set_root_attributes(const struct op_set_root_attributes *op, uint32_t *step);

/* Check that what is seen at a path has these MOUNT_ATTR_* flags (statvfs) and, unless 0, this */
/* file system magic. With `index` it must be the mount that the attach or mount_classic (without */
/* MS_REMOUNT) of this number, from 1, has put there, or one that came later and covers it, whose */
/* flags are not its own. */
enum step_verify_mount { STEP_VERIFY_MOUNT_RESOLVE, STEP_VERIFY_MOUNT_MOUNT, STEP_VERIFY_MOUNT_FLAGS, STEP_VERIFY_MOUNT_MAGIC };
struct op_verify_mount {
	const char *path;
	uint64_t attributes;
	uint64_t magic;
	uint32_t index;
};
int run_verify_mount(const struct op_verify_mount *op, uint32_t *step);

/* Check that / is the mount that attach_root has made. */
enum step_verify_root { STEP_VERIFY_ROOT_LOOK, STEP_VERIFY_ROOT_COMPARE };
struct op_verify_root {
	char nothing;
};
int run_verify_root(const struct op_verify_root *op, uint32_t *step);

/* Send the attached mount in a slot to the parent (rendezvous mounted), which notes its id. */
enum step_send_mount { STEP_SEND_MOUNT_SEND };
struct op_send_mount {
	uint32_t slot;
};
int run_send_mount(const struct op_send_mount *op, uint32_t *step);

/* Unmount what is seen at a path without symbolic links, if it is the mount with this id; what */
/* uses it keeps it until it ends. */
enum step_detach_mount { STEP_DETACH_MOUNT_RESOLVE, STEP_DETACH_MOUNT_VERIFY, STEP_DETACH_MOUNT_DETACH };
struct op_detach_mount {
	const char *path;
	uint64_t id;
};
int run_detach_mount(const struct op_detach_mount *op, uint32_t *step);

/* sethostname, read back. */
enum step_set_hostname { STEP_SET_HOSTNAME_SETHOSTNAME, STEP_SET_HOSTNAME_VERIFY };
struct op_set_hostname {
	const char *name;
};
int run_set_hostname(const struct op_set_hostname *op, uint32_t *step);

/* setdomainname, read back. */
enum step_set_domainname { STEP_SET_DOMAINNAME_SETDOMAINNAME, STEP_SET_DOMAINNAME_VERIFY };
struct op_set_domainname {
	const char *name;
};
int run_set_domainname(const struct op_set_domainname *op, uint32_t *step);

/* Join a new anonymous session keyring and let the user namespace's others link it. `tolerate` */
/* is an errno or 0. */
enum step_new_keyring { STEP_NEW_KEYRING_JOIN, STEP_NEW_KEYRING_PERMISSIONS };
struct op_new_keyring {
	uint32_t permissions;
	uint32_t tolerate;
};
int run_new_keyring(const struct op_new_keyring *op, uint32_t *step);

/* Open a terminal in the container's devpts, set its size, give it to uid, bind it on */
/* /dev/console if asked, send the master to the parent (rendezvous console), make it stdio. */
enum step_open_console { STEP_OPEN_CONSOLE_OPEN, STEP_OPEN_CONSOLE_VERIFY, STEP_OPEN_CONSOLE_UNLOCK, STEP_OPEN_CONSOLE_PEER, STEP_OPEN_CONSOLE_SIZE, STEP_OPEN_CONSOLE_CHOWN, STEP_OPEN_CONSOLE_CONSOLE, STEP_OPEN_CONSOLE_ATTACH, STEP_OPEN_CONSOLE_SEND, STEP_OPEN_CONSOLE_STDIO };
struct op_open_console {
	uint32_t rows;
	uint32_t columns;
	uint32_t uid;
	uint32_t bind;
};
int run_open_console(const struct op_open_console *op, uint32_t *step);

/* Make the terminal on descriptor 0 the controlling one of the session. */
enum step_take_terminal { STEP_TAKE_TERMINAL_TAKE };
struct op_take_terminal {
	char nothing;
};
int run_take_terminal(const struct op_take_terminal *op, uint32_t *step);

/* Give the descriptors 0-2 to a uid where they are pipes or sockets, with `files` also files. */
/* Whoever may not is not an error. */
enum step_own_stdio { STEP_OWN_STDIO_CHOWN };
struct op_own_stdio {
	uint32_t uid;
	uint32_t files;
};
int run_own_stdio(const struct op_own_stdio *op, uint32_t *step);

/* Replace those of the descriptors 0-2 that are the host's /dev/null by the container's. */
enum step_reopen_null { STEP_REOPEN_NULL_OPEN, STEP_REOPEN_NULL_VERIFY };
struct op_reopen_null {
	char nothing;
};
int run_reopen_null(const struct op_reopen_null *op, uint32_t *step);

/* umask. */
enum step_set_umask { STEP_SET_UMASK_UMASK };
struct op_set_umask {
	uint32_t mask;
};
int run_set_umask(const struct op_set_umask *op, uint32_t *step);

/* setrlimit of the calling task, where the parent would lack the right to do it from outside. */
enum step_set_limit { STEP_SET_LIMIT_SETRLIMIT };
struct op_set_limit {
	uint32_t resource;
	uint64_t soft;
	uint64_t hard;
};
int run_set_limit(const struct op_set_limit *op, uint32_t *step);

/* sched_setaffinity with a bit mask; empty means every processor. */
enum step_set_affinity { STEP_SET_AFFINITY_AFFINITY };
struct op_set_affinity {
	struct bytes mask;
};
int run_set_affinity(const struct op_set_affinity *op, uint32_t *step);

/* sched_setattr. */
enum step_set_scheduler { STEP_SET_SCHEDULER_SETATTR };
struct op_set_scheduler {
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};
int run_set_scheduler(const struct op_set_scheduler *op, uint32_t *step);

/* ioprio_set of the calling process. */
enum step_set_io_priority { STEP_SET_IO_PRIORITY_IOPRIO };
struct op_set_io_priority {
	uint32_t value;
};
int run_set_io_priority(const struct op_set_io_priority *op, uint32_t *step);

/* personality(2). */
enum step_set_personality { STEP_SET_PERSONALITY_PERSONALITY };
struct op_set_personality {
	uint64_t persona;
};
int run_set_personality(const struct op_set_personality *op, uint32_t *step);

/* set_mempolicy with a node bit mask. */
enum step_set_memory_policy { STEP_SET_MEMORY_POLICY_MEMPOLICY };
struct op_set_memory_policy {
	uint32_t mode;
	struct bytes nodes;
};
int run_set_memory_policy(const struct op_set_memory_policy *op, uint32_t *step);

/* PR_SET_NO_NEW_PRIVS. */
enum step_set_no_new_privileges { STEP_SET_NO_NEW_PRIVILEGES_PRCTL };
struct op_set_no_new_privileges {
	char nothing;
};
int run_set_no_new_privileges(const struct op_set_no_new_privileges *op, uint32_t *step);

/* Drop every capability of the bounding set that is not in `keep`; `last` is the last that the */
/* kernel knows. Read back. */
enum step_limit_bounding_set { STEP_LIMIT_BOUNDING_SET_READ, STEP_LIMIT_BOUNDING_SET_DROP };
struct op_limit_bounding_set {
	uint64_t keep;
	uint32_t last;
};
int run_limit_bounding_set(const struct op_limit_bounding_set *op, uint32_t *step);

/* setgroups to exactly these gids (u32 each), read back. */
enum step_set_groups { STEP_SET_GROUPS_SETGROUPS, STEP_SET_GROUPS_VERIFY };
struct op_set_groups {
	struct bytes gids;
};
int run_set_groups(const struct op_set_groups *op, uint32_t *step);

/* setresgid, setresuid with the capabilities kept for set_capabilities; all four ids are */
/* verified. */
enum step_set_ids { STEP_SET_IDS_KEEPCAPS, STEP_SET_IDS_SETGID, STEP_SET_IDS_SETUID, STEP_SET_IDS_HIDE, STEP_SET_IDS_VERIFY };
struct op_set_ids {
	uint32_t uid;
	uint32_t gid;
};
int run_set_ids(const struct op_set_ids *op, uint32_t *step);

/* capset of the three sets, clear the ambient set, raise `ambient`, verify. */
enum step_set_capabilities { STEP_SET_CAPABILITIES_KEEPCAPS, STEP_SET_CAPABILITIES_CAPSET, STEP_SET_CAPABILITIES_CLEAR, STEP_SET_CAPABILITIES_AMBIENT, STEP_SET_CAPABILITIES_VERIFY };
struct op_set_capabilities {
	uint64_t effective;
	uint64_t permitted;
	uint64_t inheritable;
	uint64_t ambient;
};
int run_set_capabilities(const struct op_set_capabilities *op, uint32_t *step);

/* capset and nothing else, within what is permitted: the one call that a filter loaded without */
/* no_new_privs must allow. */
enum step_adjust_capabilities { STEP_ADJUST_CAPABILITIES_CAPSET };
struct op_adjust_capabilities {
	uint64_t effective;
	uint64_t permitted;
	uint64_t inheritable;
};
int run_adjust_capabilities(const struct op_adjust_capabilities *op, uint32_t *step);

/* Close every descriptor above stdio and the `preserved` ones, except the channel to the parent */
/* and the slots `gate`, `report`, `out`, `err` and `program` (0: none). Before a filter, which */
/* may forbid it; nothing is opened later. */
enum step_close_descriptors { STEP_CLOSE_DESCRIPTORS_CLOSE };
struct op_close_descriptors {
	uint32_t preserved;
	uint32_t gate;
	uint32_t report;
	uint32_t out;
	uint32_t err;
	uint32_t program;
};
int run_close_descriptors(const struct op_close_descriptors *op, uint32_t *step);

/* seccomp(SECCOMP_SET_MODE_FILTER). With `listener` the parent fetches the notification */
/* descriptor (rendezvous seccomp, value = its number) before the init closes it. */
enum step_load_seccomp { STEP_LOAD_SECCOMP_LOAD, STEP_LOAD_SECCOMP_LISTENER };
struct op_load_seccomp {
	uint32_t flags;
	struct bytes filter;
	uint32_t listener;
};
int run_load_seccomp(const struct op_load_seccomp *op, uint32_t *step);

/* Open a path as a directory (created with its parents if `create`), fchdir, verify that it is */
/* inside the root. With `retry_later` EACCES and EPERM are left to the next change_directory, */
/* which does nothing if this one has succeeded. */
enum step_change_directory { STEP_CHANGE_DIRECTORY_OPEN, STEP_CHANGE_DIRECTORY_CREATE, STEP_CHANGE_DIRECTORY_CHDIR, STEP_CHANGE_DIRECTORY_VERIFY };
struct op_change_directory {
	const char *path;
	uint32_t create;
	uint32_t retry_later;
};
int run_change_directory(const struct op_change_directory *op, uint32_t *step);

/* Look up the home directory of a uid in /etc/passwd for execute. */
enum step_find_home { STEP_FIND_HOME_READ };
struct op_find_home {
	uint32_t uid;
};
int run_find_home(const struct op_find_home *op, uint32_t *step);

/* Look a program up as execve would: a name with a slash as it is, else along `search` (the */
/* value of PATH). */
enum step_find_executable { STEP_FIND_EXECUTABLE_PATH, STEP_FIND_EXECUTABLE_STAT, STEP_FIND_EXECUTABLE_DIRECTORY, STEP_FIND_EXECUTABLE_PERMISSION };
struct op_find_executable {
	const char *name;
	const char *search;
};
int run_find_executable(const struct op_find_executable *op, uint32_t *step);

/* landlock_create_ruleset into a slot, with the rights that it handles. */
enum step_create_ruleset { STEP_CREATE_RULESET_CREATE };
struct op_create_ruleset {
	uint32_t slot;
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};
int run_create_ruleset(const struct op_create_ruleset *op, uint32_t *step);

/* Resolve a path and allow rights below it (LANDLOCK_RULE_PATH_BENEATH) in the rule set of a */
/* slot. */
enum step_allow_path { STEP_ALLOW_PATH_RESOLVE, STEP_ALLOW_PATH_RULE };
struct op_allow_path {
	uint32_t slot;
	const char *path;
	uint64_t access;
};
int run_allow_path(const struct op_allow_path *op, uint32_t *step);

/* Allow rights for a TCP port (LANDLOCK_RULE_NET_PORT) in the rule set of a slot. */
enum step_allow_port { STEP_ALLOW_PORT_RULE };
struct op_allow_port {
	uint32_t slot;
	uint32_t port;
	uint64_t access;
};
int run_allow_port(const struct op_allow_port *op, uint32_t *step);

/* landlock_restrict_self with the rule set of a slot, which is closed. */
enum step_restrict_self { STEP_RESTRICT_SELF_RESTRICT };
struct op_restrict_self {
	uint32_t slot;
	uint32_t flags;
};
int run_restrict_self(const struct op_restrict_self *op, uint32_t *step);

/* Run a hook in the namespaces of the init, in the directory in slot `directory` (0: none) or */
/* `cwd` (empty: as it is). Its standard input is `head`, the pid of the init, `tail`. The */
/* report's errno is the wait status for step exit; its detail is the end of the hook's output, */
/* which is also written to the slots `out` and `err` (0: none). `home` is the index in env that */
/* find_home's answer replaces, or NO_INDEX. The hook, not the init, gets `filter` (empty: none), */
/* with `filter_flags`. */
enum step_run_hook { STEP_RUN_HOOK_SPAWN, STEP_RUN_HOOK_FILTER, STEP_RUN_HOOK_TIMEOUT, STEP_RUN_HOOK_OUTPUT, STEP_RUN_HOOK_EXIT };
struct op_run_hook {
	const char *path;
	struct strings argv;
	struct strings env;
	uint32_t home;
	uint32_t timeout_ms;
	const char *head;
	const char *tail;
	uint32_t directory;
	const char *cwd;
	uint32_t out;
	uint32_t err;
	uint32_t filter_flags;
	struct bytes filter;
};
int run_run_hook(const struct op_run_hook *op, uint32_t *step);

/* Wait until `start` writes a byte to the fifo in slot `gate`; reports then go to the fifo in */
/* slot `report`. */
enum step_wait_at_gate { STEP_WAIT_AT_GATE_WAIT };
struct op_wait_at_gate {
	uint32_t gate;
	uint32_t report;
};
int run_wait_at_gate(const struct op_wait_at_gate *op, uint32_t *step);

/* As execute, but the program is the file in a slot (execveat with AT_EMPTY_PATH). */
enum step_execute_slot { STEP_EXECUTE_SLOT_CLOSE, STEP_EXECUTE_SLOT_EXECVE };
struct op_execute_slot {
	uint32_t slot;
	struct strings argv;
	struct strings env;
	uint32_t home;
	uint32_t listen;
	uint32_t preserved;
};
int run_execute_slot(const struct op_execute_slot *op, uint32_t *step);

/* Unless close_descriptors has done so, close every descriptor above stdio and the `preserved` */
/* ones; then execve the program that find_executable found. `home` is the index in env that */
/* find_home's answer replaces, `listen` that of LISTEN_PID, whose value becomes the pid of the */
/* task as it sees it itself (asked for before a filter is loaded); each may be NO_INDEX. */
enum step_execute { STEP_EXECUTE_CLOSE, STEP_EXECUTE_EXECVE };
struct op_execute {
	struct strings argv;
	struct strings env;
	uint32_t home;
	uint32_t listen;
	uint32_t preserved;
};
int run_execute(const struct op_execute *op, uint32_t *step);

#ifdef PLAN_OPS_DECODER
#include <errno.h>

static bool decode_trace_times(struct reader *reader, struct op_trace_times *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	return read_end(reader);
}

static bool decode_set_dumpable(struct reader *reader, struct op_set_dumpable *op)
{
	if (!read_u32(reader, &op->value))
		return false;
	return read_end(reader);
}

static bool decode_set_session(struct reader *reader, struct op_set_session *op)
{
	op->nothing = 0;
	return read_end(reader);
}

static bool decode_open_proc(struct reader *reader, struct op_open_proc *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u32(reader, &op->kind))
		return false;
	return read_end(reader);
}

static bool decode_write_proc(struct reader *reader, struct op_write_proc *op)
{
	if (!read_slot(reader, &op->proc))
		return false;
	if (!read_str(reader, &op->path))
		return false;
	if (!read_str(reader, &op->value))
		return false;
	if (!read_str(reader, &op->readback))
		return false;
	if (!read_u32(reader, &op->tolerate))
		return false;
	return read_end(reader);
}

static bool decode_close_slot(struct reader *reader, struct op_close_slot *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	return read_end(reader);
}

static bool decode_await(struct reader *reader, struct op_await *op)
{
	if (!read_u32(reader, &op->name))
		return false;
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u32(reader, &op->count))
		return false;
	return read_end(reader);
}

static bool decode_open_namespace(struct reader *reader, struct op_open_namespace *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u32(reader, &op->kind))
		return false;
	return read_end(reader);
}

static bool decode_join_namespace(struct reader *reader, struct op_join_namespace *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u32(reader, &op->kind))
		return false;
	if (!read_u32(reader, &op->tolerate))
		return false;
	return read_end(reader);
}

static bool decode_join_process(struct reader *reader, struct op_join_process *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u32(reader, &op->flags))
		return false;
	return read_end(reader);
}

static bool decode_unshare(struct reader *reader, struct op_unshare *op)
{
	if (!read_u32(reader, &op->flags))
		return false;
	return read_end(reader);
}

static bool decode_become(struct reader *reader, struct op_become *op)
{
	if (!read_u32(reader, &op->uid))
		return false;
	if (!read_u32(reader, &op->gid))
		return false;
	if (!read_u32(reader, &op->keep_groups))
		return false;
	if (!read_u32(reader, &op->tolerate))
		return false;
	return read_end(reader);
}

static bool decode_join_cgroup(struct reader *reader, struct op_join_cgroup *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u32(reader, &op->count))
		return false;
	return read_end(reader);
}

static bool decode_fork(struct reader *reader, struct op_fork *op)
{
	if (!read_slot(reader, &op->cgroup))
		return false;
	return read_end(reader);
}

static bool decode_raise_loopback(struct reader *reader, struct op_raise_loopback *op)
{
	op->nothing = 0;
	return read_end(reader);
}

static bool decode_propagate_root(struct reader *reader, struct op_propagate_root *op)
{
	if (!read_u64(reader, &op->flags))
		return false;
	return read_end(reader);
}

static bool decode_clone_tree(struct reader *reader, struct op_clone_tree *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u32(reader, &op->recursive))
		return false;
	if (!read_u32(reader, &op->nofollow))
		return false;
	if (!read_u32(reader, &op->type))
		return false;
	if (!read_u64(reader, &op->rdev))
		return false;
	if (!read_u32(reader, &op->ask))
		return false;
	return read_end(reader);
}

static bool decode_new_mount(struct reader *reader, struct op_new_mount *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->fstype))
		return false;
	if (!read_str(reader, &op->source))
		return false;
	if (!read_strs(reader, &op->options))
		return false;
	if (!read_u64(reader, &op->attributes))
		return false;
	return read_end(reader);
}

static bool decode_new_joined_proc(struct reader *reader, struct op_new_joined_proc *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->source))
		return false;
	if (!read_strs(reader, &op->options))
		return false;
	if (!read_u64(reader, &op->attributes))
		return false;
	return read_end(reader);
}

static bool decode_set_attributes(struct reader *reader, struct op_set_attributes *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u64(reader, &op->set))
		return false;
	if (!read_u64(reader, &op->clear))
		return false;
	if (!read_u32(reader, &op->recursive))
		return false;
	if (!read_u32(reader, &op->keep_locked))
		return false;
	if (!read_u64(reader, &op->explicit))
		return false;
	return read_end(reader);
}

static bool decode_reset_atime(struct reader *reader, struct op_reset_atime *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u32(reader, &op->rules))
		return false;
	if (!read_u32(reader, &op->keep_locked))
		return false;
	return read_end(reader);
}

static bool decode_set_propagation(struct reader *reader, struct op_set_propagation *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u64(reader, &op->flags))
		return false;
	if (!read_u32(reader, &op->recursive))
		return false;
	return read_end(reader);
}

static bool decode_attach_root(struct reader *reader, struct op_attach_root *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u32(reader, &op->ask))
		return false;
	return read_end(reader);
}

static bool decode_enter_root(struct reader *reader, struct op_enter_root *op)
{
	if (!read_slot(reader, &op->root))
		return false;
	if (!read_slot(reader, &op->host))
		return false;
	return read_end(reader);
}

static bool decode_leave_root(struct reader *reader, struct op_leave_root *op)
{
	if (!read_slot(reader, &op->host))
		return false;
	return read_end(reader);
}

static bool decode_cover_root(struct reader *reader, struct op_cover_root *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_slot(reader, &op->root))
		return false;
	return read_end(reader);
}

static bool decode_attach(struct reader *reader, struct op_attach *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u32(reader, &op->flags))
		return false;
	return read_end(reader);
}

static bool decode_clone_inside(struct reader *reader, struct op_clone_inside *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u32(reader, &op->recursive))
		return false;
	if (!read_u32(reader, &op->nofollow))
		return false;
	if (!read_u32(reader, &op->resolve))
		return false;
	if (!read_u32(reader, &op->proc))
		return false;
	return read_end(reader);
}

static bool decode_map_mount(struct reader *reader, struct op_map_mount *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	return read_end(reader);
}

static bool decode_mount_classic(struct reader *reader, struct op_mount_classic *op)
{
	if (!read_str(reader, &op->path))
		return false;
	if (!read_str(reader, &op->fstype))
		return false;
	if (!read_str(reader, &op->source))
		return false;
	if (!read_u64(reader, &op->flags))
		return false;
	if (!read_str(reader, &op->data))
		return false;
	return read_end(reader);
}

static bool decode_inherit_mode(struct reader *reader, struct op_inherit_mode *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->path))
		return false;
	return read_end(reader);
}

static bool decode_copy_up(struct reader *reader, struct op_copy_up *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->path))
		return false;
	return read_end(reader);
}

static bool decode_make_directory(struct reader *reader, struct op_make_directory *op)
{
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u32(reader, &op->mode))
		return false;
	if (!read_u32(reader, &op->uid))
		return false;
	if (!read_u32(reader, &op->gid))
		return false;
	return read_end(reader);
}

static bool decode_make_symlink(struct reader *reader, struct op_make_symlink *op)
{
	if (!read_str(reader, &op->path))
		return false;
	if (!read_str(reader, &op->target))
		return false;
	if (!read_u32(reader, &op->replace))
		return false;
	return read_end(reader);
}

static bool decode_make_device(struct reader *reader, struct op_make_device *op)
{
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u32(reader, &op->mode))
		return false;
	if (!read_u64(reader, &op->rdev))
		return false;
	if (!read_u32(reader, &op->uid))
		return false;
	if (!read_u32(reader, &op->gid))
		return false;
	return read_end(reader);
}

static bool decode_mask(struct reader *reader, struct op_mask *op)
{
	if (!read_str(reader, &op->path))
		return false;
	if (!read_slot(reader, &op->null))
		return false;
	if (!read_slot(reader, &op->directory))
		return false;
	return read_end(reader);
}

static bool decode_make_readonly(struct reader *reader, struct op_make_readonly *op)
{
	if (!read_str(reader, &op->path))
		return false;
	return read_end(reader);
}

static bool decode_pivot(struct reader *reader, struct op_pivot *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	return read_end(reader);
}

static bool decode_move_root(struct reader *reader, struct op_move_root *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->path))
		return false;
	return read_end(reader);
}

static bool decode_change_root(struct reader *reader, struct op_change_root *op)
{
	if (!read_str(reader, &op->path))
		return false;
	return read_end(reader);
}

static bool decode_set_root_attributes(struct reader *reader, struct op_set_root_attributes *op)
{
	if (!read_u64(reader, &op->set))
		return false;
	if (!read_u64(reader, &op->clear))
		return false;
	if (!read_u32(reader, &op->recursive))
		return false;
	return read_end(reader);
}

static bool decode_verify_mount(struct reader *reader, struct op_verify_mount *op)
{
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u64(reader, &op->attributes))
		return false;
	if (!read_u64(reader, &op->magic))
		return false;
	if (!read_u32(reader, &op->index))
		return false;
	return read_end(reader);
}

static bool decode_verify_root(struct reader *reader, struct op_verify_root *op)
{
	op->nothing = 0;
	return read_end(reader);
}

static bool decode_send_mount(struct reader *reader, struct op_send_mount *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	return read_end(reader);
}

static bool decode_detach_mount(struct reader *reader, struct op_detach_mount *op)
{
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u64(reader, &op->id))
		return false;
	return read_end(reader);
}

static bool decode_set_hostname(struct reader *reader, struct op_set_hostname *op)
{
	if (!read_str(reader, &op->name))
		return false;
	return read_end(reader);
}

static bool decode_set_domainname(struct reader *reader, struct op_set_domainname *op)
{
	if (!read_str(reader, &op->name))
		return false;
	return read_end(reader);
}

static bool decode_new_keyring(struct reader *reader, struct op_new_keyring *op)
{
	if (!read_u32(reader, &op->permissions))
		return false;
	if (!read_u32(reader, &op->tolerate))
		return false;
	return read_end(reader);
}

static bool decode_open_console(struct reader *reader, struct op_open_console *op)
{
	if (!read_u32(reader, &op->rows))
		return false;
	if (!read_u32(reader, &op->columns))
		return false;
	if (!read_u32(reader, &op->uid))
		return false;
	if (!read_u32(reader, &op->bind))
		return false;
	return read_end(reader);
}

static bool decode_take_terminal(struct reader *reader, struct op_take_terminal *op)
{
	op->nothing = 0;
	return read_end(reader);
}

static bool decode_own_stdio(struct reader *reader, struct op_own_stdio *op)
{
	if (!read_u32(reader, &op->uid))
		return false;
	if (!read_u32(reader, &op->files))
		return false;
	return read_end(reader);
}

static bool decode_reopen_null(struct reader *reader, struct op_reopen_null *op)
{
	op->nothing = 0;
	return read_end(reader);
}

static bool decode_set_umask(struct reader *reader, struct op_set_umask *op)
{
	if (!read_u32(reader, &op->mask))
		return false;
	return read_end(reader);
}

static bool decode_set_limit(struct reader *reader, struct op_set_limit *op)
{
	if (!read_u32(reader, &op->resource))
		return false;
	if (!read_u64(reader, &op->soft))
		return false;
	if (!read_u64(reader, &op->hard))
		return false;
	return read_end(reader);
}

static bool decode_set_affinity(struct reader *reader, struct op_set_affinity *op)
{
	if (!read_bytes(reader, &op->mask))
		return false;
	return read_end(reader);
}

static bool decode_set_scheduler(struct reader *reader, struct op_set_scheduler *op)
{
	if (!read_u32(reader, &op->policy))
		return false;
	if (!read_u64(reader, &op->flags))
		return false;
	if (!read_i32(reader, &op->nice))
		return false;
	if (!read_u32(reader, &op->priority))
		return false;
	if (!read_u64(reader, &op->runtime))
		return false;
	if (!read_u64(reader, &op->deadline))
		return false;
	if (!read_u64(reader, &op->period))
		return false;
	return read_end(reader);
}

static bool decode_set_io_priority(struct reader *reader, struct op_set_io_priority *op)
{
	if (!read_u32(reader, &op->value))
		return false;
	return read_end(reader);
}

static bool decode_set_personality(struct reader *reader, struct op_set_personality *op)
{
	if (!read_u64(reader, &op->persona))
		return false;
	return read_end(reader);
}

static bool decode_set_memory_policy(struct reader *reader, struct op_set_memory_policy *op)
{
	if (!read_u32(reader, &op->mode))
		return false;
	if (!read_bytes(reader, &op->nodes))
		return false;
	return read_end(reader);
}

static bool decode_set_no_new_privileges(struct reader *reader, struct op_set_no_new_privileges *op)
{
	op->nothing = 0;
	return read_end(reader);
}

static bool decode_limit_bounding_set(struct reader *reader, struct op_limit_bounding_set *op)
{
	if (!read_u64(reader, &op->keep))
		return false;
	if (!read_u32(reader, &op->last))
		return false;
	return read_end(reader);
}

static bool decode_set_groups(struct reader *reader, struct op_set_groups *op)
{
	if (!read_bytes(reader, &op->gids))
		return false;
	return read_end(reader);
}

static bool decode_set_ids(struct reader *reader, struct op_set_ids *op)
{
	if (!read_u32(reader, &op->uid))
		return false;
	if (!read_u32(reader, &op->gid))
		return false;
	return read_end(reader);
}

static bool decode_set_capabilities(struct reader *reader, struct op_set_capabilities *op)
{
	if (!read_u64(reader, &op->effective))
		return false;
	if (!read_u64(reader, &op->permitted))
		return false;
	if (!read_u64(reader, &op->inheritable))
		return false;
	if (!read_u64(reader, &op->ambient))
		return false;
	return read_end(reader);
}

static bool decode_adjust_capabilities(struct reader *reader, struct op_adjust_capabilities *op)
{
	if (!read_u64(reader, &op->effective))
		return false;
	if (!read_u64(reader, &op->permitted))
		return false;
	if (!read_u64(reader, &op->inheritable))
		return false;
	return read_end(reader);
}

static bool decode_close_descriptors(struct reader *reader, struct op_close_descriptors *op)
{
	if (!read_u32(reader, &op->preserved))
		return false;
	if (!read_u32(reader, &op->gate))
		return false;
	if (!read_u32(reader, &op->report))
		return false;
	if (!read_u32(reader, &op->out))
		return false;
	if (!read_u32(reader, &op->err))
		return false;
	if (!read_u32(reader, &op->program))
		return false;
	return read_end(reader);
}

static bool decode_load_seccomp(struct reader *reader, struct op_load_seccomp *op)
{
	if (!read_u32(reader, &op->flags))
		return false;
	if (!read_bytes(reader, &op->filter))
		return false;
	if (!read_u32(reader, &op->listener))
		return false;
	return read_end(reader);
}

static bool decode_change_directory(struct reader *reader, struct op_change_directory *op)
{
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u32(reader, &op->create))
		return false;
	if (!read_u32(reader, &op->retry_later))
		return false;
	return read_end(reader);
}

static bool decode_find_home(struct reader *reader, struct op_find_home *op)
{
	if (!read_u32(reader, &op->uid))
		return false;
	return read_end(reader);
}

static bool decode_find_executable(struct reader *reader, struct op_find_executable *op)
{
	if (!read_str(reader, &op->name))
		return false;
	if (!read_str(reader, &op->search))
		return false;
	return read_end(reader);
}

static bool decode_create_ruleset(struct reader *reader, struct op_create_ruleset *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u64(reader, &op->fs))
		return false;
	if (!read_u64(reader, &op->net))
		return false;
	if (!read_u64(reader, &op->scoped))
		return false;
	return read_end(reader);
}

static bool decode_allow_path(struct reader *reader, struct op_allow_path *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_str(reader, &op->path))
		return false;
	if (!read_u64(reader, &op->access))
		return false;
	return read_end(reader);
}

static bool decode_allow_port(struct reader *reader, struct op_allow_port *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u32(reader, &op->port))
		return false;
	if (!read_u64(reader, &op->access))
		return false;
	return read_end(reader);
}

static bool decode_restrict_self(struct reader *reader, struct op_restrict_self *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_u32(reader, &op->flags))
		return false;
	return read_end(reader);
}

static bool decode_run_hook(struct reader *reader, struct op_run_hook *op)
{
	if (!read_str(reader, &op->path))
		return false;
	if (!read_strs(reader, &op->argv))
		return false;
	if (!read_strs(reader, &op->env))
		return false;
	if (!read_u32(reader, &op->home))
		return false;
	if (!read_u32(reader, &op->timeout_ms))
		return false;
	if (!read_str(reader, &op->head))
		return false;
	if (!read_str(reader, &op->tail))
		return false;
	if (!read_slot(reader, &op->directory))
		return false;
	if (!read_str(reader, &op->cwd))
		return false;
	if (!read_slot(reader, &op->out))
		return false;
	if (!read_slot(reader, &op->err))
		return false;
	if (!read_u32(reader, &op->filter_flags))
		return false;
	if (!read_bytes(reader, &op->filter))
		return false;
	return read_end(reader);
}

static bool decode_wait_at_gate(struct reader *reader, struct op_wait_at_gate *op)
{
	if (!read_slot(reader, &op->gate))
		return false;
	if (!read_slot(reader, &op->report))
		return false;
	return read_end(reader);
}

static bool decode_execute_slot(struct reader *reader, struct op_execute_slot *op)
{
	if (!read_slot(reader, &op->slot))
		return false;
	if (!read_strs(reader, &op->argv))
		return false;
	if (!read_strs(reader, &op->env))
		return false;
	if (!read_u32(reader, &op->home))
		return false;
	if (!read_u32(reader, &op->listen))
		return false;
	if (!read_u32(reader, &op->preserved))
		return false;
	return read_end(reader);
}

static bool decode_execute(struct reader *reader, struct op_execute *op)
{
	if (!read_strs(reader, &op->argv))
		return false;
	if (!read_strs(reader, &op->env))
		return false;
	if (!read_u32(reader, &op->home))
		return false;
	if (!read_u32(reader, &op->listen))
		return false;
	if (!read_u32(reader, &op->preserved))
		return false;
	return read_end(reader);
}

static bool check_op(uint32_t code, struct reader *reader)
{
	switch ((enum op_code)code) {
	case OP_TRACE_TIMES: {
		struct op_trace_times op;

		return decode_trace_times(reader, &op);
	}
	case OP_SET_DUMPABLE: {
		struct op_set_dumpable op;

		return decode_set_dumpable(reader, &op);
	}
	case OP_SET_SESSION: {
		struct op_set_session op;

		return decode_set_session(reader, &op);
	}
	case OP_OPEN_PROC: {
		struct op_open_proc op;

		return decode_open_proc(reader, &op);
	}
	case OP_WRITE_PROC: {
		struct op_write_proc op;

		return decode_write_proc(reader, &op);
	}
	case OP_CLOSE_SLOT: {
		struct op_close_slot op;

		return decode_close_slot(reader, &op);
	}
	case OP_AWAIT: {
		struct op_await op;

		return decode_await(reader, &op);
	}
	case OP_OPEN_NAMESPACE: {
		struct op_open_namespace op;

		return decode_open_namespace(reader, &op);
	}
	case OP_JOIN_NAMESPACE: {
		struct op_join_namespace op;

		return decode_join_namespace(reader, &op);
	}
	case OP_JOIN_PROCESS: {
		struct op_join_process op;

		return decode_join_process(reader, &op);
	}
	case OP_UNSHARE: {
		struct op_unshare op;

		return decode_unshare(reader, &op);
	}
	case OP_BECOME: {
		struct op_become op;

		return decode_become(reader, &op);
	}
	case OP_JOIN_CGROUP: {
		struct op_join_cgroup op;

		return decode_join_cgroup(reader, &op);
	}
	case OP_FORK: {
		struct op_fork op;

		return decode_fork(reader, &op);
	}
	case OP_RAISE_LOOPBACK: {
		struct op_raise_loopback op;

		return decode_raise_loopback(reader, &op);
	}
	case OP_PROPAGATE_ROOT: {
		struct op_propagate_root op;

		return decode_propagate_root(reader, &op);
	}
	case OP_CLONE_TREE: {
		struct op_clone_tree op;

		return decode_clone_tree(reader, &op);
	}
	case OP_NEW_MOUNT: {
		struct op_new_mount op;

		return decode_new_mount(reader, &op);
	}
	case OP_NEW_JOINED_PROC: {
		struct op_new_joined_proc op;

		return decode_new_joined_proc(reader, &op);
	}
	case OP_SET_ATTRIBUTES: {
		struct op_set_attributes op;

		return decode_set_attributes(reader, &op);
	}
	case OP_RESET_ATIME: {
		struct op_reset_atime op;

		return decode_reset_atime(reader, &op);
	}
	case OP_SET_PROPAGATION: {
		struct op_set_propagation op;

		return decode_set_propagation(reader, &op);
	}
	case OP_ATTACH_ROOT: {
		struct op_attach_root op;

		return decode_attach_root(reader, &op);
	}
	case OP_ENTER_ROOT: {
		struct op_enter_root op;

		return decode_enter_root(reader, &op);
	}
	case OP_LEAVE_ROOT: {
		struct op_leave_root op;

		return decode_leave_root(reader, &op);
	}
	case OP_COVER_ROOT: {
		struct op_cover_root op;

		return decode_cover_root(reader, &op);
	}
	case OP_ATTACH: {
		struct op_attach op;

		return decode_attach(reader, &op);
	}
	case OP_CLONE_INSIDE: {
		struct op_clone_inside op;

		return decode_clone_inside(reader, &op);
	}
	case OP_MAP_MOUNT: {
		struct op_map_mount op;

		return decode_map_mount(reader, &op);
	}
	case OP_MOUNT_CLASSIC: {
		struct op_mount_classic op;

		return decode_mount_classic(reader, &op);
	}
	case OP_INHERIT_MODE: {
		struct op_inherit_mode op;

		return decode_inherit_mode(reader, &op);
	}
	case OP_COPY_UP: {
		struct op_copy_up op;

		return decode_copy_up(reader, &op);
	}
	case OP_MAKE_DIRECTORY: {
		struct op_make_directory op;

		return decode_make_directory(reader, &op);
	}
	case OP_MAKE_SYMLINK: {
		struct op_make_symlink op;

		return decode_make_symlink(reader, &op);
	}
	case OP_MAKE_DEVICE: {
		struct op_make_device op;

		return decode_make_device(reader, &op);
	}
	case OP_MASK: {
		struct op_mask op;

		return decode_mask(reader, &op);
	}
	case OP_MAKE_READONLY: {
		struct op_make_readonly op;

		return decode_make_readonly(reader, &op);
	}
	case OP_PIVOT: {
		struct op_pivot op;

		return decode_pivot(reader, &op);
	}
	case OP_MOVE_ROOT: {
		struct op_move_root op;

		return decode_move_root(reader, &op);
	}
	case OP_CHANGE_ROOT: {
		struct op_change_root op;

		return decode_change_root(reader, &op);
	}
	case OP_SET_ROOT_ATTRIBUTES: {
		struct op_set_root_attributes op;

		return decode_set_root_attributes(reader, &op);
	}
	case OP_VERIFY_MOUNT: {
		struct op_verify_mount op;

		return decode_verify_mount(reader, &op);
	}
	case OP_VERIFY_ROOT: {
		struct op_verify_root op;

		return decode_verify_root(reader, &op);
	}
	case OP_SEND_MOUNT: {
		struct op_send_mount op;

		return decode_send_mount(reader, &op);
	}
	case OP_DETACH_MOUNT: {
		struct op_detach_mount op;

		return decode_detach_mount(reader, &op);
	}
	case OP_SET_HOSTNAME: {
		struct op_set_hostname op;

		return decode_set_hostname(reader, &op);
	}
	case OP_SET_DOMAINNAME: {
		struct op_set_domainname op;

		return decode_set_domainname(reader, &op);
	}
	case OP_NEW_KEYRING: {
		struct op_new_keyring op;

		return decode_new_keyring(reader, &op);
	}
	case OP_OPEN_CONSOLE: {
		struct op_open_console op;

		return decode_open_console(reader, &op);
	}
	case OP_TAKE_TERMINAL: {
		struct op_take_terminal op;

		return decode_take_terminal(reader, &op);
	}
	case OP_OWN_STDIO: {
		struct op_own_stdio op;

		return decode_own_stdio(reader, &op);
	}
	case OP_REOPEN_NULL: {
		struct op_reopen_null op;

		return decode_reopen_null(reader, &op);
	}
	case OP_SET_UMASK: {
		struct op_set_umask op;

		return decode_set_umask(reader, &op);
	}
	case OP_SET_LIMIT: {
		struct op_set_limit op;

		return decode_set_limit(reader, &op);
	}
	case OP_SET_AFFINITY: {
		struct op_set_affinity op;

		return decode_set_affinity(reader, &op);
	}
	case OP_SET_SCHEDULER: {
		struct op_set_scheduler op;

		return decode_set_scheduler(reader, &op);
	}
	case OP_SET_IO_PRIORITY: {
		struct op_set_io_priority op;

		return decode_set_io_priority(reader, &op);
	}
	case OP_SET_PERSONALITY: {
		struct op_set_personality op;

		return decode_set_personality(reader, &op);
	}
	case OP_SET_MEMORY_POLICY: {
		struct op_set_memory_policy op;

		return decode_set_memory_policy(reader, &op);
	}
	case OP_SET_NO_NEW_PRIVILEGES: {
		struct op_set_no_new_privileges op;

		return decode_set_no_new_privileges(reader, &op);
	}
	case OP_LIMIT_BOUNDING_SET: {
		struct op_limit_bounding_set op;

		return decode_limit_bounding_set(reader, &op);
	}
	case OP_SET_GROUPS: {
		struct op_set_groups op;

		return decode_set_groups(reader, &op);
	}
	case OP_SET_IDS: {
		struct op_set_ids op;

		return decode_set_ids(reader, &op);
	}
	case OP_SET_CAPABILITIES: {
		struct op_set_capabilities op;

		return decode_set_capabilities(reader, &op);
	}
	case OP_ADJUST_CAPABILITIES: {
		struct op_adjust_capabilities op;

		return decode_adjust_capabilities(reader, &op);
	}
	case OP_CLOSE_DESCRIPTORS: {
		struct op_close_descriptors op;

		return decode_close_descriptors(reader, &op);
	}
	case OP_LOAD_SECCOMP: {
		struct op_load_seccomp op;

		return decode_load_seccomp(reader, &op);
	}
	case OP_CHANGE_DIRECTORY: {
		struct op_change_directory op;

		return decode_change_directory(reader, &op);
	}
	case OP_FIND_HOME: {
		struct op_find_home op;

		return decode_find_home(reader, &op);
	}
	case OP_FIND_EXECUTABLE: {
		struct op_find_executable op;

		return decode_find_executable(reader, &op);
	}
	case OP_CREATE_RULESET: {
		struct op_create_ruleset op;

		return decode_create_ruleset(reader, &op);
	}
	case OP_ALLOW_PATH: {
		struct op_allow_path op;

		return decode_allow_path(reader, &op);
	}
	case OP_ALLOW_PORT: {
		struct op_allow_port op;

		return decode_allow_port(reader, &op);
	}
	case OP_RESTRICT_SELF: {
		struct op_restrict_self op;

		return decode_restrict_self(reader, &op);
	}
	case OP_RUN_HOOK: {
		struct op_run_hook op;

		return decode_run_hook(reader, &op);
	}
	case OP_WAIT_AT_GATE: {
		struct op_wait_at_gate op;

		return decode_wait_at_gate(reader, &op);
	}
	case OP_EXECUTE_SLOT: {
		struct op_execute_slot op;

		return decode_execute_slot(reader, &op);
	}
	case OP_EXECUTE: {
		struct op_execute op;

		return decode_execute(reader, &op);
	}
	default:
		return false;
	}
}

static int run_op(uint32_t code, struct reader *reader, uint32_t *step)
{
	switch ((enum op_code)code) {
	case OP_TRACE_TIMES: {
		struct op_trace_times op;

		if (!decode_trace_times(reader, &op))
			return -EPROTO;
		return run_trace_times(&op, step);
	}
	case OP_SET_DUMPABLE: {
		struct op_set_dumpable op;

		if (!decode_set_dumpable(reader, &op))
			return -EPROTO;
		return run_set_dumpable(&op, step);
	}
	case OP_SET_SESSION: {
		struct op_set_session op;

		if (!decode_set_session(reader, &op))
			return -EPROTO;
		return run_set_session(&op, step);
	}
	case OP_OPEN_PROC: {
		struct op_open_proc op;

		if (!decode_open_proc(reader, &op))
			return -EPROTO;
		return run_open_proc(&op, step);
	}
	case OP_WRITE_PROC: {
		struct op_write_proc op;

		if (!decode_write_proc(reader, &op))
			return -EPROTO;
		return run_write_proc(&op, step);
	}
	case OP_CLOSE_SLOT: {
		struct op_close_slot op;

		if (!decode_close_slot(reader, &op))
			return -EPROTO;
		return run_close_slot(&op, step);
	}
	case OP_AWAIT: {
		struct op_await op;

		if (!decode_await(reader, &op))
			return -EPROTO;
		return run_await(&op, step);
	}
	case OP_OPEN_NAMESPACE: {
		struct op_open_namespace op;

		if (!decode_open_namespace(reader, &op))
			return -EPROTO;
		return run_open_namespace(&op, step);
	}
	case OP_JOIN_NAMESPACE: {
		struct op_join_namespace op;

		if (!decode_join_namespace(reader, &op))
			return -EPROTO;
		return run_join_namespace(&op, step);
	}
	case OP_JOIN_PROCESS: {
		struct op_join_process op;

		if (!decode_join_process(reader, &op))
			return -EPROTO;
		return run_join_process(&op, step);
	}
	case OP_UNSHARE: {
		struct op_unshare op;

		if (!decode_unshare(reader, &op))
			return -EPROTO;
		return run_unshare(&op, step);
	}
	case OP_BECOME: {
		struct op_become op;

		if (!decode_become(reader, &op))
			return -EPROTO;
		return run_become(&op, step);
	}
	case OP_JOIN_CGROUP: {
		struct op_join_cgroup op;

		if (!decode_join_cgroup(reader, &op))
			return -EPROTO;
		return run_join_cgroup(&op, step);
	}
	case OP_FORK: {
		struct op_fork op;

		if (!decode_fork(reader, &op))
			return -EPROTO;
		return run_fork(&op, step);
	}
	case OP_RAISE_LOOPBACK: {
		struct op_raise_loopback op;

		if (!decode_raise_loopback(reader, &op))
			return -EPROTO;
		return run_raise_loopback(&op, step);
	}
	case OP_PROPAGATE_ROOT: {
		struct op_propagate_root op;

		if (!decode_propagate_root(reader, &op))
			return -EPROTO;
		return run_propagate_root(&op, step);
	}
	case OP_CLONE_TREE: {
		struct op_clone_tree op;

		if (!decode_clone_tree(reader, &op))
			return -EPROTO;
		return run_clone_tree(&op, step);
	}
	case OP_NEW_MOUNT: {
		struct op_new_mount op;

		if (!decode_new_mount(reader, &op))
			return -EPROTO;
		return run_new_mount(&op, step);
	}
	case OP_NEW_JOINED_PROC: {
		struct op_new_joined_proc op;

		if (!decode_new_joined_proc(reader, &op))
			return -EPROTO;
		return run_new_joined_proc(&op, step);
	}
	case OP_SET_ATTRIBUTES: {
		struct op_set_attributes op;

		if (!decode_set_attributes(reader, &op))
			return -EPROTO;
		return run_set_attributes(&op, step);
	}
	case OP_RESET_ATIME: {
		struct op_reset_atime op;

		if (!decode_reset_atime(reader, &op))
			return -EPROTO;
		return run_reset_atime(&op, step);
	}
	case OP_SET_PROPAGATION: {
		struct op_set_propagation op;

		if (!decode_set_propagation(reader, &op))
			return -EPROTO;
		return run_set_propagation(&op, step);
	}
	case OP_ATTACH_ROOT: {
		struct op_attach_root op;

		if (!decode_attach_root(reader, &op))
			return -EPROTO;
		return run_attach_root(&op, step);
	}
	case OP_ENTER_ROOT: {
		struct op_enter_root op;

		if (!decode_enter_root(reader, &op))
			return -EPROTO;
		return run_enter_root(&op, step);
	}
	case OP_LEAVE_ROOT: {
		struct op_leave_root op;

		if (!decode_leave_root(reader, &op))
			return -EPROTO;
		return run_leave_root(&op, step);
	}
	case OP_COVER_ROOT: {
		struct op_cover_root op;

		if (!decode_cover_root(reader, &op))
			return -EPROTO;
		return run_cover_root(&op, step);
	}
	case OP_ATTACH: {
		struct op_attach op;

		if (!decode_attach(reader, &op))
			return -EPROTO;
		return run_attach(&op, step);
	}
	case OP_CLONE_INSIDE: {
		struct op_clone_inside op;

		if (!decode_clone_inside(reader, &op))
			return -EPROTO;
		return run_clone_inside(&op, step);
	}
	case OP_MAP_MOUNT: {
		struct op_map_mount op;

		if (!decode_map_mount(reader, &op))
			return -EPROTO;
		return run_map_mount(&op, step);
	}
	case OP_MOUNT_CLASSIC: {
		struct op_mount_classic op;

		if (!decode_mount_classic(reader, &op))
			return -EPROTO;
		return run_mount_classic(&op, step);
	}
	case OP_INHERIT_MODE: {
		struct op_inherit_mode op;

		if (!decode_inherit_mode(reader, &op))
			return -EPROTO;
		return run_inherit_mode(&op, step);
	}
	case OP_COPY_UP: {
		struct op_copy_up op;

		if (!decode_copy_up(reader, &op))
			return -EPROTO;
		return run_copy_up(&op, step);
	}
	case OP_MAKE_DIRECTORY: {
		struct op_make_directory op;

		if (!decode_make_directory(reader, &op))
			return -EPROTO;
		return run_make_directory(&op, step);
	}
	case OP_MAKE_SYMLINK: {
		struct op_make_symlink op;

		if (!decode_make_symlink(reader, &op))
			return -EPROTO;
		return run_make_symlink(&op, step);
	}
	case OP_MAKE_DEVICE: {
		struct op_make_device op;

		if (!decode_make_device(reader, &op))
			return -EPROTO;
		return run_make_device(&op, step);
	}
	case OP_MASK: {
		struct op_mask op;

		if (!decode_mask(reader, &op))
			return -EPROTO;
		return run_mask(&op, step);
	}
	case OP_MAKE_READONLY: {
		struct op_make_readonly op;

		if (!decode_make_readonly(reader, &op))
			return -EPROTO;
		return run_make_readonly(&op, step);
	}
	case OP_PIVOT: {
		struct op_pivot op;

		if (!decode_pivot(reader, &op))
			return -EPROTO;
		return run_pivot(&op, step);
	}
	case OP_MOVE_ROOT: {
		struct op_move_root op;

		if (!decode_move_root(reader, &op))
			return -EPROTO;
		return run_move_root(&op, step);
	}
	case OP_CHANGE_ROOT: {
		struct op_change_root op;

		if (!decode_change_root(reader, &op))
			return -EPROTO;
		return run_change_root(&op, step);
	}
	case OP_SET_ROOT_ATTRIBUTES: {
		struct op_set_root_attributes op;

		if (!decode_set_root_attributes(reader, &op))
			return -EPROTO;
		return run_set_root_attributes(&op, step);
	}
	case OP_VERIFY_MOUNT: {
		struct op_verify_mount op;

		if (!decode_verify_mount(reader, &op))
			return -EPROTO;
		return run_verify_mount(&op, step);
	}
	case OP_VERIFY_ROOT: {
		struct op_verify_root op;

		if (!decode_verify_root(reader, &op))
			return -EPROTO;
		return run_verify_root(&op, step);
	}
	case OP_SEND_MOUNT: {
		struct op_send_mount op;

		if (!decode_send_mount(reader, &op))
			return -EPROTO;
		return run_send_mount(&op, step);
	}
	case OP_DETACH_MOUNT: {
		struct op_detach_mount op;

		if (!decode_detach_mount(reader, &op))
			return -EPROTO;
		return run_detach_mount(&op, step);
	}
	case OP_SET_HOSTNAME: {
		struct op_set_hostname op;

		if (!decode_set_hostname(reader, &op))
			return -EPROTO;
		return run_set_hostname(&op, step);
	}
	case OP_SET_DOMAINNAME: {
		struct op_set_domainname op;

		if (!decode_set_domainname(reader, &op))
			return -EPROTO;
		return run_set_domainname(&op, step);
	}
	case OP_NEW_KEYRING: {
		struct op_new_keyring op;

		if (!decode_new_keyring(reader, &op))
			return -EPROTO;
		return run_new_keyring(&op, step);
	}
	case OP_OPEN_CONSOLE: {
		struct op_open_console op;

		if (!decode_open_console(reader, &op))
			return -EPROTO;
		return run_open_console(&op, step);
	}
	case OP_TAKE_TERMINAL: {
		struct op_take_terminal op;

		if (!decode_take_terminal(reader, &op))
			return -EPROTO;
		return run_take_terminal(&op, step);
	}
	case OP_OWN_STDIO: {
		struct op_own_stdio op;

		if (!decode_own_stdio(reader, &op))
			return -EPROTO;
		return run_own_stdio(&op, step);
	}
	case OP_REOPEN_NULL: {
		struct op_reopen_null op;

		if (!decode_reopen_null(reader, &op))
			return -EPROTO;
		return run_reopen_null(&op, step);
	}
	case OP_SET_UMASK: {
		struct op_set_umask op;

		if (!decode_set_umask(reader, &op))
			return -EPROTO;
		return run_set_umask(&op, step);
	}
	case OP_SET_LIMIT: {
		struct op_set_limit op;

		if (!decode_set_limit(reader, &op))
			return -EPROTO;
		return run_set_limit(&op, step);
	}
	case OP_SET_AFFINITY: {
		struct op_set_affinity op;

		if (!decode_set_affinity(reader, &op))
			return -EPROTO;
		return run_set_affinity(&op, step);
	}
	case OP_SET_SCHEDULER: {
		struct op_set_scheduler op;

		if (!decode_set_scheduler(reader, &op))
			return -EPROTO;
		return run_set_scheduler(&op, step);
	}
	case OP_SET_IO_PRIORITY: {
		struct op_set_io_priority op;

		if (!decode_set_io_priority(reader, &op))
			return -EPROTO;
		return run_set_io_priority(&op, step);
	}
	case OP_SET_PERSONALITY: {
		struct op_set_personality op;

		if (!decode_set_personality(reader, &op))
			return -EPROTO;
		return run_set_personality(&op, step);
	}
	case OP_SET_MEMORY_POLICY: {
		struct op_set_memory_policy op;

		if (!decode_set_memory_policy(reader, &op))
			return -EPROTO;
		return run_set_memory_policy(&op, step);
	}
	case OP_SET_NO_NEW_PRIVILEGES: {
		struct op_set_no_new_privileges op;

		if (!decode_set_no_new_privileges(reader, &op))
			return -EPROTO;
		return run_set_no_new_privileges(&op, step);
	}
	case OP_LIMIT_BOUNDING_SET: {
		struct op_limit_bounding_set op;

		if (!decode_limit_bounding_set(reader, &op))
			return -EPROTO;
		return run_limit_bounding_set(&op, step);
	}
	case OP_SET_GROUPS: {
		struct op_set_groups op;

		if (!decode_set_groups(reader, &op))
			return -EPROTO;
		return run_set_groups(&op, step);
	}
	case OP_SET_IDS: {
		struct op_set_ids op;

		if (!decode_set_ids(reader, &op))
			return -EPROTO;
		return run_set_ids(&op, step);
	}
	case OP_SET_CAPABILITIES: {
		struct op_set_capabilities op;

		if (!decode_set_capabilities(reader, &op))
			return -EPROTO;
		return run_set_capabilities(&op, step);
	}
	case OP_ADJUST_CAPABILITIES: {
		struct op_adjust_capabilities op;

		if (!decode_adjust_capabilities(reader, &op))
			return -EPROTO;
		return run_adjust_capabilities(&op, step);
	}
	case OP_CLOSE_DESCRIPTORS: {
		struct op_close_descriptors op;

		if (!decode_close_descriptors(reader, &op))
			return -EPROTO;
		return run_close_descriptors(&op, step);
	}
	case OP_LOAD_SECCOMP: {
		struct op_load_seccomp op;

		if (!decode_load_seccomp(reader, &op))
			return -EPROTO;
		return run_load_seccomp(&op, step);
	}
	case OP_CHANGE_DIRECTORY: {
		struct op_change_directory op;

		if (!decode_change_directory(reader, &op))
			return -EPROTO;
		return run_change_directory(&op, step);
	}
	case OP_FIND_HOME: {
		struct op_find_home op;

		if (!decode_find_home(reader, &op))
			return -EPROTO;
		return run_find_home(&op, step);
	}
	case OP_FIND_EXECUTABLE: {
		struct op_find_executable op;

		if (!decode_find_executable(reader, &op))
			return -EPROTO;
		return run_find_executable(&op, step);
	}
	case OP_CREATE_RULESET: {
		struct op_create_ruleset op;

		if (!decode_create_ruleset(reader, &op))
			return -EPROTO;
		return run_create_ruleset(&op, step);
	}
	case OP_ALLOW_PATH: {
		struct op_allow_path op;

		if (!decode_allow_path(reader, &op))
			return -EPROTO;
		return run_allow_path(&op, step);
	}
	case OP_ALLOW_PORT: {
		struct op_allow_port op;

		if (!decode_allow_port(reader, &op))
			return -EPROTO;
		return run_allow_port(&op, step);
	}
	case OP_RESTRICT_SELF: {
		struct op_restrict_self op;

		if (!decode_restrict_self(reader, &op))
			return -EPROTO;
		return run_restrict_self(&op, step);
	}
	case OP_RUN_HOOK: {
		struct op_run_hook op;

		if (!decode_run_hook(reader, &op))
			return -EPROTO;
		return run_run_hook(&op, step);
	}
	case OP_WAIT_AT_GATE: {
		struct op_wait_at_gate op;

		if (!decode_wait_at_gate(reader, &op))
			return -EPROTO;
		return run_wait_at_gate(&op, step);
	}
	case OP_EXECUTE_SLOT: {
		struct op_execute_slot op;

		if (!decode_execute_slot(reader, &op))
			return -EPROTO;
		return run_execute_slot(&op, step);
	}
	case OP_EXECUTE: {
		struct op_execute op;

		if (!decode_execute(reader, &op))
			return -EPROTO;
		return run_execute(&op, step);
	}
	default:
		return -EPROTO;
	}
}
#endif
#endif
