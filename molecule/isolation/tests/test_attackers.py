# SPDX-License-Identifier: GPL-3.0-or-later
"""What the owner of one peer can send: packets made by hand, put on his link past his own host's rules."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from uuid import uuid4

import pytest
from labnet import HOSTS, HUB, INTERNET4, INTERNET6, SUPERNETS, Lab, Peer

# Five packets each.
TIMES = 5
MARTIANS = ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "172.30.99.22", INTERNET4]  # noqa: S104
MARTIANS6 = ["fe80::bad", "ff02::1", "fd7e:a57:99::22", INTERNET6]


def spoofed(me: Peer, peers: dict[str, Peer], lab: Lab, *, neighbour: bool) -> list[str]:
    """Addresses that are not this peer's: its neighbour's, other tenants', the hub's own, and impossible ones."""
    whose = [peer for peer in peers.values() if peer is not me and (neighbour or peer.segment != me.segment)]
    hubs = [address for segment in lab.segments.values() for address in segment.hub_addresses]
    return [*(address for peer in whose for address in peer.addresses), *hubs, *MARTIANS, *MARTIANS6]


@contextlib.contextmanager
def without_cryptokey_routing(lab: Lab, me: Peer) -> Iterator[None]:
    """Take WireGuard's own check of sources away for one peer, so that the firewall stands alone."""
    key = lab.sh(me.host, f"wg show {me.interface} public-key").strip()
    own = ",".join(f"{address}/{128 if ':' in address else 32}" for address in me.addresses)
    lab.sh(HUB, f"wg set {me.interface} peer {key} allowed-ips {own},0.0.0.0/0,::/0")
    try:
        yield
    finally:
        lab.sh(HUB, f"wg set {me.interface} peer {key} allowed-ips {own}")


@pytest.fixture
def marker() -> str:
    """What the packets of one test carry."""
    return f"marker-{uuid4().hex[:16]}"


def elsewhere(peers: dict[str, Peer], me: Peer) -> list[str]:
    """Every host that could see a packet that should not be there."""
    return [host for host in peers if host != me.host] + ["internet1"]


@pytest.mark.invariant(11)
def test_honest_packets_made_by_hand_arrive(lab: Lab, peers: dict[str, Peer], marker: str) -> None:
    """The other tests see nothing arrive: here the same means show something.

    Seen red with the policy's element deleted from the hub's map of ports.
    """
    me, database = peers["web1"], peers["db1"]
    with lab.watching(elsewhere(peers, me), marker) as seen:
        for source, target in zip(me.addresses, database.addresses, strict=True):
            lab.send(me.host, me.interface, "syn", source, target, marker, port=3306)
    assert seen.pop("db1") == set(me.addresses)
    assert not any(seen.values()), seen


@pytest.mark.invariant(11, 10)
def test_wireguard_drops_every_foreign_source(lab: Lab, peers: dict[str, Peer], marker: str) -> None:
    """Seen red with the sender's allowed addresses widened on the hub."""
    me, database = peers["web1"], peers["db1"]
    with lab.watching([HUB, *elsewhere(peers, me)], marker) as seen:
        lab.send_many(me, spoofed(me, peers, lab, neighbour=True), database, marker)
    # Its outside is all that the hub sees of them.
    assert not any(seen.values()), seen


@pytest.mark.invariant(11, 10)
def test_the_firewall_alone_drops_every_foreign_source(lab: Lab, peers: dict[str, Peer], marker: str) -> None:
    """A neighbour's address is WireGuard's to tell apart, everything else is the firewall's too.

    Seen red with the chain `spoofing` emptied.
    """
    me, database = peers["web1"], peers["db1"]
    sources = spoofed(me, peers, lab, neighbour=False)
    before = lab.counter(f"spoofed-{me.segment}")
    with without_cryptokey_routing(lab, me), lab.watching(elsewhere(peers, me), marker) as seen:
        lab.send_many(me, sources, database, marker)
    assert not any(seen.values()), seen
    # A multicast source is refused by the IPv6 code itself, before any firewall.
    counted = len([source for source in sources if source != "ff02::1"]) * TIMES
    assert lab.counter(f"spoofed-{me.segment}") - before >= counted


@pytest.mark.invariant(11, 10)
def test_plain_packets_from_the_underlay_go_nowhere(lab: Lab, peers: dict[str, Peer], marker: str) -> None:
    """Fabric addresses on the wire, to the hub's own hardware address; then by a route, as anybody would try.

    Seen red with the chain `spoofing` emptied.
    """
    me, mac = peers["web1"], HOSTS[HUB].mac
    outside = (HOSTS[me.host].address, HOSTS[me.host].address_v6)
    before = lab.counter("spoofing")
    sent = 0
    with lab.watching(elsewhere(peers, me), marker) as seen:
        for number in (0, 1):
            hubs = [segment.hub_addresses[number] for segment in lab.segments.values()]
            for target in [*(peer.addresses[number] for peer in peers.values()), *hubs]:
                for source in (me.addresses[number], peers["app1"].addresses[number], outside[number]):
                    lab.send(me.host, "eth0", "syn", source, target, marker, port=3306, mac=mac, times=1)
                    sent += 1
    assert not any(seen.values()), seen
    assert lab.counter("spoofing") - before >= sent
    for number, hub in enumerate((HOSTS[HUB].address, HOSTS[HUB].address_v6)):
        target = peers["db1"].addresses[number]
        family = "-6" if ":" in target else "-4"
        lab.sh(
            me.host,
            f"ip {family} rule add pref 100 to {target} lookup 98; ip {family} route add {target} via {hub} table 98",
        )
        try:
            assert not lab.connects(me, target, 3306)
        finally:
            lab.sh(me.host, f"ip {family} rule del pref 100; ip {family} route flush table 98")


