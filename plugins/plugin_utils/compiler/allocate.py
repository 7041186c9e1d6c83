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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from .addresses import Prefix
from .model import Fabric, Management, Peer, Segment
from .numbers import (
    FreeNumbers,
    address_fault,
    free_subnets,
    host_bounds,
    interface_name,
    mirrored_host,
    subnet_at,
    subnet_number,
)
from .placed import MANAGEMENT, Network, PlacedPeer, PlacedSegment
from .problems import NO_VALUE, Path, Problems
from .record import ROOT, PeerRecord, Record, Released, SegmentRecord, released_block

MANAGEMENT_INTERFACE = "wg0"


@dataclass(slots=True)
class _Place:
    """A segment on its way: what is declared, what is recorded, and what is decided so far."""

    id: str
    tenant: str
    declared: Segment | Management
    hub: str
    recorded: SegmentRecord | None
    number: int = 0
    subnet: Prefix | None = None
    subnet_v6: Prefix | None = None
    listen_port: int = 0
    interface: str = ""
    table: int = 0

    @property
    def path(self) -> Path:
        """Where the segment is declared."""
        return self.declared.path


def allocate(fabric: Fabric, record: Record, today: datetime.date, problems: Problems) -> tuple[Network | None, Record]:
    """Place every segment and peer, and return the network with the record that says so.

    The network is None where something could not be placed; the reasons are in `problems`.
    """
    before = len(problems.found)
    places = list(_places(fabric, record))
    quarantine = _quarantine(record, fabric.quarantine_days, today)
    _allocate_numbers(fabric, places, problems)
    _allocate_interfaces(places, problems)
    for family in (4, 6):
        _allocate_subnets(fabric, family, places, quarantine, problems)
    if len(problems.found) > before:
        return None, record
    network = Network(fabric, {}, {})
    segments: dict[str, SegmentRecord] = {}
    for place in places:
        segment = _placed(place)
        recorded = place.recorded.peers if place.recorded else {}
        _place_peers(segment, recorded, quarantine, problems)
        network.segments[segment.id] = segment
        network.peers.update((peer.id, peer) for peer in segment.peers)
        segments[segment.id] = _segment_record(segment)
    if len(problems.found) > before:
        return None, record
    released = _released(record, segments, quarantine, today)
    return network, replace(record, segments=segments, released=released)


def _places(fabric: Fabric, record: Record) -> Iterator[_Place]:
    """Yield management first, then the segments by name: the order of allocation, not of the lists."""
    default_hub = fabric.hubs[0].name
    management = fabric.management
    if management is not None:
        yield _Place(MANAGEMENT, MANAGEMENT, management, management.hub or default_hub, record.segments.get(MANAGEMENT))
    declared = [
        (f"{tenant.name}/{segment.name}", tenant, segment) for tenant in fabric.tenants for segment in tenant.segments
    ]
    names = {name for name, _tenant, _segment in declared}
    for name, tenant, segment in sorted(declared, key=lambda item: item[0]):
        recorded = record.segments.get(name)
        if recorded is None and segment.renamed_from is not None:
            former = f"{tenant.name}/{segment.renamed_from}"
            recorded = record.segments.get(former) if former not in names else None
        yield _Place(name, tenant.name, segment, tenant.hub or default_hub, recorded)


