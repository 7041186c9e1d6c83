# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests' network: a bridge in a network namespace of its own, with no way out of it.

What a guest sends to a network that nobody there has ends there: neither this machine's own network nor the lab's is
in reach, and nothing is left behind on this machine when the namespace goes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from labkit.machine import run

from kernelkit.hosts import BRIDGE, GUESTS, MACHINE, NAMESPACE, PREFIX, PREFIX_V6, RUN


def exists() -> bool:
    """Whether the namespace is there."""
    return run(["stat", "--file-system", "--format=%T", str(NAMESPACE)], check=False).stdout.strip() == "nsfs"


def inside(command: Sequence[str]) -> list[str]:
    """The command as it must be started to be in the guests' network."""
    return ["nsenter", f"--net={NAMESPACE}", *command]


def make() -> None:
    """Make the network, if it is not there."""
    if exists():
        return
    RUN.mkdir(mode=0o700, exist_ok=True)
    NAMESPACE.touch()
    run(["unshare", f"--net={NAMESPACE}", "true"])
    lines = [
        "link set lo up",
        f"link add {BRIDGE} type bridge stp_state 0 mcast_snooping 0",
        f"address add {PREFIX}{MACHINE}/24 dev {BRIDGE}",
        f"address add {PREFIX_V6}{MACHINE}/64 dev {BRIDGE} nodad",
        f"link set {BRIDGE} up",
    ]
    for guest in GUESTS.values():
        lines += [f"tuntap add dev {guest.tap} mode tap", f"link set {guest.tap} master {BRIDGE} up"]
    for line in lines:
        run(inside(["ip", *line.split()]))


def remove() -> None:
    """Remove the network: bridge and taps end with the namespace."""
    if exists():
        run(["umount", str(NAMESPACE)])
    NAMESPACE.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        RUN.rmdir()
