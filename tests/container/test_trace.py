# SPDX-License-Identifier: Apache-2.0
"""--trace, PYRUNC_TRACE, TRACEPARENT and --timings: where the time goes."""

from __future__ import annotations

import base64
import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime

TRACE_ID, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def file(workspace: Path) -> Path:
    return workspace / "trace.json"


def hexadecimal(value: bytes) -> str:
    """Undo what the parser does to ids: OTLP writes them as hexadecimal, other bytes as base64."""
    return base64.b64encode(value).decode()


def spans(file: Path) -> list[dict[str, Any]]:
    """Read what one command wrote, through the schema of the OpenTelemetry project."""
    (line,) = file.read_text().splitlines()
    message = json_format.Parse(line, trace_pb2.TracesData())  # raises on an unknown field
    (resource,) = message.resource_spans
    names = {one.key for one in resource.resource.attributes}
    assert {"service.name", "process.pid"} <= names
    (scope,) = resource.scope_spans
    return [
        {
            "name": one.name,
            "id": hexadecimal(one.span_id),
            "parent": hexadecimal(one.parent_span_id),
            "trace": hexadecimal(one.trace_id),
            "begin": one.start_time_unix_nano,
            "end": one.end_time_unix_nano,
            "status": one.status.code,
            "attributes": {item.key: item.value.string_value for item in one.attributes},
        }
        for one in scope.spans
    ]


def test_a_create_tells_its_phases_and_the_ops_of_its_init(
    pyrunc: Runtime, config: Config, file: Path
) -> None:
    config.process["args"] = ["true"]
    config.write()
    name = pyrunc.new_id()
    pyrunc("--trace", file, "create", "--bundle", config.bundle, name).ok()
    found = spans(file)
    pyrunc("delete", name).ok()
    command, *phases = [
        one for one in found if not one["parent"] or one["parent"] == found[0]["id"]
    ]
    assert command["name"] == "pyrunc create"
    assert command["attributes"]["container"] == name
    assert [one["name"] for one in phases] == [
        "start of the program", "create", "read and check", "filter", "plan", "claim the id",
        "start the init", "cgroups", "init", "finish",
    ]  # fmt: skip
    # The phases follow each other without a gap, from the start of the process to its end.
    for one, following in itertools.pairwise(phases):
        assert one["end"] == following["begin"]
    assert (command["begin"], command["end"]) == (phases[0]["begin"], phases[-1]["end"])
    ops = [one for one in found if "op" in one["attributes"]]
    assert "pivot" in {one["attributes"]["op"] for one in ops}
    assert "/mounts/0" in {one["attributes"].get("config") for one in ops}
    init = next(one for one in phases if one["name"] == "init")
    for one in ops:
        assert one["parent"] == init["id"]
        assert command["begin"] < one["begin"] <= one["end"] < command["end"]
    assert [one["begin"] for one in ops[1:]] == [one["end"] for one in ops[:-1]]


def test_the_spans_join_the_trace_of_the_caller(
    pyrunc: Runtime, config: Config, file: Path
) -> None:
    env = {**os.environ, "TRACEPARENT": f"00-{TRACE_ID}-{PARENT}-01", "PYRUNC_TRACE": str(file)}
    pyrunc("state", "absent", env=env)
    command, *others = spans(file)
    assert command["trace"] == TRACE_ID
    assert command["parent"] == PARENT
    assert {one["trace"] for one in others} == {TRACE_ID}
    assert command["status"] == 2  # it failed


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        "00-1-2-3",
        f"00-{TRACE_ID}-x-01",
        "garbage",
        f"00-{TRACE_ID.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{'z' * 32}-{PARENT}-01",
        f"ff-{TRACE_ID}-{PARENT}-01",
        f"00-{TRACE_ID}-{PARENT}-01-more",
        f"00-{TRACE_ID}-{PARENT}-0x",
    ],
)
def test_a_malformed_traceparent_begins_a_trace_of_its_own(
    pyrunc: Runtime, file: Path, value: str
) -> None:
    pyrunc("--trace", file, "list", env={**os.environ, "TRACEPARENT": value}).ok()
    command, *_ = spans(file)
    assert len(command["trace"]) == 32
    assert command["parent"] == ""


def test_a_later_version_of_traceparent_may_have_more_fields(pyrunc: Runtime, file: Path) -> None:
    value = f"01-{TRACE_ID}-{PARENT}-01-more"
    pyrunc("--trace", file, "list", env={**os.environ, "TRACEPARENT": value}).ok()
    assert spans(file)[0]["trace"] == TRACE_ID


def test_a_fifo_that_nobody_reads_does_not_hold_up_the_command(pyrunc: Runtime, file: Path) -> None:
    os.mkfifo(file)
    done = pyrunc("--trace", file, "list", timeout_s=10).ok()
    assert "cannot write the trace" in done.stderr


def test_a_pipe_that_stays_full_does_not_hold_up_the_command(pyrunc: Runtime, file: Path) -> None:
    os.mkfifo(file)
    reader = os.open(file, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            try:
                os.write(reader, bytes(4096))
            except BlockingIOError:
                break
        done = pyrunc("--trace", file, "list", timeout_s=10).ok()
    finally:
        os.close(reader)
    assert "cannot write the trace" in done.stderr


def test_exec_and_hooks_have_spans(pyrunc: Runtime, running: Container, file: Path) -> None:
    running.runtime("--trace", file, "exec", running.id, "true").ok()
    names = [one["name"] for one in spans(file)]
    assert names[0] == "pyrunc exec"
    assert any(name.startswith("join_process: ") for name in names)


def test_hooks_have_spans(pyrunc: Runtime, config: Config, file: Path) -> None:
    config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    config.process["args"] = ["true"]
    config.write()
    pyrunc("--trace", file, "run", "--bundle", config.bundle, pyrunc.new_id()).ok()
    assert "createRuntime hook #0" in [one["name"] for one in spans(file)]


def test_a_time_namespace_does_not_move_the_clock(
    pyrunc: Runtime, config: Config, file: Path
) -> None:
    config["linux"]["namespaces"].append({"type": "time"})
    config["linux"]["timeOffsets"] = {"monotonic": {"secs": 86400}}
    config.process["args"] = ["true"]
    config.write()
    pyrunc("--trace", file, "run", "--bundle", config.bundle, pyrunc.new_id()).ok()
    found = spans(file)
    assert all(found[0]["begin"] <= one["begin"] <= found[0]["end"] for one in found)


def test_timings_are_a_table(pyrunc: Runtime, config: Config) -> None:
    shown = pyrunc.run(config, "true", flags=("--timings",)).ok()
    assert shown.stdout == ""
    rows = [line for line in shown.stderr.splitlines() if line.endswith("%")]
    assert rows[-1].startswith("all ")
    assert any(row.startswith("init ") for row in rows)
    shares = [float(row.split()[-2]) for row in rows[:-1] if not row.startswith(" ")]
    assert 95 < sum(shares) < 105


def test_a_file_that_cannot_be_written_is_a_warning(pyrunc: Runtime, config: Config) -> None:
    shown = pyrunc("--trace", "/proc/no/such", "list")
    assert shown.status == 0
    assert "cannot write the trace" in shown.stderr


def test_the_program_inherits_nothing_of_it(pyrunc: Runtime, config: Config, file: Path) -> None:
    config.process["args"] = ["ls", "/proc/self/fd"]
    config.write()
    shown = pyrunc("--trace", file, "run", "--bundle", config.bundle, pyrunc.new_id()).ok()
    assert len(shown.lines) == 4  # three, and that of ls itself
