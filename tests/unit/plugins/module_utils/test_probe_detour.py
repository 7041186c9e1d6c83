# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The detour against a pretended host: it must leave no trace, wherever it is interrupted."""

from __future__ import annotations

import copy
import json
import os
import shlex

import pytest
from ansible_collections.tenantnet.wireguard.plugins.module_utils import probe_detour
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import ProbeError

HUB = "A" * 43 + "="
OTHER = "B" * 42 + "A="


class PowerCut(BaseException):
    """Ends the process between two commands: nothing of it runs any more."""


class Host(probe_detour.Commands):
    """A host with one WireGuard interface, its rules and its tables."""

    def __init__(self):
        self.interfaces = {"wg0"}
        self.peers = {HUB: ["10.100.0.1/32", "fd64::1/128"], OTHER: ["10.9.0.0/16"]}
        self.rules = {
            family: [{"priority": 0, "table": "local"}, {"priority": 32766, "table": "main"}] for family in (4, 6)
        }
        self.tables = {4: {}, 6: {}}
        self.log = []
        self.cut_before = self.cut_after = None
        self.dead = False
        self.deaf = ()  # beginnings of commands that do nothing
        self.failing = ()  # beginnings of commands that fail

    def exists(self, interface):
        return interface in self.interfaces

    def state(self):
        tables = {family: {k: v for k, v in tables.items() if v} for family, tables in self.tables.items()}
        return copy.deepcopy((self.peers, self.rules, tables))

    def run(self, argv, stdin=""):
        line = " ".join(argv)
        # The process is gone: even its `finally` does nothing any more.
        if self.dead or self.cut_before == len(self.log):
            self.dead = True
            raise PowerCut
        self.log.append((line, stdin))
        if line.startswith(tuple(self.failing)):
            return 1, "", "it failed"
        if line.startswith(tuple(self.deaf)):
            return 0, "", ""
        result = self.wg(argv) if argv[0] == "wg" else self.ip(argv, stdin)
        if self.cut_after == len(self.log) - 1:
            self.dead = True
            raise PowerCut
        return result

    def wg(self, argv):
        if argv[1] == "show":
            lines = [f"{key}\t{' '.join(prefixes) or '(none)'}" for key, prefixes in self.peers.items()]
            return 0, "\n".join(lines) + "\n", ""
        assert argv[1:4] == ["set", "wg0", "peer"]
        assert argv[5] == "allowed-ips"
        prefixes = argv[6].split(",") if argv[6] else []
        for key, held in self.peers.items():
            self.peers[key] = [text for text in held if key == argv[4] or text not in prefixes]
        self.peers[argv[4]] = prefixes
        return 0, "", ""

    def ip(self, argv, stdin):
        family = int(argv[1][1:])
        if argv[2:] == ["-j", "rule"]:
            return 0, json.dumps(self.rules[family]), ""
        if argv[2:6] == ["-j", "route", "show", "table"]:
            routes = self.tables[family].get(int(argv[6]))
            if routes is None:
                return 2, "[", "Error: ipv4: FIB table does not exist.\nDump terminated\n"
            return 0, json.dumps([{"dst": route} for route in routes]), ""
        assert argv[-2:] == ["-batch", "-"]
        for line in stdin.splitlines():
            if not self.line(family, shlex.split(line)) and "-force" not in argv:
                return 1, "", f"Command failed -:{line}"
        return 0, "", ""

    def line(self, family, words):
        rules = self.rules[family]
        if words[:2] == ["route", "add"]:
            self.tables[family].setdefault(int(words[-1]), []).append(words[2])
        elif words[:2] == ["route", "flush"]:
            return self.tables[family].pop(int(words[-1]), None) is not None
        elif words[:2] == ["rule", "add"]:
            rules.append({"priority": int(words[3]), words[4]: words[5], "table": words[-1]})
        else:
            assert words[:3] == ["rule", "del", "priority"]
            for rule in rules:
                if rule["priority"] == int(words[3]) and rule["table"] == words[-1]:
                    rules.remove(rule)
                    return True
            return False
        return True


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def detour(host, tmp_path):
    def make(**changed):
        options = {
            "commands": host,
            "folder": str(tmp_path),
            "interface": "wg0",
            "hub_public_key": HUB,
            "widen": ["10.100.0.0/16", "fd64::/48"],
            "sources": {4: "10.100.1.10", 6: "fd64::a"},
            "targets": {4: ["10.100.254.10", "10.100.2.10", "10.100.2.10"], 6: ["fd64::b"]},
        }
        options.update(changed)
        return probe_detour.Detour(**options)

    return make


