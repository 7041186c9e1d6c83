# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter compile_rules: a declaration in, what hubs enforce out, every error at once."""

from __future__ import annotations

import copy
import json

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.filter.client_config import client_config
from ansible_collections.tenantnet.wireguard.plugins.filter.compile_rules import FilterModule, compile_rules
from ansible_collections.tenantnet.wireguard.plugins.filter.interface_name import interface_name
from ansible_collections.tenantnet.wireguard.plugins.filter.subnets import subnets

KEY = "jTmTN+/sp4Ad676mSTq3kAbt/BvdoV67YcxiRpn7CZI="
OTHER_KEY = "plNd1vmfFNwPEh3fE9KusT78qlt2OyIUP9WIaO5Etdw="
DECLARATION = {
    "wireguard_fabric": "test",
    "wireguard_supernet": "10.100.0.0/16",
    "wireguard_tenants": [
        {"name": "b", "segments": [{"name": "production", "peers": [{"name": "app", "host": "app1"}]}]},
        {
            "name": "a",
            "segments": [
                {"name": "development"},
                {"name": "production", "peers": [{"name": "phone", "public_key": KEY, "expires": "2027-01-01"}]},
            ],
        },
    ],
    "wireguard_policies": [{"name": "p", "from": ["a/production"], "to": ["b/production/app"], "ports": ["tcp/22"]}],
}


@pytest.fixture
def declaration():
    return copy.deepcopy(DECLARATION)


def compiled(declaration, today="2026-11-24", **arguments):
    return compile_rules(declaration, ["hub1"], ["app1"], today=today, **arguments)


def error_of(*arguments, **keywords):
    with pytest.raises(AnsibleFilterError) as caught:
        compile_rules(*arguments, **keywords)
    return str(caught.value).splitlines()


def test_returns_plain_data(declaration):
    result = compiled(declaration)
    assert set(result) == {"overview", "hubs", "memberships", "record"}
    assert json.loads(json.dumps(result)) == result
    hub = result["hubs"]["hub1"]
    assert set(hub) == {"rules", "tables", "ruleset"}
    assert "chain policy-p {" in hub["ruleset"]
    assert [2000, "iif lo to 10.100.0.0/16", "lookup 10000"] in hub["rules"]["4"]
    assert hub["tables"]["10000"] == "tenantnet-hub"
    reachable = {(item["from"], item["to"], tuple(item["ports"])) for item in result["overview"]["reachability"]}
    assert ("a/production", "b/production/app", ("tcp/22",)) in reachable


def test_the_other_filters_agree_with_the_compiler(declaration):
    allocations = {item["id"]: item for item in compiled(declaration)["overview"]["allocations"]}
    names = [name for name in allocations if name != "management"]
    reserved = {"management": allocations["management"]["subnet"]}
    expected = {name: allocations[name]["subnet"] for name in names}
    assert subnets("10.100.0.0/16", names, 24, reserved) == expected
    for name in names:
        assert interface_name(*name.split("/")) == allocations[name]["interface"]


def test_memberships_are_what_client_config_takes(declaration):
    memberships = compiled(declaration)["memberships"]
    assert list(memberships) == ["b/production/app"]
    text = client_config(memberships["b/production/app"], OTHER_KEY)
    assert "# b/production/app\n" in text
    # Its own segment, and the one that may open connections to it: replies need a way.
    assert "AllowedIPs = 10.100.2.0/24, 10.100.3.0/24\n" in text


@pytest.mark.parametrize(
    ("hubs", "endpoint"),
    [
        (["hub1"], "hub1"),
        ({"hub1": {}}, "hub1"),
        ({"hub1": {"ansible_host": "192.0.2.1", "ansible_user": "x"}}, "192.0.2.1"),
        ({"hub1": {"ansible_host": "192.0.2.1", "wireguard_hub_endpoint": "vpn.example.net"}}, "vpn.example.net"),
    ],
)
def test_takes_hubs_with_or_without_variables(declaration, hubs, endpoint):
    result = compile_rules(declaration, hubs, ["app1"])
    assert result["memberships"]["b/production/app"]["endpoint"] == endpoint


def test_looks_at_its_own_variables_only(declaration):
    foreign = {**declaration, "ansible_host": "192.0.2.1", "groups": {"all": []}, "wiregard_tenants": "typo"}
    assert compiled(foreign) == compiled(declaration)


