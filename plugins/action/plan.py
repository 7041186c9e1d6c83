# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile the plan, run the policy tests, show what would change, and refuse what nobody asked for."""

from __future__ import annotations

import json
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.action import COLLECTION, PlanAction
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.run import Run, RunError
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.guards import (
    change_lines,
    refused,
    unknown_names,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.overview import changes
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.record import recovered_data
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.text import table

# More changes than a reader takes in are counted, not listed; the artifact has them all.
_LINES_LIMIT = 60


class ActionModule(PlanAction):
    """Works on the controller; a hub is only asked what it has deployed."""

    def act(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Compare the plan with what the hub has, show it once a run, and stop before anything is touched."""
        if run.has_record():
            # A mistake in the declaration is told before any hub is asked.
            run.slice("overview")
        base, reason = self._base(run, task_vars)
        self._refuse_other_fabric(run, base, task_vars)
        self._recover(run, base, task_vars)
        overview = run.slice("overview")
        found = None if base is None else changes(base, overview)
        plan = {**overview, "changes": found, "changes_reason": reason}
        if run.first_time("plan"):
            self.artifact("plan.json", plan, task_vars)
            if self._task.args.get("show", True):
                self._print(plan, task_vars)
        self.refuse_failed_tests(run)
        self._refuse_unasked(found or [], base, overview, task_vars)
        self.write_record(run)
        return {"changed": False, "msg": _summary(plan)}

    def _refuse_unasked(
        self,
        found: list[dict[str, Any]],
        base: dict[str, Any] | None,
        overview: dict[str, Any],
        task_vars: dict[str, Any],
    ) -> None:
        """Raise RunError where the run would remove or renumber what nobody named, or names what nobody knows."""
        guards = {name: self.names(name, task_vars) for name in ("wireguard_allow_removal", "wireguard_allow_renumber")}
        for guard, names in guards.items():
            unknown = [] if base is None else unknown_names(names, base, overview)
            if unknown:
                raise RunError(
                    f"{guard}: {', '.join(unknown)} is no tenant, segment or peer, neither declared nor deployed: "
                    "correct it, or leave it out"
                )
        removable, renumberable = guards.values()
        stop = refused(found, removable, renumberable, overview["renamed"])
        if stop:
            raise RunError("\n".join(["nothing was changed:", *stop]))

    def _refuse_other_fabric(self, run: Run, base: dict[str, Any] | None, task_vars: dict[str, Any]) -> None:
        """Raise RunError where the hub belongs to another fabric."""
        declared = run.inputs.variables.get("wireguard_fabric")
        if base and declared is not None and base.get("fabric") != declared:
            raise RunError(
                f"{self.host(task_vars)} has fabric {base.get('fabric')!r} deployed, and this inventory declares "
                f"{declared!r}: deploy it onto hosts of its own, or correct wireguard_fabric"
            )

    def _recover(self, run: Run, base: dict[str, Any] | None, task_vars: dict[str, Any]) -> None:
        """Refuse to allocate anew what a hub has deployed; recover the record from the hub when asked to."""
        if not base or run.has_record():
            return
        if not boolean(self._templar.template(task_vars.get("wireguard_allocation_recover", False)), strict=False):
            raise RunError(
                f"{run.inputs.record_path} does not exist, but {self.host(task_vars)} has fabric "
                f"{base.get('fabric')!r} deployed: restore the file from git, or take the allocations from the hub "
                "with -e wireguard_allocation_recover=true"
            )
        run.note("recovered", "record", recovered_data(base))

    def _base(self, run: Run, task_vars: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
        """Return the overview to compare with, or the reason why there is none."""
        path = self._templar.template(task_vars.get("wireguard_plan_base") or "")
        if path:
            try:
                with open(str(path), encoding="utf-8") as file:
                    return dict(json.load(file)), None
            except (OSError, ValueError) as error:
                raise RunError(f"wireguard_plan_base: {path}: cannot be read: {error}") from error
        if self.host(task_vars) not in task_vars["groups"].get(
            task_vars.get("wireguard_hubs_group", "wireguard_hubs"), ()
        ):
            return None, "no hub is part of this run"
        try:
            result = self._execute_module(
                module_name=f"{COLLECTION}.deployed", module_args={"state": "read"}, task_vars=task_vars
            )
        except (AnsibleConnectionFailure, AnsibleError) as error:
            return None, f"the hub cannot be reached: {str(error).splitlines()[0]}"
        if result.get("unreachable") or result.get("failed"):
            return None, f"the hub does not say what it has deployed: {result.get('msg', 'no reason given')}"
        run.note("revision", self.host(task_vars), result.get("revision"))
        overview = result.get("overview")
        # A hub that answers and has nothing is compared with nothing: everything would be added.
        return (dict(overview) if overview else {}), None

    def _print(self, plan: dict[str, Any], task_vars: dict[str, Any]) -> None:
        """Show the plan, or what a JMESPath query finds in it."""
        query = self._templar.template(task_vars.get("wireguard_query") or "")
        if query:
            self._display.display(json.dumps(_search(str(query), plan), indent=1))
            return
        keys = ("id", "subnet", "subnet_v6", "interface", "listen_port", "table", "hub")
        rows = [[item[key] for key in keys] for item in plan["allocations"]]
        lines = ["", f"Fabric {plan['fabric']}: segments", *table(("segment", *keys[1:]), rows)]
        lines += ["", "Who may open connections to what", *_reachability(plan)]
        lines += ["", "Policy tests", *_tests(plan)]
        lines += ["", "What would change on the hub", *_changes(plan), ""]
        for line in lines:
            self._display.display(line)


def _search(query: str, data: Any) -> Any:
    """Run a JMESPath query."""
    import jmespath

    try:
        return jmespath.search(query, data)
    except jmespath.exceptions.JMESPathError as error:
        raise RunError(f"wireguard_query: {query!r}: {error}") from error


def _reachability(plan: dict[str, Any]) -> list[str]:
    """Return the table of who reaches what."""
    items = plan["reachability"]
    rows = [[item["from"], item["to"], ", ".join(item["ports"]), item["policy"]] for item in items[:_LINES_LIMIT]]
    more = [f"... and {len(items) - _LINES_LIMIT} more in plan.json"] if len(items) > _LINES_LIMIT else []
    return [*table(("from", "to", "ports", "policy"), rows), *more]


def _tests(plan: dict[str, Any]) -> list[str]:
    """Return the results of the policy tests."""
    if not plan["tests"]:
        return ["none are declared (wireguard_policy_tests)"]
    return [
        f"{test['result']}: {test['name']}" + (f": {test['reason']}" if test["reason"] else "")
        for test in plan["tests"]
    ]


def _changes(plan: dict[str, Any]) -> list[str]:
    """Return what would change, or why that is not known."""
    if plan["changes"] is None:
        return [f"not known: {plan['changes_reason']}"]
    lines = change_lines(plan["changes"])
    more = [f"... and {len(lines) - _LINES_LIMIT} more in plan.json"] if len(lines) > _LINES_LIMIT else []
    return [*lines[:_LINES_LIMIT], *more] or ["nothing"]


def _summary(plan: dict[str, Any]) -> str:
    """Say in one sentence what the plan is."""
    count = "unknown" if plan["changes"] is None else str(len(plan["changes"]))
    return (
        f"{len(plan['allocations'])} segments, {len(plan['peers'])} peers, {len(plan['tests'])} policy tests pass, "
        f"changes: {count}"
    )
