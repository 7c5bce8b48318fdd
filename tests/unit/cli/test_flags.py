# SPDX-License-Identifier: Apache-2.0
"""The command line is read by the rules that clients rely on."""

from __future__ import annotations

import pytest

from pyrunc.cli import flags, help
from pyrunc.cli.flag_table import GLOBAL, VERBS
from pyrunc.errors import UsageError

# (command line, verb, positionals, values): what each rule makes of it.
READ = [
    ("list", "list", [], {}),
    ("create web", "create", ["web"], {"bundle": ".", "pid-file": "", "preserve-fds": 0}),
    ("create --bundle /b web", "create", ["web"], {"bundle": "/b"}),
    ("create --bundle=/b web", "create", ["web"], {"bundle": "/b"}),
    ("create -bundle /b web", "create", ["web"], {"bundle": "/b"}),
    ("create -bundle=/b web", "create", ["web"], {"bundle": "/b"}),
    ("create -b /b web", "create", ["web"], {"bundle": "/b"}),
    ("create -b=/b web", "create", ["web"], {"bundle": "/b"}),
    ("create web --bundle /b", "create", ["web"], {"bundle": "/b"}),
    ("create --bundle=a=b web", "create", ["web"], {"bundle": "a=b"}),
    ("create --bundle= web", "create", ["web"], {"bundle": ""}),
    ("create --bundle /a --bundle /b web", "create", ["web"], {"bundle": "/b"}),
    ("create --no-pivot web", "create", ["web"], {"no-pivot": True}),
    ("create --no-pivot=true web", "create", ["web"], {"no-pivot": True}),
    ("create --no-pivot=false web", "create", ["web"], {"no-pivot": False}),
    ("create --no-pivot=1 web", "create", ["web"], {"no-pivot": True}),
    ("create --no-pivot --no-pivot=F web", "create", ["web"], {"no-pivot": False}),
    ("create --preserve-fds 3 web", "create", ["web"], {"preserve-fds": 3}),
    ("create -- -web", "create", ["-web"], {}),
    ("create --bundle -x web", "create", ["web"], {"bundle": "-x"}),
    ("--root /r create web", "create", ["web"], {"root": "/r"}),
    ("restore --no-new-keyring web", "restore", ["web"], {"no-new-keyring": True}),
    ("--root=/a --root=/b --systemd-cgroup --systemd-cgroup create --bundle /b --pid-file /p web",
     "create", ["web"], {"root": "/b", "systemd-cgroup": True, "pid-file": "/p"}),
    ("--log /l --log-format json create web", "create", ["web"],
     {"log": "/l", "log-format": "json"}),
    ("--log-format=json --cgroup-manager disabled create web", "create", ["web"],
     {"cgroup-manager": "disabled"}),
    ("--rootless=true create web", "create", ["web"], {"rootless": "true"}),
    ("--rootless=0 create web", "create", ["web"], {"rootless": "false"}),
    ("create --root /r web", "create", ["web"], {"root": "/r"}),
    ("--debug list", "list", [], {"debug": True}),
    ("list -q", "list", [], {"quiet": True}),
    ("list -f json", "list", [], {"format": "json"}),
    ("list --format=json", "list", [], {"format": "json"}),
    ("spec --rootless", "spec", [], {"rootless": True}),
    ("--rootless=false spec", "spec", [], {"rootless": False}),
    ("kill web", "kill", ["web"], {"all": False}),
    ("kill --all web 9", "kill", ["web", "9"], {"all": True}),
    ("kill -a web SIGTERM", "kill", ["web", "SIGTERM"], {"all": True}),
    ("delete --force web", "delete", ["web"], {"force": True}),
    ("delete web -f", "delete", ["web"], {"force": True}),
    ("exec web sh -c x", "exec", ["web", "sh", "-c", "x"], {"cap": []}),
    ("exec -d web sh --detach", "exec", ["web", "sh", "--detach"], {"detach": True}),
    ("exec -e A=b,c --env D=e web env", "exec", ["web", "env"], {"env": ["A=b,c", "D=e"]}),
    ("exec --cgroup cpu,cpuacct:x web env", "exec", ["web", "env"], {"cgroup": ["cpu,cpuacct:x"]}),
    ("exec -d --console-socket=/s --tty --pid-file=/p web sh -x", "exec", ["web", "sh", "-x"],
     {"console-socket": "/s", "tty": True, "pid-file": "/p"}),
    ("exec --process /p web", "exec", ["web"], {"process": "/p"}),
    ("ps web -aux", "ps", ["web", "-aux"], {"format": "table"}),
    ("ps --format json web", "ps", ["web"], {"format": "json"}),
    ("update --resources - web", "update", ["web"], {"resources": "-"}),
    ("update --resources=- web", "update", ["web"], {"resources": "-"}),
    ("update -r - web", "update", ["web"], {"resources": "-"}),
    ("update --memory -1 web", "update", ["web"], {"memory": "-1"}),
    ("update --memory=512m --cpu-quota=-1 web", "update", ["web"],
     {"memory": "512m", "cpu-quota": "-1"}),
    ("update --kernel-memory 1 web", "update", ["web"], {"kernel-memory": "1"}),
    ("restore --image-path /i --work-path /w --detach --pid-file /p -no-subreaper --bundle /b web",
     "restore", ["web"], {"no-subreaper": True, "bundle": "/b", "detach": True}),
    ("checkpoint --empty-ns network --empty-ns pid web", "checkpoint", ["web"],
     {"empty-ns": ["network", "pid"]}),
    ("events --stats web", "events", ["web"], {"stats": True, "interval": "5s"}),
    ("explain", "explain", [], {"config": "config.json"}),
    ("check /bundle", "check", ["/bundle"], {}),
    ("--version", "", [], {"version": True}),
    ("-v", "", [], {"version": True}),
    ("--help", "", [], {"help": True}),
    ("-h", "", [], {"help": True}),
    ("", "", [], {"help": False}),
    ("checkpoint --help", "checkpoint", [], {"help": True}),
    ("create -h", "create", [], {"help": True}),
    ("help create", "create", [], {"help": True}),
]  # fmt: skip

