# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For any input: a plan that satisfies the invariants, or errors with paths; never anything else.

TENANTNET_HYPOTHESIS=deep .venv/bin/python -m pytest tests/unit/plugins/plugin_utils/compiler/test_properties.py looks
harder, for some minutes.
"""

from __future__ import annotations

import copy
import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils import compiler
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import Declaration
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import DeclarationError
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    HUBS,
    PEER_HOSTS,
    SUPERNET_V6,
    TODAY,
    Compiled,
    compile_it,
    key,
)
from ansible_collections.tenantnet.wireguard.tests.unit.support.effort import examples
from ansible_collections.tenantnet.wireguard.tests.unit.support.invariants import check_plan
from ansible_collections.tenantnet.wireguard.tests.unit.support.strategies import (
    damaged,
    declarations,
    garbage,
    places,
    put,
    take,
)
from hypothesis import assume, given
from hypothesis import strategies as st

# One of everything that can be declared, all of it right.
WHOLE: dict[str, Any] = {
    "wireguard_fabric": "fab",
    "wireguard_supernet": "10.100.0.0/16",
    "wireguard_supernet_v6": SUPERNET_V6,
    "wireguard_segment_prefix": 24,
    "wireguard_segment_prefix_v6": 64,
    "wireguard_listen_port_base": 51820,
    "wireguard_routing_table_base": 10000,
    "wireguard_rule_priority_base": 2000,
    "wireguard_keepalive": 25,
    "wireguard_quarantine_days": 30,
    "wireguard_verify_internet": ["203.0.113.10"],
    "wireguard_management": {
        "subnet": "10.100.0.0/24",
        "subnet_v6": "fd64:e5a:100::/64",
        "listen_port": 51820,
        "interface": "wg0",
        "table": 10001,
        "peers": [{"name": "admin", "public_key": key("admin")}],
        "peer_isolation": True,
        "mtu": 1420,
        "dns": ["10.100.0.1"],
        "hub": "hub1",
    },
    "wireguard_tenants": [
        {
            "name": "a",
            "hub": "hub1",
            "segments": [
                {
                    "name": "s",
                    "subnet": "10.100.1.0/24",
                    "subnet_v6": "fd64:e5a:100:1::/64",
                    "listen_port": 51821,
                    "interface": "a-s",
                    "table": 10002,
                    "peer_isolation": False,
                    "internet": "nat",
                    "mtu": 1380,
                    "dns": ["10.100.1.1", "fd64:e5a:100:1::1"],
                    "renamed_from": "old",
                    "peers": [
                        {
                            "name": "p",
                            "host": "web1",
                            "address": "10.100.1.10",
                            "address_v6": "fd64:e5a:100:1::10",
                            "tags": ["web"],
                            "networks": ["192.168.1.0/24"],
                            "expires": datetime.date(2027, 3, 1),
                            "preshared_key": True,
                        },
                        {"name": "q", "key": "generated"},
                    ],
                }
            ],
        },
        {"name": "b", "hub": "hub1", "segments": [{"name": "s", "peers": [{"name": "p", "host": "db1"}]}]},
    ],
    "wireguard_services": [{"name": "web", "at": "a/s/p", "ports": ["tcp/80"]}],
    "wireguard_policies": [
        {
            "name": "x",
            "from": ["b"],
            "to": ["tag:web"],
            "ports": ["tcp/22", "icmp"],
            "cross_tenant": True,
            "log": True,
            "expires": "2027-03-01",
        },
        {"name": "y", "from": ["b/s/p"], "to": ["service:web"]},
    ],
    "wireguard_policy_tests": [{"name": "t", "from": "b", "accept": ["service:web"], "deny": ["hub tcp/22"]}],
    "wireguard_revoked": [{"public_key": key("mallory"), "reason": "lost"}],
}
# Of every kind that YAML has, and of every kind that some key takes.
NASTY = (
    None, True, False, 0, -1, 24, 2**31, 10**40, 1.5, float("nan"), float("inf"), "", " ", "x", "X\n", "\0",
    "\u00e9", "-",
    "a/s/p", "tag:web", "hub", "tcp/22", "10.100.1.0/24", "10.100.7.7", "::/0", "fd64:e5a:100:1::7", key("k"),
    "2027-03-01",
    datetime.date(2027, 3, 1), datetime.datetime(2027, 3, 1), [], [None], [[]], ["x"], {}, {"name": "x"},
    {None: None}, [{}],
)  # fmt: skip


def compile_variables(variables: dict[str, Any], record: Any = None, today: datetime.date = TODAY) -> Compiled | None:
    """Compile, or look at the errors: each has a path that leads into what was given, and can be shown."""
    try:
        return compile_it(Declaration(variables, HUBS, PEER_HOSTS, record, today))
    except DeclarationError as error:
        problems = error.problems
    assert problems.found
    for problem in problems.found:
        assert problem.path
        assert str(problem.path[0]).startswith(("wireguard_", "wireguard.lock.yml", "hostvars["))
        assert problem.wrong
        assert problem.remedy
    assert problems.texts(lambda path: None)
    return None


def test_the_whole_declaration_is_right():
    plan = compile_variables(WHOLE)
    assert plan is not None
    check_plan(plan, WHOLE)
    assert plan.plan["overview"]["tests"][0]["result"] == "pass"


def test_every_key_of_the_model_stands_in_it():
    """Or the tests below would miss a key: whoever adds one to the model adds it there."""
    from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler import model
    from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.schema import options_of

    present = {str(path[-1]).removeprefix("wireguard_") for path in places(WHOLE)}
    for each in (model.Fabric, model.Management, model.Tenant, model.Segment, model.Peer, model.Service, model.Policy):
        assert set(options_of(each)) - {"connections_limit"} <= present | {"public_key"}, each


@pytest.mark.parametrize("value", NASTY, ids=repr)
def test_anything_at_every_place(value: Any):
    """Every key, item and whole of the declaration in turn replaced: a plan with its invariants, or errors with paths.

    Broken on purpose: `_string` that lets a list through; a check of peers that takes `name` for granted.
    """
    for path in places(WHOLE):
        variables = copy.deepcopy(WHOLE)
        put(variables, path, value)
        plan = compile_variables(variables)
        if plan is not None:
            check_plan(plan, variables)


def test_anything_left_out():
    for path in places(WHOLE):
        variables = copy.deepcopy(WHOLE)
        take(variables, path)
        plan = compile_variables(variables)
        if plan is not None:
            check_plan(plan, variables)


RECORD = compile_it(Declaration(WHOLE, HUBS, PEER_HOSTS, None, TODAY)).record
RECORD["released"] = {
    "10.100.9.0/24": {"was": "c/s", "since": "2026-05-20"},
    "10.100.1.9": {"was": "a/s/x", "since": "2026-05-20"},
    "fd64:e5a:100:1::9": {"was": "a/s/x", "since": "2026-05-20"},
}
# What lets the record decide: no number declared.
BARE = {
    **WHOLE,
    "wireguard_management": {},
    "wireguard_tenants": [
        {"name": "a", "segments": [{"name": "s", "peers": [{"name": "p", "host": "web1", "tags": ["web"]}]}]},
        {"name": "b", "segments": [{"name": "s", "peers": [{"name": "p", "host": "db1"}]}]},
    ],
}


@pytest.mark.parametrize("value", NASTY, ids=repr)
def test_anything_at_every_place_of_the_record(value: Any):
    for path in places(RECORD):
        record = copy.deepcopy(RECORD)
        put(record, path, value)
        plan = compile_variables(BARE, record)
        if plan is not None:
            check_plan(plan, BARE)


@given(st.dictionaries(st.sampled_from(sorted(WHOLE)), garbage, max_size=4), garbage)
def test_garbage(variables: dict[str, Any], record: Any):
    compile_variables(variables, record)
    compile_variables({**WHOLE, **variables}, record)


@given(damaged(declarations()))
@examples(120)
def test_a_damaged_declaration(variables: dict[str, Any]):
    plan = compile_variables(variables)
    if plan is not None:
        check_plan(plan, variables)


@given(damaged(st.just(RECORD)))
@examples(60)
def test_a_damaged_record(record: Any):
    plan = compile_variables(BARE, record)
    if plan is not None:
        check_plan(plan, BARE)


@given(declarations())
def test_a_whole_declaration(variables: dict[str, Any]):
    """Compiled twice it is the same to the byte, and with its own record nothing is left to change.

    Broken on purpose: a set's order in the ruleset.
    """
    plan = compile_variables(variables)
    assume(plan is not None)
    assert plan is not None
    check_plan(plan, variables)
    again = compile_variables(copy.deepcopy(variables))
    assert again is not None
    assert json.dumps(again.plan) == json.dumps(plan.plan)
    second = compile_variables(variables, plan.record)
    assert second is not None
    assert not second.record_changed
    assert {**second.plan, "record": None} == {**plan.plan, "record": None}


def shuffled(data: Any, chance: Any) -> Any:
    """Return the same declaration in another order: order never matters, but for the hubs'."""
    if isinstance(data, dict):
        items = list(data.items())
        chance.shuffle(items)
        return {name: shuffled(item, chance) for name, item in items}
    if isinstance(data, list):
        return chance.sample([shuffled(item, chance) for item in data], len(data))
    return data