def test_inside_the_tunnel_is_wide_and_outside_nothing_is_left(host, detour, tmp_path):
    before = host.state()
    with detour():
        assert host.peers[HUB] == ["10.100.0.1/32", "fd64::1/128", "10.100.0.0/16", "fd64::/48"]
        assert host.tables[4] == {1999900000: ["10.100.2.10/32", "10.100.254.10/32"]}
        assert host.tables[6] == {1999900000: ["fd64::b/128"]}
        assert host.rules[4][2:] == [
            {"priority": 999, "oif": "wg0", "table": "1999900000"},
            {"priority": 999, "from": "10.100.1.10/32", "table": "1999900000"},
        ]
        assert os.listdir(str(tmp_path)) == ["widened-wg0.json"]
        assert (tmp_path / "widened-wg0.json").stat().st_mode & 0o777 == 0o600
    assert host.state() == before
    assert os.listdir(str(tmp_path)) == []


def test_an_error_inside_restores_too(host, detour, tmp_path):
    before = host.state()
    with pytest.raises(ZeroDivisionError), detour():
        raise ZeroDivisionError
    assert host.state() == before
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("moment", ["cut_before", "cut_after"])
def test_a_power_cut_at_any_command_is_repaired_by_the_next_run(detour, tmp_path, moment):
    undisturbed = Host()
    with detour(commands=undisturbed):
        pass
    assert len(undisturbed.log) > 12
    for step in range(len(undisturbed.log)):
        host = Host()
        before = host.state()
        setattr(host, moment, step)
        with pytest.raises(PowerCut), detour(commands=host):
            pass
        host.dead = False
        host.cut_before = host.cut_after = None
        with detour(commands=host):
            pass
        assert host.state() == before, f"cut at command {step}"
        assert os.listdir(str(tmp_path)) == []


def test_the_note_is_on_disk_before_the_first_change(host, detour, tmp_path):
    changes = []
    plain = host.run

    def run(argv, stdin=""):
        if argv[:2] == ["wg", "set"] or "-batch" in argv:
            changes.append(os.path.exists(str(tmp_path / "widened-wg0.json")))
        return plain(argv, stdin)

    host.run = run
    with detour():
        pass
    assert changes == [True] * 6


def test_what_was_restored_is_said(host, detour, tmp_path):
    first = detour()
    first.__enter__()
    again = detour()
    with again:
        pass
    assert "restored" in again.notes[0]
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("anew", [["10.100.7.0/24"], ["10.100.0.0/16"], []])
def test_a_list_that_was_written_anew_meanwhile_is_left_alone(host, detour, anew):
    with detour():
        host.peers[HUB] = list(anew)
    assert host.peers[HUB] == anew


def test_what_was_added_meanwhile_stays(host, detour):
    with detour():
        host.peers[HUB].append("10.100.7.0/24")
    assert host.peers[HUB] == ["10.100.0.1/32", "fd64::1/128", "10.100.7.0/24"]


@pytest.mark.parametrize("heir", [True, False])
def test_a_peer_that_is_gone_is_not_brought_back(host, detour, tmp_path, heir):
    with detour():
        prefixes = host.peers.pop(HUB)
        if heir:
            host.peers[OTHER] += prefixes
    assert HUB not in host.peers
    assert os.listdir(str(tmp_path)) == []


def test_an_interface_that_is_gone_is_no_obstacle_to_restoring(host, detour, tmp_path):
    with detour():
        host.interfaces.clear()
        host.failing = ("wg",)
    assert [len(rules) for rules in host.rules.values()] == [2, 2]
    assert os.listdir(str(tmp_path)) == []


def test_prefixes_of_another_peer_are_not_taken(host, detour):
    before = host.state()
    one = detour(widen=["10.9.0.0/16", "10.100.0.0/16"])
    with one:
        assert host.peers[OTHER] == ["10.9.0.0/16"]
        assert "10.9.0.0/16" not in host.peers[HUB]
    assert "10.9.0.0/16 belongs to another peer" in one.notes[0]
    assert host.state() == before


def test_a_prefix_lost_to_another_peer_meanwhile_does_not_keep_the_rest(host, detour):
    with detour():
        host.peers[HUB].remove("10.100.0.0/16")
        host.peers[OTHER].append("10.100.0.0/16")
    assert host.peers[HUB] == ["10.100.0.1/32", "fd64::1/128"]


def test_host_bits_are_cut_off_as_wireguard_does(host, detour):
    with detour(widen=["10.100.3.4/16"]):
        assert "10.100.0.0/16" in host.peers[HUB]


def test_what_the_peer_has_already_is_not_taken_away(host, detour):
    before = host.state()
    with detour(widen=["10.100.0.1/32"]):
        assert not any(line.startswith("wg set") for line, _stdin in host.log)
    assert host.state() == before


