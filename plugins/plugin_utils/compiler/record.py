# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of allocations: what ``wireguard.lock.yml`` says, read strictly and written for git.

Everything that a user did not choose is chosen once and recorded by name, so that adding, removing or
reordering moves nobody. The file is made to be read, reviewed and merged by people: sorted, one peer a line.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from . import kinds
from .addresses import Prefix, parse_address, parse_prefix
from .kinds import INVALID, Reader, _Invalid, is_name
from .problems import NO_VALUE, Path, Problems
from .schema import mapping_of, option, options_of

T = TypeVar("T")

SCHEMA_VERSION = 1
# The last line of the file: without it the file was cut off.
END = "wireguard.lock"
ROOT: Path = ("wireguard.lock.yml",)
# The variable under which the record stands in its file.
VARIABLE = "wireguard_allocation_record"
# Ansible reads every file of an inventory folder as an inventory. As one variable of text the record is a valid
# one, costs nothing to load, and still merges line by line.
_HEADER = f"""\
# The allocations of a fabric: recorded by tenantnet.wireguard, by name and never by position.
# Commit this file. Merge both sides of a conflict; a number taken twice is reported by the next plan.
---
all:
  vars:
    {VARIABLE}: |
"""
_INDENT = " " * 6


class PeerRecord(NamedTuple):
    """The addresses of a peer."""

    v4: Prefix
    v6: Prefix | None


def _peer_addresses(value: Any, path: Path, problems: Problems) -> PeerRecord | _Invalid:
    """Read ``"10.100.1.10"`` or ``"10.100.1.10 fd64::10"``."""
    try:
        blocks = [parse_address(word) for word in value.split(" ")]
        if [block.family for block in blocks] in ([4], [4, 6]):
            return PeerRecord(blocks[0], blocks[1] if len(blocks) > 1 else None)
    except (AttributeError, ValueError):
        pass
    problems.add(path, value, "is not an IPv4 address with or without an IPv6 address", "restore the file from git")
    return INVALID


