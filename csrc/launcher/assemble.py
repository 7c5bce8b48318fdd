# SPDX-License-Identifier: Apache-2.0
"""The last step of the launcher's build: strip, dump, undump, try.

The dump is an optimisation. If any part of it fails, the boot program, which starts the same
application cold, takes the launcher's place, with a warning.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from typing import Any

import undump

TIMEOUT_S = 900  # a profile takes half a minute of a processor that may have much else to do
# Of ten rehearsals on a busy machine one was ended by a trap between two of its steps.
TRIES = 3
# No variable of the build's environment may get into the dump; nor its time zone (time.tzname).
ENVIRONMENT = {"TZ": "UTC"}


class DumpError(Exception):
    pass


class Reader(threading.Thread):
    """Reads a pipe to its end, so that no writer has to wait."""

    def __init__(self, pipe: Any) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._text = ""
        self.start()

    def run(self) -> None:
        self._text = self._pipe.read()

    def join_text(self) -> str:
        """Return what came; waits for the end."""
        self.join(TIMEOUT_S)
        return self._text


def run(*command: str) -> str:
    """Run with pipes as standard descriptors: the dumped streams then take nothing as seekable."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        cwd="/",
    ) as process:
        readers = [Reader(process.stdout), Reader(process.stderr)]
        try:
            process.stdin.close()
            process.wait(timeout=TIMEOUT_S)
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
            remove_traces(process.pid)
        # Only now: an init that the program has left behind would have kept the pipes open.
        said, errors = (reader.join_text() for reader in readers)
    if process.returncode:
        raise DumpError(f"{command[0]}: exit {process.returncode}: {errors.strip()}")
    return said


def remove_traces(pid: int) -> None:
    """Remove what a killed training or rehearsal (training.py) could not remove itself.

    The boot program knows how to delete its container; half a container's init ends by itself.
    """
    directory = f"/tmp/pyrunc-training-{pid:010}"
    if not os.path.isdir(directory):
        return
    words = ["--root", f"{directory}/state", "delete", "--force", f"pyrunc-rehearsal-{pid:010}"]
    subprocess.run([os.path.abspath(sys.argv[1]), *words], check=False, timeout=TIMEOUT_S)
    shutil.rmtree(directory, ignore_errors=True)


def without_randomisation(*command: str) -> str:
    """Addresses of the stack and of mappings are in the dump: make them the same every time."""
    setarch = shutil.which("setarch")
    if setarch is not None:
        try:
            return run(setarch, "-R", *command)
        except DumpError as error:
            if "personality" not in str(error):  # a container may forbid it: not reproducible then
                raise
    return run(*command)


def make_profile(program: str, profile: str, *, given: str) -> None:
    """Which objects commands write to; without it they are only not side by side.

    One profile serves all dumps of a program: a rehearsal depends a little on the machine.
    """
    if given:
        shutil.copyfile(given, profile)
        return
    if os.path.exists(profile) and os.path.getmtime(profile) > os.path.getmtime(program):
        return
    for left in reversed(range(TRIES)):
        try:
            without_randomisation(os.path.abspath(program), "--profile", os.path.abspath(profile))
            return
        except (DumpError, subprocess.TimeoutExpired) as error:
            if os.path.exists(profile):
                os.unlink(profile)
            if not left or isinstance(error, subprocess.TimeoutExpired):
                print(f"warning: no profile, the launcher will be slower: {error}", file=sys.stderr)
                return


def make_undumped(program: str, target: str, *, given: str) -> None:
    dump, profile = program + ".dump", program + ".profile"
    make_profile(program, profile, given=given)
    without_randomisation(*map(os.path.abspath, (program, dump, profile)))
    with open(program, "rb") as file:
        image = file.read()
    with open(dump, "rb") as file:
        merged = undump.merge(image, file.read())
    os.unlink(dump)
    with open(target + ".new", "wb") as file:
        file.write(merged)
    os.chmod(target + ".new", 0o755)
    said = run(os.path.abspath(target + ".new"), "--version")
    if "undumped" not in said:
        raise DumpError(f"the launcher answers --version with {said!r}")
    os.replace(target + ".new", target)


def main() -> None:
    boot, program, target, given = (*sys.argv[1:], "")[:4]
    try:
        make_undumped(program, target, given=given)
    except (DumpError, SystemExit, OSError, subprocess.TimeoutExpired) as error:
        print(f"warning: the dump failed, {target} will start cold: {error}", file=sys.stderr)
        shutil.copy2(boot, target + ".new")
        os.replace(target + ".new", target)


if __name__ == "__main__":
    main()
