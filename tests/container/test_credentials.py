# SPDX-License-Identifier: Apache-2.0
"""What the program is allowed to do and finds around it: ids, capabilities, limits, directory."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.bundle import CAPABILITY_SETS, Config
from tests.support.runtime import Runtime
from tests.support.types import Run, Shell

NUMBERS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_RAW": 13,
    "CAP_SYS_ADMIN": 21,
}
FIELDS = {
    "bounding": "CapBnd",
    "effective": "CapEff",
    "inheritable": "CapInh",
    "permitted": "CapPrm",
    "ambient": "CapAmb",
}


def status(shell: Shell, config: Config) -> dict[str, str]:
    """/proc/self/status of a program in the container."""
    lines = shell(config, "exec cat /proc/self/status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def mask(*names: str) -> int:
    return sum(1 << NUMBERS[name] for name in names)


def sets(found: dict[str, str]) -> dict[str, int]:
    return {kind: int(found[FIELDS[kind]], 16) for kind in CAPABILITY_SETS}


# -- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("uid", "gid"), [(0, 0), (1000, 1001), (65534, 2**31), (2**32 - 2, 7)])
def test_all_four_ids_are_those_of_the_config(
    pyrunc: Runtime, shell: Shell, config: Config, uid: int, gid: int
) -> None:
    """CR-2, CR-6, R063: also above 2^31."""
    config.process["user"] = {"uid": uid, "gid": gid}
    found = status(shell, config)
    assert found["Uid"].split() == [str(uid)] * 4
    assert found["Gid"].split() == [str(gid)] * 4


@pytest.mark.parametrize("groups", [[], [5], [10, 20, 4294967294]])
def test_the_groups_are_exactly_the_additional_ones(
    pyrunc: Runtime, shell: Shell, config: Config, groups: list[int]
) -> None:
    """CR-5, R062: none of the caller's."""
    config.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": groups}
    before = os.getgroups()
    os.setgroups(range(300, 320))
    try:
        found = status(shell, config)["Groups"].split()
    finally:
        os.setgroups(before)
    assert sorted(map(int, found)) == sorted(groups)


def test_a_user_that_is_called_like_a_number_is_not_looked_up(shell: Shell, config: Config) -> None:
    """CR-1, R004."""
    config.file("etc/passwd", "1000:x:0:0::/evil:/bin/sh\n")
    config.process["user"] = {"uid": 1000, "gid": 1000}
    assert status(shell, config)["Uid"].split() == ["1000"] * 4


def test_an_id_that_the_user_namespace_does_not_map_is_refused(
    pyrunc: Runtime, config: Config
) -> None:
    """UN-5."""
    config.user_namespace(100000, 1000)
    config.process["user"] = {"uid": 5000, "gid": 0}
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "/process/user/uid" in result.stderr


# -- capabilities ---------------------------------------------------------------------------------


