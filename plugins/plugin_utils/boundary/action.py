# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of every action of ours: finds the run's plan, gives the host's module its slice, says what went wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import yaml
from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.run import Run, RunError
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import origin_of

COLLECTION = "tenantnet.wireguard"


class PlanAction(ActionBase):
    """An action that works on the compiled plan.

    A subclass says in `act` what it does. `deploys` is true where it changes the hosts: then the policy
    tests must pass and the record of allocations is written before anything else happens.
    """

    deploys = False
    # The last message that was shown as lines.
    shown = ""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the action; errors of the declaration become one failure with every line."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            run = Run(variables, self._loader)
            if self.deploys:
                self._prepare(run)
            result.update(self.act(run, variables))
        except RunError as error:
            self._show_once(str(error))
            result.update(failed=True, changed=False, msg=str(error))
        result.pop("invocation", None)
        return result

    def act(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Do the work of this action and return its result."""
        raise NotImplementedError

    def _prepare(self, run: Run) -> None:
        """Do what comes before any change: the tests must pass, and the record is written."""
        self.refuse_failed_tests(run)
        self.write_record(run)

    def refuse_failed_tests(self, run: Run) -> None:
        """Raise RunError where a policy test fails."""
        failed = [test for test in run.slice("overview")["tests"] if test["result"] != "pass"]
        if failed:
            lines = [f"{test['name']}: {test['reason']}" for test in failed]
            raise RunError("\n".join([f"{len(failed)} of the policy tests fail; nothing was changed:", *lines]))

    def write_record(self, run: Run) -> None:
        """Write the record of allocations where it changed, once a run; raises RunError where it is frozen."""
        if run.slice("record") is not None and (run.inputs.frozen or run.first_time("record")):
            sentence = run.record(check=self._task.check_mode)
            run.note("record", "sentence", sentence)
            self._display.display(sentence, color=C.COLOR_CHANGED)

    def _show_once(self, text: str) -> None:
        """Show a message as lines where Ansible itself would only show it inside JSON (before 2.19)."""
        if origin_of is None and PlanAction.shown != text:
            PlanAction.shown = text
            for line in text.splitlines():
                self._display.display(line, color=C.COLOR_ERROR, stderr=True)

    def module(self, name: str, arguments: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run a module of ours on the task's host with the arguments of the task and these."""
        merged = {**self._task.args, **arguments}
        result: dict[str, Any] = self._execute_module(
            module_name=f"{COLLECTION}.{name}", module_args=merged, task_vars=task_vars
        )
        result.pop("invocation", None)
        return result

    def claim(self, run: Run, task_vars: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what a hub is told of this run, so that no other one overtakes it; nothing in check mode."""
        if self._task.check_mode:
            return None
        host = self.host(task_vars)
        return {
            "run": run.id,
            "first": run.first_time(f"claim {host}"),
            "revision": run.notes("revision").get(host),
        }

    def host(self, task_vars: Mapping[str, Any]) -> str:
        """Return the inventory name of the task's host."""
        return str(task_vars["inventory_hostname"])

    def names(self, variable: str, task_vars: Mapping[str, Any]) -> list[str]:
        """Return a guard's names: a list, or text with commas or YAML, as a survey sends it.

        Raises RunError where it is neither.
        """
        value = self._templar.template(task_vars.get(variable) or [])
        if isinstance(value, str):
            try:
                value = yaml.safe_load(value) if value.strip().startswith(("[", "-")) else value.split(",")
            except yaml.YAMLError as error:
                raise RunError(f"{variable}: is neither names with commas nor a YAML list") from error
        if not isinstance(value, (list, tuple)):
            raise RunError(f"{variable}: {value!r} is not a list of names")
        return [str(item).strip() for item in value if str(item).strip()]

    def artifact(self, name: str, data: Any, task_vars: Mapping[str, Any]) -> None:
        """Write a result as JSON where wireguard_artifacts_dir is set.

        Raises RunError where it cannot be written.
        """
        folder = self._templar.template(task_vars.get("wireguard_artifacts_dir") or "")
        if not folder:
            return
        path = os.path.join(os.path.expanduser(str(folder)), name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=1, sort_keys=True)
                file.write("\n")
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from error
