# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The overview: the plan as people and other tools read it (``plan.json``), and what differs between two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from .grants import Grant
from .model import Segment
from .placed import Network

SCHEMA_VERSION = 1


def overview(
    network: Network, grants: Iterable[Grant], tests: list[dict[str, object]], released: Iterable[str]
) -> dict[str, Any]:
    """Return the allocations, the reachability and the tests' results as plain, sorted data.

    released: the names whose addresses are in quarantine.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "fabric": network.fabric.fabric,
        "allocations": [
            {
                "tenant": segment.tenant,
                "segment": segment.declared.name if isinstance(segment.declared, Segment) else segment.id,
                "id": segment.id,
                "hub": segment.hub,
                "subnet": segment.subnet.text,
                "subnet_v6": segment.subnet_v6.text if segment.subnet_v6 else None,
                "interface": segment.interface,
                "listen_port": segment.listen_port,
                "table": segment.table,
                "number": segment.number,
            }
            for _id, segment in sorted(network.segments.items())
        ],
        "peers": [
            {
                "peer": peer.id,
                "address": peer.v4.address,
                "address_v6": peer.v6.address if peer.v6 else None,
                "kind": "managed" if peer.declared.host else "generated" if peer.declared.key else "external",
                "public_key": peer.declared.public_key,
                "networks": [block.text for block in sorted(peer.declared.networks)],
                "barred": peer.barred or None,
            }
            for _id, peer in sorted(network.peers.items())
        ],
        "reachability": _reachability(grants),
        "tests": tests,
        "released": sorted(set(released)),
        # By the name that each had: what a rename takes along is neither removed nor added.
        "renamed": {
            f"{segment.tenant}/{segment.declared.renamed_from}": segment.id
            for _id, segment in sorted(network.segments.items())
            if isinstance(segment.declared, Segment) and segment.declared.renamed_from
        },
    }


def _reachability(grants: Iterable[Grant]) -> list[dict[str, Any]]:
    """Return one entry for each pair and policy, with all of its ports."""
    joined: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for grant in grants:
        joined[grant.source, grant.target, grant.policy].append(grant.ports.text)
    return [
        {"from": source, "to": target, "ports": ports, "policy": policy}
        for (source, target, policy), ports in sorted(joined.items())
    ]


_Key = Callable[[dict[str, Any]], str]
_KINDS: tuple[tuple[str, str, _Key], ...] = (
    ("allocations", "segment", lambda item: str(item["id"])),
    ("peers", "peer", lambda item: str(item["peer"])),
    ("reachability", "reachability", lambda item: f"{item['from']} -> {item['to']} by {item['policy']}"),
)


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what differs from one overview to another: kind, name, change, and what was and will be.

    change is added, removed or changed; `from` and `to` hold only the keys that differ.
    """
    found: list[dict[str, Any]] = []
    for section, kind, key in _KINDS:
        old = {key(item): item for item in before.get(section, ())}
        new = {key(item): item for item in after.get(section, ())}
        for name in sorted(old.keys() | new.keys()):
            was, will = old.get(name), new.get(name)
            if was == will:
                continue
            change = "added" if was is None else "removed" if will is None else "changed"
            keys = [each for each in (will or was or {}) if (was or {}).get(each) != (will or {}).get(each)]
            found.append(
                {
                    "kind": kind,
                    "name": name,
                    "change": change,
                    "from": {each: was.get(each) for each in keys} if was else None,
                    "to": {each: will.get(each) for each in keys} if will else None,
                }
            )
    return found
