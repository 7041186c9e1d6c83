# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub starts while traffic waits outside: what may pass passes in the end, what may not never does."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from kernelkit.hosts import HUB
from kernelnet import DB, Net, Outcome, assert_order
from storms import Observed, assert_nothing_crossed, knocking, storm


@dataclass
class Restart:
    """What a restart of the hub was like."""

    before: dict[str, str]
    keys: dict[str, str]
    observed: Observed
    up: float
    word: str
    units: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def restart(guests: Net, first: Outcome, programs: None) -> Restart:
    """The hub restarts once in good order, with traffic waiting outside all the time."""
    assert first.status == 0, first.output
    before, keys = guests.snapshot(), guests.public_keys()
    with storm(guests) as observed:
        guests.switch_off(HUB)
        with knocking(guests):
            guests.boot(HUB)
            up = time.time()
            word = guests.settled(HUB)
        # What it lets through now must still be what is declared.
        time.sleep(2)
    return Restart(before, keys, observed, up, word, guests.units())


@pytest.mark.invariant(2)
def test_reboot_brings_everything_back(net: Net, restart: Restart) -> None:
    """Seen red with one tunnel's unit disabled."""
    assert restart.word == "running"
    assert net.snapshot() == restart.before
    assert net.public_keys() == restart.keys
    net.wake()
    net.verify()


@pytest.mark.invariant(2)
def test_firewall_and_routing_stand_before_any_interface(net: Net, restart: Restart) -> None:
    """Seen red with a slow firewall unit that one tunnel did not wait for."""
    assert_order(restart.units)


@pytest.mark.invariant(2, 10, 11)
def test_nothing_crosses_while_the_hub_stops_and_boots(net: Net, restart: Restart) -> None:
    """Seen red with a firewall that loads at boot and is empty."""
    assert_nothing_crossed(restart.observed)
    # Since the hub is up again, too: the way that nothing forbidden took was open.
    allowed = [entry for entry in restart.observed.of("allow") if entry[0] == DB.name and entry[2] == "in"]
    arrived = {entry[3] for entry in allowed if entry[-1] > restart.up}
    assert arrived == {"allow-db-syn4", "allow-db-syn6", "allow-db-echo4", "allow-db-echo6"}


@pytest.mark.invariant(2)
def test_a_firewall_that_does_not_load_keeps_every_interface_down(net: Net) -> None:
    """Seen red with PreUp removed from one interface's configuration."""
    before, keys = net.snapshot(), net.public_keys()
    net.sh(HUB, "echo 'table inet tenantnet { chain broken { no such rule } }' > /etc/tenantnet/firewall.nft; sync")
    net.cut(HUB)
    with storm(net) as observed:
        net.boot(HUB)
        assert net.settled(HUB) == "degraded"
        failed = net.sh(HUB, "systemctl list-units --failed --plain --no-legend | cut -d' ' -f1").split()
        assert "tenantnet-firewall.service" in failed
        assert net.sh(HUB, "wg show interfaces").split() == []
        time.sleep(2)
    assert_nothing_crossed(observed)
    assert not [entry for entry in observed.of("allow") if entry[0] == DB.name and entry[2] == "in"]
    net.site()
    assert net.snapshot() == before
    assert net.public_keys() == keys
    net.wake()
