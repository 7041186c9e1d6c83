# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the hub's public keys for a peer whose hub is not part of this run."""

from __future__ import annotations

from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.action import PlanAction
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.run import Run


class ActionModule(PlanAction):
    """Runs on a peer, delegated to its hub; connects to the hub only where a key is needed that nobody told yet."""

    def act(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Ask the hub, once a run, and note what it says."""
        peer = run.slice("peer", self.host(task_vars))
        if peer is None:
            return {"changed": False, "skipped": True}
        hub = str(self._task.delegate_to)
        if hub in run.notes("hub-keys") or not any(item["hub"] == hub for item in peer["memberships"]):
            return {"changed": False, "skipped": True, "msg": "the hub is part of this run"}
        result = self.module("hub_keys", {}, task_vars)
        if not result.get("failed"):
            told = {f"{hub}:{segment}": key for segment, key in result.get("public_keys", {}).items()}
            run.note("hub-keys", hub, told)
        return result
