# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing rules and routes: what the kernel has, what a plan wants, and the difference applied in one batch.

Everything of ours carries a routing protocol number of its own, so that ours can be told from anybody
else's in the live kernel, without a record of what an earlier run did.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError

# Unassigned by the kernel's rtnetlink.h and iproute2's rt_protos; named in rt_protos.d for people.
PROTOCOL = 94
# FR_ACT_UNREACHABLE and RTN_UNREACHABLE, both 7 in the kernel's headers: what `ip -N` prints.
UNREACHABLE = "7"


class Rule(NamedTuple):
    """A routing rule in the words of ``ip rule``."""

    priority: int
    selector: str
    action: str


class Route(NamedTuple):
    """A route: table number, destination, device (empty: unreachable), and the preferred source or empty."""

    table: int
    to: str
    device: str
    source: str


def read_rules(host: Host, family: int) -> list[tuple[Rule, bool]]:
    """Return the live rules of a family, each with whether it is ours."""
    rules = []
    for item in _json(host, ["ip", "-N", "-j", f"-{family}", "rule", "show"]):
        rules.append((_rule(item), str(item.get("protocol")) == str(PROTOCOL)))
    return rules


def _json(host: Host, argv: list[str]) -> list[dict[str, Any]]:
    """Run ip and read its JSON; no output at all is an empty list."""
    text = host.run(argv).strip()
    try:
        return list(json.loads(text)) if text else []
    except ValueError as error:
        raise HostError(f"{' '.join(argv)}: printed no JSON: {error}") from error


def _rule(item: dict[str, Any]) -> Rule:
    """Write a rule that `ip -j` printed in the words that a plan uses."""
    words = []
    source = str(item.get("src", "all"))
    source += f"/{item['srclen']}" if "srclen" in item else ""
    if source != "all":
        words.append(f"from {source}")
    if "iif" in item:
        words.append(f"iif {item['iif']}")
    if "fwmark" in item:
        words.append(f"fwmark {item['fwmark']}/{item.get('fwmask', item['fwmark'])}")
    if "dst" in item:
        words.append(f"to {item['dst']}" + (f"/{item['dstlen']}" if "dstlen" in item else ""))
    known = {"priority", "src", "srclen", "dst", "dstlen", "iif", "iif_detached", "fwmark", "fwmask", "protocol"}
    known |= {"goto", "table", "action", "unresolved"}
    # A selector that we never use makes the rule different from every rule of ours.
    words += [f"{key} {item[key]}" for key in sorted(set(item) - known)]
    if "goto" in item:
        action = f"goto {item['goto']}"
    elif "table" in item:
        action = f"lookup {'main' if str(item['table']) == '254' else item['table']}"
    else:
        action = {UNREACHABLE: "unreachable"}.get(str(item.get("action")), str(item.get("action")))
    return Rule(int(item.get("priority", 0)), " ".join(words) or "from all", action)


def foreign_rules(live: list[tuple[Rule, bool]], first: int, last: int) -> list[Rule]:
    """Return rules of others between two priorities: ours could not be ordered among them."""
    return [rule for rule, ours in live if not ours and first <= rule.priority <= last]


def rule_changes(live: list[tuple[Rule, bool]], wanted: set[Rule]) -> tuple[list[str], list[str]]:
    """Return the batch lines that add what is missing, and those that delete what is ours and not wanted.

    Additions run from the highest priority down, so that the target of a `goto` stands before anything
    jumps there; deletions run upwards for the same reason.
    """
    have = {rule for rule, ours in live if ours}
    add = [_rule_line("add", rule) for rule in sorted(wanted - have, reverse=True)]
    delete = [_rule_line("del", rule) for rule in sorted(have - wanted)]
    return add, delete


def _rule_line(verb: str, rule: Rule) -> str:
    """Write a line for ``ip -batch``."""
    return f"rule {verb} pref {rule.priority} {rule.selector} {rule.action} protocol {PROTOCOL}"


def boot_rules(rules: list[Rule]) -> str:
    """Write the batch that makes these rules on a host that has none."""
    return "".join(_rule_line("add", rule) + "\n" for rule in sorted(rules, reverse=True))


def read_routes(host: Host) -> set[Route]:
    """Return our live routes of both families, in every table."""
    found = set()
    for family, everything in ((4, "0.0.0.0/0"), (6, "::/0")):
        argv = ["ip", "-N", "-j", f"-{family}", "route", "show", "table", "all", "proto", str(PROTOCOL)]
        for item in _json(host, argv):
            dead = str(item.get("type")) == UNREACHABLE
            to = everything if item["dst"] == "default" else str(item["dst"])
            to = to if "/" in to else f"{to}/{32 if family == 4 else 128}"
            found.add(
                Route(
                    int(item.get("table", 254)),
                    to,
                    "" if dead else str(item.get("dev", "")),
                    str(item.get("prefsrc", "")),
                )
            )
    return found


def default_devices(host: Host, family: int) -> list[tuple[str, str]]:
    """Return the devices of the main table's default routes, each with the number of who made the route."""
    found = []
    for item in _json(host, ["ip", "-N", "-j", f"-{family}", "route", "show", "default"]):
        # A route over several routers has its devices one level deeper.
        for part in [item, *item.get("nexthops", ())]:
            if "dev" in part:
                found.append((str(part["dev"]), str(item.get("protocol"))))
    return found


def route_line(verb: str, route: Route) -> str:
    """Write a line for ``ip -batch``; `replace` makes it harmless to run twice."""
    line = f"route {verb} {'' if route.device else 'unreachable '}{route.to}"
    line += f" dev {route.device}" if route.device else ""
    line += f" src {route.source}" if route.source and verb != "del" else ""
    return f"{line} table {route.table} proto {PROTOCOL}"


def family_of(prefix: str) -> int:
    """Tell a prefix's family by its spelling."""
    return 6 if ":" in prefix else 4


def run_batch(host: Host, family: int, lines: list[str]) -> None:
    """Run lines in one ``ip -batch``; nothing runs where there are none.

    Raises HostError at the first line that the kernel refuses.
    """
    if lines:
        host.run(["ip", f"-{family}", "-batch", "-"], stdin="\n".join(lines) + "\n")


def by_family(lines: list[tuple[str, str]]) -> dict[int, list[str]]:
    """Sort (prefix, line) pairs into the lines of each family."""
    sorted_lines: dict[int, list[str]] = {4: [], 6: []}
    for prefix, line in lines:
        sorted_lines[family_of(prefix)].append(line)
    return sorted_lines