def test_a_record_is_taken_in_each_of_its_forms(declaration):
    text = compiled(declaration)["record"]
    inner = yaml.safe_load(text)["all"]["vars"]["wireguard_allocation_record"]
    declaration["wireguard_tenants"].append({"name": "0", "segments": [{"name": "first"}]})
    moved = compiled(declaration)["overview"]["allocations"]
    kept = compiled(declaration, record=text)
    assert kept["overview"]["allocations"] != moved
    subnet = {item["id"]: item["subnet"] for item in kept["overview"]["allocations"]}
    assert subnet["a/development"] == "10.100.1.0/24"
    assert subnet["0/first"] == "10.100.4.0/24"
    for record in (yaml.safe_load(text), inner, yaml.safe_load(inner)):
        assert compiled(declaration, record=record) == kept
    assert compiled({**declaration, "wireguard_allocation_record": inner}) == kept
    # Nothing to write where nothing is new.
    assert compiled(declaration, record=kept["record"])["record"] is None


@pytest.mark.parametrize(("today", "barred"), [("2026-12-31", None), ("2027-01-01", "expired 2027-01-01")])
def test_takes_the_day(declaration, today, barred):
    peers = {item["peer"]: item for item in compiled(declaration, today=today)["overview"]["peers"]}
    assert peers["a/production/phone"]["barred"] == barred


def test_a_policy_test_that_fails_is_a_result(declaration):
    declaration["wireguard_policy_tests"] = [{"from": "a/production", "deny": ["b/production/app tcp/22"]}]
    assert [test["result"] for test in compiled(declaration)["overview"]["tests"]] == ["fail"]


def test_says_everything_that_is_wrong(declaration):
    declaration["wireguard_supernet"] = "10.100.0.1/16"
    declaration["wireguard_tenants"][0]["nmae"] = "x"
    declaration["wireguard_policees"] = []
    lines = error_of(declaration, ["hub1"], ["app1"])
    assert lines[0] == "compile_rules: 3 errors:"
    assert any(line.startswith("wireguard_supernet: '10.100.0.1/16', has bits set") for line in lines)
    assert any("wireguard_tenants[0].nmae: is an unknown key (did you mean 'name'?)" in line for line in lines)
    assert any(line.startswith("wireguard_policees: is an unknown variable (did you mean") for line in lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hubs": None}, "compile_rules.hubs: is empty, write a list"),
        ({"hubs": "hub1"}, "compile_rules.hubs: 'hub1', is not a list"),
        ({"hubs": []}, "wireguard_hubs: is a group without hosts, put at least one hub into it"),
        ({"hubs": {"hub1": "vpn.example.net"}}, "compile_rules.hubs.hub1: 'vpn.example.net', is not a mapping"),
        (
            {"hubs": {"hub1": {"wireguard_hub_endpont": "x"}}},
            "hostvars[hub1].wireguard_hub_endpont: is an unknown variable (did you mean 'wireguard_hub_endpoint'?)",
        ),
        ({"peers": "app1"}, "compile_rules.peers: 'app1', is not a list"),
        ({"peers": []}, "wireguard_tenants[0].segments[0].peers[0].host: 'app1', is not a host of the managed peers'"),
        ({"today": "tomorrow"}, "compile_rules.today: 'tomorrow', is not a date, write a date such as 2027-03-01"),
        ({"record": ""}, "wireguard.lock.yml: has no end mark: it was cut off, restore it from git"),
        ({"record": "a: [b"}, "wireguard.lock.yml: has no end mark"),
        ({"record": {"all": {"vars": {}}}}, "wireguard.lock.yml: has no end mark"),
        ({"record": []}, "wireguard.lock.yml: is empty or not a mapping"),
    ],
)
def test_refuses(declaration, change, message):
    lines = error_of(declaration, **{"hubs": ["hub1"], "peers": ["app1"], **change})
    assert lines[0] == "compile_rules: 1 error:"
    assert lines[1].startswith(message)


def test_refuses_what_is_no_declaration():
    lines = error_of(["wireguard_fabric"], ["hub1"])
    assert lines[1:] == [
        "compile_rules.declaration: a list, is not a mapping, give the wireguard_* variables by their names",
    ]


def test_is_named_as_its_file():
    assert FilterModule().filters() == {"compile_rules": compile_rules}
