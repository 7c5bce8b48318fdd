# SPDX-License-Identifier: Apache-2.0
"""The one table of verbs and flags.

It drives the parser (flags.py), --help (help.py), the man pages and the shell completion.

A flag is ``(name, short, kind, placeholder, help, default, hidden)``:

=========== ================================================================================
kind        value
=========== ================================================================================
bool        none, or ``=true`` / ``=false``
text        any text, the last one wins
file dir    a path (completion offers paths)
int         a decimal number, 0 or more
list        any text, repeated flags append, commas are literal
a|b|c       one of these words
=========== ================================================================================

A verb is ``(summary, positionals, least, most, stops, flags, hidden)``. ``most`` is -1 for "any number"; with ``stops`` the
first positional ends the flags, so that ``exec ID sh -c x`` hands ``-c`` to the program.
"""

# A table reads best with one row a line.
# ruff: noqa: E501
# fmt: off

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeAlias

    FlagRow: TypeAlias = tuple[str, str, str, str, str, str, bool]
    VerbRow: TypeAlias = tuple[str, str, int, int, bool, tuple[FlagRow, ...], bool]

HELP: Final[FlagRow] = ("help", "h", "bool", "", "show this help", "", False)

GLOBAL: Final[tuple[FlagRow, ...]] = (
    ("root", "", "dir", "DIR", "directory for the state of containers", "", False),
    ("log", "", "file", "FILE", "append log records to FILE, or send them to journald:[NAME] or syslog:[NAME] (default: standard error)", "", False),
    ("log-format", "", "text|json", "FORMAT", "format of log records", "text", False),
    ("log-level", "", "debug|info|warning|error", "LEVEL", "least level that is logged", "", False),
    ("debug", "", "bool", "", "log debug records and show tracebacks of internal errors", "", False),
    ("systemd-cgroup", "", "bool", "", "let systemd make the cgroups; same as --cgroup-manager systemd", "", False),
    ("cgroup-manager", "", "cgroupfs|systemd|disabled", "NAME", "who makes the cgroups", "", False),
    ("trace", "", "file", "FILE", "append the command's spans to FILE in the OpenTelemetry JSON format", "", False),
    ("policy", "", "list", "FILE", "change or refuse configurations by the Python function in FILE", "", False),
    ("rootless", "", "auto|true|false", "WHEN", "tolerate that cgroups may not be writable", "auto", False),
    ("version", "v", "bool", "", "show the version and exit", "", False),
    ("json", "", "bool", "", "with --version: show it as JSON, with all that is linked in", "", False),
    HELP,
)

_BUNDLE: Final[FlagRow] = ("bundle", "b", "dir", "DIR", "directory with config.json and the root file system", ".", False)
_CONFIG: Final[FlagRow] = ("config", "f", "file", "NAME", "name of the configuration in the bundle", "config.json", False)
_CONSOLE: Final[FlagRow] = ("console-socket", "", "file", "SOCKET", "unix socket that receives the terminal's master", "", False)
_PIDFD: Final[FlagRow] = ("pidfd-socket", "", "file", "SOCKET", "unix socket that receives a pidfd of the process", "", False)
_PID_FILE: Final[FlagRow] = ("pid-file", "", "file", "FILE", "write the process id to FILE", "", False)
_NO_PIVOT: Final[FlagRow] = ("no-pivot", "", "bool", "", "use MS_MOVE instead of pivot_root (root file system on a ramdisk)", "", False)
_NO_KEYRING: Final[FlagRow] = ("no-new-keyring", "", "bool", "", "keep the caller's session keyring", "", False)
_PRESERVE: Final[FlagRow] = ("preserve-fds", "", "int", "N", "pass N more descriptors, from 3, to the process", "0", False)
_NO_SUBREAPER: Final[FlagRow] = ("no-subreaper", "", "bool", "", "do not adopt orphans of the container", "", False)
_DETACH: Final[FlagRow] = ("detach", "d", "bool", "", "return when the process has started", "", False)
_EXPLAIN_SECCOMP: Final[FlagRow] = ("explain-seccomp", "", "bool", "", "tell at the end which system calls the filter refused", "", False)

