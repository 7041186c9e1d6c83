# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: what each hub and each managed peer should be, as plain data.

Everything here is sorted, deterministic and free of secrets; it is the only thing that roles act on. Keys
are missing on purpose where only a host can make them: a managed peer has a host's name instead, and the
hub's own keys are known by their interface.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from .addresses import Prefix, prefixes_text, without_nested
from .grants import Grant
from .model import DEFAULT_MTU
from .placed import Network, PlacedPeer, PlacedSegment
from .routes import compile_routes, unique_networks
from .rules import MARK_FROM_INTERNET, MARK_ROTATION, MARK_TO_INTERNET, compile_rules
from .ruleset import render_ruleset
from .selectors import HUB, INTERNET

SCHEMA_VERSION = 1
_DEFAULT_ROUTE = {4: Prefix(4, 0, 0), 6: Prefix(6, 0, 0)}


def hub_plan(network: Network, grants: list[Grant], hub: str) -> dict[str, Any]:
    """Return one hub's slice: its interfaces, routing and firewall."""
    fabric = network.fabric
    segments = [segment for segment in network.segments.values() if segment.hub == hub]
    uplinks = network.hub(hub).uplinks
    networks = [block for blocks in unique_networks(segments).values() for block in blocks]
    hub_table = fabric.routing_table_base
    routes = compile_routes(network, grants, hub, hub_table)
    interfaces = [
        {
            "name": segment.interface,
            "segment": segment.id,
            "listen_port": segment.listen_port,
            "mtu": segment.declared.mtu or DEFAULT_MTU,
            "addresses": [block.text for block in segment.hub_addresses],
            "peers": [_hub_peer(peer) for peer in segment.admitted],
            "routes": [
                {
                    "table": route.table,
                    "to": route.destination.text,
                    "from": route.source.address if route.source else None,
                }
                for route in routes.get(segment.interface, ())
            ],
        }
        for segment in sorted(segments, key=lambda each: each.interface)
    ]
    tables = {
        hub_table: "tenantnet-hub",
        **{segment.table: f"tn-{segment.id.replace('/', '.')}" for segment in segments},
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "fabric": fabric.fabric,
        "hub": hub,
        "uplinks": None if uplinks is None else list(uplinks),
        "interfaces": interfaces,
        "routing": {
            "tables": {str(number): tables[number] for number in sorted(tables)},
            "families": [supernet.family for supernet in network.supernets],
            "rules": {
                str(supernet.family): [
                    [rule.priority, rule.selector, rule.action]
                    for rule in compile_rules(
                        segments,
                        networks,
                        supernet,
                        fabric.rule_priority_base,
                        hub_table,
                        fabric.segment_prefix if supernet.family == 4 else fabric.segment_prefix_v6,
                    )
                ]
                for supernet in network.supernets
            },
            "priorities": [fabric.rule_priority_base, fabric.rule_priority_base + 22000],
            "marks": MARK_TO_INTERNET | MARK_ROTATION | MARK_FROM_INTERNET,
        },
        "ports": sorted(segment.listen_port for segment in segments),
        "firewall": render_ruleset(network, grants, hub),
    }


def _hub_peer(peer: PlacedPeer) -> dict[str, Any]:
    """Return a peer as its hub sees it: who it is, and the addresses that are its own."""
    return {
        "id": peer.id,
        "host": peer.declared.host,
        "public_key": peer.declared.public_key,
        "allowed_ips": [block.text for block in peer.prefixes],
    }


def peer_plans(network: Network, grants: Iterable[Grant]) -> dict[str, dict[str, Any]]:
    """Return the slice of every managed host: each of its memberships."""
    hosts: dict[str, list[PlacedPeer]] = defaultdict(list)
    for peer in network.peers.values():
        if peer.declared.host is not None:
            hosts[peer.declared.host].append(peer)
    reach = Reach(network, grants)
    supernets = [supernet.text for supernet in network.supernets]
    return {
        host: {
            "schema_version": SCHEMA_VERSION,
            "fabric": network.fabric.fabric,
            "host": host,
            "supernets": supernets,
            "memberships": [
                membership(peer, network, reach) for peer in sorted(peers, key=lambda each: each.segment.interface)
            ],
        }
        for host, peers in sorted(hosts.items())
    }


def membership(peer: PlacedPeer, network: Network, reach: Reach) -> dict[str, Any]:
    """Return one peer as its own host configures it."""
    segment = peer.segment
    return {
        "interface": segment.interface,
        "peer": peer.id,
        "segment": segment.id,
        "barred": peer.barred,
        "hub": segment.hub,
        "endpoint": network.hub(segment.hub).endpoint,
        "port": segment.listen_port,
        "addresses": [block.text for block in (peer.v4, peer.v6) if block is not None],
        "allowed_ips": prefixes_text(reach.of(peer)),
        "keepalive": network.fabric.keepalive,
        "mtu": segment.declared.mtu or DEFAULT_MTU,
        "dns": [block.address for block in segment.declared.dns],
    }


class Reach:
    """What a peer exchanges packets with: its own AllowedIPs.

    A whole segment counts by its subnet, so that a client's configuration changes when policy does and not
    whenever somebody else gets a peer.
    """

    def __init__(self, network: Network, grants: Iterable[Grant]) -> None:
        """Index who is joined with whom, in either direction: replies must be let in too."""
        self._network = network
        self._joined: dict[str, set[str]] = defaultdict(set)
        for grant in grants:
            self._joined[grant.source].add(grant.target)
            self._joined[grant.target].add(grant.source)
        self._by_segment: dict[str, frozenset[Prefix]] = {}

    def of(self, peer: PlacedPeer) -> list[Prefix]:
        """Return the blocks that a peer may exchange packets with, without those inside others."""
        segment = peer.segment
        if segment.id not in self._by_segment:
            self._by_segment[segment.id] = frozenset(self._blocks(segment.id, segment))
        blocks = (self._by_segment[segment.id] | set(self._blocks(peer.id, segment))) - set(peer.declared.networks)
        return without_nested(blocks - set(_own(peer)))

    def _blocks(self, party: str, segment: PlacedSegment) -> Iterable[Prefix]:
        """Yield the blocks of everything that a party is joined with."""
        families = [supernet.family for supernet in self._network.supernets]
        for other in self._joined.get(party, ()):
            if other == HUB:
                yield from segment.hub_addresses
            elif other == INTERNET:
                yield from (_DEFAULT_ROUTE[family] for family in families)
            elif other in self._network.segments:
                yield from self._network.segments[other].prefixes
            else:
                yield from self._network.peers[other].prefixes


def _own(peer: PlacedPeer) -> tuple[Prefix, ...]:
    """Return a peer's own addresses."""
    return (peer.v4,) if peer.v6 is None else (peer.v4, peer.v6)
