# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub starts while traffic waits outside: what may pass passes in the end, what may not never does."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from kernelkit.hosts import HUB
from kernelnet import DB, Net, Outcome, assert_order
from storms import Observed, assert_nothing_crossed, knocked, storm


@dataclass
class Restart:
    """What a restart of the hub was like."""

    before: dict[str, str]
    keys: dict[str, str]
    observed: Observed
    word: str
    units: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def restart(guests: Net, first: Outcome, programs: None) -> Restart:
    """The hub restarts once in good order, with traffic waiting outside all the time."""
    assert first.status == 0, first.output
    before, keys = guests.snapshot(), guests.public_keys()
    with storm(guests) as observed:
        guests.reboot(HUB)
        knocked(guests)
        word = guests.settled(HUB)
        # What it lets through now must still be what is declared.
        time.sleep(2)
    return Restart(before, keys, observed, word, guests.units())


def test_reboot_brings_everything_back(net: Net, restart: Restart) -> None:
    """RED1"""
    assert restart.word == "running"
    assert net.snapshot() == restart.before
    assert net.public_keys() == restart.keys
    net.wake()
    net.verify()


def test_firewall_and_routing_stand_before_any_interface(net: Net, restart: Restart) -> None:
    """RED2"""
    assert_order(restart.units)


def test_nothing_crosses_while_the_hub_stops_and_boots(net: Net, restart: Restart) -> None:
    """RED3"""
    assert_nothing_crossed(restart.observed)
    arrived = {entry[3] for entry in restart.observed.of("allow") if entry[0] == DB.name and entry[2] == "in"}
    assert arrived == {"allow-db-syn4", "allow-db-syn6", "allow-db-echo4", "allow-db-echo6"}


def test_a_firewall_that_does_not_load_keeps_every_interface_down(net: Net) -> None:
    """RED4"""
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
