# SPDX-License-Identifier: Apache-2.0
"""What an exception tells: pointer, value, hint, errno; in another process, too."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from errno import EACCES, ENOENT

import pytest

import pyrunc

Script = Callable[[str], pyrunc.Spec]


def failures() -> list[pyrunc.Failure]:
    problem = pyrunc.Problem("/a/b", "wrong", value="5", allowed="6", hint="use 6")
    return [
        pyrunc.Failure("x", pointer="/a", value="v", errno=ENOENT, hint="h", detail="d"),
        pyrunc.StateError("x", pointer="/a"),
        pyrunc.HostError("x", errno=EACCES),
        pyrunc.InitError("x", op="mount", step="attach", errno=ENOENT),
        pyrunc.UsageError("x", usage="run", hint="h", pointer="/p", value="v"),
        pyrunc.ConfigErrors([problem, problem], source="s", warnings=[problem]),
        pyrunc.TimeoutExpired("x", seconds=1.5),
    ]


def told(failure: pyrunc.Failure) -> dict[str, object]:
    fields = {name: repr(value) for name, value in vars(failure).items()}
    return {**fields, "text": str(failure), "errno": failure.errno, "kind": type(failure)}


@pytest.mark.parametrize("failure", failures(), ids=lambda failure: type(failure).__name__)
def test_an_error_goes_through_a_pipe(failure: pyrunc.Failure) -> None:
    """concurrent.futures and multiprocessing pickle what a worker raises."""
    again = pickle.loads(pickle.dumps(failure))
    assert told(again) == told(failure)


def test_problems_of_a_configuration_give_the_error_their_words() -> None:
    (error,) = [one for one in failures() if isinstance(one, pyrunc.ConfigErrors)]
    assert (error.pointer, error.value, error.hint) == ("/a/b", "5", "use 6")


def test_a_time_out_is_one_of_pythons() -> None:
    error = pyrunc.TimeoutExpired("x", seconds=2)
    assert isinstance(error, TimeoutError | pyrunc.StateError)
    assert isinstance(error, TimeoutError)
    assert (error.seconds, error.errno, str(error)) == (2, 0, "x within 2 s")


@pytest.mark.root
def test_an_error_names_place_value_and_errno(library: pyrunc.Runtime, script: Script) -> None:
    with pytest.raises(pyrunc.ConfigErrors) as wrong:
        library.run(script("true").set("/process/cwd", "relative"))
    assert (wrong.value.pointer, wrong.value.value) == ("/process/cwd", "'relative'")
    with pytest.raises(pyrunc.InitError) as absent:
        library.run(script("true").args("/no-such-program"))
    failure = absent.value
    assert (failure.pointer, failure.value) == ("/process/args/0", "'/no-such-program'")
    assert failure.errno == ENOENT
    assert failure.hint
    with library.create(script("sleep 600")) as container:
        container.start()
        with pytest.raises(pyrunc.InitError) as inside:
            container.exec(["/no-such-program"])
        assert (inside.value.pointer, inside.value.value) == ("/args/0", "'/no-such-program'")
        with pytest.raises(pyrunc.InitError) as place:
            container.exec(["true"], cwd="/no-such-directory")
        assert (place.value.pointer, place.value.value) == ("/cwd", "'/no-such-directory'")


@pytest.mark.root
def test_a_refusal_has_the_value_that_it_is_about(library: pyrunc.Runtime, script: Script) -> None:
    runtime = pyrunc.Runtime(
        library.root, policies=[lambda spec, host: pyrunc.Refusal("no", pointer="/hostname")]
    )
    with pytest.raises(pyrunc.Failure, match="refused by the policy") as error:
        runtime.run(script("true").hostname("production"))
    assert (error.value.pointer, error.value.value) == ("/hostname", "'production'")


@pytest.mark.root
def test_what_no_limit_has_is_no_update(library: pyrunc.Runtime, script: Script) -> None:
    with library.create(script("sleep 600").limit(pids=20)) as container:
        container.start()
        for wrong in (
            {"nope": 1},
            {"memory": {"limits": 1}},
            {"pids": 5},
            {"pids": {"limit": "x"}},
        ):
            with pytest.raises(pyrunc.Failure) as error:
                container.update(wrong)
            assert error.value.pointer
        assert container.stats().pids.limit == 20


@pytest.mark.root
def test_more_tasks_than_linux_has_are_foreseen(library: pyrunc.Runtime, script: Script) -> None:
    """pids.max takes no larger number (kernel: PID_MAX_LIMIT)."""
    most = 4 << 20
    assert library.run(script("exit 3").limit(pids=most)).returncode == 3
    with pytest.raises(pyrunc.UsageError, match=str(most)):
        script("true").limit(pids=most + 1)
    spec = script("true").set("/linux/resources/pids", {"limit": most + 1})
    (problem,) = library.check(spec).errors
    assert (problem.pointer, problem.value) == ("/linux/resources/pids/limit", str(most + 1))
