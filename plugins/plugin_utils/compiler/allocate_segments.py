# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocation of what a segment has: its number, table, port, interface and subnets."""

from __future__ import annotations

from collections.abc import Iterable

from .addresses import Prefix, overlapping
from .model import Fabric, Segment
from .numbers import FreeNumbers, free_subnets, interface_name, subnet_at, subnet_number
from .placed import MANAGEMENT
from .places import Place, origin
from .problems import NO_VALUE, Problems
from .quarantine import owners
from .record import Released

MANAGEMENT_INTERFACE = "wg0"


def allocate_numbers(fabric: Fabric, places: list[Place], problems: Problems) -> None:
    """Decide each segment's number (its conntrack zone), routing table and listen port."""
    base = fabric.routing_table_base
    numbers = FreeNumbers(1, 65535, ((place.recorded.number,) * 2 for place in places if place.recorded))
    for place in places:
        place.number = place.recorded.number if place.recorded else numbers.take() or 0
    _refuse_shared(((place, place.number, "number") for place in places), problems)
    fixed_tables = [place.declared.table or (place.recorded.table if place.recorded else None) for place in places]
    tables = FreeNumbers(base + 1, 2**31 - 1, ((table, table) for table in fixed_tables if table))
    for place, fixed_table in zip(places, fixed_tables, strict=True):
        usual = base + place.number
        place.table = fixed_table or (usual if tables.claim(usual) else tables.take() or 0)
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


def _fixed_port(place: Place, fabric: Fabric) -> int | None:
    """Return the port that is declared or recorded, or management's usual one."""
    if place.declared.listen_port:
        return place.declared.listen_port
    if place.recorded:
        return place.recorded.listen_port
    return fabric.listen_port_base if place.id == MANAGEMENT else None


def allocate_interfaces(places: list[Place], problems: Problems) -> None:
    """Decide each segment's interface name; one that is made never takes a declared one."""
    for place in places:
        place.interface = place.declared.interface or (place.recorded.interface if place.recorded else "")
    taken = {place.interface for place in places if place.interface}
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


def _refuse_shared(values: Iterable[tuple[Place, int | str, str]], problems: Problems) -> None:
    """Report a number or name that two segments have; the one that says so itself is named."""
    first: dict[int | str, Place] = {}
    for place, value, key in values:
        other = first.setdefault(value, place)
        if other is place:
            continue
        late, early = (place, other) if getattr(place.declared, key, None) else (other, place)
        problems.add(
            origin(late, key),
            value,
            f"is {early.id}'s {key} already" if late is not early else "is taken",
            "choose another, or where both are recorded remove the record of the segment that is not deployed yet",
            origin(early, key),
        )


def allocate_subnets(
    fabric: Fabric, family: int, places: list[Place], waiting: dict[str, Released], problems: Problems
) -> None:
    """Decide the subnets of one family; v6 takes the number of the v4 subnet where it can."""
    supernet, length, key = (
        (fabric.supernet, fabric.segment_prefix, "subnet")
        if family == 4
        else (fabric.supernet_v6, fabric.segment_prefix_v6, "subnet_v6")
    )
    if supernet is None or supernet.length > length:
        return
    had = owners(waiting, family, subnets=True)
    own = {was: block for block, was in had.items() if supernet.contains(block)}
    fixed: list[tuple[Prefix, Place]] = []
    for place in places:
        subnet = getattr(place.declared, key) or (getattr(place.recorded, key) if place.recorded else None)
        if subnet is not None:
            fixed.append((subnet, place))
    known = [subnet for subnet, _place in fixed]
    for place in places:
        # Who comes back gets his own again, before anybody else is served.
        back = own.get(place.id)
        if back is None or any(each is place for _subnet, each in fixed):
            continue
        if not any(back.overlaps(subnet) for subnet in known):
            fixed.append((back, place))
    for subnet, place in fixed:
        setattr(place, key, subnet)
    _refuse_overlaps(fixed, key, supernet, problems)
    free = free_subnets(supernet, length, [*(subnet for subnet, _place in fixed), *had])
    for place in places:
        if getattr(place, key) is not None:
            continue
        wished: list[int] = []
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


def _refuse_overlaps(fixed: list[tuple[Prefix, Place]], key: str, supernet: Prefix, problems: Problems) -> None:
    """Report fixed subnets that overlap or lie outside, unless both are declared (which is checked before)."""
    for first, second in overlapping((subnet, number) for number, (subnet, _place) in enumerate(fixed)):
        holder, place = fixed[first][1], fixed[second][1]
        if not (getattr(holder.declared, key) and getattr(place.declared, key)):
            late, early = (place, holder) if getattr(place.declared, key) else (holder, place)
            problems.add(
                origin(late, key),
                getattr(late, key).text,
                f"overlaps {getattr(early, key).text} of {early.id}",
                "choose another subnet, or where both are recorded remove the record of the segment that is not "
                "deployed yet",
                origin(early, key),
            )
    for subnet, place in fixed:
        if not getattr(place.declared, key) and not supernet.contains(subnet):
            problems.add(
                origin(place, key),
                subnet.text,
                f"is recorded outside {supernet.text}",
                "restore the supernet, or remove the segment's record and renumber it",
            )
        elif not getattr(place.declared, key) and subnet.size < 4:
            problems.add(
                origin(place, key), subnet.text, "has no room for the hub and a peer", "restore the record from git"
            )