def _allocate_numbers(fabric: Fabric, places: list[_Place], problems: Problems) -> None:
    """Decide each segment's number (its conntrack zone), routing table and listen port."""
    base = fabric.routing_table_base
    numbers = FreeNumbers(1, 65535, ((place.recorded.number,) * 2 for place in places if place.recorded))
    for place in places:
        place.number = place.recorded.number if place.recorded else numbers.take() or 0
    _refuse_shared(((place, place.number, "number") for place in places), problems)
    declared_tables = {place.declared.table for place in places} | {base}
    for place in places:
        recorded = place.recorded.table if place.recorded else None
        place.table = place.declared.table or recorded or base + place.number
        while not place.declared.table and place.table in declared_tables:
            # A declared table took this one's usual number: move far above every usual one.
            place.table += 2**16
    _refuse_shared(((place, place.table, "table") for place in places), problems)
    for place in places:
        if place.table == base:
            problems.add(
                (*place.path, "table"),
                base,
                "is the hub's own table",
                "choose another",
                ("wireguard_routing_table_base",),
            )
    fixed = [_fixed_port(place, fabric) for place in places]
    taken = ((port, port) for port in fixed if port)
    ports = FreeNumbers(fabric.listen_port_base + 1, 65535, taken)
    for place, port in zip(places, fixed, strict=True):
        place.listen_port = port or ports.take() or 0
        if not place.listen_port:
            problems.add(place.path, NO_VALUE, "finds no free port up to 65535", "lower wireguard_listen_port_base")
    _refuse_shared(((place, place.listen_port, "listen_port") for place in places if place.listen_port), problems)


def _fixed_port(place: _Place, fabric: Fabric) -> int | None:
    """Return the port that is declared or recorded, or management's usual one."""
    if place.declared.listen_port:
        return place.declared.listen_port
    if place.recorded:
        return place.recorded.listen_port
    return fabric.listen_port_base if place.id == MANAGEMENT else None


def _allocate_interfaces(places: list[_Place], problems: Problems) -> None:
    """Decide each segment's interface name; one that is made never takes a declared one."""
    taken = {place.declared.interface for place in places if place.declared.interface}
    for place in places:
        if place.declared.interface:
            place.interface = place.declared.interface
        elif place.recorded and place.recorded.interface not in taken:
            place.interface = place.recorded.interface
            taken.add(place.interface)
    for place in places:
        salt = 0
        while not place.interface:
            usual = (
                interface_name(place.tenant, place.declared.name, salt) if isinstance(place.declared, Segment) else ""
            )
            name = usual or (MANAGEMENT_INTERFACE if not salt else f"{MANAGEMENT_INTERFACE}-{salt}")
            place.interface = "" if name in taken else name
            salt += 1
        taken.add(place.interface)
    _refuse_shared(((place, place.interface, "interface") for place in places), problems)


def _refuse_shared(values: Iterable[tuple[_Place, int | str, str]], problems: Problems) -> None:
    """Report a number or name that two segments have; the one that says so itself is named."""
    first: dict[int | str, _Place] = {}
    for place, value, key in values:
        other = first.setdefault(value, place)
        if other is place:
            continue
        late, early = (place, other) if getattr(place.declared, key, None) else (other, place)
        problems.add(
            _origin(late, key),
            value,
            f"is {early.id}'s {key} already" if late is not early else "is taken",
            "choose another, or where both are recorded remove the record of the segment that is not deployed yet",
            _origin(early, key),
        )


def _origin(place: _Place, key: str) -> Path:
    """Return where a segment's value comes from: its declaration, or the record."""
    if getattr(place.declared, key, None):
        return (*place.path, key)
    return (*ROOT, "segments", place.id, key) if place.recorded else place.path


