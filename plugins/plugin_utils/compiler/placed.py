# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network with every number in its place: what the declaration becomes once allocated.

Everything after allocation works on these objects; nothing in them is optional but IPv6.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .addresses import Prefix
from .model import Fabric, Hub, Management, Peer, Segment

MANAGEMENT = "management"


@dataclass(slots=True)
class PlacedPeer:
    """A peer with its addresses. id: ``tenant/segment/peer``.

    barred: why the peer is kept out today (expired, revoked), or an empty string. A barred peer keeps its
    name and addresses, so that policies that name it stay valid and nobody else gets its place.
    """

    id: str
    declared: Peer
    segment: PlacedSegment
    v4: Prefix
    v6: Prefix | None
    barred: str = ""

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        """The addresses that the peer may send from: its own, and the networks behind it."""
        own = (self.v4,) if self.v6 is None else (self.v4, self.v6)
        return own + tuple(sorted(self.declared.networks))


@dataclass(slots=True)
class PlacedSegment:
    """A segment with its numbers. id: ``tenant/segment``, or ``management``."""

    id: str
    tenant: str
    declared: Segment | Management
    hub: str
    number: int
    subnet: Prefix
    subnet_v6: Prefix | None
    listen_port: int
    interface: str
    table: int
    peers: list[PlacedPeer] = field(default_factory=list)

    @property
    def admitted(self) -> list[PlacedPeer]:
        """The peers that are not barred."""
        return [peer for peer in self.peers if not peer.barred]

    @property
    def subnets(self) -> tuple[Prefix, ...]:
        """The segment's subnets, v4 first."""
        return (self.subnet,) if self.subnet_v6 is None else (self.subnet, self.subnet_v6)

    @property
    def hub_addresses(self) -> tuple[Prefix, ...]:
        """The hub's own addresses in the segment: the first host of each subnet."""
        return tuple(subnet.host(1) for subnet in self.subnets)

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        """Every address that belongs to the segment: its subnets and the networks behind its peers."""
        return self.subnets + tuple(sorted(network for peer in self.peers for network in peer.declared.networks))

    @property
    def internet(self) -> str:
        """The way to the internet: an empty string or ``nat``; management has none."""
        return self.declared.internet if isinstance(self.declared, Segment) else ""


@dataclass(slots=True)
class Network:
    """The placed fabric."""

    fabric: Fabric
    segments: dict[str, PlacedSegment]
    peers: dict[str, PlacedPeer]

    @property
    def supernets(self) -> tuple[Prefix, ...]:
        """The networks that hold every segment, v4 first."""
        v6 = self.fabric.supernet_v6
        return (self.fabric.supernet,) if v6 is None else (self.fabric.supernet, v6)

    def hub(self, name: str) -> Hub:
        """Return a hub by its inventory name."""
        return next(hub for hub in self.fabric.hubs if hub.name == name)


def draft(fabric: Fabric) -> Network:
    """Return the network by its names alone, every number a stand-in.

    It is for a declaration that cannot be placed: its selectors are still checked, so that all errors are told
    at once. Nothing else may be derived from it.
    """
    nowhere = Prefix(4, 0, 0)
    network = Network(fabric, {}, {})
    declared: list[tuple[str, str, Segment | Management, str | None]] = [
        (f"{tenant.name}/{segment.name}", tenant.name, segment, tenant.hub)
        for tenant in fabric.tenants
        for segment in tenant.segments
    ]
    if fabric.management is not None:
        declared.append((MANAGEMENT, MANAGEMENT, fabric.management, fabric.management.hub))
    for name, tenant, segment, hub in declared:
        placed = PlacedSegment(name, tenant, segment, hub or fabric.hubs[0].name, 0, nowhere, None, 0, "", 0)
        placed.peers = [PlacedPeer(f"{name}/{peer.name}", peer, placed, nowhere, None) for peer in segment.peers]
        network.segments[name] = placed
        network.peers.update((peer.id, peer) for peer in placed.peers)
    return network
