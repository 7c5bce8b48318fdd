# SPDX-License-Identifier: Apache-2.0
"""Two judges of the same configurations: `parse_config` and jsonschema with the published schema.

Configurations are generated from the schema itself, valid ones and ones with a value replaced.
Where the judges disagree, the difference must be one of those listed here, each with its reason.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrunc import spec
from pyrunc.errors import ConfigErrors, Problem
from pyrunc.spec.defaults import default_config
from pyrunc.spec.problems import show
from pyrunc.spec.schema import pointer_of, schema, without_nulls
from pyrunc.spec.schema import problems as schema_problems
from tests.invalid import corpus
from tests.unit.spec.engine import encode, engine_config

pytestmark = pytest.mark.generated

SCHEMA = schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

# (pointer, message): what pyrunc refuses and the schema lets pass, and why. The schema describes
# types and words; it has no rule across properties and hardly one about the form of a string.
STRICTER = (
    (r"", r"the property '(process|root)' is required", "the Linux runtime rules need both"),
    (r"/ociVersion", r"not a semantic|unsupported|control", "a string to the schema"),
    (r".*", r"control characters? ", "IN-5: such strings become files of the kernel"),
    (r".*", r"wrong value -?[\d.e+]+", "ranges of the kernel; 1.0 is an integer to the schema"),
    (r"/process/user/.*", r"is not mapped in the user namespace", "UN-5"),
    (r"/process/args", r"args must not be empty", "the specification text requires args on Linux"),
    (r"/process(/(args|env)/\d+)?", r"bytes are too long|args and env of", "IN-7: execve"),
    (r".*/env/\d+", r"invalid environment variable", "a variable has a name and a value"),
    (r"/process/cwd", r"Cwd ", "the text: an absolute path"),
    (r"/process/capabilities/effective/\d+", r"not permitted", "the kernel: EPERM"),
    (r"/process/rlimits/\d+/type", r"unknown resource limit|already set", "only a pattern there"),
    (r"/process/rlimits/\d+/soft", r"above the hard limit", "the kernel: EINVAL"),
    (r"/process/scheduler.*", r"only for|wrong (priority|times)|a priority", "the kernel: EINVAL"),
    (r"/process/\w+", r"bytes are too long", "PS-5: labels"),
    (r".*", r"not a list of (CPUs|memory nodes)", "a string, or a set of characters, there"),
    (r"/root/path", r"must not be empty", "the text: a directory"),
    (r"/(host|domain)name", r"without a private UTS|wrong value", "the kernel: EPERM, EINVAL"),
    (r"/mounts/\d+(/.*)?", r".*", "options, sources and mappings have no form in the schema"),
    (r"/hooks", r"too many", "IN-7"),
    (r"/hooks/\w+/\d+/path", r"wrong value", "the text: an absolute path"),
    (r"/hooks/\w+/\d+/timeout", r"wrong value", "at most 2^31 seconds"),
    (r"/annotations/.*", r"must not be empty", "the text"),
    (r"/linux/namespaces/\d+.*", r"duplicate|new user namespace|wrong value", "the text"),
    (r"/linux/[ug]idMappings(/.*)?", r".*", "the kernel: EINVAL; no user namespace"),
    (r"/linux/(masked|readonly)Paths(/\d+)?", r".*", "the text: absolute; a mount namespace"),
    (r"/linux/timeOffsets(/.*)?", r".*", "the kernel knows two clocks; a new time namespace"),
    (r"/linux/netDevices(/.*)?", r".*", "IN-6; a network namespace"),
    (r"/linux/devices/\d+(/path)?", r".*", "DV-2; the text: major and minor unless a FIFO"),
    (r"/linux/cgroupsPath", r".*", "CG-3"),
    (r"/linux/sysctl/.*", r"sysctl", "PS-6"),
    (r"/linux/resources/devices/\d+(/type|/access)?", r".*", "the text: a, c, b and r, w, m"),
    (r"/linux/resources/memory/swap", r"swap limit", "the kernel"),
    (r"/linux/resources/blockIO/\w+/\d+", r"required", "the text: weight or leafWeight, rate"),
    (r"/linux/resources/network/priorities/\d+/name", r"wrong value", "IN-6"),
    (r"/linux/resources/rdma/.*", r"at least one|not the name", "the text; IN-6"),
    (r"/linux/resources/unified/.*", r"not a file", "CG-2"),
    (r"/linux/seccomp.*", r"NOTIFY|listenerPath|returns no errno|wrong value", "the text; SC-7"),
    (r"/linux/intelRdt/(closID|schemata/\d+)", r".*", "IN-6"),
    (r"/linux/personality", r"'domain' is required", "the text"),
    (r"/linux/personality/flags/\d+", r"unknown flag", "the kernel's names; the text has none"),
    (r"/linux/memoryPolicy.*", r"takes no|needs nodes|exclude|does not go", "the kernel: EINVAL"),
    (r"/linux/mountLabel", r"bytes are too long", "PS-5"),
)  # fmt: skip

# (pointer, value): what the schema refuses and pyrunc lets pass, and why.
LAXER = (
    (r"/process/(commandLine|user/username)", r".*", "properties of another platform"),
    (
        r"/linux/rootfsPropagation",
        r"'(r(private|shared|slave|unbindable))?'",
        "engines write the recursive forms, and ''",
    ),
    (r"/process/execCPUAffinity/\w+", r"'all'|.*:.*", "the kernel also reads `all` and `0-7:1/2`"),
    (r"/linux/intelRdt/memBwSchema", r"''", "'' is unset"),
)

WORDS = """
    /|/x|/dev/x|/a/../b|a|b|x|sh|A=b|PATH=/bin|A=|=a|ro|rbind|bind|nosuid|rprivate|mode=755|idmap|tmpfs|
    proc|none|0|0-3,7|1-|all|1.0.0|1.3.0|0.9|2.0.0|rwm|rw|r|rr|z|2MB|64KB|eth0|eth1|lo|a/b|CAP_KILL|
    CAP_CHOWN|CAP_X|RLIMIT_NOFILE|RLIMIT_CORE|RLIMIT_X|net.core.somaxconn|kernel.shmmax|vm.x|memory.high|
    MB:0=1|L3:0=f|monotonic|boottime|c|||é|a\nb|read|write|LINUX|unconfined|..|info|system.slice:a:b