def test_an_empty_list_is_restored_as_empty(host, detour):
    host.peers[HUB] = []
    with detour():
        assert host.peers[HUB] == ["10.100.0.0/16", "fd64::/48"]
    assert host.peers[HUB] == []


def test_without_a_key_wireguard_is_not_touched(host, detour):
    with detour(hub_public_key=None):
        assert len(host.rules[4]) == 4
    assert not any(line.startswith("wg") for line, _stdin in host.log)


def test_the_only_peer_needs_no_name(host, detour):
    del host.peers[OTHER]
    before = host.state()
    with detour(hub_public_key="only", widen=["0.0.0.0/0", "::/0"]):
        assert host.peers == {HUB: ["10.100.0.1/32", "fd64::1/128", "0.0.0.0/0", "::/0"]}
    assert host.state() == before


def test_among_several_peers_the_hub_must_be_named(host, detour, tmp_path):
    before = host.state()
    with pytest.raises(ProbeError, match="2 peers"), detour(hub_public_key="only"):
        pass
    assert host.state() == before
    assert os.listdir(str(tmp_path)) == []


def test_a_family_without_targets_is_not_touched(host, detour):
    with detour(targets={4: ["10.100.2.10"], 6: []}):
        pass
    assert not any("-6" in line for line, _stdin in host.log)


def test_the_private_key_is_never_asked_for(host, detour):
    with detour():
        pass
    assert not any("dump" in line or "private" in line for line, _stdin in host.log)


def test_rules_and_tables_of_others_are_passed_by(host, detour):
    host.rules[4][1:1] = [{"priority": 50, "table": "1999900001"}]
    host.tables[4] = {1999900000: ["default"]}
    before = host.state()
    with detour():
        added = [rule for rule in host.rules[4] if "oif" in rule]
        assert added == [{"priority": 49, "oif": "wg0", "table": "1999900002"}]
    assert host.state() == before


def test_no_room_ahead_of_other_rules_is_an_error_and_changes_nothing(host, detour):
    host.rules[4][1:1] = [{"priority": 1, "table": "main"}]
    before = host.state()
    with pytest.raises(ProbeError, match="priority"), detour():
        pass
    assert host.state() == before


def test_a_family_that_cannot_be_routed_is_named_and_the_other_works(host, detour):
    host.failing = ("ip -6 -batch",)
    before = host.state()
    with detour() as one:
        assert one.broken == {6: "it failed"}
        assert len(host.rules[4]) == 4
    assert host.state() == before


@pytest.mark.parametrize("deaf", ["wg set", "ip -4 -force", "ip -6 -force"])
def test_what_could_not_be_restored_is_an_error_and_stays_noted(host, detour, tmp_path, deaf):
    before = host.state()
    with pytest.raises(ProbeError, match="not everything could be restored"), detour():
        host.deaf = (deaf,)
    assert os.listdir(str(tmp_path)) == ["widened-wg0.json"]
    host.deaf = ()
    with detour():
        pass
    assert host.state() == before


def test_one_trouble_does_not_keep_the_rest_from_being_restored(host, detour):
    before = host.state()
    with pytest.raises(ProbeError), detour():
        host.deaf = ("wg set",)
    assert host.state()[1:] == before[1:]


def test_a_setting_that_has_no_effect_is_an_error(host, detour, tmp_path):
    host.deaf = ("wg set",)
    with pytest.raises(ProbeError, match="are not what was set"), detour():
        pass
    assert [len(rules) for rules in host.rules.values()] == [2, 2]
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hub_public_key": "A" * 43}, "public key"),
        ({"hub_public_key": "C" * 42 + "A="}, "no peer"),
        ({"widen": ["10.0.0.0/33"]}, "prefix"),
        ({"interface": "wg1"}, "no interface"),
        ({"interface": "../x"}, "interface"),
    ],
)
def test_wrong_input_changes_nothing(host, detour, tmp_path, changed, message):
    before = host.state()
    with pytest.raises(ProbeError, match=message), detour(**changed):
        pass
    assert host.state() == before
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"rules": 1}', '{"rules": {"4": {}}, "peer": null}'])
def test_a_note_of_unknown_form_stops_and_stays(host, detour, tmp_path, content):
    (tmp_path / "widened-wg0.json").write_text(content)
    before = host.state()
    with pytest.raises(ProbeError, match="widened-wg0"), detour():
        pass
    assert host.state() == before
    assert os.listdir(str(tmp_path)) == ["widened-wg0.json"]


def test_real_commands_report_status_and_absence():
    commands = probe_detour.Commands()
    assert commands.run(["sh", "-c", "cat; echo bad >&2; exit 3"], "in") == (3, "in", "bad\n")
    with pytest.raises(ProbeError, match="not installed"):
        commands.run(["no-such-command-of-ours"])
    assert commands.exists("lo") is True
    assert commands.exists("no-such-if") is False
