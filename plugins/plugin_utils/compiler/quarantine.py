# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quarantine: what was given back waits for its owner, and is nobody else's until then.

A released address may still stand in other people's logs, allow lists and client configurations.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from .addresses import Prefix
from .places import Place
from .record import Record, Released, SegmentRecord, released_block


def waiting(record: Record, places: Iterable[Place], days: int, today: datetime.date) -> dict[str, Released]:
    """Return what nobody but its owner may have in this run: what was released lately, or is released by it."""
    limit = today - datetime.timedelta(days=days)
    entries = {text: released for text, released in record.released.items() if released.since > limit}
    if days:
        for text, owner in _leaving(record, places):
            entries.setdefault(text, Released(was=owner, since=today))
    return entries


def owners(entries: dict[str, Released], family: int, *, subnets: bool) -> dict[Prefix, str]:
    """Return who had each subnet, or each single address, of a family."""
    blocks = ((released_block(text), released.was) for text, released in entries.items())
    return {block: was for block, was in blocks if block.family == family and (block.size > 1) == subnets}


def released_after(
    record: Record, segments: dict[str, SegmentRecord], entries: dict[str, Released], today: datetime.date
) -> dict[str, Released]:
    """Return the quarantine that the new record has.

    Where no segment changed it is the old one, ended entries included: time alone must not change the record, or
    every run that may not write it would fail one morning.
    """
    if segments == record.segments:
        return record.released
    held = {text for segment in segments.values() for text, _owner in _holdings("", segment)}
    released = {text: entry for text, entry in entries.items() if text not in held}
    for name, old in record.segments.items():
        for text, owner in _holdings(name, old) if segments.get(name) != old else ():
            if text not in held:
                released.setdefault(text, Released(was=owner, since=today))
    return released


def _leaving(record: Record, places: Iterable[Place]) -> Iterator[tuple[str, str]]:
    """Yield what is recorded and declared no more, with its owner."""
    users = {place.former: place for place in places if place.recorded is not None}
    for name, old in record.segments.items():
        place = users.get(name)
        if place is None:
            yield from _holdings(name, old)
            continue
        for declared, subnet in ((place.declared.subnet, old.subnet), (place.declared.subnet_v6, old.subnet_v6)):
            if declared is not None and subnet is not None and declared != subnet:
                yield subnet.text, place.id
        peers = {peer.name: peer for peer in place.declared.peers}
        for peer_name, addresses in old.peers.items():
            peer = peers.get(peer_name)
            wished = (peer.address, peer.address_v6) if peer else (None, None)
            for address, instead in zip(addresses, wished, strict=True):
                if address is not None and (peer is None or (instead is not None and instead != address)):
                    yield address.address, f"{place.id}/{peer_name}"


def _holdings(name: str, segment: SegmentRecord) -> Iterator[tuple[str, str]]:
    """Yield everything a segment holds that quarantine knows: its subnets and its peers' addresses."""
    for subnet in (segment.subnet, segment.subnet_v6):
        if subnet is not None:
            yield subnet.text, name
    for peer_name, peer in segment.peers.items():
        for address in (peer.v4, peer.v6):
            if address is not None:
                yield address.address, f"{name}/{peer_name}"
