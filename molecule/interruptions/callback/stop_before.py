# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills ansible-playbook, with all that it has started, before the task with the number in STOP_BEFORE.

With STOP_UNTIL it only waits there, until there is a file of that name: for another run to overtake it.
Only tasks that may change a host count: those of the collection, and the package manager's. With another number than
there are tasks nothing is killed, and the run says at its end how many there were.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: stop_before
type: notification
short_description: kill ansible-playbook before one of its tasks
description: Kills ansible-playbook before the task with the number in STOP_BEFORE.
requirements: [enabled in configuration]
"""


class CallbackModule(CallbackBase):
    """Counts tasks, and stops everything before one of them."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "stop_before"
    CALLBACK_NEEDS_ENABLED = True
    count = 0

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Count the task that is about to begin."""
        if task.action.startswith("tenantnet.wireguard.") or task.action == "ansible.builtin.package":
            self.count += 1
            if self.count == int(os.environ.get("STOP_BEFORE", "0")):
                self._display.display(f"STOPPED before task {self.count}: {task.get_name()}")
                file = os.environ.get("STOP_UNTIL")
                if not file:
                    os.killpg(0, signal.SIGKILL)
                while file and not os.path.exists(file):
                    time.sleep(0.1)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Say how many there were."""
        self._display.display(f"TASKS {self.count}")
