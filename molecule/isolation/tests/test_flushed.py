# SPDX-License-Identifier: GPL-3.0-or-later
"""Two walls, firewall and routing, each standing alone; then `site` puts the other one back.

Every client is widened first: what holds must be the hub alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labnet import HUB, INTERNET4, INTERNET6, PROTOCOL, SUPERNETS, Lab, Peer

# Segments that a policy joins; ports don't matter once the firewall is gone. A segment's own peers reach each other.
JOINED = {
    frozenset(pair)
    for pair in (
        ("tenant-a/production", "shared/services"),
        ("tenant-b/production", "shared/services"),
        ("management", "tenant-a/production"),
        ("tenant-a/production",),
    )
}


@pytest.fixture(scope="module", autouse=True)
def _widened(lab: Lab, peers: dict[str, Peer]) -> Iterator[None]:
    with lab.widened(list(peers.values()), [*SUPERNETS, f"{INTERNET4}/32", f"{INTERNET6}/128"]):
        yield


def others(peers: dict[str, Peer], me: Peer) -> list[str]:
    """The addresses of all others, and the internet's."""
    found = [address for peer in peers.values() if peer is not me for address in peer.addresses]
    return [*found, INTERNET4, INTERNET6]


@pytest.mark.invariant(1, 10)
def test_without_the_firewall_only_joined_segments_exchange_packets(lab: Lab, peers: dict[str, Peer]) -> None:
    """Seen red with routes between web1 and app1 added to both tenants' tables."""
    before = lab.snapshot()
    lab.sh(HUB, "nft delete table inet tenantnet")
    try:
        reached = lab.pings(list(peers.values()), lambda me: others(peers, me))
    finally:
        lab.site()
    assert lab.snapshot() == before
    expected = {
        me.id: {
            address
            for peer in peers.values()
            if peer is not me and frozenset((me.segment, peer.segment)) in JOINED
            for address in peer.addresses
        }
        for me in peers.values()
    }
    assert reached == expected


@pytest.mark.invariant(1, 10)
def test_without_routing_nobody_exchanges_packets(lab: Lab, peers: dict[str, Peer]) -> None:
    """Seen red with one tenant's subnet in the main table."""
    before = lab.snapshot()
    tables = [10000, *(segment.table for segment in lab.segments.values())]
    flush = "for f in 4 6; do ip -$f rule flush proto {}; for t in {}; do ip -$f route flush table $t; done; done"
    lab.sh(HUB, flush.format(PROTOCOL, " ".join(map(str, tables))))
    watch = f"timeout 8 tcpdump -n -i eth0 {' or '.join(f'net {net}' for net in SUPERNETS)} 2>/dev/null || true"
    outside = lab.start("internet1", watch)
    try:
        reached = lab.pings(list(peers.values()), lambda me: others(peers, me))
    finally:
        lab.site()
    assert lab.snapshot() == before
    assert reached == {me.id: set() for me in peers.values()}
    assert outside.communicate(timeout=20)[0].strip() == "", "packets of the fabric left the hub in plain text"
    assert lab.connects(peers["web1"], peers["db1"].v4, 3306)
