# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a managed peer make its keys, and note the public ones for the hubs of this run."""

from __future__ import annotations

from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.action import PlanAction
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.run import Run


class ActionModule(PlanAction):
    """Runs the module of the same name with the ids of the peers that the host is."""

    deploys = True

    def act(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fill in the parties, and leave a note of what the host answered."""
        host = self.host(task_vars)
        peer = run.slice("peer", host)
        if peer is None:
            return {"changed": False, "skipped": True, "msg": f"{host} is no peer of the fabric"}
        memberships = [{"party": item["peer"], "interface": item["interface"]} for item in peer["memberships"]]
        result = self.module("peer_keys", {"memberships": memberships}, task_vars)
        if not result.get("failed"):
            run.note("peer-keys", host, result.get("public_keys", {}))
        return result
