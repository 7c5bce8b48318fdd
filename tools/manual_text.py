# SPDX-License-Identifier: Apache-2.0
"""What the man pages say beyond the flag table: a description, notes and examples for each command.

Paragraphs are separated by blank lines; a paragraph that begins with four spaces is shown as it is.
"""

from __future__ import annotations

PROGRAM = """
pyrunc creates and runs containers from OCI bundles: a directory with a root file system and a
config.json. It follows the OCI runtime specification and the command line of runc, so containerd,
Docker, Podman, CRI-O and BuildKit can use it in place of runc.

Global flags stand before the command. Every flag may be written with one dash or two, and with its
value as the next word or after an equals sign. When a flag with one value is repeated, the last one
counts. Nothing is abbreviated.
"""

PROGRAM_TRACE = """
--trace FILE, or the environment variable PYRUNC_TRACE, appends a line for the command to FILE: its
spans in the JSON file format of OpenTelemetry (OTLP). There is one span for the command, one for
each phase (reading and checking, the plan, the cgroups, the init), and below that of the init one
for each of its operations with the place of the configuration that asked for it, by its own clock.
TRACEPARENT (W3C Trace Context) makes them part of the trace of the caller. "pyrunc run --timings"
prints the same as a table.
"""

PROGRAM_FILES = """
/run/pyrunc is the state directory of root, $XDG_RUNTIME_DIR/pyrunc that of other users. It holds
one directory for each container, which is private to the owner.
"""

PROGRAM_EXAMPLES = """
    mkdir -p box/rootfs/bin && cp /bin/busybox box/rootfs/bin/sh
    pyrunc spec --bundle box
    pyrunc check box
    pyrunc run --bundle box box1
    pyrunc run --bundle box --learn learned box1
    pyrunc run --bundle box --config $PWD/learned/config.json box1
"""