_CREATE: Final[tuple[FlagRow, ...]] = (
    _BUNDLE, _CONFIG, _CONSOLE, _PIDFD, _PID_FILE, _NO_PIVOT, _NO_KEYRING, _PRESERVE, _EXPLAIN_SECCOMP,
)

_LEARN: Final[FlagRow] = ("learn", "", "dir", "DIR", "write to DIR the least configuration that the program needs", "", False)

_FORMAT: Final[FlagRow] = ("format", "f", "table|json", "FORMAT", "format of the output", "table", False)

_CRIU: Final[tuple[FlagRow, ...]] = (
    ("image-path", "", "dir", "DIR", "directory of the images (default: ./checkpoint)", "", False),
    ("work-path", "", "dir", "DIR", "directory of work files and logs", "", False),
    ("parent-path", "", "text", "DIR", "earlier images, relative to the image path", "", False),
    ("tcp-established", "", "bool", "", "allow open TCP connections", "", False),
    ("tcp-close", "", "bool", "", "close TCP connections", "", False),
    ("tcp-skip-in-flight", "", "bool", "", "skip TCP connections that are being made", "", False),
    ("link-remap", "", "bool", "", "allow deleted files that are still open", "", False),
    ("ext-unix-sk", "", "bool", "", "allow unix sockets that lead outside", "", False),
    ("shell-job", "", "bool", "", "allow a process that has a terminal of the caller", "", False),
    ("lazy-pages", "", "bool", "", "bring memory over on demand", "", False),
    ("status-fd", "", "int", "FD", "descriptor told when lazy pages are ready", "0", False),
    ("page-server", "", "text", "ADDR:PORT", "send memory to a page server", "", False),
    ("file-locks", "", "bool", "", "allow file locks", "", False),
    ("manage-cgroups-mode", "", "soft|full|strict|ignore", "MODE", "how cgroups are handled", "soft", False),
    ("empty-ns", "", "list", "NAME", "do not save this namespace's contents", "", False),
    ("auto-dedup", "", "bool", "", "drop duplicate memory from the images", "", False),
    ("network-lock", "", "iptables|nftables|skip", "HOW", "how the network is locked", "", False),
)