""".replace("\n    ", "").split("|")
NUMBERS = (0, 1, 2, 5, 19, 99, 100, 255, 300, 1000, 1024, 65535, 2**31, 2**32 - 2, 2**32, 2**63)


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = SCHEMA["definitions"][node["$ref"].rpartition("/")[2]]
    return node


@st.composite
def instances(draw: st.DrawFn, node: dict[str, Any]) -> Any:
    """A value that the schema accepts."""
    node = resolve(node)
    if node["type"] == "object":
        required = node.get("required", ())
        found = {
            name: draw(instances(child))
            for name, child in node.get("properties", {}).items()
            if name in required or draw(st.integers(0, 3)) == 0
        }
        if "additionalProperties" in node:
            keys = draw(st.lists(st.sampled_from(WORDS), max_size=2, unique=True))
            found.update({key: draw(instances(node["additionalProperties"])) for key in keys})
        return found
    if node["type"] == "array":
        size = draw(st.integers(node.get("minItems", 0), 2))
        return [draw(instances(node["items"])) for _ in range(size)]
    if node["type"] == "boolean":
        return draw(st.booleans())
    if node["type"] == "integer":
        low, high = node.get("minimum", -(2**63)), node.get("maximum", 2**63)
        fitting = [number for number in (*NUMBERS, -1, low, high) if low <= number <= high]
        return draw(st.sampled_from(fitting))
    return draw(strings(node))


def strings(node: dict[str, Any]) -> st.SearchStrategy[str]:
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if "pattern" in node:
        matching = [word for word in WORDS if re.search(node["pattern"], word)]
        return st.sampled_from(matching)
    return st.sampled_from(WORDS) | st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4
    )


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Valid to the schema; with the objects without which nothing is interesting."""
    config: dict[str, Any] = draw(instances(SCHEMA))
    if draw(st.integers(0, 9)):
        config["ociVersion"] = "1.3.0"
        config.setdefault("root", {"path": "rootfs"})
        config.setdefault("process", {"cwd": "/", "args": ["sh"]})
    return config


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key) below a value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(entries):
        found.append((value, key))
        if isinstance(child, dict | list):
            places(child, found)
    return found