TEXTS = {
    "create": """
Set up everything that config.json asks for and leave the container waiting for "pyrunc start". The
config is read once; later changes of the file have no effect. The program is looked up now, so a
missing one is reported here.

If anything cannot be applied, nothing is left behind: no process, no cgroup, no state.
""",
    "start": """
Let the program of a created container run. Returns when the container has passed its gate; that the
program itself could not be executed shows as exit status 255 of the container's first process.
""",
    "state": """
Write the state of a container as JSON: ociVersion, id, pid, status, bundle, rootfs, created,
annotations and owner. The status is computed each time: creating, created, running, paused or
stopped.

Of a stopped container "postMortem" holds what is known of its end, as far as it is known: created,
started and foundDead (the first look at it after its end), exitStatus, oomKills, memoryPeak in
bytes, throttledPeriods and throttledTime (ns), pidsAtLimit, with cgroup v2 memoryPressure, and
hooks: for each that has run hook (its place in the configuration), path, exitStatus or signal and
durationMs.

The exit status belongs to the parent of the first process. It is known where "run --keep" has
waited, where the parent has not collected it yet (a zombie tells it to who may trace it), and from
Linux 6.15 on where "pyrunc events" ran on the container when it ended.
""",
    "kill": """
Send a signal, SIGTERM unless SIGNAL says otherwise, to the first process of a container. SIGNAL is
a number or a name with or without SIG. A container that shares its pid namespace with the host is
killed as a whole by SIGKILL.

Signals go through a pidfd whose start time was compared, never to a process that has got the number
since.
""",
    "delete": """
Remove a stopped or created container: its cgroups, its state, and at last its poststop hooks run.
With --force a running one is killed first, and a container that does not exist is no error; a
container whose creation was interrupted leaves nothing either.
""",
    "run": """
Create and start a container. Without --detach, wait for its end, pass signals on to it, delete it
and exit as its program did.

With --learn the program is traced, and when it has ended DIR has fragment.json, the least system
call filter, capabilities, devices and (for a root file system that it did not change) readonly;
config.json, the whole configuration with that; used.json, all that was used, and refused.txt, what
would be refused then. Nothing is added to what the configuration allows. Runs with the same DIR add
up: a call that the program did not make is not in the filter. Capabilities are learned from Linux
6.14 on, by root of the host's first pid namespace, and kept as they are elsewhere.

With --detach, --explain-seccomp shows in "state" of the stopped container, as refusedCalls.
""",
    "exec": """
Run one more process in a container. Its namespaces, cgroup, seccomp filter and security labels are
those of the container; the process itself comes from --process or from the arguments and the
container's own process. --learn and --explain-seccomp are as for "run".
""",
    "list": """
List the containers of the state directory. A container whose state cannot be read is named on the
standard error and the others are listed all the same.
""",
    "spec": """
Write a config.json to start from into the bundle. An existing file is not replaced. With --rootless
the file suits a user without privileges: a user namespace with the caller as root, no network
namespace, no limits.
""",
    "features": """
Write, as JSON, what this runtime supports on any kernel: namespaces, capabilities, mount options,
cgroups, seccomp. Engines ask this before they use something new.
""",
    "explain": """
Show what "create" would do with a bundle, without doing it: the operations of the plan in their
order, each with the place in config.json that asks for it, and the files that would be written in
the container's cgroup. It compiles the same plan that runs. Warnings say what would be left out.

With --diff the lines are shown in which the plans of two bundles differ, - for the first and + for
the other; the exit status is 1 if there are some. With --format json each step has its op, the
pointer into config.json and what it is for.

    pyrunc explain --diff bundle2 bundle1
""",
    "check": """
Say whether "create" would work here and now: everything that would stop it, at once, then warnings,
such as properties that are not known and are ignored, or options that do nothing on a bind mount.

The plan is carried out by an init of its own, on an overlay of the image and on read-only clones of
the host's directories, and ends where the container would be ready. So mount sources and options,
namespaces, id maps, permissions of mapped ids, limits, security modules, the program and its loader
are tried by the kernel. Limits are written to a control group that stands beside the container's
for a moment, "pyrunc-check.PID.START", and what the kernel refuses is told with what it allows.
Only looked at are hooks, network devices, the socket of a seccomp agent and the state root; hooks
and programs do not run. Without privileges the init makes
the overlay in its own user namespace; where the kernel has none for it the part inside the image is
not tried, and a warning says so. With --offline only the configuration and facts of
the host are looked at.

    pyrunc check --format json bundle
    pyrunc check --offline bundle
""",
    "verify": """
Compare a living container with its configuration, from outside: namespaces and id maps, the mounts
with the flags that protect, masked and read-only paths, devices, values of its cgroups, and, once
it is started, capabilities, no_new_privs and the filter of its first process, and descriptors that
lead out of it. One line for each difference; the exit status is 1 then.

What a program gives up by itself is no difference. What it has beyond its configuration is one.
""",
    "doctor": """
Find what belongs to no container: directories of states that were never finished or cannot be read,
cgroups, units and RDT groups of states that are gone, mounts below the state root. One line each;
the exit status is 1 when there is any. With ids, only what belonged to them is looked for.
""",
    "ps": """
List the processes of a container, from its cgroup.
""",
    "pause": """
Freeze all processes of a container.
""",
    "resume": """
Let the processes of a paused container go on.
""",
    "update": """
Change the resource limits of a container. Only what is given is written.

With --reclaim a lower limit of memory kills nobody: memory.high is lowered first, memory is
reclaimed for the given time at most (8s or less), and then the limit is set. When the container
still uses more, nothing is changed, and the error tells by how many bytes it was missed.
""",
    "events": """
Write statistics of a container, one JSON object a line, and a line for each out-of-memory kill.
With --stats of a stopped container, the line has the type "postMortem" and holds what "state" shows
of its end.
""",
    "checkpoint": """
Save the processes of a running container with CRIU, in the directory of --image-path. Afterwards
the container is gone, as after a delete, unless --leave-running or --pre-dump is given.

CRIU (3.15 or newer) is looked for in PATH. Nobody but root may be able to change it, the directory
of the images, or the configuration file that the annotation org.criu.config names (without it,
/etc/criu/pyrunc.conf or /etc/criu/runc.conf). Its log is dump.log in the directory of --work-path,
else beside the images.

With --together, two containers or more are frozen, saved at one moment and ended together, each
in a directory of its name below --image-path. When one cannot be saved all go on.
""",
    "restore": """
Restore a container that was saved, from the directory of --image-path, with the bundle that it was
created from. What its mounts show of the host is what config.json says now; what it had as standard
input and output becomes that of this command. Without --detach, wait for its end as "pyrunc run"
does.

With --together, containers that were saved together are given as ID=DIR, DIR being the bundle, and
none of them runs before all are restored; when one cannot be restored none is left. It needs
--detach.
""",
    "mounts": """
Add the mounts of FILE to a running container, or remove mounts that were added. FILE is JSON: an
object with "mounts", as config.json has them, or only their array; - is the standard input. The
checks are those of "create": sources are cloned on the host's side before the container is entered,
destinations are looked up below its root, and nothing can be put on /proc.

Either all mounts of a file are added or none. "remove" looks only at the destinations, takes the
latest mount that was added at each, and touches nothing else: neither the mounts that the container
began with nor what a link of the container leads to. A directory or file that was made for a mount
stays.
""",
    "devices": """
Give a running container a device of the host, or take back one that was given. DEVICE is the path
of a node on the host, and it appears at the same path in the container: the host's node, bound
there, with its owner and mode. The rule of the control group comes before the node and is withdrawn
after it; where one of the two fails the other is undone. "remove" takes back only what "add" has
given, and leaves the rules of the configuration as they were.
""",
    "info": """
Show the kernel, the caller, the layout of cgroups with their controllers, the kinds of namespaces,
the security modules, what seccomp knows, and each feature of pyrunc with the reason where it is
off on this host or for this user. Nothing is changed.

With --performance the settings and counts that make containers slow are shown with what they cost
on this host: each cost is the median and the most of 12 to 40 rounds, under the setting in force.
A tmpfs is mounted nowhere and released, the list of mounts is read, and below the caller's control
group two are made, a process is moved between them, and they are removed.
""",
    "completion": """
Write the completion of a shell to the standard output. "make install" installs the same texts.
""",
}

