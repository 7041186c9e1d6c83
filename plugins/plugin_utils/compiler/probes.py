# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes: which connections `verify` tries from every managed peer, with the compiler's verdict on each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .addresses import Prefix
from .grants import Grant
from .kinds import Ports
from .placed import MANAGEMENT, Network, PlacedPeer, PlacedSegment
from .selectors import HUB, INTERNET
from .verdict import Verdicts

# Tried everywhere, allowed or not: the commonest tcp and udp ports, and echo.
_USUAL = (Ports("tcp", 22, 22), Ports("udp", 53, 53), Ports("icmp", 0, 0))
# On the internet side: what a web server and a name server answer.
_USUAL_INTERNET = (Ports("tcp", 443, 443), Ports("udp", 53, 53), Ports("icmp", 0, 0))
# Ports of policies that are tried at one target, beyond the usual ones: enough to see each kind.
_PORTS_LIMIT = 8
# Managed peers of one segment that every other peer probes.
_TARGETS_LIMIT = 2
# The hub's address of another segment is never anybody's to reach, whatever policy says of `hub`.
FOREIGN_HUB = "hub:other-segment"


class Target(NamedTuple):
    """Something to probe. name: as in the matrix; party: for the verdict (empty: always denied)."""

    name: str
    party: str
    addresses: tuple[Prefix, ...]
    ports: tuple[Ports, ...]


def compile_probes(network: Network, grants: list[Grant]) -> dict[str, list[dict[str, Any]]]:
    """Return the probes by managed host.

    Each: id (its place in the host's list), peer, interface, source, to, address, protocol, port (0 for icmp),
    family, expected (accepted or denied), policy.
    """
    verdicts = Verdicts(network, grants)
    offered = _offered_ports(grants)
    targets = {
        segment.id: [_peer_target(peer, segment, offered) for peer in _representatives(segment)] or [_empty(segment)]
        for segment in network.segments.values()
    }
    probes: dict[str, list[dict[str, Any]]] = {}
    for _id, peer in sorted(network.peers.items()):
        if peer.declared.host is None or peer.barred:
            continue
        own: list[dict[str, Any]] = []
        for target in _targets(peer, network, targets, offered):
            own += _probes(peer, target, verdicts)
        probes.setdefault(peer.declared.host, []).extend(own)
    for own in probes.values():
        for number, probe in enumerate(own):
            probe["id"] = number
    return probes


def _offered_ports(grants: Iterable[Grant]) -> dict[str, set[Ports]]:
    """Return the ports that any policy names at a party: to everybody else they must be closed."""
    offered: dict[str, set[Ports]] = {}
    for grant in grants:
        if grant.ports.protocol != "all":
            first = Ports(grant.ports.protocol, grant.ports.first, grant.ports.first)
            offered.setdefault(grant.target, set()).add(first)
    return offered


def _ports(usual: Iterable[Ports], *offered: set[Ports]) -> tuple[Ports, ...]:
    """Join the usual ports and some of those that policies name."""
    named = sorted(set().union(*offered) - set(usual))[:_PORTS_LIMIT]
    return (*usual, *named)


def _representatives(segment: PlacedSegment) -> list[PlacedPeer]:
    """Choose the peers that stand for a segment: managed ones, which can say what reached them."""
    managed = [peer for peer in segment.admitted if peer.declared.host]
    return managed[:_TARGETS_LIMIT] or segment.admitted[:1]


def _peer_target(peer: PlacedPeer, segment: PlacedSegment, offered: dict[str, set[Ports]]) -> Target:
    """Make the target of a peer."""
    addresses = (peer.v4,) if peer.v6 is None else (peer.v4, peer.v6)
    ports = _ports(_USUAL, offered.get(peer.id, set()), offered.get(segment.id, set()))
    return Target(peer.id, peer.id, addresses, ports)


def _empty(segment: PlacedSegment) -> Target:
    """Make the target of a segment without peers: an address that nobody has, so nothing can answer."""
    return Target(segment.id, "", tuple(subnet.host(2) for subnet in segment.subnets), _USUAL)


def _targets(
    peer: PlacedPeer, network: Network, targets: dict[str, list[Target]], offered: dict[str, set[Ports]]
) -> Iterator[Target]:
    """Yield what one peer probes: segments, services, the hub, the internet."""
    seen: set[str] = {peer.id}
    for _id, found in sorted(targets.items()):
        for target in found:
            if target.name not in seen:
                seen.add(target.name)
                yield target
    for service in sorted(network.fabric.services, key=lambda service: service.name):
        if service.at not in seen and not network.peers[service.at].barred:
            seen.add(service.at)
            at = network.peers[service.at]
            yield _peer_target(at, at.segment, offered)
    yield Target(HUB, HUB, peer.segment.hub_addresses, _ports(_USUAL, offered.get(HUB, set())))
    other = next(
        (each for each in network.segments.values() if each.hub == peer.segment.hub and each is not peer.segment), None
    )
    if other is not None:
        other = (
            network.segments[MANAGEMENT]
            if peer.segment.id != MANAGEMENT and network.segments[MANAGEMENT].hub == other.hub
            else other
        )
        yield Target(FOREIGN_HUB, "", other.hub_addresses, _USUAL)
    internet = network.fabric.verify_internet
    families = {supernet.family for supernet in network.supernets}
    if internet:
        addresses = tuple(address for address in internet if address.family in families)
        yield Target(INTERNET, INTERNET, addresses, _ports(_USUAL_INTERNET, offered.get(INTERNET, set())))


def _probes(peer: PlacedPeer, target: Target, verdicts: Verdicts) -> Iterator[dict[str, Any]]:
    """Yield the probes of one peer to one target."""
    for ports in target.ports:
        policy = verdicts.allows(peer.id, target.party, ports) if target.party else None
        for address in target.addresses:
            yield {
                "peer": peer.id,
                "source": (peer.v4 if address.family == 4 or peer.v6 is None else peer.v6).address,
                "interface": peer.segment.interface,
                "to": target.name,
                "address": address.address,
                "protocol": ports.protocol,
                "port": ports.first,
                "family": address.family,
                "expected": "accepted" if policy else "denied",
                "policy": policy,
            }