VERBS: Final[dict[str, VerbRow]] = {
    "create": ("create a container", "ID", 1, 1, False, _CREATE, False),
    "start": ("run the program of a created container", "ID", 1, 1, False, (), False),
    "state": ("show the state of a container", "ID", 1, 1, False, (), False),
    "kill": (
        "send a signal to the first process of a container", "ID [SIGNAL]", 1, 2, True,
        (
            ("all", "a", "bool", "", "also succeed when the container is stopped; signal its whole cgroup", "", False),
            ("regex", "r", "bool", "", "ID is a regular expression that matches whole ids", "", False),
        ), False,
    ),
    "delete": (
        "delete a container and what belongs to it", "ID", 1, 1, False,
        (
            ("force", "f", "bool", "", "kill the container first; succeed when there is none", "", False),
            ("regex", "r", "bool", "", "ID is a regular expression that matches whole ids", "", False),
        ), False,
    ),
    "run": (
        "create and start a container, wait for it and delete it", "ID", 1, 1, False,
        (
            *_CREATE, _DETACH, _NO_SUBREAPER,
            ("keep", "", "bool", "", "do not delete the container when it has stopped", "", False),
            _LEARN,
            ("timings", "", "bool", "", "tell at the end where the time went", "", False),
        ), False,
    ),
    "exec": (
        "run one more process in a container", "ID [COMMAND [ARGUMENT...]]", 1, -1, True,
        (
            ("process", "p", "file", "FILE", "process.json with the process to run", "", False),
            _DETACH, _PID_FILE, _CONSOLE, _PIDFD,
            ("tty", "t", "bool", "", "give the process a terminal", "", False),
            ("cwd", "", "text", "DIR", "working directory in the container", "", False),
            ("env", "e", "list", "NAME=VALUE", "add to the environment", "", False),
            ("user", "u", "text", "UID[:GID]", "numeric user and group", "", False),
            ("additional-gids", "g", "list", "GID", "add a numeric group", "", False),
            ("process-label", "", "text", "LABEL", "SELinux label of the process", "", False),
            ("apparmor", "", "text", "PROFILE", "AppArmor profile of the process", "", False),
            ("no-new-privs", "", "bool", "", "set no_new_privs", "", False),
            ("cap", "c", "list", "CAP", "add a capability", "", False),
            _PRESERVE, _NO_SUBREAPER,
            ("cgroup", "", "list", "PATH", "cgroup below the container's; v1: CONTROLLER[,CONTROLLER]:PATH", "", False),
            _EXPLAIN_SECCOMP, _LEARN,
            ("ignore-paused", "", "bool", "", "also exec in a paused container", "", False),
        ), False,
    ),
    "list": (
        "list containers", "", 0, 0, False,
        (_FORMAT, ("quiet", "q", "bool", "", "show only the ids", "", False)), False,
    ),
    "ps": ("list the processes of a container", "ID [PS-OPTION...]", 1, -1, True, (_FORMAT,), False),
    "pause": ("freeze the processes of a container", "ID", 1, 1, False, (), False),
    "resume": ("thaw the processes of a container", "ID", 1, 1, False, (), False),
    "update": (
        "change the resource limits of a container", "ID", 1, 1, False,
        (
            ("resources", "r", "file", "FILE", "read linux.resources as JSON from FILE or - (other flags are ignored)", "", False),
            ("dry-run", "", "bool", "", "show what would be written, change nothing", "", False),
            ("blkio-weight", "", "text", "N", "block I/O weight, 10 to 1000", "", False),
            ("cpu-period", "", "text", "USEC", "length of a scheduling period", "", False),
            ("cpu-quota", "", "text", "USEC", "CPU time within a period; -1: no limit", "", False),
            ("cpu-burst", "", "text", "USEC", "CPU time that may be saved up", "", False),
            ("cpu-share", "", "text", "N", "CPU share, relative to others", "", False),
            ("cpu-rt-period", "", "text", "USEC", "length of a real-time period", "", False),
            ("cpu-rt-runtime", "", "text", "USEC", "real-time CPU time within a period", "", False),
            ("cpuset-cpus", "", "text", "LIST", "processors to use", "", False),
            ("cpuset-mems", "", "text", "LIST", "memory nodes to use", "", False),
            ("cpu-idle", "", "text", "0|1", "run only on otherwise idle processors", "", False),
            ("memory", "", "text", "BYTES", "memory limit; k, m, g, t are understood; -1: no limit", "", False),
            ("memory-reservation", "", "text", "BYTES", "soft memory limit", "", False),
            ("reclaim", "", "text", "DURATION", "first reclaim, for so long at most, what is above a lower --memory", "", False),
            ("memory-swap", "", "text", "BYTES", "limit of memory plus swap; -1: no limit", "", False),
            ("kernel-memory", "", "text", "BYTES", "kernel memory limit (obsolete)", "", True),
            ("kernel-memory-tcp", "", "text", "BYTES", "kernel memory limit for TCP buffers", "", True),
            ("pids-limit", "", "text", "N", "largest number of processes; -1: no limit", "", False),
            ("l3-cache-schema", "", "text", "SCHEMA", "Intel RDT L3 cache schema", "", False),
            ("mem-bw-schema", "", "text", "SCHEMA", "Intel RDT memory bandwidth schema", "", False),
        ), False,
    ),
    "events": (
        "show statistics and out-of-memory events", "ID", 1, 1, False,
        (
            ("interval", "", "text", "DURATION", "time between statistics, such as 5s or 1m30s", "5s", False),
            ("stats", "", "bool", "", "show the statistics once", "", False),
        ), False,
    ),
    "spec": (
        "write a config.json to start from", "", 0, 0, False,
        (
            ("bundle", "b", "dir", "DIR", "directory to write to", ".", False),
            ("file", "f", "file", "NAME", "name of the file", "config.json", False),
            ("rootless", "", "bool", "", "for a user without privileges", "", False),
        ), False,
    ),
    "features": ("show what this runtime supports, as JSON", "", 0, 0, False, (), False),
    "checkpoint": (
        "save a running container", "ID...", 1, -1, False,
        (
            *_CRIU,
            ("together", "", "bool", "", "save several containers at one moment, each below the image path", "", False),
            ("leave-running", "", "bool", "", "do not stop the container", "", False),
            ("pre-dump", "", "bool", "", "save memory only, in advance", "", False),
        ), False,
    ),
    "restore": (
        "restore a saved container", "ID | ID=DIR...", 1, -1, False,
        (
            ("together", "", "bool", "", "restore containers that were saved together", "", False),
            *_CRIU, _BUNDLE, _CONFIG, _DETACH, _PID_FILE, _CONSOLE, _NO_PIVOT, _NO_SUBREAPER,
            ("no-new-keyring", "", "bool", "", "accepted: restored processes join no new keyring", "", False),
            ("lsm-profile", "", "text", "TYPE:NAME", "security profile of the restored processes", "", False),
            ("lsm-mount-context", "", "text", "CONTEXT", "SELinux context of the restored mounts", "", False),
        ), False,
    ),
    "mounts": (
        "add mounts to a running container, or remove them again", "add|remove ID FILE", 3, 3, False, (), False,
    ),
    "devices": (
        "give a running container a device of the host, or take it back", "add|remove ID DEVICE", 3, 3, False,
        (
            ("access", "", "text", "LETTERS", "what is allowed: r, w and m (make nodes)", "rwm", False),
            ("dry-run", "", "bool", "", "show what would be written, change nothing", "", False),
        ), False,
    ),
    "explain": (
        "show the plan and the cgroup writes for a bundle, do nothing", "[BUNDLE]", 0, 1, False,
        (
            _CONFIG,
            ("id", "", "text", "ID", "container id to plan for", "explained", False),
            ("format", "", "text|json", "FORMAT", "format of the output", "text", False),
            ("diff", "", "text", "BUNDLE2", "show what the plan of another bundle has otherwise", "", False),
            _NO_PIVOT, _NO_KEYRING, _PRESERVE,
        ), False,
    ),
    "check": (
        "say whether create would work here, and report every problem and doubt", "[BUNDLE]", 0, 1, False,
        (
            _CONFIG,
            ("id", "", "text", "ID", "container id to check for", "checked", False),
            ("offline", "", "bool", "", "look only at config.json and host facts, try nothing", "", False),
            _PRESERVE,
            ("format", "", "text|json", "FORMAT", "format of the output", "text", False),
            ("no-schema", "", "bool", "", "leave the published JSON schema out", "", False),
        ), False,
    ),
    "info": (
        "show what this host offers to containers, and what is off and why", "", 0, 0, False,
        (
            ("format", "f", "text|json", "FORMAT", "format of the output", "text", False),
            ("performance", "", "bool", "", "measure what makes containers slow on this host", "", False),
        ), False,
    ),
    "completion": ("write the completion of a shell", "bash|zsh|fish", 1, 1, False, (), False),
    "verify": (
        "compare a living container with its configuration", "ID", 1, 1, False,
        (("format", "f", "text|json", "FORMAT", "format of the output", "text", False),), False,
    ),
    "doctor": (
        "find and remove what belongs to no container", "[ID...]", 0, -1, False,
        (
            ("fix", "", "bool", "", "remove what was found", "", False),
            ("force", "f", "bool", "", "with --fix: kill the processes that are in the way", "", False),
        ), False,
    ),
}