EXAMPLES = {
    "verify": """
    pyrunc verify web1
    /linux/resources: /sys/fs/cgroup/web1/pids.max: max, expected 100
""",
    "start": """
    pyrunc start web
""",
    "state": """
    pyrunc state web
    pyrunc state web | jq -r .status
""",
    "delete": """
    pyrunc delete web
    pyrunc delete --force web
""",
    "spec": """
    pyrunc spec --bundle /srv/web
    pyrunc spec --rootless --bundle ~/box
""",
    "features": """
    pyrunc features | jq .linux.seccomp.actions
""",
    "check": """
    pyrunc check /srv/web
    pyrunc check --format json /srv/web | jq -r '.errors[].pointer'
""",
    "doctor": """
    pyrunc doctor
    pyrunc doctor --fix
    pyrunc doctor --fix --force web
""",
    "ps": """
    pyrunc ps web
    pyrunc ps --format json web
    pyrunc ps web -o pid,rss,args
""",
    "pause": """
    pyrunc pause web
    pyrunc resume web
""",
    "resume": """
    pyrunc resume web
""",
    "events": """
    pyrunc events --stats web | jq .data.memory.usage
    pyrunc events --interval 10s web
""",
    "checkpoint": """
    pyrunc checkpoint --image-path /var/lib/saved/web web
    pyrunc checkpoint --leave-running --image-path /var/lib/saved/web web
    pyrunc checkpoint --together --tcp-established --image-path /var/lib/saved/pod web db
""",
    "restore": """
    pyrunc restore --detach --image-path /var/lib/saved/web --bundle /srv/web web
    pyrunc restore --together --detach --tcp-established --image-path /var/lib/saved/pod \\
        web=/srv/web db=/srv/db
""",
    "create": """
    pyrunc create --bundle /srv/web --pid-file /run/web.pid web
    pyrunc start web
""",
    "run": """
    mkdir -p box/rootfs/bin && cp /bin/busybox box/rootfs/bin/sh
    pyrunc spec --bundle box
    pyrunc run --bundle box box1
""",
    "kill": """
    pyrunc kill web HUP
    pyrunc kill web 9
""",
    "list": """
    pyrunc list --format json
""",
    "explain": """
    pyrunc explain /srv/web | less
""",
    "mounts": """
    echo '[{"destination": "/data", "source": "/srv/data", "options": ["bind", "ro"]}]' >data.json
    pyrunc mounts add web data.json
    pyrunc mounts remove web data.json
""",
    "devices": """
    pyrunc devices add --access rw web /dev/fuse
    pyrunc devices remove --dry-run web /dev/fuse
    pyrunc devices remove web /dev/fuse
""",
    "info": """
    pyrunc info --format json
    pyrunc info --performance
""",
    "completion": """
    source <(pyrunc completion bash)
""",
    "exec": """
    pyrunc exec web sh -c 'echo $HOME'
    pyrunc exec --learn learned web /usr/local/bin/backup
""",
    "update": """
    pyrunc update --memory 512m --pids-limit 100 web
    pyrunc update --memory 64m --reclaim 5s web
    echo '{"pids": {"limit": 50}}' | pyrunc update --resources - web
""",
}

