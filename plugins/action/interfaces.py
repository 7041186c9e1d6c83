# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a host its WireGuard interfaces, with the keys that other hosts told in this run."""

from __future__ import annotations

from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.action import PlanAction
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.run import Run

# The kernel's main routing table.
_MAIN_TABLE = 254


class ActionModule(PlanAction):
    """Runs the module of the same name with the host's slice."""

    deploys = True

    def act(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fill in the interfaces of a hub or of a peer."""
        host = self.host(task_vars)
        scope = str(self._task.args.get("scope", "hub"))
        part = run.slice(scope, host)
        if part is None:
            return {"changed": False, "skipped": True, "msg": f"{host} has no part in the fabric"}
        if scope == "hub":
            arguments = {
                "interfaces": [_hub_interface(item) for item in part["interfaces"]],
                "reported": _joined(run.notes("peer-keys")),
                "accepted": self.names("wireguard_accept_new_key", task_vars),
                "claim": self.claim(run, task_vars),
            }
        else:
            # The hub is the authority: a peer takes the key that its hub told.
            arguments = {
                "interfaces": _peer_interfaces(part["memberships"]),
                "reported": _joined(run.notes("hub-keys")),
                "accepted": ["*"],
                "removable": self.names("wireguard_allow_removal", task_vars),
            }
        result = self.module("interfaces", {"scope": scope, **arguments}, task_vars)
        if result.get("failed"):
            return result
        if scope == "hub":
            keys = result.get("public_keys", {})
            told = {_hub_party(host, item["segment"]): keys.get(item["name"]) for item in part["interfaces"]}
            run.note("hub-keys", host, {party: key for party, key in told.items() if key})
        if result.get("pending") and not self._task.check_mode:
            run.note("pending", host, result["pending"])
        return result


def _joined(notes: dict[str, Any]) -> dict[str, str]:
    """Join the keys that every host told."""
    return {str(party): str(key) for told in notes.values() for party, key in told.items()}


def _hub_party(hub: str, segment: str) -> str:
    """Name the hub's end of a segment."""
    return f"{hub}:{segment}"


def _hub_interface(item: dict[str, Any]) -> dict[str, Any]:
    """Return a hub's interface as the module takes it."""
    return {
        "name": item["name"],
        "about": item["segment"],
        "key": item["segment"],
        "guarded": True,
        "listen_port": item["listen_port"],
        "mtu": item["mtu"],
        "addresses": item["addresses"],
        "routes": item["routes"],
        "peers": item["peers"],
    }


def _peer_interfaces(memberships: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a peer's interfaces as the module takes them.

    A destination that two memberships reach is routed through the first: one host has one main table. A
    default route is allowed in the tunnel and not made: it would cut a server off its own uplink.
    """
    interfaces = []
    routed: set[str] = set()
    for item in memberships:
        wanted = [block for block in item["allowed_ips"] if not block.endswith("/0") and block not in routed]
        routed.update(wanted)
        sources = {6 if ":" in address else 4: address.split("/")[0] for address in item["addresses"]}
        endpoint = f"[{item['endpoint']}]" if ":" in item["endpoint"] else item["endpoint"]
        interfaces.append(
            {
                "name": item["interface"],
                "about": item["peer"],
                "key": item["peer"],
                "guarded": False,
                "listen_port": 0,
                "mtu": item["mtu"],
                "addresses": item["addresses"],
                "routes": [
                    {"table": _MAIN_TABLE, "to": block, "from": sources[6 if ":" in block else 4]} for block in wanted
                ],
                "peers": [
                    {
                        "id": _hub_party(item["hub"], item["segment"]),
                        "host": item["hub"],
                        "public_key": None,
                        "allowed_ips": item["allowed_ips"],
                        "endpoint": f"{endpoint}:{item['port']}",
                        "keepalive": item["keepalive"],
                    }
                ],
            }
        )
    return interfaces