def _allocate_subnets(
    fabric: Fabric, family: int, places: list[_Place], quarantine: dict[str, Released], problems: Problems
) -> None:
    """Decide the subnets of one family; v6 takes the number of the v4 subnet where it can."""
    supernet, length, key = (
        (fabric.supernet, fabric.segment_prefix, "subnet")
        if family == 4
        else (fabric.supernet_v6, fabric.segment_prefix_v6, "subnet_v6")
    )
    if supernet is None or supernet.length > length:
        return
    fixed: list[tuple[Prefix, _Place]] = []
    for place in places:
        subnet = getattr(place.declared, key) or (getattr(place.recorded, key) if place.recorded else None)
        if subnet is not None:
            fixed.append((subnet, place))
            setattr(place, key, subnet)
    _refuse_overlaps(fixed, key, supernet, problems)
    blocks = {released_block(text): released.was for text, released in quarantine.items()}
    returning = {was: block for block, was in blocks.items() if block.family == family and block.length == length}
    taken = [block for block in blocks if blocks[block] not in {place.id for place in places}]
    free = free_subnets(supernet, length, [subnet for subnet, _place in fixed] + taken)
    for place in places:
        if getattr(place, key) is not None:
            continue
        wished: list[int] = []
        if place.id in returning and supernet.contains(returning[place.id]):
            wished.append(subnet_number(supernet, length, returning[place.id]))
        if place.id == MANAGEMENT:
            wished.append(0)
        elif family == 6 and place.subnet is not None:
            wished.append(subnet_number(fabric.supernet, fabric.segment_prefix, place.subnet))
        number = next((wish for wish in wished if free.claim(wish)), None)
        if number is None:
            # Subnet 0 is management's by custom; tenants begin at 1, so that 10.100.1.0 is the first one's.
            free.claim(0)
            number = free.take()
        if number is None:
            problems.add(
                place.path,
                NO_VALUE,
                f"finds no free /{length} in {supernet.text}",
                f"widen wireguard_supernet{'' if family == 4 else '_v6'}, or declare smaller subnets",
            )
            return
        setattr(place, key, subnet_at(supernet, length, number))


def _refuse_overlaps(fixed: list[tuple[Prefix, _Place]], key: str, supernet: Prefix, problems: Problems) -> None:
    """Report fixed subnets that overlap or lie outside, unless both are declared (which is checked before)."""
    ordered = sorted(fixed, key=lambda item: item[0])
    for (wide, holder), (narrow, place) in pairwise(ordered):
        if wide.overlaps(narrow) and not (getattr(holder.declared, key) and getattr(place.declared, key)):
            late, early = (place, holder) if getattr(place.declared, key) else (holder, place)
            problems.add(
                _origin(late, key),
                getattr(late, key).text,
                f"overlaps {getattr(early, key).text} of {early.id}",
                "choose another subnet, or where both are recorded remove the record of the segment that is not "
                "deployed yet",
                _origin(early, key),
            )
    for subnet, place in ordered:
        if not getattr(place.declared, key) and not supernet.contains(subnet):
            problems.add(
                _origin(place, key),
                subnet.text,
                f"is recorded outside {supernet.text}",
                "restore the supernet, or remove the segment's record and renumber it",
            )


def _quarantine(record: Record, days: int, today: datetime.date) -> dict[str, Released]:
    """Return the released addresses that stay away from everybody but their former owner."""
    limit = today - datetime.timedelta(days=days)
    return {text: released for text, released in record.released.items() if released.since > limit}


def _placed(place: _Place) -> PlacedSegment:
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


def _place_peers(
    segment: PlacedSegment, recorded: dict[str, PeerRecord], quarantine: dict[str, Released], problems: Problems
) -> None:
    """Give every peer of a segment its addresses, in the order of names."""
    declared = sorted(segment.declared.peers, key=lambda peer: peer.name)
    v4 = _place_hosts(segment, segment.subnet, "address", declared, recorded, quarantine, {}, problems)
    v6: dict[str, Prefix] = {}
    if segment.subnet_v6 is not None:
        wished = {name: mirrored_host(block.value - segment.subnet.value) for name, block in v4.items()}
        v6 = _place_hosts(segment, segment.subnet_v6, "address_v6", declared, recorded, quarantine, wished, problems)
    else:
        for peer in declared:
            if peer.address_v6 is not None:
                problems.add(
                    (*peer.path, "address_v6"),
                    peer.address_v6.address,
                    "is declared without wireguard_supernet_v6",
                    "set it, or remove this",
                )
    for peer in declared:
        if peer.name in v4 and (segment.subnet_v6 is None or peer.name in v6):
            placed = PlacedPeer(f"{segment.id}/{peer.name}", peer, segment, v4[peer.name], v6.get(peer.name))
            segment.peers.append(placed)


