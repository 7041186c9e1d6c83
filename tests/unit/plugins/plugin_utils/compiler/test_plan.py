# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The slices of hubs and peers: whom a hub lets in with which addresses, and what a peer sends into its tunnel."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import DeclarationError
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    SUPERNET_V6,
    Compiled,
    compiled,
    key,
    peer,
    policy,
    segment,
    tenant,
)

TENANTS = (
    tenant(
        "a",
        segment("open", peer("web1", host="web1"), peer("p"), subnet="10.100.1.0/24"),
        segment("isolated", peer("web2", host="web2"), peer("p"), peer_isolation=True, subnet="10.100.2.0/24"),
    ),
    tenant(
        "b", segment("s", peer("db1", host="db1"), peer("site", networks=["192.168.7.0/24"]), subnet="10.100.3.0/24")
    ),
)


def fabric(*policies: dict[str, Any], **options: Any) -> Compiled:
    return compiled(*TENANTS, policies=list(policies), **options)


def allowed_ips(plan: Compiled, host: str) -> list[str]:
    """Return a managed host's own AllowedIPs, where it has one membership."""
    (membership,) = plan.plan["peers"][host]["memberships"]
    found: list[str] = membership["allowed_ips"]
    return found


@pytest.mark.parametrize(
    ("rules", "web1", "web2", "db1"),
    [
        ([], ["10.100.1.0/24"], [], ["10.100.3.0/24", "192.168.7.0/24"]),
        # A whole segment counts by its subnet, so that its growth changes nobody's configuration.
        (
            [policy("x", ["a/open"], ["b/s"], "tcp/1")],
            ["10.100.1.0/24", "10.100.3.0/24", "192.168.7.0/24"],
            [],
            ["10.100.1.0/24", "10.100.3.0/24", "192.168.7.0/24"],
        ),
        # Replies must be let in too: the target's side has the source.
        (
            [policy("x", ["a/isolated/web2"], ["b/s/db1"], "tcp/1")],
            ["10.100.1.0/24"],
            ["10.100.3.2/32"],
            ["10.100.2.3/32", "10.100.3.0/24", "192.168.7.0/24"],
        ),
        # The hub is its address in the peer's own segment.
        (
            [policy("x", ["a"], ["hub"], "icmp")],
            ["10.100.1.0/24"],
            ["10.100.2.1/32"],
            ["10.100.3.0/24", "192.168.7.0/24"],
        ),
        (
            [policy("x", ["a/isolated/web2"], ["internet"], "tcp/443")],
            ["10.100.1.0/24"],
            ["0.0.0.0/0"],
            ["10.100.3.0/24", "192.168.7.0/24"],
        ),
        # A default route swallows nothing: where it is not wanted, the rest must still be there.
        (
            [policy("x", ["a/isolated/web2"], ["internet", "b/s/site"], "tcp/443")],
            ["10.100.1.0/24"],
            ["0.0.0.0/0", "10.100.3.3/32", "192.168.7.0/24"],
            ["10.100.3.0/24", "192.168.7.0/24"],
        ),
        # One peer inside a subnet that is there already adds nothing.
        (
            [policy("x", ["a/open/web1"], ["a/open/p", "b/s/db1"], "tcp/1"), policy("y", ["a/open"], ["b/s"], "tcp/2")],
            ["10.100.1.0/24", "10.100.3.0/24", "192.168.7.0/24"],
            [],
            ["10.100.1.0/24", "10.100.3.0/24", "192.168.7.0/24"],
        ),
    ],
    ids=["nothing", "segments", "peers", "hub", "internet", "internet and a site", "nested"],
)
def test_a_peer_sends_into_its_tunnel_what_a_policy_joins_it_with(
    rules: list[dict[str, Any]], web1: list[str], web2: list[str], db1: list[str]
):
    """Broken on purpose: only the grants of which a peer is the source."""
    plan = fabric(*rules)
    assert [allowed_ips(plan, host) for host in ("web1", "web2", "db1")] == [web1, web2, db1]


def test_allowed_ips_in_both_families():
    plan = fabric(policy("x", ["a/isolated/web2"], ["internet", "hub"], "icmp"), supernet_v6=SUPERNET_V6)
    assert allowed_ips(plan, "web1") == ["10.100.1.0/24", "fd64:e5a:100:1::/64"]
    assert allowed_ips(plan, "web2") == ["0.0.0.0/0", "10.100.2.1/32", "::/0", "fd64:e5a:100:2::1/128"]


def test_a_site_does_not_send_its_own_network_into_the_tunnel():
    plan = compiled(
        tenant("a", segment("s", peer("site", host="web1", networks=["192.168.7.0/24"]), peer("p"))),
    )
    assert allowed_ips(plan, "web1") == ["10.100.1.0/24"]


def test_on_the_hub_allowed_ips_are_who_a_peer_is():
    """Its own addresses and what lies behind it; never what it may reach.

    Broken on purpose: the client's AllowedIPs on both sides, which gives one peer the other's address.
    """
    plan = fabric(policy("x", ["a"], ["b"], "all"), supernet_v6=SUPERNET_V6)
    allowed = {each["id"]: each["allowed_ips"] for item in plan.hub["interfaces"] for each in item["peers"]}
    assert allowed == {
        "a/open/p": ["10.100.1.2/32", "fd64:e5a:100:1::2/128"],
        "a/open/web1": ["10.100.1.3/32", "fd64:e5a:100:1::3/128"],
        "a/isolated/p": ["10.100.2.2/32", "fd64:e5a:100:2::2/128"],
        "a/isolated/web2": ["10.100.2.3/32", "fd64:e5a:100:2::3/128"],
        "b/s/db1": ["10.100.3.2/32", "fd64:e5a:100:3::2/128"],
        "b/s/site": ["10.100.3.3/32", "fd64:e5a:100:3::3/128", "192.168.7.0/24"],
    }


