# SPDX-License-Identifier: Apache-2.0
"""All that a program finds around it, as text that two starts of one config have in common."""

from __future__ import annotations

import ctypes
import re

SCRIPT = """
for part in status limits uid_map gid_map setgroups oom_score_adj mountinfo timens_offsets
do echo "== $part"; cat /proc/self/$part; done
echo "== cgroup"; cat /proc/self/cgroup
echo "== host"; hostname; cat /proc/sys/kernel/domainname /proc/sys/kernel/shmmni
echo "== namespaces"
for each in /proc/self/ns/*; do echo "$(basename $each) $(readlink $each)"; done
echo "== environment"; env | sort
echo "== umask"; umask
echo "== directory"; pwd
echo "== root"; ls -lA / | grep -v ^total
echo "== hidden"; for each in /proc/kcore /sys/firmware /proc/timer_list
do echo "$each $(ls -A $each 2>&1 | head -3)"; (echo x >$each) 2>&1; done
echo "== writes"; for each in /proc/sys/kernel/shmall /sys/x /x /etc/x
do (echo 1 >$each) 2>&1 && rm -f $each; done
echo "== dev"; cd /dev; find . -exec stat -c '%n %F %t:%T %a %u %g' {} + | sort
echo "== attributes"; probe attributes
echo "== keyring"; probe keyring
echo "== descriptors"; exec probe fds
"""
LIBC = ctypes.CDLL(None)
KEYCTL, SESSION_KEYRING = 250, -3  # keyctl(2) on x86_64
# Of status: what is the same in every start.
STATUS = re.compile(
    r"^(Umask|Uid|Gid|Groups|Threads|SigQ|SigBlk|SigIgn|SigCgt|Cap\w+|NoNewPrivs|Seccomp\w*):"
)
NUMBER = re.compile(r"\[[0-9]+\]")
LISTED = re.compile(r"^(\S+) +\d+ +(\S+) +(\S+) .* (\S+)$")  # mode, links, owner, group, name


def sections(text: str) -> dict[str, list[str]]:
    """The lines of each part of what the script writes."""
    found: dict[str, list[str]] = {"": []}
    for line in text.splitlines():
        if line.startswith("== "):
            found[line[3:]] = []
        else:
            found[next(reversed(found))].append(line)
    return found


def _mount(line: str) -> str:
    """A line of mountinfo without what the kernel counts: ids, devices, the order of options."""
    left, _, right = line.partition(" - ")
    words, (fstype, _source, *data) = left.split(), right.split(" ")
    root = re.sub(r"/.*/(pt[0-9]+-[0-9]+|bundle[0-9]+)\b", "", words[3])
    propagation = [re.sub(":[0-9]+", "", word) for word in words[6:]]
    options = re.sub(r"(size|nr_inodes|inode64|inode32)[^,]*,?", "", ",".join(data))
    return f"{words[4]} {root} {words[5]} {propagation} {fstype} {options}"


def essence(text: str) -> dict[str, list[str]]:
    """The posture of a program without what differs from start to start."""
    found = sections(text)
    status = [line for line in found.get("status", ()) if STATUS.match(line)]
    found["status"] = [re.sub(r"^SigQ.*", "", line) for line in status]
    keyring = str(LIBC.syscall(KEYCTL, 0, SESSION_KEYRING, 0))
    found["keyring"] = [
        "the caller's" if line == keyring else "new" for line in found.get("keyring", ())
    ]
    found["mountinfo"] = [_mount(line) for line in found.get("mountinfo", ())]
    found["cgroup"] = [re.sub(r"pt[0-9]+-[0-9]+", "ID", line) for line in found.get("cgroup", ())]
    found["root"] = [LISTED.sub(r"\1 \2 \3 \4", line) for line in found.get("root", ())]
    return found


def differences(one: dict[str, list[str]], two: dict[str, list[str]], *own: str) -> list[str]:
    """Where two postures differ, as `part: - line` and `part: + line`.

    Namespaces are compared by whether they are those of `own`, the links of the caller.
    """
    found = []
    for part in sorted(one.keys() | two.keys()):
        left, right = (_lines(part, each.get(part, []), own) for each in (one, two))
        found += [f"{part}: - {line}" for line in left if line not in right]
        found += [f"{part}: + {line}" for line in right if line not in left]
        if not found and left != right:
            found.append(f"{part}: another order")
    return found


def _lines(part: str, lines: list[str], own: tuple[str, ...]) -> list[str]:
    if part != "namespaces":
        return lines
    return [line if line.split()[-1] in own else NUMBER.sub("[new]", line) for line in lines]
