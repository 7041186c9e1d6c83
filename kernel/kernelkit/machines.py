# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests' life: started, waited for, stopped, cut off from power."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from labkit import containers
from labkit.machine import LabError, lab_home, run

from kernelkit import image, network
from kernelkit.hosts import GUESTS, MACHINE, NAMESPACE, PREFIX, PREFIX_V6, RUN, Guest, home

PATIENCE = 120  # seconds for a guest to boot, on a busy machine


def ssh_options() -> list[str]:
    """Options of ssh that reach a guest by its address from anywhere on this machine."""
    return [
        "-i", str(lab_home() / "id_ed25519"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "User=root",
        "-o", f"UserKnownHostsFile={home() / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes",
        "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10", "-o", "ProxyUseFdpass=yes",
        "-o", f"ProxyCommand=nsenter --net={NAMESPACE} python3 {image.FOLDER / 'connect.py'} %h %p",
    ]  # fmt: skip


def trust() -> None:
    """Write the file of known hosts: all guests have the lab's host key."""
    key = " ".join((containers.keys() / "ssh_host_ed25519_key.pub").read_text().split()[:2])
    names = ",".join(f"{guest.address},{guest.address_v6}" for guest in GUESTS.values())
    (home() / "known_hosts").write_text(f"{names} {key}\n")


def _pid_file(guest: Guest) -> Path:
    return RUN / guest.name / "pid"


def pid(guest: Guest) -> int | None:
    """The guest's process, if it runs: the one that UML wrote down, and only if it is one of ours."""
    with contextlib.suppress(OSError, ValueError):
        number = int(_pid_file(guest).read_text())
        line = Path("/proc", str(number), "cmdline").read_bytes()
        if f"umid={guest.name}".encode() in line.split(b"\0") and _alive(number):
            return number
    return None


def _alive(number: int) -> bool:
    with contextlib.suppress(OSError):
        return Path("/proc", str(number), "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def start(guest: Guest, *, fresh: bool = False) -> None:
    """Switch a guest on, if it isn't; fresh: with nothing on its disk but the image."""
    if pid(guest) is not None:
        return
    kernel = image.ensure_kernel()
    guest.folder.mkdir(parents=True, exist_ok=True)
    # What is on a disk are differences from one image: a guest keeps that, also when there is a newer one by now.
    base = guest.folder / "image"
    disk = Path(base.read_text()) if base.exists() else None
    if fresh or disk is None or not disk.exists():
        disk = image.ensure_image()
        guest.disk.unlink(missing_ok=True)
        base.write_text(str(disk))
    shutil.rmtree(RUN / guest.name, ignore_errors=True)
    command = [
        str(kernel), f"umid={guest.name}", f"uml_dir={RUN}", f"mem={guest.memory}M",
        f"ubd0={guest.disk},{disk}", "root=/dev/ubda", "rw", "quiet", "random.trust_cpu=on",
        f"vec0:transport=tap,ifname={guest.tap},depth=128,gro=1,mac={guest.mac}",
        "con=null", "con0=null,fd:1", "con1=null", "ssl=null", f"systemd.hostname={guest.name}",
        f"guest.address={guest.address}/24", f"guest.address6={guest.address_v6}/64",
        f"guest.gateway={PREFIX}{MACHINE}", f"guest.gateway6={PREFIX_V6}{MACHINE}",
    ]  # fmt: skip
    with (guest.folder / "console.log").open("wb") as log:
        # A session of its own: whoever starts guests may end, or be interrupted at the keyboard.
        subprocess.Popen(
            network.inside(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def answers(guest: Guest) -> bool:
    """Whether the guest's SSH server greets."""
    # In its network: by a process, because a thread can't go there and come back.
    probe = (
        "import socket\n"
        f"with socket.create_connection(({guest.address!r}, 22), timeout=1) as s:\n"
        "    s.settimeout(2)\n    raise SystemExit(s.recv(4) != b'SSH-')"
    )
    return run(network.inside(["python3", "-S", "-c", probe]), check=False).returncode == 0


def wait(guests: Iterable[Guest]) -> None:
    """Wait until guests have booted so far that they can be reached by SSH."""
    end = time.monotonic() + PATIENCE
    for guest in guests:
        while not answers(guest):
            if time.monotonic() > end:
                raise LabError(f"{guest.name}: no answer by SSH after {PATIENCE} s; see {guest.folder}/console.log")
            if pid(guest) is None and time.monotonic() > end - PATIENCE + 5:
                raise LabError(f"{guest.name}: its process has ended; see {guest.folder}/console.log")
            time.sleep(0.2)


def ssh(guest: Guest, script: str, *, check: bool = True, timeout: float = 120) -> str:
    """Run a script on a guest and return what it printed."""
    done = run(["ssh", "-F", "none", *ssh_options(), guest.address, script], check=check, timeout=timeout)
    return done.stdout


def cut(guest: Guest) -> None:
    """Cut a guest off from power: what its kernel had not given to the disk is lost."""
    number = pid(guest)
    if number is None:
        return
    # The processes of the guest's own programs are children of the kernel's, traced by it: they end with it.
    os.kill(number, signal.SIGKILL)
    _gone(guest, number, 10)


def stop(guest: Guest) -> None:
    """Shut a guest down in good order."""
    number = pid(guest)
    if number is None:
        return
    ssh(guest, "systemctl poweroff", check=False)
    with contextlib.suppress(LabError):
        _gone(guest, number, 40)
        return
    cut(guest)


def _gone(guest: Guest, number: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while _alive(number):
        if time.monotonic() > end:
            raise LabError(f"{guest.name}: still runs {seconds:.0f} s after it was to end")
        time.sleep(0.05)


def reboot(guest: Guest) -> None:
    """Restart a guest in good order. It is a new process: UML can restart itself, but this way nothing is kept."""
    stop(guest)
    start(guest)


def save(guests: Iterable[Guest], name: str) -> None:
    """Keep the disks of guests that are off, to go back to."""
    for guest in guests:
        _copy(guest.disk, guest.folder / f"{name}.saved")


def bring_back(guests: Iterable[Guest], name: str) -> None:
    """Give guests that are off the disks that were kept."""
    for guest in guests:
        _copy(guest.folder / f"{name}.saved", guest.disk)


def _copy(old: Path, new: Path) -> None:
    unfinished = new.with_suffix(".unfinished")
    run(["cp", "--sparse=always", "--reflink=auto", str(old), str(unfinished)])
    unfinished.rename(new)


def remove() -> None:
    """End every guest and forget its disk."""
    for guest in GUESTS.values():
        cut(guest)
    end = time.monotonic() + 20
    while time.monotonic() < end and any(_processes(guest) for guest in GUESTS.values()):
        time.sleep(0.1)
    shutil.rmtree(home() / "guests", ignore_errors=True)
    for guest in GUESTS.values():
        shutil.rmtree(RUN / guest.name, ignore_errors=True)


def _processes(guest: Guest) -> list[int]:
    """All processes of a guest: each program that runs on it is one here too."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"umid={guest.name}".encode() in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
    return found
