# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's data: maps from who and what to the policy that allows it.

A first packet is looked up by (source, destination, protocol, port). A source or destination is either one
peer or a whole segment; each of the four combinations has maps of its own, so that no two elements of a
map can overlap however policies overlap each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from .addresses import Prefix
from .grants import Grant, segment_of
from .kinds import Ports
from .placed import Network
from .selectors import HUB, INTERNET

# Narrow before wide, so that a counter belongs to the policy that says most about the packet.
FORWARD_SCOPES = ("peer_peer", "peer_segment", "segment_peer", "segment_segment")
INTERNET_SCOPES = ("peer_internet", "segment_internet")
HUB_SCOPES = ("peer_hub", "segment_hub")


class Element(NamedTuple):
    """One element of a map: from `source` to `target` (None: the hub or the internet) on `ports`, by `policy`."""

    source: Prefix
    target: Prefix | None
    ports: Ports
    policy: str


def compile_maps(network: Network, grants: Iterable[Grant], hub: str, family: int) -> dict[str, list[Element]]:
    """Sort the grants of one hub and family into elements by scope, each scope free of overlaps.

    Of policies that allow the same, the first by name gets the element.
    """
    pairs: dict[str, dict[tuple[Prefix, Prefix | None], list[Grant]]] = defaultdict(lambda: defaultdict(list))
    for grant in grants:
        here = segment_of(grant.source, network)
        if here is None or here.hub != hub:
            continue
        outside = grant.target in (HUB, INTERNET)
        scope = f"{_scope(grant.source, network)}_{grant.target if outside else _scope(grant.target, network)}"
        targets: list[Prefix | None] = [None] if outside else [*_blocks(grant.target, network, family)]
        for source in _blocks(grant.source, network, family):
            for target in targets:
                pairs[scope][source, target].append(grant)
    return {
        scope: [
            Element(source, target, ports, policy)
            for (source, target), allowed in sorted(found.items(), key=_order)
            for ports, policy in disjoint(allowed)
        ]
        for scope, found in sorted(pairs.items())
    }


def _order(item: tuple[tuple[Prefix, Prefix | None], list[Grant]]) -> tuple[Prefix, Prefix]:
    """Sort pairs; where there is no target the source decides."""
    source, target = item[0]
    return source, target or source


def _scope(party: str, network: Network) -> str:
    """Tell whether a party is a peer or a segment."""
    return "peer" if party in network.peers else "segment"


def _blocks(party: str, network: Network, family: int) -> list[Prefix]:
    """Return the addresses of a party in one family: a peer's own or a segment's whole, and networks behind."""
    owner = network.peers.get(party) or network.segments[party]
    return [block for block in owner.prefixes if block.family == family]


def disjoint(grants: Iterable[Grant]) -> list[tuple[Ports, str]]:
    """Cut overlapping port ranges of one pair into disjoint ones, each with the first policy that allows it."""
    by_protocol: dict[str, list[Grant]] = defaultdict(list)
    for grant in grants:
        by_protocol[grant.ports.protocol].append(grant)
    pieces: list[tuple[Ports, str]] = []
    for protocol, allowed in sorted(by_protocol.items()):
        edges = sorted({edge for grant in allowed for edge in (grant.ports.first, grant.ports.last + 1)})
        for first, end in pairwise(edges):
            names = sorted(grant.policy for grant in allowed if grant.ports.first <= first <= grant.ports.last)
            if not names:
                continue
            if pieces and pieces[-1] == (Ports(protocol, pieces[-1][0].first, first - 1), names[0]):
                first = pieces.pop()[0].first
            pieces.append((Ports(protocol, first, end - 1), names[0]))
    return pieces
