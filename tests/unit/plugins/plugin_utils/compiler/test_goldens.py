# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole plans, as they were committed: whatever changes in one shows in the difference of a file.

After a deliberate change: TENANTNET_REGENERATE=1 .venv/bin/python -m pytest tests/unit -k goldens, and read what
`git diff` shows before you commit it. The names of the files say what is in them.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import Declaration
from ansible_collections.tenantnet.wireguard.tests.unit.support.casefile import HOW, REGENERATE
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    PEER_HOSTS,
    TODAY,
    Compiled,
    compile_it,
    load_record,
)
from ansible_collections.tenantnet.wireguard.tests.unit.support.invariants import check_plan

GOLDENS = Path(__file__).parent / "goldens"
# tests/unit/plugins/plugin_utils/compiler/<this file>
ROOT = Path(__file__).parents[5]
HUBS: dict[str, dict[str, tuple[dict[str, Any], str | None]]] = {
    "everything": {"hub1": ({"wireguard_hub_endpoint": "vpn.example.net", "wireguard_hub_uplinks": ["eth0"]}, None)},
    "two-hubs": {"hub1": ({}, "192.0.2.1"), "hub2": ({}, None)},
}


def lab() -> Declaration:
    """Read the lab's own inventory: what `make demo` deploys."""
    folder = ROOT / "inventories" / "lab"
    variables: dict[str, Any] = {}
    for file in sorted((folder / "group_vars" / "all").glob("*.yml")):
        variables.update(yaml.safe_load(file.read_text(encoding="utf-8")))
    groups = yaml.safe_load((folder / "hosts.yml").read_text(encoding="utf-8"))["all"]["children"]
    hubs = {
        name: ({}, own.get("ansible_host") if own else None) for name, own in groups["wireguard_hubs"]["hosts"].items()
    }
    record = load_record((folder / "wireguard.lock.yml").read_text(encoding="utf-8"))
    return Declaration(variables, hubs, list(groups["wireguard_peers"]["hosts"]), record, TODAY)


def scenario(name: str) -> Declaration:
    if name == "lab":
        return lab()
    variables = yaml.safe_load((GOLDENS / name / "declaration.yml").read_text(encoding="utf-8"))
    return Declaration(variables, HUBS[name], PEER_HOSTS, None, TODAY)


def written(plan: Compiled) -> Iterator[tuple[str, str]]:
    """Yield the files of a plan: one line a fact, so that a difference can be read."""
    yield "overview.json", json.dumps(plan.plan["overview"], indent=1) + "\n"
    yield "peers.json", json.dumps(plan.plan["peers"], indent=1) + "\n"
    yield "probes.txt", "".join(f"{line}\n" for line in _probes(plan))
    if plan.plan["record"] is not None:
        yield "record.txt", plan.plan["record"]
    for name, hub in plan.plan["hubs"].items():
        yield f"{name}.nft", hub["firewall"]
        yield f"{name}.routing.txt", "".join(f"{line}\n" for line in _routing(hub))
        yield f"{name}.interfaces.txt", "".join(f"{line}\n" for line in _interfaces(hub))


def _routing(hub: dict[str, Any]) -> Iterator[str]:
    for number, name in hub["routing"]["tables"].items():
        yield f"table {number} {name}"
    for family, rules in hub["routing"]["rules"].items():
        for priority, selector, action in rules:
            yield f"-{family} rule pref {priority} {selector} {action}"
    routes = [(route["table"], route, item["name"]) for item in hub["interfaces"] for route in item["routes"]]
    for table, route, name in sorted(routes, key=lambda item: item[0]):
        source = f" src {route['from']}" if route["from"] else ""
        yield f"route {route['to']} dev {name} table {table}{source}"


def _interfaces(hub: dict[str, Any]) -> Iterator[str]:
    yield f"uplinks {hub['uplinks']}"
    for item in hub["interfaces"]:
        head = (item["name"], item["segment"], "port", item["listen_port"], "mtu", item["mtu"], *item["addresses"])
        yield " ".join(map(str, head))
        for peer in item["peers"]:
            yield f"  {peer['id']} {peer['host'] or peer['public_key']} {' '.join(peer['allowed_ips'])}"


def _probes(plan: Compiled) -> Iterator[str]:
    for host, own in plan.plan["probes"].items():
        for probe in own:
            yield (
                f"{host} {probe['peer']} {probe['interface']} {probe['source']} -> {probe['to']} {probe['address']} "
                f"{probe['protocol']}/{probe['port']} {probe['expected']} {probe['policy'] or ''}"
            ).rstrip()


@pytest.mark.parametrize("name", ["lab", "everything", "two-hubs"])
def test_a_plan_is_what_was_committed(name: str):
    declaration = scenario(name)
    plan = compile_it(declaration)
    check_plan(plan, dict(declaration.variables))
    assert [test["reason"] for test in plan.plan["overview"]["tests"] if test["result"] != "pass"] == []
    folder = GOLDENS / name
    files = dict(written(plan))
    if REGENERATE:
        folder.mkdir(exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    assert {file.name for file in folder.iterdir()} - {"declaration.yml"} == set(files)
    for file, text in files.items():
        committed = (folder / file).read_text(encoding="utf-8").splitlines()
        assert text.splitlines() == committed, f"{folder / file} {HOW}"


def test_the_labs_record_is_up_to_date():
    """Or the demo would begin by changing a file of the checkout."""
    assert not compile_it(lab()).record_changed


def test_the_day_changes_only_what_expires():
    """Nothing of a plan knows what day it is, but who is barred and which policies are over."""
    declaration = scenario("lab")
    later = Declaration(
        declaration.variables, declaration.hubs, declaration.peer_hosts, declaration.record, datetime.date(2099, 1, 1)
    )
    assert compile_it(later).plan == compile_it(declaration).plan