def _place_hosts(
    segment: PlacedSegment,
    subnet: Prefix,
    key: str,
    declared: list[Peer],
    recorded: dict[str, PeerRecord],
    quarantine: dict[str, Released],
    wished: dict[str, int],
    problems: Problems,
) -> dict[str, Prefix]:
    """Decide the addresses of one family in one segment; `wished` are host numbers to prefer."""
    lowest, highest = host_bounds(subnet)
    holders: dict[Prefix, Peer] = {}
    for peer in declared:
        address: Prefix | None = getattr(peer, key)
        if address is None:
            continue
        fault = address_fault(address, subnet)
        if fault:
            problems.add(
                (*peer.path, key),
                address.address,
                fault,
                f"choose one from {subnet.host(lowest).address} to {subnet.host(highest).address}",
            )
        elif address in holders:
            problems.add(
                (*peer.path, key),
                address.address,
                "is the address of another peer",
                "give each its own",
                (*holders[address].path, key),
            )
        else:
            holders[address] = peer
    for peer in declared:
        kept = recorded.get(peer.name)
        address = (kept.v4 if key == "address" else kept.v6) if kept else None
        if getattr(peer, key) is not None or address is None or address_fault(address, subnet):
            continue
        if address in holders:
            other = holders[address]
            problems.add(
                (*other.path, key) if getattr(other, key) else (*ROOT, "segments", segment.id, "peers", other.name),
                address.address,
                f"is recorded for {segment.id}/{peer.name}",
                "choose another, or remove that peer's record to renumber it",
                (*ROOT, "segments", segment.id, "peers", peer.name),
            )
        else:
            holders[address] = peer
    taken = [(address.value - subnet.value,) * 2 for address in holders]
    own = {f"{segment.id}/{peer.name}": peer.name for peer in declared}
    returning: dict[str, int] = {}
    for text, released in quarantine.items():
        if "/" in text or not subnet.contains(released_block(text)):
            continue
        number = released_block(text).value - subnet.value
        if released.was in own:
            returning[own[released.was]] = number
        else:
            taken.append((number, number))
    placed = {peer.name: address for address, peer in holders.items()}
    free = FreeNumbers(lowest, highest, taken)
    for peer in declared:
        if peer.name in placed or getattr(peer, key) is not None:
            continue
        preferred = returning.get(peer.name, wished.get(peer.name))
        number = preferred if preferred is not None and free.claim(preferred) else free.take() or 0
        if not number:
            problems.add(peer.path, NO_VALUE, f"finds no free address in {subnet.text}", "widen the segment's subnet")
            break
        placed[peer.name] = subnet.host(number)
    return placed


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


def _released(
    record: Record, segments: dict[str, SegmentRecord], quarantine: dict[str, Released], today: datetime.date
) -> dict[str, Released]:
    """Return the quarantine after this allocation: what was held and is held by nobody now."""
    changed = {name: old for name, old in record.segments.items() if segments.get(name) != old}
    if not changed and not quarantine:
        # The usual run: nothing was given back, and ten thousand addresses need not be written down to see it.
        return {}
    held = {text for segment in segments.values() for text, _owner in _holdings("", segment)}
    released = {text: entry for text, entry in quarantine.items() if text not in held}
    for name, old in changed.items():
        for text, owner in _holdings(name, old):
            if text not in held:
                released[text] = Released(was=owner, since=today)
    return released


def _holdings(name: str, segment: SegmentRecord) -> Iterator[tuple[str, str]]:
    """Yield everything a segment holds that quarantine knows: its subnets and its peers' addresses."""
    for subnet in (segment.subnet, segment.subnet_v6):
        if subnet is not None:
            yield subnet.text, name
    for peer_name, peer in segment.peers.items():
        for address in (peer.v4, peer.v6):
            if address is not None:
                yield address.address, f"{name}/{peer_name}"
