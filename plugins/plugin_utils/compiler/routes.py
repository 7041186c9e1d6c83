# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes on a hub: the second wall.

A segment's table leads to its own subnet and to the single peers that a policy joins it with, in either
direction (replies need a way back), and to nothing else: with the firewall flushed, only segment pairs
joined by a policy can exchange packets. The hub's own table leads everywhere, by destination.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from .addresses import Prefix, overlapping
from .grants import Grant, segment_of
from .placed import Network, PlacedPeer, PlacedSegment


class Route(NamedTuple):
    """A route through an interface: the table, the destination, and the source for the hub's own packets."""

    table: int
    destination: Prefix
    source: Prefix | None


def compile_routes(network: Network, grants: Iterable[Grant], hub: str, hub_table: int) -> dict[str, list[Route]]:
    """Return a hub's routes by the interface that they lead through, sorted."""
    found: dict[str, set[Route]] = defaultdict(set)
    segments = [segment for segment in network.segments.values() if segment.hub == hub]
    unique = unique_networks(segments)
    for segment in segments:
        for subnet in segment.subnets:
            found[segment.interface].add(Route(hub_table, subnet, subnet.host(1)))
        for block in unique.get(segment.id, ()):
            found[segment.interface].add(Route(hub_table, block, None))
    for grant in grants:
        here, there = segment_of(grant.source, network), segment_of(grant.target, network)
        if here is None or there is None or here.hub != hub:
            continue
        if here is there and grant.source == grant.target:
            found[here.interface] |= {Route(here.table, prefix, None) for prefix in here.prefixes}
            continue
        _lead(found, here, there, _peers_of(grant.target, network))
        _lead(found, there, here, _peers_of(grant.source, network))
    return {interface: sorted(routes, key=_order) for interface, routes in sorted(found.items())}


def _order(route: Route) -> tuple[int, Prefix]:
    """Sort routes by table and destination; the source decides nothing."""
    return route.table, route.destination


def _lead(found: dict[str, set[Route]], here: PlacedSegment, there: PlacedSegment, peers: list[PlacedPeer]) -> None:
    """Add the routes from one segment's table to peers of another segment."""
    for peer in peers:
        found[there.interface] |= {Route(here.table, prefix, None) for prefix in peer.prefixes}


def _peers_of(party: str, network: Network) -> list[PlacedPeer]:
    """Return the peers that a party stands for."""
    if party in network.segments:
        return network.segments[party].admitted
    return [network.peers[party]] if party in network.peers else []


def unique_networks(segments: list[PlacedSegment]) -> dict[str, list[Prefix]]:
    """Return, by segment, the networks behind its peers that no other segment of the hub uses too."""
    blocks = [(block, segment.id) for segment in segments for peer in segment.peers for block in peer.declared.networks]
    shared = {
        number for pair in overlapping((block, number) for number, (block, _id) in enumerate(blocks)) for number in pair
    }
    unique: dict[str, list[Prefix]] = defaultdict(list)
    for number, (block, segment_id) in enumerate(blocks):
        if number not in shared:
            unique[segment_id].append(block)
    return unique
