# SPDX-License-Identifier: Apache-2.0
"""Every rule across properties that needs no host, in the order of the file.

A rule that builds on another property is left out when that property is wrong itself: its problem
is reported, not what would follow from it.

PURE.
"""

from __future__ import annotations

from pyrunc.spec.check_linux import check_linux
from pyrunc.spec.check_mounts import check_mounts
from pyrunc.spec.check_process import check_environment, check_process
from pyrunc.spec.check_resources import check_resources
from pyrunc.spec.constants import VERSION_MAX, VERSION_MIN
from pyrunc.spec.limits import MAX_HOOKS, MAX_HOSTNAME
from pyrunc.spec.problems import Problems, join, show
from pyrunc.spec.readers import has_control, is_decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.model import Config, Hook

__all__ = ["check_config", "check_process", "check_resources"]


def check_config(config: Config, problems: Problems) -> None:
    if config.has("oci_version"):
        _version(config.oci_version, problems)
    if config.has("process"):
        check_process(config.process, problems)
    if config.has("root") and config.root.path == "":
        problems.add("/root/path", "the path of the root file system must not be empty")
    _names(config, problems)
    in_user_namespace = config.linux.namespace("user") is not None
    check_mounts(config.mounts, problems, in_user_namespace=in_user_namespace)
    _hooks(config, problems)
    _annotations(config, problems)
    check_linux(config.linux, problems)
    if config.has("process"):
        _mapped_ids(config, problems)


def _version(version: str, problems: Problems) -> None:
    """Semantic versions keep their promises within 1.x; a newer minor version is only warned of."""
    numbers = version.split("+")[0].split("-")[0].split(".")
    allowed = f"{VERSION_MIN} to {VERSION_MAX}, or later 1.x"
    if len(numbers) != 3 or not all(_is_number(number) for number in numbers):
        problems.add("/ociVersion", "not a semantic version", value=show(version), allowed=allowed)
    elif numbers[0] != "1":
        problems.add("/ociVersion", "unsupported version", value=show(version), allowed=allowed)
    elif int(numbers[1]) > int(VERSION_MAX.split(".")[1]):
        problems.warn("/ociVersion", f"newer than {VERSION_MAX}", value=show(version))


def _is_number(text: str) -> bool:
    return is_decimal(text, digits=9) and (text == "0" or text[0] != "0")


def _names(config: Config, problems: Problems) -> None:
    for name, value in (("hostname", config.hostname), ("domainname", config.domainname)):
        if not value:
            continue
        pointer = f"/{name}"
        if len(value.encode()) > MAX_HOSTNAME:
            problems.kind(pointer, value, f"at most {MAX_HOSTNAME} bytes")
        if config.linux.namespace("uts") is None and not problems.touches("/linux/namespaces"):
            problems.add(
                pointer,
                f"unable to set {name} without a private UTS namespace",
                hint="add {'type': 'uts'} to /linux/namespaces",
            )


def _hooks(config: Config, problems: Problems) -> None:
    hooks = config.hooks
    if hooks is None:
        return
    count = 0
    for attribute, _ in type(hooks).DEFAULTS:
        entries: tuple[Hook, ...] = getattr(hooks, attribute)
        count += len(entries)
        for hook in entries:
            if hook.env and "" in hook.env:
                hook.env = tuple(filter(None, hook.env))
                problems.warn(hook.pointer + "/env", "an empty string sets nothing and is ignored")
            if hook.env:
                check_environment(hook.env, hook.pointer + "/env", problems)
    if count > MAX_HOOKS:
        problems.add("/hooks", f"{count} hooks are too many", allowed=f"at most {MAX_HOOKS}")


def _annotations(config: Config, problems: Problems) -> None:
    for key in config.annotations:
        if not key:
            problems.add("/annotations/", "the name of an annotation must not be empty")
        elif has_control(key):
            problems.add(
                join("/annotations", key), "control character in the name", value=show(key)
            )


def _mapped_ids(config: Config, problems: Problems) -> None:
    """Refuse an id that the new user namespace does not map: nothing could take it on (UN-5)."""
    namespace = config.linux.namespace("user")
    if namespace is None or namespace.path or problems.touches("/linux"):
        return
    user = config.process.user
    wanted = [("uid", user.uid, "uid"), ("gid", user.gid, "gid")]
    wanted += [
        (f"additionalGids/{index}", gid, "gid") for index, gid in enumerate(user.additional_gids)
    ]
    for name, number, kind in wanted:
        mappings = config.linux.uid_mappings if kind == "uid" else config.linux.gid_mappings
        if mappings and not any(
            entry.container_id <= number < entry.container_id + entry.size for entry in mappings
        ):
            problems.add(
                f"{user.pointer}/{name}",
                f"{kind} {number} is not mapped in the user namespace",
                allowed=f"an id of /linux/{kind}Mappings",
                hint="map it, or choose one that is mapped",
            )
