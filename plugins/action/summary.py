# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End a run: say what is pending and what to do next, and fail where something asked for is not so."""

from __future__ import annotations

from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.action import PlanAction
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.run import Run


class ActionModule(PlanAction):
    """Works on the controller, from the notes that the run's tasks left."""

    def act(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Collect what is pending, once a run."""
        del task_vars  # the notes say everything
        if not run.first_time("summary"):
            return {"changed": False}
        pending = {
            f"{item['party']} (on {host}): {item['reason']}"
            for host, items in run.notes("pending").items()
            for item in items
        }
        sentences = [str(sentence) for sentence in run.notes("record").values() if sentence]
        if pending:
            lines = [f"{len(pending)} pending:", *sorted(pending), *sentences]
            return {"changed": False, "failed": True, "msg": "\n".join(lines)}
        return {"changed": False, "msg": "; ".join(["everything declared is deployed", *sentences])}
