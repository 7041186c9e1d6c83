# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose key is whose: the record of other hosts' public keys that a hub or peer keeps.

On a hub it makes the hub the authority on its peers: a managed peer that is silent in this run keeps the key
it is known by, and a key that differs from the record is not let in before somebody says so.
"""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError

FOLDER = "/var/lib/tenantnet"
FILE = FOLDER + "/known_keys.json"


def read_known(host: Host) -> dict[str, str]:
    """Return the recorded public keys by party."""
    text = host.read(FILE)
    if text is None:
        return {}
    try:
        return {str(party): str(key) for party, key in json.loads(text).items()}
    except (ValueError, AttributeError) as error:
        raise HostError(f"{FILE} is damaged: restore it from a backup") from error


def resolve(
    host: Host, interfaces: list[dict[str, Any]], reported: dict[str, str], accepted: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Give every peer without a declared key the one that is known or reported.

    A peer without a host is a generated one: until it is handed out it has no key, and nobody waits for it.

    reported: keys that other hosts told in this run, by party; accepted: parties whose changed key is
    accepted, `*` for all. Returns the interfaces with peers that have a key, and what is pending: party and
    reason. The record is brought up to date.
    """
    known = read_known(host)
    before = dict(known)
    pending = []
    complete = []
    for interface in interfaces:
        peers = []
        for peer in interface["peers"]:
            if peer.get("public_key"):
                peers.append(peer)
                continue
            party = str(peer["id"])
            told = reported.get(party)
            if told is not None and known.get(party) not in (None, told) and not {party, "*"} & set(accepted):
                reason = "its key changed without a rotation and is not let in: name it in wireguard_accept_new_key"
                pending.append({"party": party, "reason": reason})
            elif told is not None:
                known[party] = told
            if party in known:
                peers.append(dict(peer, public_key=known[party]))
            elif peer.get("host"):
                pending.append({"party": party, "reason": "its key is not known yet: run site when it can be reached"})
        complete.append(dict(interface, peers=peers))
    if known != before and host.applies(f"record the keys of {len(known)} parties"):
        host.make_folder(FOLDER, 0o700)
        host.write(FILE, json.dumps(known, indent=1, sort_keys=True) + "\n", 0o600)
    return complete, pending
