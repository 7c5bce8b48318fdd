# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: SIM905 - long lists of words
"""Mount options: what each name does, and that later ones override earlier ones."""

from __future__ import annotations

import pytest

from pyrunc.spec import options as o
from pyrunc.spec.options import MountOptions, parse_mount_options

EVERY_NAME = """
    bind rbind ro rw nosuid suid nodev dev noexec exec sync async dirsync remount mand nomand atime
    noatime diratime nodiratime relatime norelatime strictatime nostrictatime iversion noiversion
    lazytime nolazytime silent loud symfollow nosymfollow defaults private shared slave unbindable
    rprivate rshared rslave runbindable rro rrw rnosuid rsuid rnodev rdev rnoexec rexec rnodiratime
    rdiratime rrelatime rnorelatime rnoatime ratime rstrictatime rnostrictatime rnosymfollow
    rsymfollow rsync rasync rdirsync rmand rnomand tmpcopyup idmap ridmap copy-symlink src-nofollow
    dest-nofollow
""".split()


class Mount:
    def __init__(self, *options: str, kind: str | None = None) -> None:
        self.options = options
        self.type = kind


def parse(*options: str, kind: str | None = None) -> MountOptions:
    return parse_mount_options(Mount(*options, kind=kind))


def test_every_option_of_the_feature_list_is_known() -> None:
    assert sorted(EVERY_NAME) == o.names()
    for name in EVERY_NAME:
        assert parse(name).data == ()


def test_unknown_options_are_data_of_the_file_system_in_their_order() -> None:
    result = parse("mode=755", "ro", "size=65536k", "RO", "ro ", "roo")
    assert result.data == ("mode=755", "size=65536k", "RO", "ro ", "roo")
    assert result.flags == o.MS_RDONLY


@pytest.mark.parametrize("name", [name for name, (is_set, _) in o.FLAGS.items() if not is_set])
def test_an_option_that_clears_undoes_the_one_that_sets(name: str) -> None:
    flag = o.FLAGS[name][1]
    setter = next(key for key, value in o.FLAGS.items() if value == (True, flag))
    assert parse(setter).flags == flag
    result = parse(setter, name)
    assert (result.flags, result.cleared) == (0, flag)
    result = parse(name, setter)
    assert (result.flags, result.cleared) == (flag, 0)


def test_defaults_changes_nothing() -> None:
    result = parse("defaults")
    assert (result.flags, result.cleared, result.data, result.attributes) == (0, 0, (), 0)


def test_attributes_are_the_flags_in_the_numbers_of_the_new_interface() -> None:
    result = parse("ro", "nosuid", "nodev", "noexec", "nodiratime", "nosymfollow")
    assert result.attributes == (
        o.MOUNT_ATTR_RDONLY
        | o.MOUNT_ATTR_NOSUID
        | o.MOUNT_ATTR_NODEV
        | o.MOUNT_ATTR_NOEXEC
        | o.MOUNT_ATTR_NODIRATIME
        | o.MOUNT_ATTR_NOSYMFOLLOW
    )
    assert parse("rw", "suid", "dev").attributes_cleared == (
        o.MOUNT_ATTR_RDONLY | o.MOUNT_ATTR_NOSUID | o.MOUNT_ATTR_NODEV
    )


@pytest.mark.parametrize(
    ("options", "atime"),
    [
        ((), o.MOUNT_ATTR_RELATIME),
        (("noatime",), o.MOUNT_ATTR_NOATIME),
        (("noatime", "atime"), o.MOUNT_ATTR_RELATIME),
        (("strictatime",), o.MOUNT_ATTR_STRICTATIME),
        (("strictatime", "nostrictatime"), o.MOUNT_ATTR_RELATIME),
        (("relatime",), o.MOUNT_ATTR_RELATIME),
        (("norelatime",), o.MOUNT_ATTR_RELATIME),
        (("noatime", "strictatime"), o.MOUNT_ATTR_STRICTATIME),
    ],
)
def test_the_access_time_rule_is_the_one_that_mount_chooses(
    options: tuple[str, ...], atime: int
) -> None:
    result = parse(*options)
    assert result.attributes & o.MOUNT_ATTR__ATIME == atime
    assert result.atime_given is bool(options)
    # The three values share a field, so that the whole of it is cleared with mount_setattr.
    assert result.attributes_cleared == (o.MOUNT_ATTR__ATIME if options else 0)


def test_properties_of_the_super_block_are_keys_of_fsconfig() -> None:
    result = parse("ro", "sync", "dirsync", "lazytime", "mand")
    assert result.superblock == ("ro", "sync", "dirsync", "mand", "lazytime")
    assert parse("rw", "async", "nomand", "nolazytime").superblock_cleared == (
        "rw",
        "async",
        "nomand",
        "nolazytime",
    )


def test_what_only_the_classic_interface_carries_is_known_as_such() -> None:
    assert parse("remount", "iversion").flags & o.CLASSIC_ONLY == o.CLASSIC_ONLY
    assert parse("ro", "noatime", "lazytime", "sync", "silent").flags & o.CLASSIC_ONLY == 0


def test_a_bind_is_an_option_or_a_type() -> None:
    assert (parse("bind").bind, parse("bind").recursive) == (True, False)
    assert (parse("rbind").bind, parse("rbind").recursive) == (True, True)
    assert (parse(kind="bind").bind, parse(kind="bind").recursive) == (True, False)
    assert parse(kind="rbind").recursive
    assert parse("rbind", kind="bind").recursive
    assert not parse(kind="tmpfs").bind
    assert parse("rbind", "ro").flags == o.MS_RDONLY


def test_propagation_keeps_the_order_of_the_options() -> None:
    assert parse("rslave", "shared").propagation == (o.MS_SLAVE | o.MS_REC, o.MS_SHARED)


def test_recursive_attributes_are_apart_from_plain_ones() -> None:
    result = parse("ro", "rnosuid", "rdev")
    assert result.attributes == o.MOUNT_ATTR_RDONLY
    assert result.recursive_set == o.MOUNT_ATTR_NOSUID
    assert result.recursive_clear == o.MOUNT_ATTR_NODEV
    assert parse("rro", "rrw").recursive_clear == o.MOUNT_ATTR_RDONLY
    assert parse("rro", "rrw").recursive_set == 0
    assert parse("rrw", "rro").recursive_set == o.MOUNT_ATTR_RDONLY


@pytest.mark.parametrize(
    "name", [name for name in o.RECURSIVE if "atime" in name and "dir" not in name]
)
def test_a_recursive_access_time_rule_replaces_the_one_before(name: str) -> None:
    wanted = o.RECURSIVE[name][0]
    for other in ("rnoatime", "rstrictatime", "rrelatime"):
        result = parse(other, name)
        assert result.recursive_set == wanted
        assert result.recursive_clear == o.MOUNT_ATTR__ATIME


def test_extras() -> None:
    result = parse("tmpcopyup", "copy-symlink", "src-nofollow", "dest-nofollow")
    assert result.tmpcopyup
    assert result.copy_symlink
    assert result.src_nofollow
    assert result.dest_nofollow
    assert parse("idmap").idmap == "idmap"
    assert parse("ridmap").idmap == "ridmap"
    result = parse("idmap=uids=0-1000-10;gids=0-1000-10")
    assert (result.idmap, result.idmap_text) == ("idmap", "uids=0-1000-10;gids=0-1000-10")
    assert parse("idmapped").data == ("idmapped",)
