# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a host the routing part of its plan."""

from __future__ import annotations

from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.action import PlanAction
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.run import Run


class ActionModule(PlanAction):
    """Runs the module of the same name with the host's slice."""

    deploys = True

    def act(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fill in the plan of a hub, or what keeps fabric addresses off a peer's uplink."""
        host = self.host(task_vars)
        if self._task.args.get("scope", "hub") == "hub":
            plan = self._hub(run.slice("hub", host))
        else:
            plan = self._peer(run.slice("peer", host))
        if plan is None:
            return {"changed": False, "skipped": True, "msg": f"{host} has no part in the fabric"}
        claim = self.claim(run, task_vars) if run.slice("hub", host) else None
        return self.module("routing", {"plan": plan, "claim": claim}, task_vars)

    @staticmethod
    def _hub(hub: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return a hub's routing: its tables, rules and settings."""
        if hub is None:
            return None
        routing = hub["routing"]
        sysctl = {"net.ipv4.ip_forward": 1}
        if 6 in routing["families"]:
            sysctl["net.ipv6.conf.all.forwarding"] = 1
        return {
            **routing,
            "sysctl": sysctl,
            "reserved_ports": ",".join(str(port) for port in hub["ports"]),
            "unreachable": [],
        }

    @staticmethod
    def _peer(peer: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return a peer's guard: no rules and no tables, and the fabric's networks unreachable in main."""
        if peer is None:
            return None
        families = [6 if ":" in network else 4 for network in peer["supernets"]]
        return {
            "families": families,
            "tables": {},
            "rules": {},
            "priorities": [0, 0],
            "sysctl": {},
            "reserved_ports": "",
            "unreachable": peer["supernets"],
        }
