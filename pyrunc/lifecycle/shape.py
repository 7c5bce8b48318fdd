# SPDX-License-Identifier: Apache-2.0
"""PURE. The shape of what the files of a state directory hold, which are read as untrusted (ST-5).

A shape is a type; a one-element list (an array of it); a one-element tuple (it or null); a dict of
an object's properties, where "?" begins the name of one that may be missing; or a function.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

MAX_INT: Final = 1 << 62
MAX_PID: Final = 1 << 31  # what the kernel takes for one
MAX_TIMEOUT: Final = 1 << 31  # of a hook, in seconds
NAMES: Final = {
    int: "a number",
    str: "a string without NUL",
    bool: "true or false",
    dict: "an object",
}


def fault(value: object, shape: Any, at: str = "") -> str:
    """Say where and how a value is not of a shape; "" when it is. `at`: its JSON pointer."""
    kind = type(shape)
    if kind is dict:
        return _object(value, shape, at)
    if kind is list:
        return _array(value, shape[0], at)
    if kind is tuple:
        return "" if value is None else fault(value, shape[0], at)
    if kind is not type:
        return str(shape(value, at))
    good = type(value) is shape
    if good and shape is int:
        good = -MAX_INT < value < MAX_INT  # type: ignore[operator]
    elif good and shape is str:
        good = "\0" not in value  # type: ignore[operator]
    return "" if good else f"{at} is not {NAMES[shape]}"


def _object(value: object, shape: dict[str, Any], at: str) -> str:
    if type(value) is not dict:
        return f"{at or 'it'} is not an object"
    for key, inner in shape.items():
        name = key.removeprefix("?")
        if name in value:
            wrong = fault(value[name], inner, f"{at}/{name}")
            if wrong:
                return wrong
        elif name == key:
            return f"{at}/{name} is missing"
    return ""


def _array(value: object, inner: Any, at: str) -> str:
    if type(value) is not list:
        return f"{at} is not an array"
    for index, item in enumerate(value):
        wrong = fault(item, inner, f"{at}/{index}")
        if wrong:
            return wrong
    return ""


def _pid(value: object, at: str) -> str:
    return "" if type(value) is int and 0 <= value < MAX_PID else f"{at} is no process id"


def _timeout(value: object, at: str) -> str:
    good = value is None or (type(value) is int and 0 <= value < MAX_TIMEOUT)
    return "" if good else f"{at} is no timeout"


def _annotations(value: object, at: str) -> str:
    """Strings of the configuration; what we read ourselves can be a path, which holds no NUL."""
    if type(value) is not dict:
        return f"{at} is not an object"
    for key, text in value.items():
        if type(text) is not str or ("\0" in text and key.startswith("run.oci.")):
            return f"{at}/{key} is not {NAMES[str]}"
    return ""


def _freezer(value: object, at: str) -> str:
    """Version and path."""
    if value is None:
        return ""
    if isinstance(value, list) and len(value) == 2 and type(value[0]) is int:
        return fault(value[1], str, f"{at}/1")
    return f"{at} is not a version and a path"


def _cgroup(value: object, at: str) -> str:
    found = fault(value, CGROUP, at)
    if not found and isinstance(value, dict) and value["driver"] == "systemd":
        return fault(value, UNIT, at)
    return found


def record(value: object, at: str = "") -> str:
    """Check a record of something that was made, which a later version may have more kinds of."""
    found = fault(value, {"kind": str}, at)
    if not found and isinstance(value, dict):
        return fault(value, MADE.get(value["kind"], {}), at)
    return found


MEMBER: Final = {
    "name": str,
    "controllers": [str],
    "version": int,
    "mount": str,
    "device": int,
    "path": str,
    "kept": int,
    "claimed": bool,
}
CGROUP: Final = {
    "driver": str,
    "rootless": bool,
    "leaf": str,
    "?killsBefore": int,
    "?mark": str,
    "cgroups": [MEMBER],
}
UNIT: Final = {"unit": str, "slice": str, "id": str, "subgroup": str}
RDT: Final = {"mount": str, "name": str, "explicit": bool, "monitor": str, "made": bool}
PROCESS: Final = {"pid": _pid, "startTime": int, "?boot": (str,)}
HOOK: Final = {"path": str, "args": [str], "env": [str], "timeout": _timeout, "pointer": str}
CONTAINER: Final = {
    "ociVersion": str,
    "id": str,
    "bundle": str,
    "rootfs": str,
    "annotations": _annotations,
}
MADE: Final[dict[str, Any]] = {
    "process": PROCESS,
    "criu": PROCESS,
    "hook": PROCESS,
    "cgroup": {"record": _cgroup},
    "rdt": {"record": RDT},
    "mounts": {"below": str, "namespace": str, "before": [int]},
    "hooks": {"poststop": [HOOK], "state": CONTAINER},
}
OP: Final = {
    "name": str,
    "steps": [str],
    "what": str,
    "pointer": str,
    "?path": str,
    "?argv": [str],
    "?timeoutMs": int,
}
STATE: Final = {
    **CONTAINER,
    **PROCESS,
    "created": str,
    "owner": int,
    "rootless": bool,
    "sharedPid": bool,
    "namespaces": [str],
    "cgroup": _cgroup,
    "freezer": _freezer,
    "resources": (dict,),
    "hooks": {"poststart": [HOOK], "poststop": [HOOK]},
    "late": {"first": int, "ops": [OP]},
    "made": [record],
    "?devices": [{"path": str, "rule": dict, "made": bool}],
    "?mounts": [{"destination": str, "id": int, "facts": ([str],)}],
}