def _mapping_by_name(reader: Reader[T]) -> Reader[dict[str, T]]:
    """Return a reader of a mapping from any text to what `reader` reads."""

    def read(value: Any, path: Path, problems: Problems) -> dict[str, T] | _Invalid:
        if not isinstance(value, Mapping):
            problems.add(path, value, "is not a mapping", "restore the file from git")
            return INVALID
        items = {str(key): reader(item, (*path, str(key)), problems) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not INVALID}

    return read


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecord:
    """The numbers of a segment and the addresses of its peers, by name."""

    path: Path = field(default=(), compare=False)
    number: int = option(kinds.integer(1, 65535), "number", "Conntrack zone, and table relative to the base.")
    subnet: Prefix = option(kinds.prefix(4), "network", "Subnet.")
    subnet_v6: Prefix | None = option(kinds.prefix(6), "network", "IPv6 subnet.", None)
    listen_port: int = option(kinds.integer(1, 65535), "port", "UDP port.")
    interface: str = option(kinds.interface, "interface", "Interface.")
    table: int = option(kinds.integer(256, 2**31 - 1), "table", "Routing table.")
    peers: dict[str, PeerRecord] = option(_mapping_by_name(_peer_addresses), "mapping", "Peers' addresses.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """An address or subnet that nobody has now: kept from others until its quarantine ends."""

    path: Path = field(default=(), compare=False)
    was: str = option(kinds.text, "name", "Who had it.")
    since: datetime.date = option(kinds.date, "date", "Since when it is free.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The whole record."""

    path: Path = field(default=ROOT, compare=False)
    schema_version: int = option(kinds.integer(1, 10**6), "number", "Version of this format.", SCHEMA_VERSION)
    fabric: str = option(kinds.name, "name", "The fabric that it belongs to.")
    segments: dict[str, SegmentRecord] = option(
        _mapping_by_name(mapping_of(SegmentRecord)), "mapping", "Segments by tenant/segment."
    )
    released: dict[str, Released] = option(_mapping_by_name(mapping_of(Released)), "mapping", "Quarantine, by address.")
    end: str = option(kinds.choice(END), "text", "The mark of a whole file.")


def empty_record(fabric: str) -> Record:
    """Return the record of a fabric that has nothing yet."""
    return Record(fabric=fabric, segments={}, released={}, end=END)


def recovered_data(overview: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a record made of what a hub has deployed: for a record that was lost."""
    segments: dict[str, Any] = {}
    for item in overview["allocations"]:
        keys = ("number", "subnet", "subnet_v6", "listen_port", "interface", "table")
        segments[item["id"]] = {key: item[key] for key in keys if item[key] is not None}
        segments[item["id"]]["peers"] = {}
    for peer in overview["peers"]:
        segment, _slash, name = peer["peer"].rpartition("/")
        addresses = (peer["address"], peer["address_v6"])
        segments[segment]["peers"][name] = " ".join(address for address in addresses if address)
    return {
        "schema_version": SCHEMA_VERSION,
        "fabric": overview["fabric"],
        "segments": segments,
        "released": {},
        "end": END,
    }


def read_record(data: Any, fabric: str, problems: Problems) -> Record | None:
    """Read the loaded record; None (and a problem) where it cannot be relied on."""
    if not isinstance(data, Mapping):
        problems.add(ROOT, NO_VALUE, "is empty or not a mapping: it was cut off or replaced", "restore it from git")
        return None
    version = data.get("schema_version")
    if str(version).isdecimal() and int(str(version)) > SCHEMA_VERSION:
        problems.add(
            (*ROOT, "schema_version"),
            version,
            f"is newer than {SCHEMA_VERSION}, the newest that this version reads",
            "use the version of the collection that wrote it, or a newer one",
        )
        return None
    if "end" not in data:
        problems.add(ROOT, NO_VALUE, "has no end mark: it was cut off", "restore it from git")
        return None
    if data.get("fabric") != fabric:
        problems.add(
            (*ROOT, "fabric"),
            data.get("fabric"),
            f"is another fabric than {fabric!r}",
            "use the record of this fabric, or correct wireguard_fabric",
        )
        return None
    before = len(problems.found)
    released = data.get("released")
    for text in released if isinstance(released, Mapping) else ():
        try:
            released_block(str(text))
        except ValueError as error:
            problems.add((*ROOT, "released", str(text)), NO_VALUE, str(error), "restore the file from git")
    record = mapping_of(Record)(data, ROOT, problems)
    for name in record.segments if isinstance(record, Record) else ():
        parts = [name] if name == "management" else name.split("/")
        if name != "management" and (len(parts) != 2 or not all(map(is_name, parts))):
            problems.add(
                (*ROOT, "segments", name), NO_VALUE, "is not the name of a segment", "restore the file from git"
            )
    return record if isinstance(record, Record) and len(problems.found) == before else None


def released_block(text: str) -> Prefix:
    """Read a key of the quarantine: a subnet or an address.

    Raises ValueError with a readable reason.
    """
    return parse_prefix(text) if "/" in text else parse_address(text)


def render_record(record: Record) -> str:
    """Write the record as the text of its file: deterministic, sorted, strings quoted."""
    lines = [f"schema_version: {SCHEMA_VERSION}", f"fabric: {json.dumps(record.fabric)}"]
    lines.append("segments:" if record.segments else "segments: {}")
    for name, segment in sorted(record.segments.items()):
        lines.append(f"  {json.dumps(name)}:")
        for key in options_of(SegmentRecord):
            value = getattr(segment, key)
            if isinstance(value, dict):
                lines.append("    peers:" if value else "    peers: {}")
                lines += [f"      {json.dumps(peer)}: {json.dumps(_peer_text(value[peer]))}" for peer in sorted(value)]
            elif value is not None:
                lines.append(f"    {key}: {json.dumps(value.text if isinstance(value, Prefix) else value)}")
    lines.append("released:" if record.released else "released: {}")
    for address, released in sorted(record.released.items()):
        lines.append(f'  "{address}": {{was: {json.dumps(released.was)}, since: "{released.since.isoformat()}"}}')
    lines.append(f"end: {END}")
    return _HEADER + "".join(f"{_INDENT}{line}\n" for line in lines)


def _peer_text(peer: PeerRecord) -> str:
    """Write a peer's addresses as one string."""
    return peer.v4.address if peer.v6 is None else f"{peer.v4.address} {peer.v6.address}"
