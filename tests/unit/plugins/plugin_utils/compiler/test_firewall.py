# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's maps, and the text that they become. What it decides is tested in test_two_judges.py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from itertools import combinations
from typing import Any

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import (
    Declaration,
    compile_declaration,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.firewall import compile_maps, disjoint
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.grants import Grant
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import Ports, parse_ports
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import DeclarationError
from ansible_collections.tenantnet.wireguard.tests.unit.support import nft
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    HUBS,
    PEER_HOSTS,
    SUPERNET_V6,
    TODAY,
    Compiled,
    compiled,
    declare,
    peer,
    policy,
    segment,
    tenant,
)
from ansible_collections.tenantnet.wireguard.tests.unit.support.effort import examples
from ansible_collections.tenantnet.wireguard.tests.unit.support.network import place
from ansible_collections.tenantnet.wireguard.tests.unit.support.strategies import declarations
from hypothesis import assume, given
from hypothesis import strategies as st


def grants(*pairs: tuple[str, str]) -> list[Grant]:
    return [Grant("a", "b", parse_ports(ports), name) for ports, name in pairs]


@pytest.mark.parametrize(
    ("allowed", "pieces"),
    [
        ([], []),
        ([("tcp/22", "x")], [("tcp/22", "x")]),
        # The first by name has what two allow; the rest is the other's.
        ([("tcp/1-10", "y"), ("tcp/5-7", "x")], [("tcp/1-4", "y"), ("tcp/5-7", "x"), ("tcp/8-10", "y")]),
        ([("tcp/1-10", "x"), ("tcp/5-7", "y")], [("tcp/1-10", "x")]),
        # Neighbours of one policy become one element, of two policies they stay two.
        ([("tcp/1-5", "x"), ("tcp/6-9", "x")], [("tcp/1-9", "x")]),
        ([("tcp/1-5", "x"), ("tcp/6-9", "y")], [("tcp/1-5", "x"), ("tcp/6-9", "y")]),
        ([("tcp/1-5", "x"), ("tcp/7-9", "x")], [("tcp/1-5", "x"), ("tcp/7-9", "x")]),
        ([("tcp/22", "y"), ("tcp/22", "x")], [("tcp/22", "x")]),
        ([("tcp/65535", "x"), ("udp/65535", "x")], [("tcp/65535", "x"), ("udp/65535", "x")]),
        ([("icmp", "y"), ("icmp", "x"), ("all", "z")], [("all", "z"), ("icmp", "x")]),
    ],
)
def test_ranges_of_one_pair_are_cut_apart(allowed: list[tuple[str, str]], pieces: list[tuple[str, str]]):
    assert [(ports.text, name) for ports, name in disjoint(grants(*allowed))] == pieces


ranges = st.tuples(st.integers(1, 30), st.integers(0, 9)).map(lambda each: Ports("tcp", each[0], each[0] + each[1]))


@given(st.lists(st.tuples(ranges, st.sampled_from("xyz")), max_size=6))
def test_the_pieces_allow_what_the_grants_do(allowed: list[tuple[Ports, str]]):
    """Port by port, by the first policy by name.

    Broken on purpose: the end of a range taken as its last port, which cut one port off.
    """
    pieces = disjoint([Grant("a", "b", ports, name) for ports, name in allowed])
    for one, two in combinations(pieces, 2):
        assert not one[0].meets(two[0])
    for port in range(42):
        here = Ports("tcp", port, port)
        wanted = sorted(name for ports, name in allowed if ports.covers(here))
        assert [name for ports, name in pieces if ports.covers(here)] == wanted[:1]


TENANTS = (
    tenant("a", segment("s", peer("p"), peer("q"), internet="nat"), segment("t", peer("p"))),
    tenant("b", segment("s", peer("p"), peer("site", networks=["192.168.7.0/24"]))),
)


