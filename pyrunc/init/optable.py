# SPDX-License-Identifier: Apache-2.0
"""The op table: every operation that a plan may hold, defined once.

``csrc/generate.py`` writes ``pyrunc/init/ops.py`` (slotted classes with ``encode``) and ``csrc/init/plan_ops.h`` (enum,
structs, decoder, dispatch) from it; both are committed. The program never imports this module.

An op is about one system call with its checks. Its steps name the places where it can fail; the init reports
``{op, step, errno}`` and the parent, which still holds the plan, writes the sentence.

Field types, all little endian, each op padded to 8 bytes:

====== =========================================================================================================
U32    unsigned 32 bits
SLOT   unsigned 32 bits below SLOT_LIMIT: an index into the init's descriptor table, see below
I32    signed 32 bits
U64    unsigned 64 bits
STR    u32 length, bytes, NUL; the length excludes the NUL and no other NUL is inside
BYTES  u32 length, padding to 8, bytes, padding to 8
STRS   u32 count, u32 bytes, padding to 8, (count + 1) empty u64 (the init fills the pointers in), the strings, each with NUL
====== =========================================================================================================

A *slot* is an index into the init's descriptor table; 0 means "none". Slots 1.. are the descriptors that the parent hands
over at the start ("objects"), later ones are chosen by the planner. Filling a slot that is in use and reading an empty one
are errors. A *path* is resolved below the root of the calling task
(``openat2`` with ``RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS``) unless the op says "host path".

PURE.
"""

U32, SLOT, I32, U64, STR, BYTES, STRS = "U32", "SLOT", "I32", "U64", "STR", "BYTES", "STRS"

# Names of the places where the init waits for its parent, in the order of their numbers (from 1).
RENDEZVOUS = ("namespaces", "mounts", "hooks", "console", "seccomp", "ready", "mounted", "cgroups", "source", "map")

# A message between the init and its parent: one packet of a fixed size each way, and the same in the report FIFO.
MESSAGE = {"type": U32, "op": U32, "step": U32, "value": I32}
DETAIL_SIZE = 240  # bytes of text behind these fields, filled up with NUL

# The types of messages, in the order of their numbers (from 1), and what they say.
MESSAGES = {
    "await": "init to parent: a rendezvous; `value` is its number",
    "forked": "init to parent: the init goes on as process `value`",
    "error": "init to parent: `op`, `step` and errno; `value` is the errno",
    "go": "parent to init: go on; descriptors may come along",
    "exec": "init to parent: about to execute the program",
    "hook": "init to parent: the hook `op` has ended well, after `value` ms",
}

# Values that both sides share; the generator writes them into both files.
CONSTANTS = {
    "PROC_PIDS": 0,  # open_proc: a new procfs with subset=pid
    "PROC_FULL": 1,  # open_proc: a new procfs, with /proc/sys
    "PROC_HOST": 2,  # open_proc: the caller's /proc
    "ATTACH_KEEP": 1,  # attach: keep the slot open for a later op
    "ATTACH_REAL_DIRECTORY": 2,  # attach: an ordinary directory, reached without any symbolic link (proc, sysfs)
    "ATTACH_PROC_ALLOWED": 4,  # attach: the target may lie on procfs
    "ATTACH_NOFOLLOW": 8,  # attach: the last component may be no symbolic link
    "LISTENER_SENT": 2,  # load_seccomp: with its descriptor, where the parent may not fetch it (pidfd_getfd)
    "SLOT_LIMIT": 4096,  # slots are 1 .. SLOT_LIMIT - 1
    "NO_INDEX": 0xFFFFFFFF,  # execute.home, execute.listen: leave the environment alone
}

