# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing rules and routes: what is ours, what differs, and in which order it changes."""

from __future__ import annotations

import json

import pytest
from ansible_collections.tenantnet.wireguard.plugins.module_utils import iproute, routing
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import HostError
from ansible_collections.tenantnet.wireguard.plugins.module_utils.iproute import Route, Rule
from ansible_collections.tenantnet.wireguard.tests.unit.support.scripted_host import ScriptedHost

# As ip -N -j of iproute2 6.1 printed them.
LIVE_RULES = [
    {"priority": 0, "src": "all", "table": "255"},
    {
        "priority": 2000,
        "src": "all",
        "dst": "10.100.0.0",
        "dstlen": 16,
        "iif": "lo",
        "table": "10000",
        "protocol": "94",
    },
    {"priority": 2010, "src": "all", "fwmark": "0x10000", "fwmask": "0x10000", "table": "254", "protocol": "94"},
    {"priority": 2030, "src": "10.100.0.0", "srclen": 16, "goto": 2100, "protocol": "94"},
    {"priority": 2100, "src": "all", "iif": "wg0", "iif_detached": None, "table": "10001", "protocol": "94"},
    {"priority": 23990, "src": "all", "dst": "10.100.0.0", "dstlen": 16, "action": "7", "protocol": "94"},
    {"priority": 32766, "src": "all", "table": "254"},
]
OURS = {
    Rule(2000, "iif lo to 10.100.0.0/16", "lookup 10000"),
    Rule(2010, "fwmark 0x10000/0x10000", "lookup main"),
    Rule(2030, "from 10.100.0.0/16", "goto 2100"),
    Rule(2100, "iif wg0", "lookup 10001"),
    Rule(23990, "to 10.100.0.0/16", "unreachable"),
}


def live(tmp_path, rules):
    host = ScriptedHost(tmp_path, {"ip -N -j -4 rule": json.dumps(rules)})
    return iproute.read_rules(host, 4)


def test_what_ip_prints_is_read_in_the_words_of_the_plan(tmp_path):
    found = live(tmp_path, LIVE_RULES)
    assert {rule for rule, ours in found if ours} == OURS
    assert [rule.priority for rule, ours in found if not ours] == [0, 32766]


def test_the_same_rules_need_no_change(tmp_path):
    assert iproute.rule_changes(live(tmp_path, LIVE_RULES), OURS) == ([], [])


def test_a_rule_with_a_selector_that_is_not_ours_is_another_rule(tmp_path):
    """A near miss: the same rule limited to one user must not count as the rule without that limit."""
    changed = [dict(rule, uid_range="0-0") if rule["priority"] == 2100 else rule for rule in LIVE_RULES]
    add, delete = iproute.rule_changes(live(tmp_path, changed), OURS)
    assert [line.split()[3] for line in add] == ["2100"]
    assert len(delete) == 1


def test_targets_stand_before_anything_jumps_there(tmp_path):
    """Broken once by sorting upwards: the goto came before its target."""
    add, _delete = iproute.rule_changes([], OURS)
    priorities = [int(line.split()[3]) for line in add]
    assert priorities == sorted(priorities, reverse=True)


def test_rules_of_others_are_never_deleted(tmp_path):
    strangers = [{"priority": 2050, "src": "all", "iif": "eth7", "table": "77"}]
    found = live(tmp_path, LIVE_RULES + strangers)
    _add, delete = iproute.rule_changes(found, set())
    assert len(delete) == len(OURS)
    assert not any("eth7" in line for line in delete)
    assert [rule.priority for rule in iproute.foreign_rules(found, 2000, 24000)] == [2050]


def test_routes_of_both_families_are_read(tmp_path):
    four = [
        {"type": "7", "dst": "default", "table": "10001", "flags": []},
        {"dst": "10.100.1.11", "dev": "tenant-a", "table": "10002", "flags": []},
        {"dst": "10.100.1.0/24", "dev": "tenant-a", "prefsrc": "10.100.1.1", "table": "10000", "flags": []},
        {"type": "7", "dst": "10.100.0.0/16", "metric": 4294967295, "flags": []},
    ]
    six = [{"type": "7", "dst": "default", "dev": "lo", "table": "10001", "metric": 1024}]
    host = ScriptedHost(tmp_path, {"ip -N -j -4 route": json.dumps(four), "ip -N -j -6 route": json.dumps(six)})
    assert iproute.read_routes(host) == {
        Route(10001, "0.0.0.0/0", "", ""),
        Route(10002, "10.100.1.11/32", "tenant-a", ""),
        Route(10000, "10.100.1.0/24", "tenant-a", "10.100.1.1"),
        Route(254, "10.100.0.0/16", "", ""),
        Route(10001, "::/0", "", ""),
    }