# The environment that commands read. Nothing of it reaches a container but what config.json names.
ENVIRONMENT = {
    "XDG_RUNTIME_DIR": """
The state directory of users other than root is pyrunc below it, and the bus of the user's systemd
is looked for there.
""",
    "DBUS_SYSTEM_BUS_ADDRESS": """
The bus of systemd for root, when systemd makes the cgroups.
""",
    "DBUS_SESSION_BUS_ADDRESS": """
The bus of systemd for other users, when systemd makes the cgroups.
""",
    "PATH": """
Where criu, newuidmap and newgidmap are looked for. Only what root alone can change is run with
more rights than the caller's.
""",
    "NOTIFY_SOCKET": """
Whom the readiness of the container's program is passed on to; the container sees a socket of its
own.
""",
    "LISTEN_FDS": """
With LISTEN_PID: how many sockets of the caller, from descriptor 3 on, the program gets.
""",
    "RUN_OCI_SECCOMP_RECEIVER": """
The socket that receives the listeners of system call filters, unless config.json names one.
""",
}
_MAKES = ("XDG_RUNTIME_DIR", "DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS", "PATH")
_STARTS = (*_MAKES, "NOTIFY_SOCKET", "LISTEN_FDS", "RUN_OCI_SECCOMP_RECEIVER")
_NONE = ("completion", "features", "spec")
ENVIRONMENTS = {
    **dict.fromkeys(("create", "run", "restore"), _STARTS),
    **dict.fromkeys(("exec",), (*_MAKES, "LISTEN_FDS")),
    **dict.fromkeys(("checkpoint", "delete", "update"), _MAKES),
    **dict.fromkeys(("explain", "check"), ("XDG_RUNTIME_DIR", "PATH", "RUN_OCI_SECCOMP_RECEIVER")),
    **dict.fromkeys(("info",), ("XDG_RUNTIME_DIR", "DBUS_SYSTEM_BUS_ADDRESS", "PATH")),
    **dict.fromkeys(_NONE, ()),
}
ENVIRONMENT_OF_OTHERS = ("XDG_RUNTIME_DIR",)

# The date that the man pages show: that of the latest change of their text.
DATE = "2026-12-01"

EXIT_STATUS = "0 on success, 1 when something could not be done."
EXIT_STATUSES = {
    "run": "The exit status of the program, 128 plus the signal when a signal ended it, or 1.",
    "exec": "The exit status of the process, 128 plus the signal when a signal ended it, or 255.",
}