@given(declarations(), st.randoms(use_true_random=False))
def test_order_never_matters(variables: dict[str, Any], chance: Any):
    """Broken on purpose: places taken in the order of lists."""
    plan = compile_variables(variables)
    other = compile_variables(shuffled(variables, chance))
    assert (plan is None) == (other is None)
    if plan is not None and other is not None:
        assert other.plan == plan.plan


def changed(before: dict[str, Any], chance: Any) -> dict[str, Any]:
    """Return a declaration that some have left and others have joined, by names before and after all others."""
    after = copy.deepcopy(before)
    for tenant in after["wireguard_tenants"]:
        for segment in tenant["segments"]:
            stay = [peer for peer in segment.get("peers", ()) if chance.random() < 0.8]
            joined = [name for name in ("0-first", "z-last") if chance.random() < 0.7]
            segment["peers"] = stay + [{"name": name, "key": "generated"} for name in joined]
        stay = [segment for segment in tenant["segments"] if chance.random() < 0.8]
        joined = [name for name in ("0-first", "z-last") if chance.random() < 0.7]
        tenant["segments"] = stay + [{"name": name} for name in joined]
    after["wireguard_tenants"].append({"name": "0-first", "segments": [{"name": "s"}]})
    # Policies would speak of who is gone; they have no part in this.
    return {**after, "wireguard_policies": [], "wireguard_services": []}


