# SPDX-License-Identifier: GPL-3.0-or-later
"""The network is deployed over SSH onto machines with a kernel of their own."""

from __future__ import annotations

import pytest
from kernelkit.hosts import HUB
from kernelnet import PEERS, Net, Outcome


@pytest.mark.invariant(1, 10)
def test_site_then_verify_agrees(guests: Net, first: Outcome) -> None:
    """Seen red with the hub's firewall flushed between the two."""
    assert first.status == 0, first.output
    assert guests.verify() > 20


def test_tunnels_are_the_kernels_own(net: Net) -> None:
    """Seen red with one tunnel made by wireguard-go: such a device says `tun` instead."""
    for guest in [HUB, *PEERS]:
        assert not net.sh(guest, "command -v wireguard-go || true")
        names = net.sh(guest, "wg show interfaces").split()
        assert names
        for name in names:
            assert " wireguard " in net.sh(guest, f"ip -d link show {name}").replace("\n", " ")


@pytest.mark.invariant(9)
def test_second_site_changes_nothing(net: Net) -> None:
    """Seen red with a line added to the hub's firewall file."""
    changed = net.site().changed()
    assert set(changed) == {guest.name for guest in [HUB, *PEERS]}
    assert not any(changed.values()), changed