PLAN = {
    "families": [4],
    "tables": {"10001": "tn-management"},
    "rules": {"4": [[2100, "iif wg0", "lookup 10001"]]},
    "priorities": [2000, 24000],
    "sysctl": {},
    "reserved_ports": "",
    "unreachable": [],
}


def test_tables_are_closed_before_a_rule_leads_into_them(tmp_path):
    """Broken once by changing the rules first: for a moment a table without an end could be looked up."""
    host = ScriptedHost(tmp_path)
    routing.reconcile(host, PLAN)
    inputs = [stdin for stdin in host.inputs("ip -4 -batch") if stdin]
    assert inputs[0].startswith("route replace unreachable 0.0.0.0/0 table 10001")
    assert inputs[1] == "rule add pref 2100 iif wg0 lookup 10001 protocol 94\n"


def test_a_stranger_among_our_priorities_stops_everything(tmp_path):
    strangers = json.dumps([{"priority": 3000, "src": "all", "fwmark": "0x1", "table": "100"}])
    host = ScriptedHost(tmp_path, {"ip -N -j -4 rule": strangers})
    with pytest.raises(HostError, match=r"IPv4 rule 3000: fwmark 0x1/0x1 lookup 100.*wireguard_rule_priority_base"):
        routing.reconcile(host, PLAN)
    assert host.changes == []


def batch(**lists):
    """What ip prints for one batch of tables: a list for each that is asked for."""
    return lambda _line, stdin: "\n".join(
        json.dumps(lists.get(f"t{line.split()[-1]}", []))
        for line in stdin.splitlines()
        if line.startswith("route show")
    )


@pytest.mark.parametrize(
    ("answers", "files", "message"),
    [
        (
            {"ip -N -j -d -6 -force": batch(t10001=[{"dst": "2001:db8::/32", "protocol": "3"}])}, {},
            r"table 10001 has routes of somebody else \(2001:db8::/32\)",
        ),
        (
            {"ip -N -j -4 rule": json.dumps([{"priority": 100, "src": "all", "fwmark": "0x9", "table": "10001"}])}, {},
            r"table 10001 is used by a rule of somebody else \(IPv4 rule 100\)",
        ),
        ({}, {"rt_tables": "# names\n255 local\n10001 mine # theirs\n"}, "iproute2/rt_tables names table 10001 mine"),
        ({}, {"rt_tables.d/vpn.conf": "77\ttn-management\n"}, "rt_tables.d/vpn.conf names table 77 tn-management"),
    ],
)  # fmt: skip
def test_a_table_that_is_somebody_elses_stops_everything(tmp_path, answers, files, message):
    """Broken once by asking for routes of our own protocol only."""
    for name, text in files.items():
        path = tmp_path / "etc/iproute2" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    host = ScriptedHost(tmp_path, answers)
    with pytest.raises(HostError, match=message) as caught:
        routing.reconcile(host, PLAN)
    assert "wireguard_routing_table_base" in str(caught.value)
    assert host.changes == []


def test_what_a_killed_run_left_beside_our_names_is_nobody_elses(tmp_path):
    """Broken once by reading every file there: the next run took its own half-written file for somebody else's."""
    folder = tmp_path / "etc/iproute2/rt_tables.d"
    folder.mkdir(parents=True)
    for name in (".tenantnet.conf.unfinished", "notes.txt", "tenantnet.conf"):
        (folder / name).write_text("10001 tn-management\n")
    routing.reconcile(ScriptedHost(tmp_path), PLAN)
    assert not (folder / ".tenantnet.conf.unfinished").exists()


