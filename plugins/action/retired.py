# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a hub's interfaces whose segments are declared no more."""

from __future__ import annotations

from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.action import PlanAction
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.run import Run


class ActionModule(PlanAction):
    """Runs the module of the same name with the names that the hub keeps."""

    deploys = True

    def act(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fill in what is wanted, and what may go."""
        hub = run.slice("hub", self.host(task_vars))
        if hub is None:
            return {"changed": False, "skipped": True, "msg": "this host is no hub of the fabric"}
        arguments = {
            "wanted": [item["name"] for item in hub["interfaces"]],
            "removable": self.names("wireguard_allow_removal", task_vars),
            "claim": self.claim(run, task_vars),
        }
        return self.module("retired", arguments, task_vars)
