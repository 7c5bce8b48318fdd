# SPDX-License-Identifier: Apache-2.0
"""Compile the plan of `create`: configuration to ops of the container's init. PURE.

The order of the ops is what keeps a container in: decisions 002, 003 and 012 have the reasons.
"""

from __future__ import annotations

from pyrunc.init import (
    attributes,
    capabilities,
    devices,
    exposure,
    hooks,
    labels,
    landlock,
    masks,
    mounts,
    namespaces,
    ops,
    process,
    propagation,
    sysctl,
    times,
    verify,
)
from pyrunc.init import rootfs as roots
from pyrunc.init.cgroup_view import CgroupView
from pyrunc.init.context import Context
from pyrunc.init.mount_parts import Mounts
from pyrunc.init.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.host.facts import Host
    from pyrunc.init.hooks import StateJson
    from pyrunc.init.ops import Op
    from pyrunc.init.process import FilterLike
    from pyrunc.spec.model import Config

OBJECTS = (
    "gate",
    "report",
)  # the fifo that `start` writes to, the one that the init reports on then
GATE, REPORT = 1, 2


class CreateCompiler:
    """One compilation: the configuration, and parts that are planned before they are ordered."""

    __slots__ = (
        "cgroup",
        "config",
        "context",
        "dev_is_bound",
        "devices",
        "environment",
        "filled",
        "filter",
        "filtered",
        "held",
        "into",
        "keyring",
        "leaf",
        "masks",
        "mounts",
        "objects",
        "output",
        "preserved",
        "proc",
        "proc_ops",
        "program",
        "root",
        "sets",
        "state_json",
        "tasks",
        "terminal",
    )

    config: Config
    context: Context
    cgroup: CgroupView
    into: int  # slots of what the parent hands over at the rendezvous `namespaces`
    tasks: int
    leaf: int
    root: roots.Root
    mounts: Mounts
    objects: tuple[str, ...]
    output: tuple[int, int]  # slots of files for the output of hooks
    devices: devices.Devices
    dev_is_bound: bool
    masks: masks.Masks
    filled: list[Op]  # what puts something into the root
    proc: int  # slot of a procfs for label files
    proc_ops: list[Op]
    held: list[Op]  # what clones it
    program: int  # slot of a program of the host that runs in place of the bundle's, or 0
    sets: capabilities.Sets
    filter: FilterLike | None
    filtered: bool  # it is in force before the fork
    environment: process.Environment
    preserved: int  # descriptors above stdio that the program gets
    terminal: bool
    keyring: bool
    state_json: StateJson


def compile_create(
    config: Config,
    host: Host,
    *,
    rootfs: str,
    container_id: str = "",
    bundle: str = "",
    cgroup: CgroupView | None = None,
    seccomp: FilterLike | None = None,
    listen_fds: int = 0,
    preserve_fds: int = 0,
    no_pivot: bool = False,
    no_new_keyring: bool = False,
    console: bool | None = None,
    notify_directory: str = "",
    program: str = "",
    links: Mapping[str, str] | None = None,
    state_json: StateJson | None = None,
    traced: bool = False,
) -> Plan:
    """Compile the whole plan; ConfigErrors lists everything that was asked for and cannot be done.

    `rootfs` is absolute. `links` maps the sources of `mounts.symlink_sources` to their
    targets. `state_json` gives the state for a hook, split at the place of the pid.
    """
    compiler = _prepare(
        config,
        host,
        cgroup=cgroup or CgroupView(),
        path=rootfs,
        no_pivot=no_pivot,
        notify=notify_directory,
        links=links,
        traced=traced,
        program=program,
    )
    compiler.filter = seccomp
    compiler.filtered = exposure.create_filters_early(compiler.context, config, seccomp)
    compiler.terminal = bool(config.process.terminal) if console is None else console
    compiler.keyring = not no_new_keyring
    compiler.state_json = state_json or hooks.bare_state(config, container_id, bundle)
    compiler.preserved = listen_fds + preserve_fds
    extra = [f"NOTIFY_SOCKET={mounts.NOTIFY_DIRECTORY}/notify.sock"] if notify_directory else []
    env = config.process.env
    compiler.environment = process.Environment(env, extra=extra, listen_fds=listen_fds)
    planned = [
        *times.trace_times(compiler.objects.index(times.OBJECT) + 1 if traced else 0),
        *_outside(compiler),
        *_inside(compiler),
        *_change_root(compiler),
        *_finish_root(compiler),
        *_process(compiler),
        *_start(compiler),
    ]
    compiler.context.finish()
    return Plan(
        planned,
        objects=compiler.objects,
        requests=[request for request, _slot in compiler.mounts.requests],
        mapped=compiler.mounts.mapped,
        rlimits=attributes.rlimits(compiler.context, config.process),
        warnings=compiler.context.warnings,
        host_mounts="" if compiler.context.has("mount") or not compiler.mounts.inside else rootfs,
    )


