# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for every plan, whatever was declared; looked at from outside, in the plan's own data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Any

from ansible_collections.tenantnet.wireguard.tests.unit.support import nft
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import Compiled


def distinct(values: Iterable[Any]) -> None:
    """Assert that nothing stands twice."""
    found = list(values)
    assert len(set(found)) == len(found), found


def apart(blocks: Iterable[str]) -> None:
    """Assert that no two blocks share an address."""
    networks = sorted((ip_network(block) for block in blocks), key=lambda block: (block.version, block))
    for one, two in pairwise(networks):
        assert not (one.version == two.version and one.overlaps(two)), (one, two)


def check_plan(compiled: Compiled, variables: dict[str, Any]) -> None:
    """Assert every invariant of a compiled plan."""
    plan = compiled.plan
    assert json.loads(json.dumps(plan)) == plan
    check_allocations(compiled, variables)
    for name, hub in plan["hubs"].items():
        check_hub(name, hub, compiled)


def check_allocations(compiled: Compiled, variables: dict[str, Any]) -> None:
    """Assert that numbers are distinct, subnets apart and inside, and every peer inside its own."""
    items = compiled.allocations.values()
    for key in ("listen_port", "table", "interface", "number"):
        distinct(item[key] for item in items)
    base = int(variables.get("wireguard_routing_table_base", 10000))
    for item in items:
        assert 1 <= item["listen_port"] <= 65535
        assert 256 <= item["table"] < 2**31
        assert item["table"] != base
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,14}", item["interface"])
        assert 1 <= item["number"] <= 65535
    supernets = {
        key: ip_network(variables[f"wireguard_{key}"])
        for key in ("supernet", "supernet_v6")
        if variables.get(f"wireguard_{key}")
    }
    for key, supernet in (("subnet", "supernet"), ("subnet_v6", "supernet_v6")):
        subnets = [item[key] for item in items if item[key] is not None]
        assert len(subnets) == (len(items) if supernet in supernets else 0)
        apart(subnets)
        for subnet in subnets:
            assert ip_network(subnet).subnet_of(supernets[supernet])  # type: ignore[arg-type]
    for family in (0, 1):
        distinct(address[family] for address in compiled.addresses.values() if address[family])
        for peer, address in compiled.addresses.items():
            subnet = compiled.allocations[peer.rpartition("/")[0]]["subnet_v6" if family else "subnet"]
            assert (address[family] is None) == (subnet is None)
            if subnet is not None:
                block = ip_network(subnet)
                assert ip_address(address[family]) in block
                assert ip_address(address[family]) not in (block[0], block[1])
                assert family or ip_address(address[family]) != block[-1]


def check_hub(name: str, hub: dict[str, Any], compiled: Compiled) -> None:
    """Assert what must hold on one hub: AllowedIPs apart, routes in its own tables, rules forward, maps disjoint."""
    own = {item["segment"]: item for item in hub["interfaces"]}
    assert set(own) == {item["id"] for item in compiled.allocations.values() if item["hub"] == name}
    tables = {int(number) for number in hub["routing"]["tables"]}
    for interface in hub["interfaces"]:
        # One AllowedIP on two peers would move silently to the last one.
        apart(block for peer in interface["peers"] for block in peer["allowed_ips"])
        distinct((route["table"], route["to"]) for route in interface["routes"])
        for route in interface["routes"]:
            assert route["table"] in tables
            assert not route["to"].endswith("/0")
    for rules in hub["routing"]["rules"].values():
        priorities = {rule[0] for rule in rules}
        assert priorities <= set(range(*hub["routing"]["priorities"]))
        for priority, _selector, action in rules:
            if action.startswith("goto "):
                assert int(action[5:]) > priority
                assert int(action[5:]) in priorities
    ruleset = nft.Ruleset(hub["firewall"])
    assert not list(nft.overlaps(ruleset))
    # Whatever is jumped to exists, and whatever is looked up.
    for chain in ruleset.chains.values():
        for words in chain:
            for word, target in pairwise(words):
                assert word not in ("goto", "jump") or target in ruleset.chains
                assert not target.startswith("@") or target[1:] in ruleset.sets
    for elements in ruleset.sets.values():
        for element in elements:
            assert not element.leads or element.leads.removeprefix("goto ") in ruleset.chains