def test_each_combination_of_peer_and_segment_has_maps_of_its_own():
    rules = [
        policy("ss", ["a/s"], ["b/s"], "tcp/1"),
        policy("sp", ["a/s"], ["b/s/p"], "tcp/2"),
        policy("ps", ["a/s/p"], ["b/s"], "tcp/3"),
        policy("pp", ["a/s/p"], ["b/s/p"], "tcp/4"),
        policy("sh", ["a/s"], ["hub"], "tcp/5"),
        policy("ph", ["a/s/p"], ["hub"], "tcp/6"),
        policy("pi", ["b/s/p"], ["internet"], "tcp/7"),
    ]
    network, found = place(declare(*TENANTS, policies=rules))
    maps = compile_maps(network, [grant for grant in found if grant.policy != "peer_isolation: false"], "hub1", 4)
    texts = {
        scope: [
            (each.source.text, each.target.text if each.target else None, each.ports.text, each.policy)
            for each in elements
        ]
        for scope, elements in maps.items()
    }
    assert texts == {
        "segment_segment": [
            ("10.100.1.0/24", "10.100.3.0/24", "tcp/1", "ss"),
            ("10.100.1.0/24", "192.168.7.0/24", "tcp/1", "ss"),
        ],
        "segment_peer": [("10.100.1.0/24", "10.100.3.2/32", "tcp/2", "sp")],
        "peer_segment": [
            ("10.100.1.2/32", "10.100.3.0/24", "tcp/3", "ps"),
            ("10.100.1.2/32", "192.168.7.0/24", "tcp/3", "ps"),
        ],
        "peer_peer": [("10.100.1.2/32", "10.100.3.2/32", "tcp/4", "pp")],
        "segment_hub": [("10.100.1.0/24", None, "tcp/5", "sh")],
        "peer_hub": [("10.100.1.2/32", None, "tcp/6", "ph")],
        "peer_internet": [("10.100.3.2/32", None, "tcp/7", "pi")],
        "segment_internet": [("10.100.1.0/24", None, "all", "internet: nat")],
    }


@given(declarations())
def test_no_two_elements_of_a_map_overlap(variables: dict[str, Any]):
    """However policies overlap each other: nft would refuse the ruleset, or one policy would hide another.

    Broken on purpose: one map for peers and segments together; ranges not cut apart.
    """
    try:
        plan = compile_declaration(Declaration(variables, HUBS, PEER_HOSTS, None, TODAY))
    except DeclarationError:
        assume(False)
        raise
    assert not list(nft.overlaps(nft.Ruleset(plan["hubs"]["hub1"]["firewall"])))


def lines_of(plan: Compiled, chain: str) -> list[str]:
    return [" ".join(words) for words in nft.Ruleset(plan.hub["firewall"]).chains[chain]]


def test_a_logged_policy_logs_its_first_packets_only():
    plan = compiled(
        *TENANTS, policies=[policy("x", ["a"], ["b"], "tcp/1", log=True), policy("y", ["a"], ["b"], "tcp/2")]
    )
    (log,) = (line for line in lines_of(plan, "policy-x") if "log" in line)
    assert log.startswith("ct state new limit rate")
    assert '"WIREGUARD-ALLOW x: "' in log
    assert not [line for line in lines_of(plan, "policy-y") if "log" in line]


def test_log_prefixes_fit_the_kernel():
    """NF_LOG_PREFIXLEN is 128 with the closing zero; the longest names that may be declared."""
    name = "x" * 32
    plan = compiled(tenant(name, segment(name, peer(name))), policies=[policy(name, [name], ["hub"], "all", log=True)])
    prefixes = re.findall(r'log prefix "([^"]*)"', plan.hub["firewall"])
    assert len(prefixes) > 3
    assert max(map(len, prefixes)) < 128


def test_the_order_of_hooks():
    """Anti-spoofing before conntrack (-200) knows the packet, the zone at raw, ours before everybody's filter (0)."""
    hooks = {chain: (hook, priority) for hook, priority, chain in nft.Ruleset(compiled(*TENANTS).hub["firewall"]).hooks}
    assert hooks == {
        "spoofing": ("prerouting", -350),
        "zones": ("prerouting", -300),
        "marks": ("prerouting", -150),
        "forward": ("forward", -5),
        "input": ("input", -5),
        "nat": ("postrouting", 100),
        "leak": ("postrouting", 300),
    }


