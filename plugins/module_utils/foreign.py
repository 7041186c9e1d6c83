# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others have on a host that a plan wants for itself: rules among ours, routing tables and their names, ports.

A driver asks before it changes anything, so that the answer can be another number in the declaration.
"""

from __future__ import annotations

import json
from typing import Iterable, Iterator

from ansible_collections.tenantnet.wireguard.plugins.module_utils import iproute
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError
from ansible_collections.tenantnet.wireguard.plugins.module_utils.iproute import Rule

_NAME_FILES = "/etc/iproute2/rt_tables"


def refuse_rules(live: dict[int, list[tuple[Rule, bool]]], priorities: list[int]) -> None:
    """Raise HostError where rules of others stand between ours."""
    found = [
        f"IPv{family} rule {rule.priority}: {rule.selector} {rule.action}"
        for family in (4, 6)
        for rule in iproute.foreign_rules(live[family], priorities[0], priorities[1])
    ]
    if found:
        raise HostError(
            f"routing rules of somebody else stand among the priorities {priorities[0]} to {priorities[1]} "
            f"({'; '.join(found)}): remove them, or set wireguard_rule_priority_base to a range that is free"
        )


def refuse_tables(
    host: Host, tables: dict[int, str], new: set[int], live: dict[int, list[tuple[Rule, bool]]], own_file: str
) -> None:
    """Raise HostError where a routing table that is wanted, or its name, is somebody else's.

    tables: the names of those that are wanted, by number; new: those that this host does not have from us yet.
    """
    found = [f"table {number} has routes of somebody else ({route})" for number, route in _routes_of_others(host, new)]
    used = {f"lookup {number}": number for number in tables}
    found += [
        f"table {used[rule.action]} is used by a rule of somebody else (IPv{family} rule {rule.priority})"
        for family, rules in live.items()
        for rule, ours in rules
        if not ours and rule.action in used
    ]
    names = {name: number for number, name in tables.items()}
    # What ip reads itself: no hidden file, and what ends in .conf.
    more = [name for name in host.list_folder(f"{_NAME_FILES}.d") if name.endswith(".conf") and name[0] != "."]
    for path in [_NAME_FILES, *(f"{_NAME_FILES}.d/{name}" for name in more)]:
        for line in (host.read(path) or "").splitlines() if path != own_file else ():
            words = line.partition("#")[0].split()
            if len(words) == 2 and (words[0] in map(str, tables) or words[1] in names):
                found.append(f"{path} names table {words[0]} {words[1]}")
    if found:
        raise HostError(
            f"{'; '.join(found)}: remove that, set wireguard_routing_table_base to a range that is free, or choose "
            "another `table` for the segment"
        )


def _routes_of_others(host: Host, tables: Iterable[int]) -> list[tuple[int, str]]:
    """Return a route of somebody else for each of these tables that has one."""
    found = {}
    for family in (4, 6):
        for number, routes in _routes(host, family, sorted(tables)).items():
            for route in routes:
                if str(route.get("protocol")) != str(iproute.PROTOCOL):
                    found[number] = str(route.get("dst"))
    return sorted(found.items())


def _routes(host: Host, family: int, numbers: list[int]) -> dict[int, list[dict[str, object]]]:
    """Return the routes of each of these tables, with one call of ip; one that nobody has is empty."""
    if not numbers:
        return {}
    asked = "".join(f"route show table {number}\n" for number in numbers)
    _code, output, _errors = host.attempt(["ip", "-N", "-j", "-d", f"-{family}", "-force", "-batch", "-"], asked)
    lists = list(_lists(output))
    if len(lists) == len(numbers):
        return dict(zip(numbers, lists))
    if len(numbers) == 1:
        return {numbers[0]: [route for routes in lists for route in routes]}
    # An ip that has no word for a table that nobody has: then each is asked for by itself.
    found: dict[int, list[dict[str, object]]] = {}
    for number in numbers:
        found.update(_routes(host, family, [number]))
    return found


def _lists(output: str) -> Iterator[list[dict[str, object]]]:
    """Yield the lists that ip prints one behind the other."""
    decoder, place = json.JSONDecoder(), output.find("[")
    while place >= 0:
        try:
            routes, place = decoder.raw_decode(output, place)
        except ValueError as error:
            raise HostError(f"ip route show: printed no JSON: {error}") from error
        yield routes
        place = output.find("[", place)


def udp_ports(host: Host) -> set[int]:
    """Return the UDP ports that programs of this host listen on, of both families."""
    ports = set()
    for name in ("udp", "udp6"):
        for line in (host.read(f"/proc/net/{name}") or "").splitlines()[1:]:
            words = line.split()
            # A socket with a peer is a client's: its port is an ephemeral one.
            if int(words[2].rpartition(":")[2], 16) == 0:
                ports.add(int(words[1].rpartition(":")[2], 16))
    return ports
