# SPDX-License-Identifier: Apache-2.0
"""The hints of what the init reports as {op, step, errno}: a table. PURE."""

from __future__ import annotations

from errno import (
    E2BIG,
    EACCES,
    EAGAIN,
    EBUSY,
    EDQUOT,
    EFBIG,
    EINVAL,
    ELIBBAD,
    ELOOP,
    EMFILE,
    ENODEV,
    ENOENT,
    ENOEXEC,
    ENOSPC,
    ENOSYS,
    ENOTDIR,
    EOPNOTSUPP,
    EPERM,
    EROFS,
    ESTALE,
    ETIMEDOUT,
    EUSERS,
)

UNBINDABLE = "the source lies on an unbindable mount or has locked mounts below it: use rbind"
CIRCLE = "symbolic links of the image lead in a circle: point them at a directory"
UNREADABLE = (
    "the container's root may not read it, as its owner has no mapping, or a capability is "
    "missing: change its owner or mode in the image, or bind a volume instead"
)
MOVED = "somebody moves directories of a volume that is shared with the container"

# (op, step, errno) -> what to do. Errno 0 is the fallback of a step.
HINTS = {
    ("open_namespace", "open", ENOENT): "the process or the bind mount behind the path is gone",
    ("open_namespace", "open", EACCES): "the namespace belongs to a process of another user",
    ("open_namespace", "verify", 0): "the path must name a namespace file of the declared type",
    (
        "join_namespace",
        "setns",
        EPERM,
    ): "it is owned by a user namespace in which the caller has no rights: join that one too",
    ("join_namespace", "setns", EINVAL): "a process cannot join the user namespace that it is in",
    ("join_process", "setns", EPERM): "the caller has no rights in the container's user namespace",
    ("unshare", "unshare", EPERM): (
        "new namespaces need root or a user namespace; is kernel.unprivileged_userns_clone or "
        "kernel.apparmor_restrict_unprivileged_userns in the way? In a chroot the kernel makes no "
        "user namespaces"
    ),
    ("unshare", "unshare", ENOSPC): "a limit in /proc/sys/user/max_*_namespaces is reached",
    ("unshare", "unshare", EUSERS): "user namespaces are nested too deep",
    ("unshare", "unshare", EINVAL): "the kernel lacks one of the namespaces",
    ("become", "setgroups", EPERM): "setgroups is denied in this user namespace",
    ("become", "setgid", EINVAL): "the group id is not in linux.gidMappings",
    ("become", "setuid", EINVAL): "the user id is not in linux.uidMappings",
    ("fork", "clone", ENOENT): "the cgroup or the pid namespace is being removed",
    ("fork", "clone", EAGAIN): (
        "a limit on processes is reached: linux.resources.pids.limit, that of a cgroup above, or "
        "RLIMIT_NPROC"
    ),
    ("fork", "clone", EBUSY): (
        "the cgroup hands controllers to its children and can hold no processes: use a leaf"
    ),
    ("fork", "clone", EOPNOTSUPP): "the cgroup is in an invalid domain: see its cgroup.type",
    ("join_cgroup", "write", ENOSPC): (
        "the cgroup's cpuset.cpus or cpuset.mems is empty"  # v1: children do not inherit them
    ),
    ("propagate_root", "mount", EINVAL): (
        "the caller's / is no mount, as in a chroot: mount --bind DIRECTORY DIRECTORY before chroot"
    ),
    ("clone_tree", "open", EACCES): (
        "a directory of the path lacks execute permission (a+x) for the container's mapped root"
    ),
    ("clone_tree", "open", ENOENT): (
        "create the source on the host first; binds never create it, and a user namespace cannot "
        "make device nodes"
    ),
    ("clone_tree", "open", ELOOP): "the source is a symbolic link and src-nofollow is set",
    ("clone_tree", "clone", EINVAL): UNBINDABLE,
    ("copy_up", "copy", EFBIG): (
        "tmpcopyup copies at most 4 GiB of data into memory: bind a volume instead"
    ),
    ("copy_up", "copy", ETIMEDOUT): "tmpcopyup takes at most 60 seconds: bind a volume instead",
    ("copy_up", "copy", ELOOP): (
        "tmpcopyup goes at most 255 directories deep: bind a volume instead"
    ),
    ("copy_up", "copy", EACCES): UNREADABLE,
    ("copy_up", "open", EACCES): UNREADABLE,
    ("copy_up", "copy", EPERM): (
        "device nodes cannot be made, nor ids without a mapping be given, in a user namespace: "
        "remove it from the image, or bind a volume instead"
    ),
    ("copy_up", "copy", EINVAL): (
        "the owner of a file has no mapping in the user namespace: map it, or bind a volume instead"
    ),
    ("copy_up", "copy", ESTALE): "the image was changed meanwhile: start again",
    ("copy_up", "copy", EMFILE): (
        "each directory on the way down takes two descriptors: raise the limit of open files"
    ),
    ("copy_up", "copy", ENOSPC): "the tmpfs is too small for what it covers: raise its size=",
    ("clone_inside", "resolve", ENOENT): (
        "the source lies in the root file system: create it there, or mount it before"
    ),
    ("clone_inside", "clone", EINVAL): UNBINDABLE,
    ("clone_tree", "verify", 0): "the node on the host is not the device that was expected",
    ("new_mount", "open", ENODEV): "unknown type of file system; none needs bind or rbind",
    (
        "new_mount",
        "open",
        EPERM,
    ): "mounting needs CAP_SYS_ADMIN in the owner of the mount namespace",
    ("new_mount", "option", EINVAL): (
        "the file system refuses an option or its value; uid= and gid= must be mapped ids"
    ),
    ("new_mount", "create", EINVAL): "the file system refuses the options",
    ("new_mount", "create", EPERM): (
        "in a user namespace this file system needs a namespace of its own (proc: pid, sysfs: "
        "network, mqueue: ipc), and the outer container may mask nothing of /proc or /sys"
    ),
    ("new_mount", "mount", EPERM): (
        "an outer container masks parts of /proc or /sys, so the kernel refuses a full view: "
        "unmask them there"
    ),
    ("new_mount", "create", EBUSY): "the file system is in use with other options",
    (
        "set_attributes",
        "setattr",
        EPERM,
    ): "the flags of this mount are locked by the owner of the outer mount namespace",
    ("set_attributes", "locked", 0): (
        "the source has this flag and a user namespace cannot clear it; leave the option away"
    ),
    ("attach_root", "open", ENOENT): "root.path must exist; is the bundle complete?",
    ("attach_root", "open", EACCES): "a directory above the rootfs lacks execute permission (a+x)",
    ("enter_root", "chdir", EACCES): (
        "the container's mapped root may not enter the rootfs: chown it to that id or chmod a+x"
    ),
    (
        "attach",
        "resolve",
        EACCES,
    ): "the container's root may not enter a directory of the destination",
    (
        "attach",
        "create",
        EACCES,
    ): "the container's mapped root may not write there: chown the rootfs to the mapped id",
    (
        "attach",
        "create",
        EROFS,
    ): "the mount point is absent and its parent is read-only: create it beforehand",
    (
        "attach",
        "attach",
        ENOTDIR,
    ): "a directory can only be mounted on a directory, a file only on a file",
    ("attach", "resolve", ENOTDIR): (
        "a part of the destination before its last is a file in the image: choose another one, or"
        " mount over that file's directory"
    ),
    ("attach", "verify", ENOTDIR): (
        "a directory can only be mounted on a directory, a file only on a file"
    ),
    ("attach", "resolve", ELOOP): "a symbolic link is in the way",
    ("inherit_mode", "resolve", ELOOP): CIRCLE,
    ("copy_up", "open", ELOOP): CIRCLE,
    (
        "make_device",
        "mknod",
        EPERM,
    ): "making device nodes needs CAP_MKNOD in the initial user namespace",
    ("make_device", "verify", 0): "another file exists at the path of this device",
    ("make_device", "mknod", EROFS): "the parent directory is read-only",
    ("mask", "clone", EINVAL): "the kernel cannot clone this mount",
    ("pivot", "pivot", EINVAL): "pivot_root does not work on the initial ramfs: use --no-pivot",
    ("verify_mount", "mount", 0): MOVED,
    ("verify_mount", "resolve", 0): MOVED,
    ("verify_root", "compare", 0): "this is a bug of pyrunc: please report it",
    ("verify_mount", "flags", 0): "the mount does not have the flags that were asked for",
    ("verify_mount", "magic", 0): "something else than the expected file system is mounted there",
    ("set_hostname", "sethostname", EINVAL): "a host name has at most 64 bytes",
    (
        "new_keyring",
        "join",
        EDQUOT,
    ): "the user's key quota is used up: raise kernel.keys.maxkeys or use --no-new-keyring",
    ("new_keyring", "join", EPERM): "a filter refuses keyctl: use --no-new-keyring",
    ("open_console", "open", ENOENT): "a terminal needs a devpts mount on /dev/pts",
    (
        "write_proc",
        "open",
        ENOENT,
    ): "the kernel lacks this file: is the feature or its module there?",
    ("write_proc", "write", EINVAL): "the kernel does not accept this value",
    ("write_proc", "write", EACCES): "lowering needs CAP_SYS_RESOURCE",
    ("write_proc", "open", EACCES): "the kernel does not let this user namespace change the file",
    ("write_proc", "open", EROFS): "the host's /proc/sys is read-only",
    ("set_affinity", "affinity", EINVAL): "none of the processors is in the cgroup's cpuset",
    ("set_limit", "setrlimit", EPERM): "a hard limit above the caller's needs CAP_SYS_RESOURCE",
    ("set_scheduler", "setattr", EPERM): (
        "real-time policies need CAP_SYS_NICE and, on cgroup v1, a real-time budget; "
        "SCHED_DEADLINE needs every processor in the cpuset"
    ),
    ("set_scheduler", "setattr", EBUSY): "the SCHED_DEADLINE bandwidth of the machine is used up",
    ("set_io_priority", "ioprio", EPERM): "IOPRIO_CLASS_RT needs CAP_SYS_ADMIN or CAP_SYS_NICE",
    (
        "set_memory_policy",
        "mempolicy",
        EINVAL,
    ): "the nodes must be online and in the cgroup's cpuset.mems",
    ("set_memory_policy", "mempolicy", ENOSYS): "the kernel is built without NUMA",
    ("set_groups", "setgroups", EPERM): "setgroups is denied in this user namespace",
    ("set_groups", "setgroups", EINVAL): "a supplementary group is not in linux.gidMappings",
    ("set_ids", "setuid", EINVAL): "process.user.uid is not in linux.uidMappings",
    ("set_ids", "setgid", EINVAL): "process.user.gid is not in linux.gidMappings",
    ("set_capabilities", "capset", EPERM): "the caller itself lacks one of the capabilities",
    ("limit_bounding_set", "drop", EPERM): "dropping from the bounding set needs CAP_SETPCAP",
    (
        "load_seccomp",
        "load",
        EINVAL,
    ): "the kernel knows none of these filter flags, or the filter is too long",
    ("load_seccomp", "load", EBUSY): "another filter with a listener is loaded already",
    ("load_seccomp", "load", EACCES): "without noNewPrivileges a filter needs CAP_SYS_ADMIN",
    (
        "allow_path",
        "rule",
        EINVAL,
    ): "a file takes only execute, write_file, read_file, truncate and ioctl_dev",
    ("allow_path", "resolve", ENOENT): "a rule is about what is there: leave it out, or create it",
    ("create_ruleset", "create", EINVAL): "this kernel does not know a right that a number has",
    ("restrict_self", "restrict", E2BIG): "there are 16 domains around this process already",
    ("change_directory", "open", ENOTDIR): "process.cwd must be a directory",
    ("change_directory", "open", EACCES): "the container's user may not enter process.cwd",
    (
        "change_directory",
        "create",
        EROFS,
    ): "process.cwd is absent and its parent is read-only: create it in the image",
    ("change_directory", "verify", 0): "process.cwd leads out of the container",
    (
        "find_executable",
        "path",
        0,
    ): "is the program in the image, and its directory in PATH of process.env?",
    ("find_executable", "stat", ENOENT): "is the program in the image?",
    (
        "find_executable",
        "stat",
        EACCES,
    ): "the container's user may not enter a directory of the path",
    ("find_executable", "directory", EACCES): "process.args[0] must be a program",
    (
        "find_executable",
        "permission",
        EACCES,
    ): "chmod +x the program; a noexec mount refuses it too",
    (
        "execute",
        "execve",
        ENOENT,
    ): "the program's interpreter (#! line or dynamic loader) is missing in the image",
    (
        "execute",
        "execve",
        ENOEXEC,
    ): "the program is built for another architecture, or a script lacks its #! line",
    ("execute", "execve", ELIBBAD): "the program's dynamic loader is for another architecture",
    ("execute", "execve", E2BIG): "process.args and process.env are too long",
    (
        "execute",
        "execve",
        EACCES,
    ): "a label, a noexec mount or the interpreter's permissions refuse it",
    ("run_hook", "exit", 0): "what the hook printed is its reason; it runs inside the container",
    ("run_hook", "timeout", 0): "give it more seconds, or find out what it waits for",
    ("run_hook", "spawn", EPERM): (
        "the filter of linux.seccomp holds for startContainer hooks, too: does it allow execve?"
    ),
    ("run_hook", "spawn", ENOENT): "the path of a hook is looked up where the hook runs",
    ("await", "receive", EMFILE): "raise the limit of open files",
}