def test_the_ruleset_replaces_its_own_table_and_touches_no_other():
    """One transaction: an empty table is made so that deleting it cannot fail, then the whole of it is put there."""
    text = compiled(*TENANTS).hub["firewall"]
    assert re.findall(r"^(?:table|delete|flush|add).*", text, re.MULTILINE) == [
        "table inet tenantnet",
        "delete table inet tenantnet",
        "table inet tenantnet {",
    ]


def test_a_segment_more_changes_no_line_of_anothers():
    """Chains and zones belong to names and recorded numbers, never to positions."""
    before = compiled(*TENANTS)
    after = compiled(tenant("0", segment("s", peer("p"))), *TENANTS, record=before.record)
    for chain in ("source-a/s", "spoofed-a/s", "from-a/s", "from-b/s"):
        assert lines_of(after, chain) == lines_of(before, chain)


MANY = [
    policy("zero-trust-0", ["a", "b"], ["a", "b", "hub"], "tcp/1-65535", "udp/53", "icmp", log=True),
    policy("zero-trust-1", ["a/s/p"], ["b/s/site", "internet"], "tcp/20-30", "all"),
    policy("0", ["a/t"], ["internet"], "tcp/443", "tcp/80", "udp/443"),
    policy("x" * 32, ["management"], ["a", "b"], "all"),
]
RULESETS: dict[str, dict[str, Any]] = {
    "nothing": {"tenants": ()},
    "no policies": {"tenants": TENANTS},
    "policies": {"tenants": TENANTS, "policies": MANY},
    "policies in both families": {"tenants": TENANTS, "policies": MANY, "supernet_v6": SUPERNET_V6},
    "longest names": {
        "tenants": (tenant("t" * 32, segment("s" * 32, peer("p" * 32), internet="nat", interface="i" * 15)),),
        "policies": [policy("x" * 32, ["t" * 32], ["hub", "internet"], "all", log=True)],
        "supernet_v6": SUPERNET_V6,
    },
    "sites that are alike": {
        "tenants": (
            tenant("a", segment("s", peer("site", networks=["192.168.1.0/24"]))),
            tenant("b", segment("s", peer("site", networks=["192.168.0.0/16", "fd99::/64"]))),
        ),
        "supernet_v6": SUPERNET_V6,
    },
    "255 segments": {
        "tenants": (tenant("a", *(segment(f"s{number:03}", peer("p"), internet="nat") for number in range(255))),),
        "policies": [policy("x", ["a"], ["a/s000/p", "hub"], "tcp/22")],
    },
}


def check_with_nft(text: str) -> subprocess.CompletedProcess[str]:
    """Let the real nft check a ruleset, in a network namespace of its own, with what only a host can put before it."""
    nft_path = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if nft_path is None:
        pytest.fail("nft is not installed: these tests need the package nftables (tools/setup installs it)")
    command = ["unshare", *(["-n"] if os.geteuid() == 0 else ["-rn"]), nft_path, "-c", "-f", "-"]
    return subprocess.run(command, input=f"define GEN = 256\n{text}", capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", RULESETS)
def test_the_real_nft_takes_the_text(name: str):
    options = dict(RULESETS[name])
    text = compiled(*options.pop("tenants"), **options).hub["firewall"]
    elements = (
        'add element inet tenantnet uplinks { "eth0" }\n'
        "add element inet tenantnet connected4 { 192.0.2.0/24, 192.0.2.0/25 }\n"
        "add element inet tenantnet connected6 { 2001:db8:ffff::/64 }\n"
    )
    result = check_with_nft(text + elements)
    assert result.returncode == 0, result.stderr


def test_the_real_nft_would_have_refused():
    """It checks for real: an unknown set and two elements that overlap are errors to it."""
    text = compiled(*TENANTS).hub["firewall"]
    assert check_with_nft(text.replace("@fabric goto source", "@nobody goto source")).returncode
    assert check_with_nft(text.replace("set uplinks { type ifname; }", "set uplinks {")).returncode


@given(declarations())
@examples(8)
def test_the_real_nft_takes_whatever_is_drawn(variables: dict[str, Any]):
    try:
        plan = compile_declaration(Declaration(variables, HUBS, PEER_HOSTS, None, TODAY))
    except DeclarationError:
        assume(False)
        raise
    result = check_with_nft(plan["hubs"]["hub1"]["firewall"])
    assert result.returncode == 0, result.stderr