@pytest.mark.invariant(1, 10)
def test_fragments_are_judged_whole(lab: Lab, peers: dict[str, Peer], marker: str) -> None:
    """A port in a first fragment of eight bytes, and flags only in the second.

    Seen red with `accept` put first in the chain `fabric_forward`.
    """
    me, neighbour, database = peers["web1"], peers["web2"], peers["db1"]
    with lab.watching(elsewhere(peers, me), marker) as seen:
        for source, target in zip(me.addresses, neighbour.addresses, strict=True):
            lab.send(me.host, me.interface, "udp", source, target, marker, cut=8)
    assert seen.pop("web2") == set(me.addresses)
    assert not any(seen.values()), seen
    with lab.watching(elsewhere(peers, me), marker) as seen:
        for source, target in zip(me.addresses, database.addresses, strict=True):
            for cut in (8, 16, 24):
                lab.send(me.host, me.interface, "syn", source, target, marker, port=22, cut=cut)
                lab.send(me.host, me.interface, "udp", source, target, marker, port=3306, cut=cut)
        for source, target in zip(me.addresses, peers["app1"].addresses, strict=True):
            lab.send(me.host, me.interface, "udp", source, target, marker, cut=8)
    assert not any(seen.values()), seen


@pytest.mark.invariant(1, 10)
def test_redirects_change_no_route(lab: Lab, peers: dict[str, Peer], marker: str) -> None:
    """Sent to the hub, and through it to a server that the sender may otherwise talk to.

    Seen red with `accept` put first in the chain `fabric_forward`.
    """
    me, other = peers["web1"], peers["web2"]
    cache = "ip route show cache; ip -6 route show cache"
    before = lab.sh(HUB, cache)
    with lab.watching(elsewhere(peers, me), marker) as seen:
        for number in (0, 1):
            hub = lab.segments[me.segment].hub_addresses[number]
            database = peers["db1"].addresses[number]
            words = {"gateway": other.addresses[number], "for": database}
            for target in (hub, database):
                lab.send(me.host, me.interface, "redirect", me.addresses[number], target, marker, **words)
    assert not any(seen.values()), seen
    assert lab.sh(HUB, cache) == before
    assert "redirected" not in lab.sh("db1", cache)


@pytest.mark.invariant(1)
def test_source_routes_lead_nowhere(lab: Lab, peers: dict[str, Peer], marker: str) -> None:
    """Seen red with source routes accepted by the kernel, forwarding by the firewall, and a route added."""
    me = peers["web1"]
    with lab.watching(elsewhere(peers, me), marker) as seen:
        for via in (peers["app1"].v4, peers["db1"].v4, HOSTS["app1"].address):
            for target in (lab.segments[me.segment].hub_addresses[0], peers["web2"].v4):
                lab.send(me.host, me.interface, "udp", me.v4, target, marker, via=via)
    # A neighbour may be sent to; that it is asked to pass something on is its own business.
    seen.pop("web2")
    assert not any(seen.values()), seen


@pytest.mark.invariant(1, 10)
def test_no_hub_address_answers_but_to_management(lab: Lab, peers: dict[str, Peer]) -> None:
    """Neither the hub's address in the peer's own segment, nor in another, nor outside, through a widened tunnel.

    Seen red with `accept` put first in the chain `fabric_input`.
    """
    hubs = [address for segment in lab.segments.values() for address in segment.hub_addresses]
    outside = [HOSTS[HUB].address, HOSTS[HUB].address_v6]
    for host in ("web1", "app1"):
        me = peers[host]
        with lab.widened([me], [*SUPERNETS]):
            assert lab.pings([me], lambda _me: hubs)[me.id] == set()
            for address in [*lab.segments[me.segment].hub_addresses, *outside]:
                words = (
                    f"import socket; s = socket.create_connection(('{address}', 22), 2, ('{source(me, address)}', 0))"
                )
                said = lab.sh(me.host, f'python3 -c "{words}; print(s.recv(9))" 2>&1', check=False)
                assert "SSH" not in said, address
                # It failed because nothing answered, and not because of something in this test.
                assert "TimeoutError" in said or "No route to host" in said or "timed out" in said, said


def source(me: Peer, address: str) -> str:
    """The peer's own address of the same family."""
    return str(me.v6) if ":" in address else me.v4