def _prepare(
    config: Config,
    host: Host,
    *,
    cgroup: CgroupView,
    path: str,
    no_pivot: bool,
    notify: str,
    links: Mapping[str, str] | None,
    traced: bool,
    program: str,
) -> CreateCompiler:
    """Everything that needs slots, before the ops are put in order."""
    compiler = CreateCompiler()
    compiler.config, compiler.cgroup = config, cgroup
    compiler.objects = (
        *OBJECTS,
        *hooks.output_objects(config),
        *([times.OBJECT] if traced else []),
    )
    compiler.output = hooks.output_slots(compiler.objects)
    compiler.context = context = Context(host, objects=len(compiler.objects))
    namespaces.settle(context, config)
    context.forks_late = exposure.created_late(config) and not cgroup.into
    process.check(context, config.process)
    labels.check(context, config.process)
    if not context.has("mount"):
        roots.check_without_namespace(context, config)
    compiler.into = context.slot() if cgroup.into else 0
    compiler.tasks = context.slot(cgroup.tasks) if cgroup.tasks else 0
    compiler.leaf = context.slot() if cgroup.leaf else 0
    compiler.program = context.slot() if program else 0
    compiler.held = process.hold_program(program, compiler.program) if program else []
    compiler.root = roots.Root(context, path, pivot=not no_pivot)
    label = labels.mount_option(context, config.linux.mount_label, config.annotations)
    compiler.mounts = Mounts(
        context,
        cgroup=cgroup,
        label=label,
        links=links,
        sys_admin=capabilities.may_hold_sys_admin(config.process),
        root_slot=compiler.root.slot,
        rootfs=path,
        propagation=propagation.of_root(config),
        # The ids do not change before the new file systems are made.
        in_order=context.has("mount") and not context.userns,
    )
    mounts.plan(compiler.mounts, config, notify=notify)
    compiler.dev_is_bound = compiler.mounts.dev_bound
    compiler.devices = devices.plan(
        context, config.linux.devices, dev_mounted=compiler.mounts.dev_mounted
    )
    compiler.masks = masks.plan(context, config.linux, label=label)
    compiler.proc_ops, compiler.proc = labels.open_proc(context, config.process)
    compiler.sets = capabilities.resolve(context, config.process)
    return compiler


def _outside(compiler: CreateCompiler) -> list[Op]:
    """Plan what comes before the root is entered, while host paths can be reached.

    These are namespaces, cgroups, and all objects that the container gets.
    """
    context, config = compiler.context, compiler.config
    proc = config.process
    pointer = proc.pointer + "/oomScoreAdj"
    planned = namespaces.begin(context, oom_score_adj=proc.oom_score_adj, pointer=pointer)
    planned += process.lend_stdio(context, proc)
    planned += namespaces.join(context, config.linux)
    planned += compiler.mounts.early
    planned += namespaces.unshare(context)
    waits = namespaces.await_parent(
        context, compiler.cgroup, into=compiler.into, tasks=compiler.tasks, leaf=compiler.leaf
    )
    if "user" in context.new:
        # Capabilities count for files of mapped ids only (kernel: capable_wrt_inode_uidgid), so
        # the maps come before the look-up of what may lie below the container's own directories.
        planned += [*waits, *_clone(compiler)]
    else:
        # The parent makes the cgroups meanwhile.
        planned += [*_clone(compiler), *waits]
    planned += namespaces.settle_down(
        context, compiler.cgroup, into=compiler.into, tasks=compiler.tasks, leaf=compiler.leaf
    )
    planned += namespaces.enter_leaf(compiler.cgroup, leaf=compiler.leaf)
    planned += compiler.proc_ops
    planned += labels.keyring(proc, proc=compiler.proc, begin=True) if compiler.keyring else []
    planned += namespaces.session(context, keyring=compiler.keyring)
    planned += labels.keyring(proc, proc=compiler.proc, begin=False) if compiler.keyring else []
    planned += namespaces.loopback(context)
    planned += sysctl.write(context, config.linux.sysctl)
    planned.append(ops.SetUmask(mask=0, action="clear the umask"))
    planned += mounts.await_requests(compiler.mounts)
    planned += compiler.mounts.made
    planned += compiler.masks.made
    if context.has("mount"):
        planned.append(roots.enter(compiler.root))
    return planned


def _clone(compiler: CreateCompiler) -> list[Op]:
    """Clones of the host's mounts, made in the new mount namespace: so their locks hold (UN-10).

    The task still has the caller's ids, which get through directories that the container's root
    may not enter.
    """
    clones = [*compiler.held, *compiler.mounts.sources, *compiler.masks.sources]
    if not compiler.dev_is_bound:
        clones += compiler.devices.sources
    if not compiler.context.has("mount"):
        return [*compiler.mounts.peers, *clones]
    part = roots.part_from_host(compiler.config)
    root = roots.attach(compiler.root, compiler.context, compiler.config)
    return [*compiler.mounts.peers, part, *clones, *root]


