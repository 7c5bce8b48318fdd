# SPDX-License-Identifier: Apache-2.0
"""Landlock by annotation: what the domain keeps a program from, in create and exec."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyrunc.host import facts
from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create, Shell

NAME = "org.pyrunc.landlock"
ABI = facts.probe().landlock
pytestmark = pytest.mark.skipif(ABI == 0, reason="this kernel has no Landlock")
# busybox is static: nothing but its own file has to be executed.
READS = ["read_file", "read_dir"]
BASE = [
    {"path": "/bin", "access": ["execute", "read_file"]},
    {"path": "/dev", "access": ["read_file", "write_file"]},
]
FILES = ["execute", *READS, "write_file", "make_reg", "make_dir", "remove_file"]


def confine(config: Config, *rules: dict[str, Any], **more: Any) -> None:
    domain = {"handledAccessFS": FILES, "rules": [*BASE, *rules], **more}
    config["annotations"] = {NAME: json.dumps(domain)}


ATTEMPTS = """
cat /open/file
cat /closed/file 2>/dev/null && echo read what is closed
echo x 2>/dev/null >/open/new && echo wrote what is only readable
echo x >/writable/new && cat /writable/new
true
"""


def test_only_what_a_rule_allows_is_read_and_written(
    pyrunc: Runtime, shell: Shell, config: Config
) -> None:
    """runtime-spec#1110, runc#2859."""
    config.file("open/file", "open\n")
    config.file("closed/file", "closed\n")
    config.file("writable/file")
    writable = {"path": "/writable", "access": ["read_file", "write_file", "make_reg"]}
    confine(config, {"path": "/open", "access": READS}, writable)
    assert shell(config, ATTEMPTS).split() == ["open", "x"]


def test_numbers_are_the_bits_of_the_kernel(pyrunc: Runtime, shell: Shell, config: Config) -> None:
    """runtime-spec#1241: rights without a name here can be used at once."""
    config.file("open/file", "open\n")
    config.file("closed/file", "closed\n")
    config.file("writable/file")
    rules = [
        {"path": "/bin", "access": 0b101},
        {"path": "/dev", "access": 0b110},
        {"path": "/open", "access": 0b1100},
        {"path": "/writable", "access": 0b1_0000_0110},
    ]
    config["annotations"] = {NAME: json.dumps({"handledAccessFS": 0b1_1010_1111, "rules": rules})}
    assert shell(config, ATTEMPTS).split() == ["open", "x"]


def test_all_is_what_the_kernel_knows(pyrunc: Runtime, shell: Shell, config: Config) -> None:
    config.file("open/file", "open\n")
    domain = {
        kind: "all"
        for kind, since in (("handledAccessFS", 1), ("handledAccessNet", 4), ("scoped", 6))
        if since <= ABI
    }
    rules = [{"path": "/bin", "access": "all"}, {"path": "/dev", "access": "all"}]
    config["annotations"] = {NAME: json.dumps({**domain, "rules": rules})}
    script = "cat /open/file 2>/dev/null || echo denied; echo >/dev/null && echo wrote"
    assert shell(config, script).split() == ["denied", "wrote"]


def test_a_process_of_exec_is_in_a_domain_of_the_same_rules(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    config.file("open/file", "open\n")
    config.file("closed/file", "closed\n")
    confine(config, {"path": "/open", "access": READS})
    container = create(config, "sleep", "100").start()
    assert container.command("exec", "cat", "/open/file").ok().stdout == "open\n"
    denied = container.command("exec", "cat", "/closed/file")
    assert denied.status == 1
    assert "Permission denied" in denied.stderr


@pytest.mark.skipif(ABI < 4, reason="Landlock of this kernel knows no ports")
def test_a_port_that_no_rule_allows_cannot_be_bound(
    pyrunc: Runtime, shell: Shell, config: Config
) -> None:
    confine(config, {"port": 8080, "access": ["bind_tcp"]}, handledAccessNet=["bind_tcp"])
    script = """
    for port in 8080 8081; do
        timeout 1 nc -l -p $port 2>&1 </dev/null | grep -o 'Permission denied' || echo bound
    done
    """
    assert shell(config, script).splitlines() == ["bound", "Permission denied"]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"path": "/absent", "access": ["read_file"]}, "cannot allow read_file below /absent"),
        ({"path": "/open/file", "access": ["read_dir"]}, "a file takes only execute, write_file"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_named_and_nothing_starts(
    runtime: Runtime, create: Create, config: Config, rule: dict[str, Any], text: str
) -> None:
    config.file("open/file")
    confine(config, rule)
    config.process["args"] = ["true"]
    config.write()
    result = runtime("run", "--bundle", config.bundle, runtime.new_id())
    assert result.status == 1
    assert text in result.stderr
    assert f"/annotations/{NAME}/rules/2" in result.stderr


def test_a_program_that_may_gain_privileges_is_refused(runtime: Runtime, config: Config) -> None:
    confine(config)
    config.process["noNewPrivileges"] = False
    config.write()
    for verb, flags in (
        ("run", ("--bundle", config.bundle, runtime.new_id())),
        ("check", (config.bundle,)),
    ):
        result = runtime(verb, *flags)
        assert result.status == 1
        assert "/process/noNewPrivileges: must be true" in result.stderr + result.stdout


def test_the_rights_are_shown_by_explain(runtime: Runtime, config: Config) -> None:
    confine(config, {"path": "/open", "access": READS})
    config.write()
    shown = runtime("explain", config.bundle).ok().stdout
    assert "allow_path" in shown
    assert "path=/open access=0xc" in shown
    assert shown.index("restrict_self") < shown.index("wait_at_gate")
