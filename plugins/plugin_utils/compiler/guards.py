# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run would change, in words, and what it may not change unasked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Peers that a run may remove without being asked: a slip of the hand loses more, a daily change fewer.
REMOVED_PEERS_LIMIT = 3
# What a client or a colleague's configuration holds: changing it unasked cuts them off.
_ALLOCATED = ("subnet", "subnet_v6", "listen_port", "interface", "table")
_ADDRESSES = ("address", "address_v6")


def change_lines(changes: list[dict[str, Any]]) -> list[str]:
    """Write each change as a line: a sign, the kind, the name, and what it was and will be."""
    signs = {"added": "+", "removed": "-", "changed": "~"}
    lines = []
    for change in changes:
        line = f"{signs[change['change']]} {change['kind']} {change['name']}"
        if change["change"] == "changed":
            parts = [f"{key} {change['from'][key]} -> {change['to'][key]}" for key in change["to"]]
            line += ": " + ", ".join(parts)
        lines.append(line)
    return lines


def refused(
    changes: list[dict[str, Any]], removable: Sequence[str], renumberable: Sequence[str], renames: Mapping[str, str]
) -> list[str]:
    """Return what nobody asked for: removals beyond a few peers, and changed numbers of what is deployed.

    renames: the new ids of segments that are declared as renamed, by the old ones.
    """
    renamed = _renamed(changes, renames)
    removed = [change for change in changes if change["change"] == "removed" and not _goes_on(change, changes, renamed)]
    segments = [change["name"] for change in removed if change["kind"] == "segment"]
    gone = set(segments)
    peers = [
        change["name"]
        for change in removed
        if change["kind"] == "peer" and change["name"].rsplit("/", 1)[0] not in gone
    ]
    lines = [f"segment {name} would be removed" for name in segments if not _named(name, removable)]
    unnamed = [name for name in peers if not _named(name, removable)]
    if len(unnamed) > REMOVED_PEERS_LIMIT:
        lines += [f"peer {name} would be removed" for name in unnamed]
    if lines:
        lines.append("name what may go in wireguard_allow_removal (tenants, segments or peers), or declare it again")
    renumbered = [
        f"{change['kind']} {change['name']} would be renumbered: {key} {change['from'].get(key)} -> {change['to'][key]}"
        for change in changes
        if change["change"] == "changed" and change["kind"] in ("segment", "peer")
        for key in (_ALLOCATED if change["kind"] == "segment" else _ADDRESSES)
        # Getting a number where there was none interrupts nobody.
        if key in change["to"] and change["from"].get(key) is not None and not _named(change["name"], renumberable)
    ]
    if renumbered:
        renumbered.append("name what may change in wireguard_allow_renumber, or restore the record of allocations")
    return lines + renumbered


def _renamed(changes: list[dict[str, Any]], renames: Mapping[str, str]) -> dict[str, str]:
    """Return the declared renames that these changes are: the number goes with the segment.

    A number alone proves nothing: a new segment may get that of one that is gone.
    """
    segments = [change for change in changes if change["kind"] == "segment"]
    added = {change["name"]: change["to"]["number"] for change in segments if change["change"] == "added"}
    return {
        change["name"]: renames[change["name"]]
        for change in segments
        if change["change"] == "removed" and added.get(renames.get(change["name"], "")) == change["from"]["number"]
    }


def _goes_on(change: dict[str, Any], changes: list[dict[str, Any]], renamed: dict[str, str]) -> bool:
    """Tell whether what seems removed goes on under another name."""
    if change["kind"] == "segment":
        return change["name"] in renamed
    segment, _slash, peer = change["name"].rpartition("/")
    return any(
        other["kind"] == "peer" and other["change"] == "added" and other["name"] == f"{renamed.get(segment)}/{peer}"
        for other in changes
    )


def unknown_names(names: Sequence[str], *overviews: dict[str, Any]) -> list[str]:
    """Return the names that are no tenant, segment or peer of any of these overviews, nor were one lately."""
    known: set[str] = set()
    for overview in overviews:
        ids = [item["id"] for item in overview.get("allocations", ())] + [
            item["peer"] for item in overview.get("peers", ())
        ]
        for name in [*ids, *overview.get("released", ())]:
            parts = name.split("/")
            known |= {"/".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return [name for name in names if name not in known]


def _named(name: str, allowed: Sequence[str]) -> bool:
    """Tell whether a party, or a tenant or segment that holds it, is named."""
    parts = name.split("/")
    return any("/".join(parts[:length]) in allowed for length in range(1, len(parts) + 1))