def test_the_five_sets_are_those_of_the_config(shell: Shell, config: Config) -> None:
    """CR-4. With no_new_privs a program of root keeps its permitted set and gets all of it."""
    config.process["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    found = sets(status(shell, config))
    assert found["bounding"] == mask("CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW")
    assert found["permitted"] == found["effective"] == mask("CAP_CHOWN", "CAP_KILL")
    assert found["inheritable"] == found["ambient"] == mask("CAP_KILL")


def test_a_plain_user_gets_the_ambient_set_only(shell: Shell, config: Config) -> None:
    """CR-4, R005."""
    config.process["user"] = {"uid": 1000, "gid": 1000}
    config.process["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    found = sets(status(shell, config))
    assert found["bounding"] == mask("CAP_CHOWN", "CAP_KILL")
    assert found["permitted"] == found["effective"] == found["ambient"] == mask("CAP_KILL")


def test_a_plain_user_with_the_usual_sets_has_no_capability(shell: Shell, config: Config) -> None:
    """CR-4, R005, R013, R023, R036, R064: nothing inheritable, nothing ambient."""
    config.process["user"] = {"uid": 1000, "gid": 1000}
    found = sets(status(shell, config))
    usual = mask("CAP_KILL", "CAP_NET_BIND_SERVICE") | 1 << 29
    assert found == {
        "bounding": usual,
        "effective": 0,
        "permitted": 0,
        "inheritable": 0,
        "ambient": 0,
    }


def test_without_capabilities_there_are_none(shell: Shell, config: Config) -> None:
    del config.process["capabilities"]
    assert set(sets(status(shell, config)).values()) == {0}


def test_an_ambient_capability_that_is_not_inheritable_is_refused_or_left_out(
    run: Run, config: Config
) -> None:
    config.process["capabilities"] = {
        "bounding": ["CAP_KILL"],
        "permitted": ["CAP_KILL"],
        "effective": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    result = run(config, "grep", "CapAmb", "/proc/self/status")
    assert result.status == 1 or int(result.stdout.split()[1], 16) == 0


def test_no_new_privileges_is_set_when_asked(shell: Shell, config: Config) -> None:
    assert status(shell, config)["NoNewPrivs"] == "1"
    config.process["noNewPrivileges"] = False
    assert status(shell, config)["NoNewPrivs"] == "0"


# -- limits ---------------------------------------------------------------------------------------

LIMITS = {
    "RLIMIT_NOFILE": ("Max open files", 100, 200),
    "RLIMIT_CORE": ("Max core file size", 0, 4096),
    "RLIMIT_FSIZE": ("Max file size", 1 << 30, 1 << 31),
    "RLIMIT_NPROC": ("Max processes", 500, 600),
    "RLIMIT_STACK": ("Max stack size", 1 << 22, 1 << 23),
    "RLIMIT_CPU": ("Max cpu time", 1000, 2000),
    "RLIMIT_DATA": ("Max data size", 1 << 33, 1 << 34),
    "RLIMIT_AS": ("Max address space", 1 << 34, 1 << 35),
    "RLIMIT_MEMLOCK": ("Max locked memory", 4096, 8192),
    "RLIMIT_SIGPENDING": ("Max pending signals", 100, 101),
    "RLIMIT_MSGQUEUE": ("Max msgqueue size", 1000, 2000),
    "RLIMIT_LOCKS": ("Max file locks", 50, 60),
    "RLIMIT_RSS": ("Max resident set", 1 << 30, 1 << 31),
}


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_a_limit_is_that_of_the_config(shell: Shell, config: Config, name: str) -> None:
    title, soft, hard = LIMITS[name]
    config.process["rlimits"] = [{"type": name, "soft": soft, "hard": hard}]
    lines = shell(config, "cat /proc/self/limits").splitlines()
    line = next(line for line in lines if line.startswith(title))
    assert line[len(title) :].split()[:2] == [str(soft), str(hard)]


def test_a_limit_may_be_unlimited(shell: Shell, config: Config) -> None:
    everything = 2**64 - 1
    config.process["rlimits"] = [{"type": "RLIMIT_CPU", "soft": 5, "hard": everything}]
    line = shell(config, "grep '^Max cpu time' /proc/self/limits")
    assert line.split()[3:5] == ["5", "unlimited"]


def test_a_limit_that_would_stop_the_runtime_holds_only_for_the_program(
    run: Run, config: Config
) -> None:
    """The set-up opens more descriptors than the program may have."""
    config.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 8, "hard": 8}]
    # Not even the standard output may be written: it is a file.
    run(config, "sh", "-c", 'test "$(ulimit -n)" = 8').ok()


# -- the rest -------------------------------------------------------------------------------------


def test_the_umask_is_022_unless_the_config_says_otherwise(shell: Shell, config: Config) -> None:
    before = os.umask(0o077)
    try:
        assert shell(config, "umask") == "0022\n"
        config.process["user"]["umask"] = 0o27
        assert shell(config, "umask") == "0027\n"
    finally:
        os.umask(before)


def test_the_oom_score_is_that_of_the_config(shell: Shell, config: Config) -> None:
    config.process["oomScoreAdj"] = 321
    assert shell(config, "cat /proc/self/oom_score_adj") == "321\n"


def test_the_oom_score_of_the_caller_is_inherited_otherwise(shell: Shell, config: Config) -> None:
    own = Path("/proc/self/oom_score_adj").read_text()
    assert shell(config, "cat /proc/self/oom_score_adj") == own


@pytest.mark.parametrize(("user", "home"), [(0, "/root"), (1000, "/home/worker"), (4242, "/")])
def test_home_comes_from_passwd(shell: Shell, config: Config, user: int, home: str) -> None:
    """CR-3."""
    config.process["user"] = {"uid": user, "gid": 0}
    assert shell(config, "echo $HOME") == f"{home}\n"


def test_a_home_of_the_config_is_kept(shell: Shell, config: Config) -> None:
    config.process["env"].append("HOME=/kept")
    assert shell(config, "echo $HOME") == "/kept\n"


def test_home_without_passwd_is_the_root(shell: Shell, config: Config) -> None:
    (config.rootfs / "etc/passwd").unlink()
    assert shell(config, "echo $HOME") == "/\n"


def test_the_environment_is_that_of_the_config(run: Run, config: Config) -> None:
    """HK-1, R083: nothing of the caller's."""
    config.process["env"] = ["PATH=/bin", "A=one", "B=two words", "EMPTY=", "HOME=/x"]
    result = run(config, "env", env={**os.environ, "CANARY": "secret"})
    assert sorted(result.ok().lines) == ["A=one", "B=two words", "EMPTY=", "HOME=/x", "PATH=/bin"]


def test_of_two_values_of_a_variable_the_last_counts(shell: Shell, config: Config) -> None:
    config.process["env"] += ["TWICE=first", "TWICE=second"]
    assert shell(config, "echo $TWICE; env | grep -c TWICE").split() == ["second", "1"]


def test_the_directory_is_that_of_the_config(shell: Shell, config: Config) -> None:
    config.process["cwd"] = "/home"
    assert shell(config, "pwd") == "/home\n"


def test_a_missing_directory_is_made(shell: Shell, config: Config) -> None:
    config.process["cwd"] = "/var/made/here"
    assert shell(config, "pwd") == "/var/made/here\n"
    made = (config.rootfs / "var/made/here").stat()
    assert stat.S_IMODE(made.st_mode) == 0o755


def test_a_directory_that_only_the_user_may_enter_is_entered(shell: Shell, config: Config) -> None:
    config.process["user"] = {"uid": 1000, "gid": 1000}
    own = config.rootfs / "home/worker"
    own.mkdir(mode=0o700)
    os.chown(own, 1000, 1000)
    config.process["cwd"] = "/home/worker"
    assert shell(config, "pwd") == "/home/worker\n"


@pytest.mark.parametrize("path", ["/proc/self/fd/7", "/proc/self/fd/0", "/proc/thread-self/cwd"])
def test_a_directory_through_a_descriptor_is_refused(
    pyrunc: Runtime, config: Config, path: str
) -> None:
    """FD-7, R016."""
    config.process["cwd"] = path
    opened = ["bash", "-c", 'exec 7</; exec "$@"', "bash"]
    result = pyrunc.run(config, "pwd", prefix=opened)
    assert result.status == 1
    assert result.stdout == ""


def test_only_the_standard_descriptors_are_open(run: Run, config: Config, probe: Path) -> None:
    """FD-1, FD-5: none of the runtime's and none of the caller's."""
    config.bind(probe, "/bin/probe")
    opened = ["bash", "-c", 'exec 3</ 4</ 7</ 9</tmp; exec "$@"', "bash"]
    result = run(config, "probe", "fds", prefix=opened)
    assert [line.split()[0] for line in result.ok().lines] == ["0", "1", "2"]


def test_preserved_descriptors_keep_their_numbers(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    """FD-4, R041."""
    (workspace / "given").write_text("given ")
    config.process["args"] = ["sh", "-c", "cat <&4; ls /proc/self/fd | wc -w"]
    config.write()
    argv = pyrunc.argv("run", "--preserve-fds", "2", "-b", config.bundle, pyrunc.new_id())
    script = 'exec 3</dev/null 4<"$0" 5</dev/null; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", script, workspace / "given", *argv],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "given 6\n"  # 0 to 4, and the directory that ls reads


def test_signals_are_as_a_fresh_program_expects(shell: Shell, config: Config) -> None:
    """CR-8: Python ignores SIGPIPE; nothing of that is handed on."""
    found = status(shell, config)
    assert int(found["SigBlk"], 16) == 0
    assert int(found["SigIgn"], 16) == 0


def test_attributes_that_the_set_up_used_are_reset(run: Run, config: Config, probe: Path) -> None:
    """CR-8, CN-6: keepcaps, securebits and the death signal; and it leads its session."""
    config.bind(probe, "/bin/probe")
    found = dict(line.split() for line in run(config, "probe", "attributes").ok().lines)
    assert found["session"] == "1"
    assert found["dumpable"] == "1"
    assert found["keepcaps"] == found["securebits"] == found["pdeathsig"] == "0"
    assert found["keyring"] == "1"


def test_the_session_keyring_is_a_new_one(run: Run, config: Config, probe: Path) -> None:
    """JN-8."""
    config.bind(probe, "/bin/probe")
    first = run(config, "probe", "keyring").ok().stdout
    assert first != run(config, "probe", "keyring").ok().stdout


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["absent"], 'exec: "absent": executable file not found in $PATH'),
        (["/absent"], 'exec: "/absent": stat /absent: no such file or directory'),
        (["/etc"], 'exec: "/etc": is a directory'),
        (["/etc/passwd"], 'exec: "/etc/passwd": permission denied'),
    ],
)
def test_a_program_that_cannot_be_run_is_named_at_create(
    pyrunc: Runtime, run: Run, config: Config, args: list[str], text: str
) -> None:
    result = run(config, *args)
    assert result.status == 1
    assert text.replace('"', "") in result.stderr.replace('\\"', "").replace('"', "")


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_run_ends_as_the_program_does(run: Run, config: Config, script: str, code: int) -> None:
    config.without_namespace("pid")
    assert run(config, "sh", "-c", script).status == code


def test_the_standard_input_reaches_the_program(run: Run, config: Config) -> None:
    assert run(config, "cat", stdin="through").ok().stdout == "through"
