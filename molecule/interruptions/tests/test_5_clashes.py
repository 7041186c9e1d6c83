# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new segment would get is somebody else's on the hub: the run says what, where and what to do, and takes
nothing of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from labnet import Lab

HUB = "hub2"
LISTENER = "import socket, time; s = socket.socket(2, 2); s.bind(('', 51823)); time.sleep(600)"
# How it gets there, how it goes again, and what the message names: the value and the remedy.
STRANGERS = {
    "port": (
        f'systemd-run -q --unit=stranger python3 -c "{LISTENER}"; sleep 0.5', "systemctl stop stranger",
        ["UDP port 51823", "north", "ss -lunp", "listen_port"],
    ),
    "table": (
        "ip route add 198.51.100.0/24 dev lo table 10004", "ip route flush table 10004",
        ["table 10004", "198.51.100.0/24", "wireguard_routing_table_base"],
    ),
    "table of a rule": (
        "ip -6 rule add pref 77 fwmark 0x77 lookup 10004", "ip -6 rule del pref 77",
        ["table 10004", "IPv6 rule 77", "wireguard_routing_table_base"],
    ),
    "name of a table": (
        "echo '77 tn-north.main' > /etc/iproute2/rt_tables.d/stranger.conf",
        "rm /etc/iproute2/rt_tables.d/stranger.conf",
        ["rt_tables.d/stranger.conf", "tn-north.main"],
    ),
    "priority": (
        "ip rule add pref 2222 fwmark 0x77 lookup main", "ip rule del pref 2222",
        ["IPv4 rule 2222", "wireguard_rule_priority_base"],
    ),
    "interface": (
        "ip link add north type veth peer name stranger", "ip link del north",
        ["interface north stands already and is not ours", "`interface`"],
    ),
    "configuration": (
        "echo '[Interface]' > /etc/wireguard/north.conf", "rm /etc/wireguard/north.conf",
        ["/etc/wireguard/north.conf exists and is not ours", "`interface`"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def committed(lab: Lab, declared: Any) -> None:
    """From the committed state on."""
    lab.site("--limit", HUB, *declared.change(), inventory=declared.path)
    lab.site("--limit", HUB, *declared.first(), inventory=declared.path)


@pytest.mark.invariant(3, 6)
@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_in_the_place_of_a_segment_is_named_and_left_alone(lab: Lab, declared: Any, name: str) -> None:
    """Seen red with none of these looked for before the first change."""
    make, remove, words = STRANGERS[name]
    allocation = json.dumps(declared.path.joinpath("wireguard.lock.yml").read_text())
    assert "north/main" in allocation
    state = "wg show all dump | cut -f1-4 | sort; ls -la --full-time /etc/wireguard"
    lab.sh(HUB, make)
    try:
        before = lab.sh(HUB, state)
        outcome = lab.play("site", "--limit", HUB, *declared.change(), inventory=declared.path)
        after = lab.sh(HUB, state)
    finally:
        lab.sh(HUB, remove)
    assert outcome.status != 0
    message = " ".join(outcome.output.split())
    assert all(word in message for word in words), outcome.output
    assert "Traceback" not in outcome.output
    assert after == before
    lab.site("--limit", HUB, *declared.first(), inventory=declared.path)
