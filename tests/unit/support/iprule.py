# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel does with routing rules: a small reference, written from ip-rule(8) and not from the compiler.

Rules are read from the lowest priority up; a table without a route lets the search go on, an `unreachable` ends it,
and a goto jumps to the first rule of a higher priority. Rules of one priority stand in the order in which they were
added, which depends on the history of a host: `orders` gives all that a test should try.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import NamedTuple

UNREACHABLE = "unreachable"
MAIN = "main"


class Rule(NamedTuple):
    """A rule as the plan writes it."""

    priority: int
    selector: str
    action: str


class Packet(NamedTuple):
    """What rules look at; `iif` is lo for a packet of the host's own."""

    iif: str
    source: str
    destination: str
    mark: int = 0


@dataclass(frozen=True)
class Walk:
    """How a packet went: the table that was looked up last (or unreachable), and how many rules were read."""

    found: str
    read: int
    tables: tuple[str, ...]


def orders(rules: Sequence[Sequence[object]], seed: int = 0, tries: int = 3) -> Iterator[list[Rule]]:
    """Yield the rules sorted by priority: as given, reversed, and shuffled inside each priority."""
    given = [Rule(int(str(priority)), str(selector), str(action)) for priority, selector, action in rules]
    chance = random.Random(seed)  # noqa: S311
    for attempt in range(tries):
        if attempt == 1:
            given.reverse()
        elif attempt:
            chance.shuffle(given)
        yield sorted(given, key=lambda rule: rule.priority)


def matches(selector: str, packet: Packet) -> bool:
    """Tell whether a rule's selector takes a packet; a word that is not known here is an error of the test."""
    words = selector.split()
    source, destination = ip_address(packet.source), ip_address(packet.destination)
    while words:
        word, value, *words = words
        if word == "iif":
            hit = packet.iif == value
        elif word == "from":
            hit = value == "all" or source in ip_network(value)
        elif word == "to":
            hit = destination in ip_network(value)
        elif word == "fwmark":
            mark, _slash, mask = value.partition("/")
            hit = packet.mark & int(mask, 0) == int(mark, 0)
        else:
            raise AssertionError(f"the interpreter of rules does not know {word!r} in {selector!r}")
        if not hit:
            return False
    return True


def walk(rules: Sequence[Rule], packet: Packet, answers: Mapping[str, object] | None = None) -> Walk:
    """Look a packet up. `answers`: the tables that have no route for it and let the search go on; none has by default.

    A search that finds nothing ends in main, as the kernel's own last rule has it.
    """
    silent = answers or {}
    position, read, tables = 0, 0, []
    while position < len(rules):
        rule = rules[position]
        read += 1
        position += 1
        if not matches(rule.selector, packet):
            continue
        action, _space, value = rule.action.partition(" ")
        if action == UNREACHABLE:
            return Walk(UNREACHABLE, read, tuple(tables))
        if action == "lookup":
            tables.append(value)
            if value not in silent:
                return Walk(value, read, tuple(tables))
        elif action == "goto":
            assert int(value) > rule.priority, f"{rule} goes backwards: the kernel refuses it"
            landing = [number for number, each in enumerate(rules) if each.priority == int(value)]
            assert landing, f"{rule} goes nowhere: the kernel would skip it"
            position = landing[0]
        else:
            raise AssertionError(f"the interpreter of rules does not know {rule.action!r}")
    return Walk(MAIN, read, tuple(tables))
