# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probe the live network from every managed peer, and compare with the compiler's verdict."""

from __future__ import annotations

from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.action import PlanAction
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.run import Run
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.judge import (
    SCHEMA_VERSION,
    Sightings,
    disagreements,
    judge,
    matrix,
)

# Observers end by themselves after this many seconds, whatever becomes of the run.
_OBSERVER_LIFE = 300
# More disagreements than this are counted, not listed; the artifact has them all.
_LINES_LIMIT = 40


class ActionModule(PlanAction):
    """One stage of the probing, on one host: observe, send, collect, or judge for all of them."""

    def act(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the stage that the task names."""
        stage = str(self._task.args.get("stage", "judge"))
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": "nothing is probed in check mode"}
        host = self.host(task_vars)
        if stage == "judge":
            return self._judge(run, task_vars)
        hub = run.slice("hub", host)
        if hub is None and run.slice("peer", host) is None:
            return {"changed": False, "skipped": True, "msg": f"{host} has no part in the fabric"}
        identity = {"run": run.id}
        if stage == "observe":
            return self._observe(run, host, hub, identity, task_vars)
        if stage == "send":
            return self._send(run, host, identity, task_vars)
        result = self._probe({"state": "collect", **identity}, task_vars)
        if not result.get("failed"):
            kind = "sightings-peer" if hub is None else "sightings-hub"
            run.note(kind, host, result.get("sightings", []))
            if not result.get("observed"):
                return {"failed": True, "msg": f"the observer left no result: {result.get('reason')}"}
            if result.get("overflow") or result.get("lost"):
                return {"failed": True, "msg": f"the observer could not keep up: {result.get('msg')}"}
        return {key: result[key] for key in ("failed", "msg", "unreachable") if key in result}

    def _probe(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the probe module on this host."""
        result: dict[str, Any] = self._execute_module(
            module_name="tenantnet.wireguard.probe", module_args=arguments, task_vars=task_vars
        )
        result.pop("invocation", None)
        return result

    def _observe(
        self, run: Run, host: str, hub: dict[str, Any] | None, identity: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Start the observer of a hub or peer, which also echoes the UDP probes that are meant for it."""
        if hub is not None:
            interfaces = [item["name"] for item in hub["interfaces"]]
            own = {address.split("/")[0] for item in hub["interfaces"] for address in item["addresses"]}
        else:
            memberships = run.slice("peer", host)["memberships"]
            interfaces = [item["interface"] for item in memberships]
            own = {address.split("/")[0] for item in memberships for address in item["addresses"]}
        meant = {
            (probe["address"], probe["port"])
            for probes in self._all_probes(run).values()
            for probe in probes
            if probe["protocol"] == "udp" and probe["address"] in own
        }
        result = self._probe(
            {
                "state": "observe",
                **identity,
                "interfaces": interfaces,
                "seconds": _OBSERVER_LIFE,
                "udp_echo": [{"address": address, "port": port} for address, port in sorted(meant)],
            },
            task_vars,
        )
        taken = [[item["address"], item["port"]] for item in result.get("skipped_echo", ())]
        run.note("udp-taken", host, taken)
        if result.get("unwatched"):
            reasons = ", ".join(f"{item['interface']}: {item['reason']}" for item in result["unwatched"])
            return {"failed": True, "msg": f"not every tunnel can be watched: {reasons}; run site first"}
        return {key: result[key] for key in ("failed", "msg", "unreachable") if key in result}

    def _send(self, run: Run, host: str, identity: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Send all probes of a peer, membership by membership."""
        peer, probes = run.slice("peer", host), run.slice("probes", host) or []
        if peer is None:
            return {"changed": False, "skipped": True, "msg": "a hub only observes"}
        answers: dict[str, Any] = {}
        for membership in peer["memberships"]:
            own = [probe for probe in probes if probe["interface"] == membership["interface"]]
            sources = {6 if ":" in address else 4: address.split("/")[0] for address in membership["addresses"]}
            # An attacker owns his client: what his AllowedIPs would hold back must still not pass the hub.
            everything = ["0.0.0.0/0", "::/0"] if 6 in sources else ["0.0.0.0/0"]
            result = self._probe(
                {
                    "state": "send",
                    **identity,
                    "interface": membership["interface"],
                    "widen": everything,
                    "hub_public_key": "only",
                    "source": sources.get(4),
                    "source_v6": sources.get(6),
                    "probes": [
                        {
                            "id": str(probe["id"]),
                            "address": probe["address"],
                            "protocol": probe["protocol"],
                            **({} if probe["protocol"] == "icmp" else {"port": probe["port"]}),
                        }
                        for probe in own
                    ],
                },
                task_vars,
            )
            if result.get("failed") or result.get("unreachable"):
                return result
            answers.update({answer["id"]: answer for answer in result["answers"]})
        run.note("answers", host, answers)
        return {"changed": False, "msg": f"{len(answers)} probes sent"}

    @staticmethod
    def _all_probes(run: Run) -> dict[str, list[dict[str, Any]]]:
        """Return the probes of every managed peer, in this run or not."""
        return {host: run.slice("probes", host) or [] for host in run.inputs.peer_hosts}

    def _judge(self, run: Run, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Compare, once a run; print and write the matrix; fail where the judges differ."""
        if not run.first_time("verify-judge"):
            return {"changed": False}
        probes = self._all_probes(run)
        answers = {
            host: {int(number): answer for number, answer in told.items()}
            for host, told in run.notes("answers").items()
        }
        sightings = Sightings(run.notes("sightings-hub"), run.notes("sightings-peer"))
        taken = [(str(item[0]), int(item[1])) for told in run.notes("udp-taken").values() for item in told]
        results = judge(probes, answers, sightings, taken)
        self.artifact("verify.json", {"schema_version": SCHEMA_VERSION, "probes": results}, task_vars)
        differing = disagreements(results)
        lines = [
            "",
            "Who reaches what: expected by policy = observed by packets (! where they differ)",
            *matrix(results),
            "",
        ]
        for line in [*lines, *differing[:_LINES_LIMIT]]:
            self._display.display(line)
        summary = f"{len(results)} probes, {len(differing)} disagree"
        self._display.display(summary)
        if not results:
            return {"failed": True, "msg": "no managed peer could send a probe: nothing is proven"}
        return {"changed": False, "failed": bool(differing), "msg": summary}