# (command line, part of the message)
REFUSED = [
    ("restore --lsm-mount-context", "flag needs an argument: --lsm-mount-context"),
    ("restore -lsm-mount-context", "flag needs an argument"),
    ("--root", "flag needs an argument: --root"),
    ("create web --bundle", "flag needs an argument: --bundle"),
    ("create --bundl /b web", "flag provided but not defined: --bundl"),
    ("create --bundle-dir=/b web", "flag provided but not defined: --bundle-dir"),
    ("create --no web", "flag provided but not defined: --no"),
    ("create -bd /b web", "flag provided but not defined: -bd"),
    ("create --b /b web", "flag provided but not defined: --b"),
    ("create ---bundle /b web", "flag provided but not defined"),
    ("create --=x web", "flag provided but not defined"),
    ("kill web -a", None),
    ("create", '"create" requires exactly 1 argument(s)'),
    ("create a b", '"create" requires exactly 1 argument(s)'),
    ("list web", '"list" requires exactly 0 argument(s)'),
    ("kill", '"kill" requires a minimum of 1 argument(s)'),
    ("kill a 9 b", '"kill" requires a maximum of 2 argument(s)'),
    ("exec", '"exec" requires a minimum of 1 argument(s)'),
    ("crate web", 'unknown command "crate"'),
    ("help nothing", 'unknown command "nothing"'),
    ("--log-format xml list", 'invalid value "xml" for --log-format'),
    ("--cgroup-manager none create web", "must be one of cgroupfs, systemd, disabled"),
    ("list --format yaml", "must be one of table, json"),
    ("create --no-pivot=maybe web", 'invalid boolean value "maybe" for --no-pivot'),
    ("create --preserve-fds -1 web", "must be a decimal number"),
    ("create --preserve-fds 1_0 web", "must be a decimal number"),
    ("create --preserve-fds ٣ web", "must be a decimal number"),
    ("create --preserve-fds 9999999999 web", "must be a decimal number"),
]


def value(args: flags.Args, name: str, like: object) -> object:
    if isinstance(like, bool):
        return args.flag(name)
    if isinstance(like, int):
        return args.number(name)
    if isinstance(like, list):
        return args.many(name)
    return args.text(name)


@pytest.mark.parametrize(
    ("line", "verb", "positionals", "values"), READ, ids=[row[0] or "nothing" for row in READ]
)
def test_a_command_line_is_read(
    line: str, verb: str, positionals: list[str], values: dict[str, object]
) -> None:
    args = flags.parse(line.split())
    assert args.verb == verb
    assert args.positionals == positionals
    assert {name: value(args, name, like) for name, like in values.items()} == values


@pytest.mark.parametrize(("line", "message"), [row for row in REFUSED if row[1]])
def test_a_wrong_command_line_is_refused(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        flags.parse(line.split())
    assert message in str(caught.value)


def test_kill_stops_at_the_first_positional() -> None:
    """`kill ID -a` hands -a on as the signal, as runc does."""
    assert flags.parse(["kill", "web", "-a"]).positionals == ["web", "-a"]


def test_a_value_may_be_empty_or_hold_anything() -> None:
    args = flags.parse(["exec", "--cwd", "", "-e", "A=\udc80 \n", "web", "env"])
    assert args.given("cwd")
    assert args.text("cwd") == ""
    assert args.many("env") == ["A=\udc80 \n"]


def test_what_was_not_given_is_known() -> None:
    args = flags.parse(["update", "--memory", "1", "web"])
    assert args.given("memory")
    assert not args.given("memory-swap")


def test_a_wrong_flag_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        flags.parse(["create", "--bundel", "x", "web"])
    assert caught.value.hint == "did you mean --bundle?"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_help_of_a_verb_names_its_flags_but_not_the_hidden_ones(verb: str) -> None:
    text = help.verb(verb)
    for name, short, _kind, _placeholder, help_text, _default, hidden in VERBS[verb][5]:
        assert (f"--{name}" in text) or hidden
        assert not (hidden and f"--{name} " in text)
        assert hidden or help_text.split(" (")[0] in text
        assert hidden or not short or f"-{short}, --{name}" in text


def test_the_program_help_names_every_verb() -> None:
    text = help.program()
    assert all(f"  {verb} " in text for verb, row in VERBS.items() if not row[6])
    assert all(f"--{row[0]}" in text for row in GLOBAL if not row[6])


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_no_two_flags_of_a_verb_share_a_name(verb: str) -> None:
    rows = VERBS[verb][5]
    names = [row[0] for row in rows] + [row[1] for row in rows if row[1]]
    assert len(names) == len(set(names))
    assert "help" not in names
    assert "h" not in names