OPS = {
    # -- the task itself ---------------------------------------------------------------------------------------------
    "trace_times": (
        "Map the memory file in a slot: when an op has ended, the time (CLOCK_REALTIME, ns, u64) goes to the place of its index. For --trace.",
        {"slot": SLOT},
        ("map",),
    ),
    "set_dumpable": (
        "PR_SET_DUMPABLE: 0 hides /proc/PID of the init from everybody but root.",
        {"value": U32},
        ("prctl",),
    ),
    "set_session": ("setsid: no controlling terminal of the caller is inherited.", {}, ("setsid",)),
    "open_proc": (
        "Open a procfs into a slot: a new detached one (PROC_PIDS, PROC_FULL) or the one at /proc (PROC_HOST).",
        {"slot": SLOT, "kind": U32},
        ("open", "verify"),
    ),
    "write_proc": (
        "Write a value with one write(2) to a file of a verified procfs. `tolerate` is an errno of open or write, or 0. Unless "
        "`readback` is empty, the file must then read as `readback`, alone or followed by ` (MODE)`, up to a newline.",
        {"proc": SLOT, "path": STR, "value": STR, "readback": STR, "tolerate": U32},
        ("open", "verify", "write", "readback"),
    ),
    "close_slot": ("Close a slot.", {"slot": SLOT}, ("close",)),
    # -- rendezvous --------------------------------------------------------------------------------------------------
    "await": (
        "Tell the parent and wait for its answer. Descriptors that come with it fill up to `count` slots from `slot`; the rest "
        "stays empty.",
        {"name": U32, "slot": SLOT, "count": U32},
        ("send", "receive"),
    ),
    # -- namespaces --------------------------------------------------------------------------------------------------
    "open_namespace": (
        "Open a namespace file (host path) and verify that it is one of the given kind (a CLONE_NEW* flag).",
        {"slot": SLOT, "path": STR, "kind": U32},
        ("open", "verify"),
    ),
    "join_namespace": (
        "setns to an opened namespace. `tolerate` is an errno or 0.",
        {"slot": SLOT, "kind": U32, "tolerate": U32},
        ("setns",),
    ),
    "join_process": (
        "setns to the namespaces (CLONE_NEW* flags) of the process behind a pidfd, all or none.",
        {"slot": SLOT, "flags": U32},
        ("setns",),
    ),
    "unshare": ("Unshare the namespaces given as CLONE_NEW* flags.", {"flags": U32}, ("unshare",)),
    "become": (
        "Take the ids that the user namespace maps: setgroups([]) unless `keep_groups`, setresgid, setresuid. `tolerate` is an "
        "errno of setgroups or 0.",
        {"uid": U32, "gid": U32, "keep_groups": U32, "tolerate": U32},
        ("setgroups", "setgid", "setuid"),
    ),
    "join_cgroup": (
        "Write 0 to each of `count` slots from `slot` that is not empty: the calling thread enters the cgroups; the slots are "
        "closed.",
        {"slot": SLOT, "count": U32},
        ("write",),
    ),
    "fork": (
        "clone3 a sibling that goes on with the plan; the caller reports its pid and exits. A cgroup2 directory in `cgroup`, unless that "
        "is empty, is entered.",
        {"cgroup": SLOT},
        ("clone", "report"),
    ),
    "raise_loopback": ("Set the interface lo up.", {}, ("socket", "up")),
    # -- mounts: host objects, before entering the root ---------------------------------------------------------------
    "propagate_root": ("mount(NULL, /, NULL, flags): MS_REC and one of the propagation flags.", {"flags": U64}, ("mount",)),
    "clone_tree": (
        "open_tree(OPEN_TREE_CLONE) of a host path into a slot. `type` (S_IFMT bits, 0: any) and `rdev` are verified. With `ask`, EACCES "
        "of a directory on the way and EINVAL (locked mounts below) are answered by asking the parent for the clone (rendezvous source).",
        {"slot": SLOT, "path": STR, "recursive": U32, "nofollow": U32, "type": U32, "rdev": U64, "ask": U32},
        ("open", "clone", "verify"),
    ),
    "new_mount": (
        "fsopen, fsconfig for each option (`key` or `key=value`), fsmount with MOUNT_ATTR_* flags into a slot.",
        {"slot": SLOT, "fstype": STR, "source": STR, "options": STRS, "attributes": U64},
        ("open", "option", "create", "mount"),
    ),
    "new_joined_proc": (
        "A new procfs in a slot, of the pid namespace that the task has joined but is not in itself: with the option pidns (Linux 6.17), "
        "or else made by a child.",
        {"slot": SLOT, "source": STR, "options": STRS, "attributes": U64},
        ("open", "option", "create", "mount", "namespace", "child"),
    ),
    "set_attributes": (
        "mount_setattr on a slot. With `keep_locked`, EPERM is answered by keeping the flags that a user namespace locks, "
        "except that a flag in `explicit` which cannot be cleared is an error.",
        {"slot": SLOT, "set": U64, "clear": U64, "recursive": U32, "keep_locked": U32, "explicit": U64},
        ("setattr", "locked"),
    ),
    "reset_atime": (
        "mount_setattr on a slot: a mount with one of the access time rules in `rules` (1 << rule / 16 for MOUNT_ATTR_NOATIME "
        "and MOUNT_ATTR_STRICTATIME) gets the kernel's default, any other keeps its own. With `keep_locked` one that a user namespace locks stays.",
        {"slot": SLOT, "rules": U32, "keep_locked": U32},
        ("look", "setattr"),
    ),
    "set_propagation": (
        "mount_setattr with a propagation flag (MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE) on a slot.",
        {"slot": SLOT, "flags": U64, "recursive": U32},
        ("setattr",),
    ),
    "attach_root": (
        "Clone the rootfs (host path) with all below it and attach the clone over it; the slot is the container's root. With `ask`, EACCES "
        "of a directory on the way is answered by asking the parent to do it in the task's mount namespace (rendezvous source).",
        {"slot": SLOT, "path": STR, "ask": U32},
        ("open", "clone", "attach"),
    ),
    "enter_root": (
        "Keep / in slot `host` and make slot `root` the root of the calling task (fchdir, chroot).",
        {"root": SLOT, "host": SLOT},
        ("open", "chdir", "chroot"),
    ),
    "leave_root": ("Make slot `host` the root again.", {"host": SLOT}, ("chdir", "chroot")),
    "cover_root": (
        "move_mount the slot over the root of the calling task and make it the root; it takes the place of slot `root`, too.",
        {"slot": SLOT, "root": SLOT},
        ("verify", "attach", "chdir", "chroot"),
    ),
    # -- mounts: inside the root --------------------------------------------------------------------------------------
    "attach": (
        "Resolve a path, create what is missing (a directory or an empty file, as the mounted object is), move_mount the slot there.",
        {"slot": SLOT, "path": STR, "flags": U32},
        ("resolve", "create", "verify", "attach"),
    ),
    "clone_inside": (
        "open_tree(OPEN_TREE_CLONE) of a path into a slot: what earlier ops have attached there is seen. `resolve` are RESOLVE_* flags "
        "besides the usual ones. Procfs is refused unless `proc`: a link of the image could lead to it, past its masks.",
        {"slot": SLOT, "path": STR, "recursive": U32, "nofollow": U32, "resolve": U32, "proc": U32},
        ("resolve", "verify", "clone"),
    ),
    "map_mount": (
        "Send the detached mount in a slot to the parent (rendezvous map), which maps its ids.",
        {"slot": SLOT},
        ("send",),
    ),
    "mount_classic": (
        "mount(2) on a resolved directory, for flags that the new mount interface does not carry (MS_REMOUNT, MS_I_VERSION, MS_SILENT).",
        {"path": STR, "fstype": STR, "source": STR, "flags": U64, "data": STR},
        ("resolve", "create", "mount"),
    ),
    "inherit_mode": (
        "Give the root of the detached tmpfs in a slot the permissions of the directory that it is going to cover, if there is one.",
        {"slot": SLOT, "path": STR},
        ("resolve", "chmod"),
    ),
    "copy_up": (
        "Copy the tree below a path into the detached tmpfs of a slot (tmpcopyup).",
        {"slot": SLOT, "path": STR},
        ("open", "copy"),
    ),
    "make_directory": (
        "Create a directory and its parents with this mode, owned by uid:gid; an existing directory is left alone.",
        {"path": STR, "mode": U32, "uid": U32, "gid": U32},
        ("resolve", "create"),
    ),
    "make_symlink": (
        "Create a symbolic link. Something that exists is left alone, or, with `replace`, removed first.",
        {"path": STR, "target": STR, "replace": U32},
        ("resolve", "remove", "symlink"),
    ),
    "make_device": (
        "mknod with `mode` (type and permissions), verify by descriptor, chmod, chown. An existing node must be the same device.",
        {"path": STR, "mode": U32, "rdev": U64, "uid": U32, "gid": U32},
        ("resolve", "mknod", "verify", "chmod", "chown"),
    ),
    "mask": (
        "Hide a path: a directory under slot `directory` (a read-only tmpfs), anything else under slot `null` (/dev/null). "
        "ENOENT and ENOTDIR mean nothing to hide.",
        {"path": STR, "null": SLOT, "directory": SLOT},
        ("resolve", "clone", "attach", "verify"),
    ),
    "make_readonly": (
        "Cover a path with a read-only recursive clone of itself. ENOENT and ENOTDIR mean nothing to protect.",
        {"path": STR},
        ("resolve", "clone", "setattr", "attach", "verify"),
    ),
    "pivot": (
        "fchdir(slot), pivot_root(., .), detach the old root, chdir(/).",
        {"slot": SLOT},
        ("chdir", "pivot", "propagation", "detach", "root"),
    ),
    "move_root": (
        "--no-pivot: hide the proc and sysfs mounts of the host, MS_MOVE the root slot to /, chroot.",
        {"slot": SLOT, "path": STR},
        ("hide", "chdir", "move", "chroot"),
    ),
    "change_root": ("chroot into a host path (no mount namespace).", {"path": STR}, ("open", "chroot")),
    "set_root_attributes": ("mount_setattr on /.", {"set": U64, "clear": U64, "recursive": U32}, ("setattr",)),
    "verify_mount": (
        "Check that what is seen at a path has these MOUNT_ATTR_* flags (statvfs) and, unless 0, this file system magic. With `index` it "
        "must be the mount that the attach or mount_classic (without MS_REMOUNT) of this number, from 1, has put there, or one that "
        "came later and covers it, whose flags are not its own.",
        {"path": STR, "attributes": U64, "magic": U64, "index": U32},
        ("resolve", "mount", "flags", "magic"),
    ),
    "verify_root": ("Check that / is the mount that attach_root has made.", {}, ("look", "compare")),
    # -- the mounts of a running container ----------------------------------------------------------------------------
    "send_mount": (
        "Send the attached mount in a slot to the parent (rendezvous mounted), which notes its id.",
        {"slot": SLOT},
        ("send",),
    ),
    "detach_mount": (
        "Unmount what is seen at a path without symbolic links, if it is the mount with this id; what uses it keeps it until it ends.",
        {"path": STR, "id": U64},
        ("resolve", "verify", "detach"),
    ),
    # -- identity -----------------------------------------------------------------------------------------------------
    "set_hostname": ("sethostname, read back.", {"name": STR}, ("sethostname", "verify")),
    "set_domainname": ("setdomainname, read back.", {"name": STR}, ("setdomainname", "verify")),
    "new_keyring": (
        "Join a new anonymous session keyring and let the user namespace's others link it. `tolerate` is an errno or 0.",
        {"permissions": U32, "tolerate": U32},
        ("join", "permissions"),
    ),
    # -- stdio and terminal -------------------------------------------------------------------------------------------
    "open_console": (
        "Open a terminal in the container's devpts, set its size, give it to uid, bind it on /dev/console if asked, send the "
        "master to the parent (rendezvous console), make it stdio.",
        {"rows": U32, "columns": U32, "uid": U32, "bind": U32},
        ("open", "verify", "unlock", "peer", "size", "chown", "console", "attach", "send", "stdio"),
    ),
    "take_terminal": ("Make the terminal on descriptor 0 the controlling one of the session.", {}, ("take",)),
    "own_stdio": (
        "Give the descriptors 0-2 to a uid where they are pipes or sockets, with `files` also files. Whoever may not is not an error.",
        {"uid": U32, "files": U32},
        ("chown",),
    ),
    "reopen_null": ("Replace those of the descriptors 0-2 that are the host's /dev/null by the container's.", {}, ("open", "verify")),
    # -- process attributes -------------------------------------------------------------------------------------------
    "set_umask": ("umask.", {"mask": U32}, ("umask",)),
    "set_limit": (
        "setrlimit of the calling task, where the parent would lack the right to do it from outside.",
        {"resource": U32, "soft": U64, "hard": U64},
        ("setrlimit",),
    ),
    "set_affinity": ("sched_setaffinity with a bit mask; empty means every processor.", {"mask": BYTES}, ("affinity",)),
    "set_scheduler": (
        "sched_setattr.",
        {"policy": U32, "flags": U64, "nice": I32, "priority": U32, "runtime": U64, "deadline": U64, "period": U64},
        ("setattr",),
    ),
    "set_io_priority": ("ioprio_set of the calling process.", {"value": U32}, ("ioprio",)),
    "set_personality": ("personality(2).", {"persona": U64}, ("personality",)),
    "set_memory_policy": ("set_mempolicy with a node bit mask.", {"mode": U32, "nodes": BYTES}, ("mempolicy",)),
    "set_no_new_privileges": ("PR_SET_NO_NEW_PRIVS.", {}, ("prctl",)),
    "limit_bounding_set": (
        "Drop every capability of the bounding set that is not in `keep`; `last` is the last that the kernel knows. Read back.",
        {"keep": U64, "last": U32},
        ("read", "drop"),
    ),
    "set_groups": ("setgroups to exactly these gids (u32 each), read back.", {"gids": BYTES}, ("setgroups", "verify")),
    "set_ids": (
        "setresgid, setresuid with the capabilities kept for set_capabilities; all four ids are verified.",
        {"uid": U32, "gid": U32},
        ("keepcaps", "setgid", "setuid", "hide", "verify"),
    ),
    "set_capabilities": (
        "capset of the three sets, clear the ambient set, raise `ambient`, verify.",
        {"effective": U64, "permitted": U64, "inheritable": U64, "ambient": U64},
        ("keepcaps", "capset", "clear", "ambient", "verify"),
    ),
    "adjust_capabilities": (
        "capset and nothing else, within what is permitted: the one call that a filter loaded without no_new_privs must allow.",
        {"effective": U64, "permitted": U64, "inheritable": U64},
        ("capset",),
    ),
    "close_descriptors": (
        "Close every descriptor above stdio and the `preserved` ones, except the channel to the parent and the slots `gate`, "
        "`report`, `out`, `err` and `program` (0: none). Before a filter, which may forbid it; nothing is opened later.",
        {"preserved": U32, "gate": U32, "report": U32, "out": U32, "err": U32, "program": U32},
        ("close",),
    ),
    "load_seccomp": (
        "seccomp(SECCOMP_SET_MODE_FILTER). With `listener` the parent fetches the notification descriptor (rendezvous seccomp, "
        "value = its number) before the init closes it.",
        {"flags": U32, "filter": BYTES, "listener": U32},
        ("load", "listener"),
    ),
    "change_directory": (
        "Open a path as a directory (created with its parents if `create`), fchdir, verify that it is inside the root. "
        "With `retry_later` EACCES and EPERM are left to the next change_directory, which does nothing if this one has succeeded.",
        {"path": STR, "create": U32, "retry_later": U32},
        ("open", "create", "chdir", "verify"),
    ),
    "find_home": ("Look up the home directory of a uid in /etc/passwd for execute.", {"uid": U32}, ("read",)),
    "find_executable": (
        "Look a program up as execve would: a name with a slash as it is, else along `search` (the value of PATH).",
        {"name": STR, "search": STR},
        ("path", "stat", "directory", "permission"),
    ),
    "create_ruleset": (
        "landlock_create_ruleset into a slot, with the rights that it handles.",
        {"slot": SLOT, "fs": U64, "net": U64, "scoped": U64},
        ("create",),
    ),
    "allow_path": (
        "Resolve a path and allow rights below it (LANDLOCK_RULE_PATH_BENEATH) in the rule set of a slot.",
        {"slot": SLOT, "path": STR, "access": U64},
        ("resolve", "rule"),
    ),
    "allow_port": (
        "Allow rights for a TCP port (LANDLOCK_RULE_NET_PORT) in the rule set of a slot.",
        {"slot": SLOT, "port": U32, "access": U64},
        ("rule",),
    ),
    "restrict_self": ("landlock_restrict_self with the rule set of a slot, which is closed.", {"slot": SLOT, "flags": U32}, ("restrict",)),
    "run_hook": (
        "Run a hook in the namespaces of the init, in the directory in slot `directory` (0: none) or `cwd` (empty: as it is). Its standard input is `head`, the pid of the init, `tail`. The report's errno is "
        "the wait status for step exit; its detail is the end of the hook's output, which is also written to the slots `out` and `err` (0: none). "
        "`home` is the index in env that find_home's answer replaces, or NO_INDEX. The hook, not the init, gets `filter` (empty: none), with `filter_flags`.",
        {
            "path": STR, "argv": STRS, "env": STRS, "home": U32, "timeout_ms": U32, "head": STR, "tail": STR, "directory": SLOT, "cwd": STR, "out": SLOT, "err": SLOT,
            "filter_flags": U32, "filter": BYTES,
        },
        ("spawn", "filter", "timeout", "output", "exit"),
    ),
    "wait_at_gate": (
        "Wait until `start` writes a byte to the fifo in slot `gate`; reports then go to the fifo in slot `report`.",
        {"gate": SLOT, "report": SLOT},
        ("wait",),
    ),
    "execute_slot": (
        "As execute, but the program is the file in a slot (execveat with AT_EMPTY_PATH).",
        {"slot": SLOT, "argv": STRS, "env": STRS, "home": U32, "listen": U32, "preserved": U32},
        ("close", "execve"),
    ),
    "execute": (
        "Unless close_descriptors has done so, close every descriptor above stdio and the `preserved` ones; then execve the program "
        "that find_executable found. "
        "`home` is the index in env that find_home's answer replaces, `listen` that of LISTEN_PID, whose value becomes the pid of the "
        "task as it sees it itself (asked for before a filter is loaded); each may be NO_INDEX.",
        {"argv": STRS, "env": STRS, "home": U32, "listen": U32, "preserved": U32},
        ("close", "execve"),
    ),
}