def test_tables_are_asked_for_one_by_one_where_ip_skips_those_that_nobody_has(tmp_path):
    """An ip that prints nothing at all for a table without routes, as some versions do."""
    taken = json.dumps([{"dst": "192.0.2.0/24", "protocol": "3"}])
    host = ScriptedHost(tmp_path, {"ip -N -j -d -4 -force": lambda _l, stdin: taken if "10002" in stdin else ""})
    with pytest.raises(HostError, match="table 10002 has routes"):
        routing.reconcile(host, dict(PLAN, tables={"10001": "a", "10002": "b"}))


def test_tables_that_are_ours_already_are_not_asked_for_again(tmp_path):
    closed = json.dumps([{"type": "7", "dst": "default", "table": "10001", "flags": []}])
    host = ScriptedHost(tmp_path, {"ip -N -j -4 route show table all": closed})
    routing.reconcile(host, PLAN)
    assert not host.lines("ip -N -j -d")


ADVERTISED = json.dumps([{"dst": "default", "gateway": "fe80::1", "dev": "eth0.7", "protocol": "9"}])


@pytest.mark.parametrize(
    ("routes", "live", "wanted"),
    [
        (ADVERTISED, "1", "2"), (ADVERTISED, "2", "2"),
        # Two routers: one route with a way by each.
        (json.dumps([{"protocol": "9", "nexthops": [{"dev": "eth0.7"}, {"dev": "eth0.7"}]}]), "1", "2"),
        # networkd does it, nobody does it, no route comes that way.
        (ADVERTISED, "0", "0"), ("[]", "1", "1"), (ADVERTISED.replace('"9"', '"3"'), "1", "1"),
    ],
)  # fmt: skip
def test_a_hub_that_learns_its_way_out_goes_on_listening_to_routers(tmp_path, routes, live, wanted):
    """Broken once by turning on forwarding alone: the kernel then ignores advertisements."""
    settings = tmp_path / "proc/sys/net/ipv6/conf"
    for name, text in {"all/forwarding": "0", "eth0.7/accept_ra": live}.items():
        (settings / name).parent.mkdir(parents=True)
        (settings / name).write_text(text + "\n")
    plan = dict(PLAN, sysctl={"net.ipv6.conf.all.forwarding": 1})
    host = ScriptedHost(tmp_path, {"ip -N -j -6 route show default": routes})
    routing.reconcile(host, plan)
    assert (settings / "eth0.7/accept_ra").read_text().strip() == wanted
    assert (settings / "all/forwarding").read_text().strip() == "1"
    text = (tmp_path / "etc/sysctl.d/60-tenantnet.conf").read_text()
    assert ("net/ipv6/conf/eth0.7/accept_ra = 2\nnet.ipv6.conf.all.forwarding" in text) == (wanted == "2")
    # The route may be gone for a while: what was set stays.
    again = ScriptedHost(tmp_path)
    routing.reconcile(again, plan)
    assert (tmp_path / "etc/sysctl.d/60-tenantnet.conf").read_text() == text


@pytest.mark.parametrize(
    ("before", "ours", "after"),
    [
        ("", "51820", "51820"),
        ("8080", "51820,51821,51822", "8080,51820-51822"),
        ("51821-51900", "51820", "51820-51900"),
        ("51820", "51820", "51820"),
    ],
)
def test_reserved_ports_join_those_of_others(tmp_path, before, ours, after):
    folder = tmp_path / "proc/sys/net/ipv4"
    folder.mkdir(parents=True)
    (folder / "ip_local_reserved_ports").write_text(before + "\n")
    routing.reconcile(ScriptedHost(tmp_path), dict(PLAN, reserved_ports=ours))
    assert (folder / "ip_local_reserved_ports").read_text().strip() == after


def test_networkd_is_told_to_leave_foreign_routes_only_where_it_runs(tmp_path):
    state = "Id=systemd-networkd.service\nActiveState=active\nUnitFileState=enabled\n"
    file = tmp_path / "etc/systemd/networkd.conf.d/60-tenantnet.conf"
    routing.reconcile(ScriptedHost(tmp_path), PLAN)
    assert not file.exists()
    routing.reconcile(ScriptedHost(tmp_path, {"systemctl show": state}), PLAN)
    assert "ManageForeignRoutingPolicyRules=no" in file.read_text()