def _inside(compiler: CreateCompiler) -> list[Op]:
    """With the container's root as the root."""
    if not compiler.context.has("mount"):
        return []
    filled = _fill(compiler)
    if not hooks.while_mounting(compiler.config):
        return filled
    # Hooks may mount what they like over it, so what the plan has done is looked at before.
    return [*filled, *verify.mounts(filled, compiler.mounts.expected, early=True)]


def _fill(compiler: CreateCompiler) -> list[Op]:
    """Mounts in the order of the configuration, devices, the terminal."""
    planned = list(compiler.mounts.inside)
    if not compiler.dev_is_bound:
        planned += compiler.devices.inside
    if compiler.terminal:  # on /dev/console too where the mount stays inside the container
        bind, take = compiler.context.has("mount"), not compiler.context.forks_late
        planned += process.console(compiler.config.process, bind=bind, take=take)
    compiler.filled = planned
    return compiler.filled


def _change_root(compiler: CreateCompiler) -> list[Op]:
    """Plan the hooks that see both trees, then leave the host's."""
    config, root = compiler.config, compiler.root
    waits = hooks.await_hooks(config)
    attached = compiler.context.has("mount")
    directory, output = root.slot if attached else root.path, compiler.output
    runs = hooks.create_container(config, compiler.state_json, directory, output=output)
    if not attached:
        return [*waits, *runs, roots.chroot(root.path), *_fill(compiler)]
    return [*waits, roots.leave(root), *runs, *roots.change(root)]


def _finish_root(compiler: CreateCompiler) -> list[Op]:
    """Identity, the working directory, then everything that may not be written or seen any more."""
    config = compiler.config
    planned: list[Op] = []
    if config.hostname:
        action = f"set the hostname {config.hostname}"
        planned.append(ops.SetHostname(name=config.hostname, pointer="/hostname", action=action))
    if config.domainname:
        action = f"set the domainname {config.domainname}"
        planned.append(
            ops.SetDomainname(name=config.domainname, pointer="/domainname", action=action)
        )
    if not compiler.dev_is_bound and not compiler.terminal:
        planned.append(ops.ReopenNull(action="open the container's /dev/null"))
    planned += process.enter_cwd(config.process, create=True, retry_later=True)
    planned += compiler.mounts.late
    planned += roots.finish(config) if compiler.context.has("mount") else []
    if not (hooks.while_mounting(config) and compiler.context.has("mount")):
        planned += verify.mounts(compiler.filled, compiler.mounts.expected, early=False)
    # These look for themselves; a read-only path puts clones in the place of the mounts below it.
    planned += compiler.masks.inside
    return [*planned, verify.root()] if compiler.context.has("mount") else planned


def _process(compiler: CreateCompiler) -> list[Op]:
    """From the container's root to the program's user."""
    context, config = compiler.context, compiler.config
    planned = [*attributes.umask(config.process), attributes.reset_affinity()]
    planned += attributes.scheduling(context, config.process)
    planned += attributes.memory_and_domain(context, config.linux)
    planned += labels.program(context, config.process, proc=compiler.proc)
    planned += process.stdio(context, config.process)
    planned += attributes.limits(context, config.process)
    planned += process.credentials(context, config.process, compiler.sets, compiler.filter)
    last = process.enter_cwd(config.process, create=False, retry_later=False)
    last += process.look_up(config.process, compiler.environment, program=compiler.program)
    last += landlock.plan(context, config.process, config.annotations)
    if not context.forks_late:
        return planned + last
    filtered = process.filter_ops(config.process, compiler.sets, compiler.filter)
    filtered = filtered if compiler.filtered else []
    return planned + exposure.appear(config.process, last, filtered, terminal=compiler.terminal)


def _start(compiler: CreateCompiler) -> list[Op]:
    """Wait for `start`.

    A filter comes as late as it can; one with a listener needs the parent, so it comes before.
    """
    config, filter, preserved = compiler.config, compiler.filter, compiler.preserved
    early = filter is not None and filter.listener
    loaded = early or compiler.filtered
    runs = hooks.start_container(
        config,
        compiler.state_json,
        inherited=compiler.environment,
        filter=None if loaded else filter,
        output=compiler.output,
    )
    output, program = compiler.output if runs else hooks.NO_OUTPUT, compiler.program
    closing = process.close_descriptors(
        preserved, gate=GATE, report=REPORT, output=output, program=program
    )
    planned = [closing, *namespaces.open_up(compiler.context)]
    filtered = process.filter_ops(config.process, compiler.sets, filter)
    planned += filtered if early else []
    planned.append(process.ready())
    planned.append(ops.WaitAtGate(gate=GATE, report=REPORT, action="wait for start"))
    planned += runs
    planned += [] if loaded else filtered
    planned.append(
        process.execute(config.process, compiler.environment, preserved=preserved, program=program)
    )
    return planned
