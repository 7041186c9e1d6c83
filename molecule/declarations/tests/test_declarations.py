# SPDX-License-Identifier: GPL-3.0-or-later
"""The other network: allocated numbers, isolated peers, ranges of ports, a site behind a peer, IPv4 alone."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

import pytest
from labnet import HUB, INTERNET4, Lab, Peer

PEERS = {
    "desk": ("north/office/desk", "web1"),
    "printer": ("north/office/printer", "web2"),
    "roaming": ("north/office/roaming", "ops1"),
    "screen": ("north/kiosk/screen", "dev1"),
    "gateway": ("south/plant/gateway", "app1"),
    "machine": ("south/plant/machine", "db1"),
}


@pytest.fixture(scope="module")
def peers(lab: Lab) -> dict[str, Peer]:
    found = {name: lab.peer(*words) for name, words in PEERS.items()}
    lab.wake(list(found.values()))
    return found


@pytest.mark.invariant(1)
def test_packets_and_policies_agree(lab: Lab) -> None:
    """Seen red with the chain of one policy emptied."""
    probes = lab.verify()
    verdicts = Counter(probe["expected"] for probe in probes)
    assert verdicts["accepted"] >= 10, verdicts
    assert verdicts["denied"] >= 50, verdicts
    assert {probe["family"] for probe in probes} == {4}
    # Each policy let something through.
    spoken = {probe["policy"] for probe in probes if probe["observed"] == "accepted"}
    assert spoken >= {"desk-prints", "clients-find-printers", "kiosk-browses", "machine-pings-kiosks"}


@pytest.mark.parametrize(
    ("source", "kind", "first", "last"), [("desk", "syn", 8000, 8100), ("gateway", "udp", 5000, 5010)]
)
def test_a_range_of_ports_ends_where_it_says(
    lab: Lab, peers: dict[str, Peer], source: str, kind: str, first: int, last: int
) -> None:
    """Seen red with the hub's map of ports emptied."""
    me, printer = peers[source], peers["printer"]
    for port, passes in ((first - 1, False), (first, True), (last, True), (last + 1, False)):
        marker = f"marker-{uuid4().hex[:16]}"
        with lab.watching([printer.host], marker) as seen:
            lab.send(me.host, me.interface, kind, me.v4, printer.v4, marker, port=port)
        assert seen[printer.host] == ({me.v4} if passes else set()), port


@pytest.mark.invariant(1)
def test_isolated_peers_of_a_segment_do_not_answer_each_other(lab: Lab, peers: dict[str, Peer]) -> None:
    """Seen red with a route to the segment's own subnet and an `accept`."""
    office = [peers[name] for name in ("desk", "printer", "roaming")]
    with lab.widened(office, ["10.100.64.0/18"]):
        reached = lab.pings(office, lambda me: [peer.v4 for peer in office if peer is not me])
    assert reached == {peer.id: set() for peer in office}


def test_the_mtu_stands_at_both_ends(lab: Lab, peers: dict[str, Peer]) -> None:
    """Seen red with the MTU changed on the hub."""
    interface = peers["desk"].interface
    for host in (HUB, "web1", "web2", "ops1"):
        assert lab.host(host).interface(interface).exists
        assert lab.sh(host, f"cat /sys/class/net/{interface}/mtu").strip() == "1380"


@pytest.mark.invariant(1, 11)
def test_a_network_behind_a_peer_is_its_segments_alone(lab: Lab, peers: dict[str, Peer]) -> None:
    """Seen red with its route deleted from the segment's table."""
    site = "192.0.2.1"
    with lab.widened([peers["machine"], peers["screen"], peers["desk"]], ["192.0.2.0/24"]):
        lab.sh("app1", f"ip address add {site}/32 dev lo")
        try:
            reached = lab.pings([peers["machine"], peers["screen"], peers["desk"]], lambda _me: [site])
        finally:
            lab.sh("app1", f"ip address del {site}/32 dev lo")
    assert reached == {peers["machine"].id: {site}, peers["screen"].id: set(), peers["desk"].id: set()}


def test_the_internet_is_as_wide_as_its_policy(lab: Lab, peers: dict[str, Peer]) -> None:
    """Seen red with `accept` put first in the chain `internet`."""
    with lab.widened([peers["screen"], peers["desk"]], [f"{INTERNET4}/32"]):
        reached = {
            (name, port): lab.connects(peers[name], INTERNET4, port)
            for name in ("screen", "desk")
            for port in (80, 443)
        }
        assert lab.pings([peers["screen"]], lambda _me: [INTERNET4]) == {peers["screen"].id: set()}
    assert reached == {("screen", 443): True, ("screen", 80): False, ("desk", 443): False, ("desk", 80): False}


@pytest.mark.invariant(10, 11)
def test_ipv6_is_no_way_around(lab: Lab, peers: dict[str, Peer]) -> None:
    """Where only IPv4 is declared: with WireGuard's own check of sources gone at the hub, and addresses by hand.

    Seen red with the segment's chain of sources emptied.
    """
    me, other = peers["machine"], peers["gateway"]
    keys = {peer.id: lab.sh(peer.host, f"wg show {peer.interface} public-key").strip() for peer in (me, other)}
    blocks = {
        me.id: f"{me.v4}/32,2001:db8:5::1/128,fe80::/64",
        other.id: f"{other.v4}/32,192.0.2.0/24,2001:db8:5::2/128",
    }
    own = {me.id: f"{me.v4}/32", other.id: f"{other.v4}/32,192.0.2.0/24"}
    marker = f"marker-{uuid4().hex[:16]}"
    before = lab.counter("spoofed-south/plant")
    targets = ["2001:db8:5::2", "ff02::1", "fe80::1", "2001:db8:99::10"]
    try:
        for peer in (me, other):
            lab.sh(HUB, f"wg set {peer.interface} peer {keys[peer.id]} allowed-ips {blocks[peer.id]}")
        with lab.widened([me], []), lab.watching(["web1", "web2", "dev1", "app1", "ops1", "internet1"], marker) as seen:
            for target in targets:
                for source in ("2001:db8:5::1", "fe80::5"):
                    lab.send(me.host, me.interface, "echo", source, target, marker)
    finally:
        for peer in (me, other):
            lab.sh(HUB, f"wg set {peer.interface} peer {keys[peer.id]} allowed-ips {own[peer.id]}")
    assert not any(seen.values()), seen
    assert lab.counter("spoofed-south/plant") - before >= 5 * 2 * len(targets)
    interfaces = {segment.interface for segment in lab.segments.values()}
    listed = lab.sh(HUB, "ip -6 -o address show scope global; ip -6 route show table all proto 94")
    assert not interfaces & set(listed.split()), listed
