# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the overview of the plan on the hub that enforces it."""

from __future__ import annotations

from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.action import PlanAction
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.run import Run


class ActionModule(PlanAction):
    """Runs the module of the same name with the run's overview."""

    deploys = True

    def act(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fill in the overview."""
        overview = {key: value for key, value in run.slice("overview").items() if key != "tests"}
        return self.module("deployed", {"overview": overview, "claim": self.claim(run, task_vars)}, task_vars)