@pytest.mark.invariant(7)
@given(declarations(), st.randoms(use_true_random=False))
def test_no_run_moves_what_another_has_placed(before: dict[str, Any], chance: Any):
    """Who is in both declarations keeps his numbers, and nobody else gets what somebody had until lately.

    Broken on purpose: a record looked up by position; addresses given without a look at the recorded ones.
    """
    first = compile_variables(before)
    assume(first is not None)
    assert first is not None
    after = changed(before, chance)
    second = compile_variables(after, first.record)
    assert second is not None, "there is room for everybody"
    check_plan(second, after)
    for name in first.allocations.keys() & second.allocations.keys():
        assert first.allocations[name] == second.allocations[name]
    for name in first.addresses.keys() & second.addresses.keys():
        assert first.addresses[name] == second.addresses[name]
    # What this very run releases is in quarantine already.
    former = {address: name for name, both in first.addresses.items() for address in both if address}
    for name, both in second.addresses.items():
        assert all(former.get(address, name) == name for address in both if address)


IN_ANOTHER_PROCESS = """
import datetime, json, sys
sys.path.insert(0, sys.argv[1])
from compiler.compile import Declaration, compile_declaration
variables, hosts = json.load(sys.stdin)
declaration = Declaration(variables, {"hub1": ({}, None)}, hosts, None, datetime.date(2026, 6, 1))
print(json.dumps(compile_declaration(declaration)))
"""


def test_every_process_compiles_the_same():
    """Whatever seed its sets are ordered by; with no library beside Python's own, not even Ansible.

    Broken on purpose: the policies' chains written in the order of a set.
    """
    variables = json.dumps([WHOLE, PEER_HOSTS], default=str)
    plans = {
        subprocess.run(
            [sys.executable, "-S", "-c", IN_ANOTHER_PROCESS, str(Path(next(iter(compiler.__path__))).parent)],
            input=variables, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(plans) == 1
    assert "policy-y" in plans.pop()