def test_a_hub_is_told_who_is_of_which_kind():
    plan = compiled(
        tenant("a", segment("s", peer("m", host="web1"), peer("x", public_key=key("alice")), peer("g"))),
    )
    kinds = {each["id"]: (each["host"], each["public_key"]) for each in plan.interfaces["a/s"]["peers"]}
    assert kinds == {"a/s/g": (None, None), "a/s/m": ("web1", None), "a/s/x": (None, key("alice"))}
    overview = {each["peer"]: each["kind"] for each in plan.plan["overview"]["peers"]}
    assert overview == {"a/s/g": "generated", "a/s/m": "managed", "a/s/x": "external"}


def test_an_interface_has_what_was_declared_and_else_the_default():
    plan = compiled(
        tenant("a", segment("s", mtu=1380), segment("t")),
        management={"mtu": 9000, "interface": "mgmt", "listen_port": 4000, "table": 5000},
    )
    assert plan.interfaces["a/s"]["mtu"] == 1380
    assert plan.interfaces["a/t"]["mtu"] == 1420
    management = plan.interfaces["management"]
    assert (management["mtu"], management["name"], management["listen_port"]) == (9000, "mgmt", 4000)
    assert plan.hub["routing"]["tables"]["5000"] == "tn-management"
    assert plan.hub["ports"] == [4000, 51821, 51822]
    assert management["addresses"] == ["10.100.0.1/32"]


def test_a_membership_has_all_that_a_client_needs():
    plan = compiled(
        tenant("a", segment("s", peer("p", host="web1"), mtu=1380, dns=["10.100.1.1", "fd64:e5a:100:1::1"])),
        supernet_v6=SUPERNET_V6,
        keepalive=0,
        hubs={"hub1": ({"wireguard_hub_endpoint": "vpn.example.net"}, "192.0.2.1")},
    )
    assert plan.plan["peers"]["web1"]["memberships"] == [
        {
            "interface": "a-s",
            "peer": "a/s/p",
            "segment": "a/s",
            "barred": "",
            "hub": "hub1",
            "endpoint": "vpn.example.net",
            "port": 51821,
            "addresses": ["10.100.1.2/32", "fd64:e5a:100:1::2/128"],
            "allowed_ips": ["10.100.1.0/24", "fd64:e5a:100:1::/64"],
            "keepalive": 0,
            "mtu": 1380,
            "dns": ["10.100.1.1", "fd64:e5a:100:1::1"],
        }
    ]


def test_a_host_may_be_in_several_segments():
    plan = compiled(
        tenant("a", segment("s", peer("p", host="web1")), segment("t", peer("p", host="web1"))),
        management={"peers": [peer("admin", host="web1")]},
    )
    memberships = plan.plan["peers"]["web1"]["memberships"]
    assert [each["peer"] for each in memberships] == ["a/s/p", "a/t/p", "management/admin"]
    assert set(plan.plan["peers"]) == {"web1"}


@pytest.mark.parametrize(
    ("own", "ansible_host", "endpoint"),
    [
        ({"wireguard_hub_endpoint": "vpn.example.net"}, "192.0.2.1", "vpn.example.net"),
        ({}, "192.0.2.1", "192.0.2.1"),
        ({}, None, "hub1"),
    ],
)
def test_what_a_client_dials(own: dict[str, Any], ansible_host: str | None, endpoint: str):
    plan = compiled(tenant("a", segment("s", peer("p", host="web1"))), hubs={"hub1": (own, ansible_host)})
    assert plan.plan["peers"]["web1"]["memberships"][0]["endpoint"] == endpoint


@pytest.mark.parametrize("ansible_host", ["192.0.2.1\nPostUp = reboot", "not a host", "{{ undefined }}"])
def test_what_a_client_dials_is_a_host(ansible_host: str):
    with suppress(DeclarationError):
        plan = compiled(tenant("a", segment("s", peer("p", host="web1"))), hubs={"hub1": ({}, ansible_host)})
        endpoint = plan.plan["peers"]["web1"]["memberships"][0]["endpoint"]
        assert not set(endpoint) & set(" \n{}")


def test_a_plan_is_plain_data_without_secrets_or_objects():
    plan = fabric(policy("x", ["a"], ["b"], "all")).plan
    assert json.loads(json.dumps(plan)) == plan


def test_compiling_twice_gives_the_same():
    """Byte for byte, in the order of keys too: what is hashed or shown as a difference must not move."""
    rules = [policy("x", ["a"], ["b"], "all"), policy("y", ["tag:x", "a"], ["hub"], "icmp", "tcp/1")]
    tenants = (*TENANTS, tenant("c", segment("s", peer("p", tags=["x", "y"]))))
    one, two = (json.dumps(compiled(*tenants, policies=each).plan) for each in (rules, list(rules)))
    assert one == two
