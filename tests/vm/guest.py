# SPDX-License-Identifier: Apache-2.0
"""Run a command as root in a throw-away guest.

``python -m tests.vm.guest [--kernel uml] [--mode v2|v1|hybrid|systemd] [--parameter X=Y] --
COMMAND``

The guest's root is this machine's tree, read-only under a tmpfs layer. The command's output and
exit status come back; 125 means that the guest died before the command ended. User-Mode Linux needs
neither root nor a virtual machine and boots in two seconds; qemu emulates a processor for what
User-Mode Linux lacks.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm import images

TREE = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("PYRUNC_VM_CACHE", TREE / "build/vm"))
DIED = 125
LSM_MODULES = {  # parameters of the kernel
    "apparmor": ("security=apparmor", "apparmor=1"),
    "selinux": ("security=selinux", "selinux=1", "enforcing=0"),  # until there is a policy
}
FEATURES = "/run/job/features.json"  # in the guest
# Without address masking and large vectors: the emulator is slow at both, and neither is under
# test.
PROCESSOR = "max,la57=off,smap=off,smep=off,avx=off,avx2=off,pku=off"


@dataclass(frozen=True)
class Result:
    """What the command printed, its exit status, how long the guest lived (s), its console, and
    what it wrote to the file FEATURES.
    """

    status: int
    output: str
    seconds: float
    console: str
    features: str = ""


@dataclass(frozen=True)
class Guest:
    """A kind of guest. `memory` is in MiB."""

    kernel: str = "uml"
    mode: str = "v2"
    memory: int = 1024
    processors: int = 1
    parameters: tuple[str, ...] = ()

    def run(self, command: str, *, timeout_s: float = 300) -> Result:
        """Boot, run a shell command, and return when the guest is gone."""
        started = time.monotonic()
        kernel = images.kernel(self.kernel, CACHE)
        # The job's directory is shared with the guest; its /tmp is a tmpfs of its own, so the path
        # lies elsewhere.
        job = Path(tempfile.mkdtemp(prefix="guest.", dir=CACHE))
        try:
            (job / "command").write_text(command + "\n")
            with (job / "console").open("wb") as console:
                helpers, argv = self._start(kernel, job)
                try:
                    _wait(argv, console.fileno(), timeout_s)
                finally:
                    for helper in helpers:
                        helper.terminate()
                        helper.wait()
            status = _read(job / "status").strip()
            return Result(
                int(status) if status else DIED,
                _read(job / "output"),
                time.monotonic() - started,
                _read(job / "console"),
                _read(job / FEATURES.rpartition("/")[2]),
            )
        finally:
            shutil.rmtree(job, ignore_errors=True)

    def _start(
        self, kernel: images.Kernel, job: Path
    ) -> tuple[list[subprocess.Popen[bytes]], list[str]]:
        init = TREE / "tests/vm/guest-init"
        boot = [
            *("ro", "quiet", "panic=-1", f"init={init}", f"guest_init={init}"),
            *(f"guest_job={job}", f"guest_modules={kernel.modules}", f"guest_mode={self.mode}"),
            *("systemd.show_status=0", "systemd.log_target=null", *self.parameters),
        ]
        if kernel.initrd is None:
            console = ["con=null", "con0=null,fd:1", "ssl=null"]
            # The fast way of catching system calls; kernels before 6.16 trace instead and refuse
            # the word.
            fast = ["seccomp=on"] if self.kernel == "uml" else []
            root = ["root=/dev/root", "rootfstype=hostfs", "rootflags=/"]
            return [], [
                str(kernel.program),
                f"mem={self.memory}M",
                *root,
                *console,
                *fast,
                *boot,
            ]
        helpers = [_share("hostroot", "/", job), _share("job", str(job), job)]
        return helpers, self._qemu(kernel, job, boot)

    def _qemu(self, kernel: images.Kernel, job: Path, boot: Sequence[str]) -> list[str]:
        devices: list[str] = []
        for tag in ("hostroot", "job"):
            devices += ["-chardev", f"socket,id={tag},path={job}/{tag}.sock"]
            devices += ["-device", f"vhost-user-fs-pci,chardev={tag},tag={tag}"]
        command = [
            *("console=ttyS0", "root=hostroot", "rootfstype=virtiofs", "mitigations=off"),
            *("tsc=reliable", "clocksource=tsc", "net.ifnames=0", *boot),
        ]
        return [
            *("qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", PROCESSOR),
            *("-smp", str(self.processors), "-m", str(self.memory)),
            *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
            *("-object", f"memory-backend-memfd,id=mem,size={self.memory}M,share=on"),
            *("-numa", "node,memdev=mem", *devices),
            *("-kernel", str(kernel.program), "-initrd", str(kernel.initrd)),
            *("-append", " ".join(command)),
        ]


def _share(tag: str, source: str, job: Path) -> subprocess.Popen[bytes]:
    """Start the server of a shared directory and wait for its socket."""
    program = shutil.which("virtiofsd") or "/usr/lib/qemu/virtiofsd"
    path = job / f"{tag}.sock"
    cache = "always" if tag == "hostroot" else "none"
    options = (
        "-o",
        f"source={source}",
        "-o",
        "sandbox=chroot",
        "-o",
        f"cache={cache}",
        "-o",
        "xattr",
    )
    server = subprocess.Popen(
        [program, f"--socket-path={path}", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not path.exists():
        if server.poll() is not None:
            raise SystemExit(f"guest: {program} ended with status {server.returncode}")
        time.sleep(0.01)
    return server


def _wait(argv: Sequence[str], console: int, timeout_s: float) -> None:
    """Run a kernel to its end; kill it and what it started when the time is up."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=console,
        env={
            **os.environ,
            "TMPDIR": "/dev/shm",
        },  # User-Mode Linux keeps its memory in a file there
        start_new_session=True,
    )
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        print(f"guest: no end after {timeout_s:.0f} s", file=sys.stderr)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--kernel", choices=sorted(images.IMAGES), default="uml")
    parser.add_argument("--mode", choices=("v1", "hybrid", "v2", "systemd"), default="v2")
    parser.add_argument("--parameter", action="append", default=[], help="for the kernel")
    parser.add_argument("--memory", type=int, default=1024, metavar="MIB")
    parser.add_argument("--processors", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS")
    parser.add_argument("--console", action="store_true", help="print the console, too")
    parser.add_argument("--keep", type=Path, metavar="FILE", help=f"copy {FEATURES} to it")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    guest = Guest(
        arguments.kernel,
        arguments.mode,
        arguments.memory,
        arguments.processors,
        tuple(arguments.parameter),
    )
    words = arguments.command
    command = words[0] if len(words) == 1 else shlex.join(words)
    result = guest.run(command, timeout_s=arguments.timeout)
    sys.stdout.write(result.output)
    if arguments.keep and result.features:
        arguments.keep.write_text(result.features)
    if arguments.console or result.status == DIED:
        sys.stderr.write(result.console[-5000:])
    print(
        f"guest: {guest.kernel} {guest.mode}: status {result.status}, {result.seconds:.1f} s",
        file=sys.stderr,
    )
    return result.status


if __name__ == "__main__":
    sys.exit(main())