REPLACEMENTS: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    2**64,
    2**32,
    1.5,
    1.0,
    "",
    "x",
    [],
    {},
    [None],
    ["x"],
    [1],
    {"a": 1},
)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    valid = st.sampled_from((engine_config(), default_config()))
    config = copy.deepcopy(draw(valid | configs()))
    container, key = draw(st.sampled_from(places(config, [])))
    if isinstance(container, dict) and draw(st.integers(0, 4)) == 0:
        del container[key]
    else:
        container[key] = copy.deepcopy(draw(st.sampled_from(REPLACEMENTS)))
    return config


def ours(config: object) -> tuple[Problem, ...]:
    try:
        spec.parse_config(encode(config))
    except ConfigErrors as errors:
        return errors.problems
    return ()


def is_listed(problem: Problem) -> bool:
    return any(
        re.fullmatch(pointer, problem.pointer) and re.search(message, problem.message)
        for pointer, message, _ in STRICTER
    )


def is_tolerated(error: Any) -> bool:
    pointer = pointer_of(error.absolute_path)
    return any(
        re.fullmatch(place, pointer) and re.fullmatch(value, repr(error.instance), re.DOTALL)
        for place, value, _ in LAXER
    )


def compare(config: Any) -> None:
    problems = ours(config)
    errors = [
        error for error in VALIDATOR.iter_errors(without_nulls(config)) if not is_tolerated(error)
    ]
    if errors:
        assert problems, f"only the schema refuses: {errors[0].message} at {list(errors[0].path)}"
    else:
        unlisted = [problem.line() for problem in problems if not is_listed(problem)]
        assert not unlisted, f"only pyrunc refuses: {unlisted}"


relaxed = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    max_examples=150,
)


@relaxed
@given(config=configs())
def test_both_judges_agree_on_configurations_made_from_the_schema(config: dict[str, Any]) -> None:
    compare(config)


@relaxed
@given(config=mutated())
def test_both_judges_agree_on_configurations_with_one_value_replaced(
    config: dict[str, Any],
) -> None:
    compare(config)


@pytest.mark.parametrize("name", corpus.cases())
def test_both_judges_agree_on_the_corpus_of_invalid_configurations(name: str) -> None:
    entry = corpus.case(name)
    if "text" in entry:
        return  # no JSON value to validate
    compare(json.loads(corpus.build(entry)))


def test_what_engines_write_passes_but_for_the_listed_difference() -> None:
    config = engine_config()
    (problem,) = schema_problems(config)
    assert problem.pointer == "/linux/rootfsPropagation"
    del config["linux"]["rootfsPropagation"]
    assert schema_problems(config) == ()


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    for kind in ("config", "process", "resources"):
        jsonschema.Draft7Validator.check_schema(schema(kind))


def test_the_parts_of_the_schema_describe_their_files() -> None:
    assert schema_problems({"cwd": "/"}, kind="process") == ()
    assert [problem.pointer for problem in schema_problems({"cwd": 1}, kind="process")] == ["/cwd"]
    (problem,) = schema_problems({"memory": {"limit": "1G"}}, kind="resources")
    assert problem.pointer == "/memory/limit"
    assert problem.value == show("1G")
