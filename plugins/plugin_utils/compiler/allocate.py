# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocation by recorded name: every number that the user left to us.

The order of precedence, for each number: what is declared, else what is recorded under the same name, else
the lowest that is free. Declared numbers are reserved before anything is given out, so the position of a
tenant in a list decides nothing, and adding or removing one moves nobody.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace

from .allocate_hosts import place_peers
from .allocate_segments import allocate_interfaces, allocate_numbers, allocate_subnets
from .model import Fabric
from .placed import MANAGEMENT, Network, PlacedSegment
from .places import Place
from .problems import Path, Problems
from .quarantine import released_after, waiting
from .record import PeerRecord, Record, SegmentRecord


def allocate(fabric: Fabric, record: Record, today: datetime.date, problems: Problems) -> tuple[Network | None, Record]:
    """Place every segment and peer, and return the network with the record that says so.

    The network is None where something could not be placed; the reasons are in `problems`.
    """
    before = len(problems.found)
    places = list(_places(fabric, record, problems))
    entries = waiting(record, places, fabric.quarantine_days, today)
    allocate_numbers(fabric, places, problems)
    allocate_interfaces(places, problems)
    for family in (4, 6):
        allocate_subnets(fabric, family, places, entries, problems)
    if len(problems.found) > before:
        return None, record
    network = Network(fabric, {}, {})
    segments: dict[str, SegmentRecord] = {}
    for place in places:
        segment = _placed(place)
        recorded = place.recorded.peers if place.recorded else {}
        place_peers(segment, recorded, entries, problems)
        network.segments[segment.id] = segment
        network.peers.update((peer.id, peer) for peer in segment.peers)
        segments[segment.id] = _segment_record(segment)
    if len(problems.found) > before:
        return None, record
    released = released_after(record, segments, entries, today)
    return network, replace(record, segments=segments, released=released)


def check_numbers(fabric: Fabric, record: Record, problems: Problems) -> None:
    """Report numbers and interfaces that two segments have, in a declaration that cannot be placed anyway."""
    places = list(_places(fabric, record, problems))
    allocate_numbers(fabric, places, problems)
    allocate_interfaces(places, problems)


def _places(fabric: Fabric, record: Record, problems: Problems) -> Iterator[Place]:
    """Yield management first, then the segments by name: the order of allocation, not of the lists."""
    default_hub = fabric.hubs[0].name
    management = fabric.management
    if management is not None:
        yield Place(
            MANAGEMENT,
            MANAGEMENT,
            management,
            management.hub or default_hub,
            record.segments.get(MANAGEMENT),
            MANAGEMENT,
        )
    declared = [
        (f"{tenant.name}/{segment.name}", tenant, segment) for tenant in fabric.tenants for segment in tenant.segments
    ]
    paths = {name: segment.path for name, _tenant, segment in declared}
    claimed: dict[str, Path] = {}
    for name, tenant, segment in sorted(declared, key=lambda item: item[0]):
        former = name
        if segment.renamed_from is not None and name not in record.segments:
            former = f"{tenant.name}/{segment.renamed_from}"
            path = (*segment.path, "renamed_from")
            if former in paths:
                # Its record stays with the one who has the name.
                problems.add(path, segment.renamed_from, "is still declared", "remove one of the two", paths[former])
                former = name
            elif former in claimed:
                problems.add(path, segment.renamed_from, "is another one's former name", "correct one", claimed[former])
                former = name
            claimed.setdefault(former, path)
        yield Place(name, tenant.name, segment, tenant.hub or default_hub, record.segments.get(former), former=former)


def _placed(place: Place) -> PlacedSegment:
    """Make the placed segment of a place whose numbers are all decided."""
    if place.subnet is None:
        raise ValueError(f"{place.id} has no subnet")
    return PlacedSegment(
        id=place.id,
        tenant=place.tenant,
        declared=place.declared,
        hub=place.hub,
        number=place.number,
        subnet=place.subnet,
        subnet_v6=place.subnet_v6,
        listen_port=place.listen_port,
        interface=place.interface,
        table=place.table,
    )


def _segment_record(segment: PlacedSegment) -> SegmentRecord:
    """Return the record of a placed segment."""
    peers = {peer.declared.name: PeerRecord(peer.v4, peer.v6) for peer in segment.peers}
    return SegmentRecord(
        number=segment.number,
        subnet=segment.subnet,
        subnet_v6=segment.subnet_v6,
        listen_port=segment.listen_port,
        interface=segment.interface,
        table=segment.table,
        peers=peers,
    )
