# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests and their network: the one table that everything else follows.

`inventories/kernel/hosts.yml` repeats the addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labkit.machine import lab_home

BRIDGE = "tnk0"
PREFIX, PREFIX_V6 = "172.30.98.", "fd7e:a57:98::"
# This machine's own place on the bridge: the guests' default gateway, which forwards nothing.
MACHINE = 1
# Below /run: gone after a restart of the machine, as guests and network are.
RUN = Path("/run/tenantnet-kernel")
NAMESPACE = RUN / "net"


def home() -> Path:
    """The folder with kernel, images and disks: shared by all checkouts."""
    return lab_home() / "kernel"


@dataclass(frozen=True)
class Guest:
    """One guest."""

    name: str
    number: int
    memory: int  # MiB

    @property
    def address(self) -> str:
        """Its address on the bridge."""
        return f"{PREFIX}{self.number}"

    @property
    def address_v6(self) -> str:
        """Its IPv6 address, with the same last number to read."""
        return f"{PREFIX_V6}{self.number}"

    @property
    def mac(self) -> str:
        """Its hardware address, which a restart keeps."""
        return f"02:7e:a5:79:80:{self.number:02x}"

    @property
    def tap(self) -> str:
        """Its end of the wire on this machine."""
        return f"tnk-{self.name}"

    @property
    def folder(self) -> Path:
        """Where its disk and its console's log are."""
        return home() / "guests" / self.name

    @property
    def disk(self) -> Path:
        """What differs on its disk from the image."""
        return self.folder / "disk.cow"


HUB = Guest("khub1", 11, 768)
GUESTS: dict[str, Guest] = {
    guest.name: guest for guest in (HUB, Guest("kweb1", 21, 256), Guest("kapp1", 22, 256), Guest("kdb1", 23, 256))
}
