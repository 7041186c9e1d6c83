# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel does with routing rules: a small reference, written from ip-rule(8) and not from the compiler.

Rules are read from the lowest priority up; a table of ours always has an answer (its last route is `unreachable`), an
`unreachable` ends the search, and a goto jumps to the first rule of a higher priority. Rules of one priority stand in
the order in which they were added, which depends on the history of a host: `orders` gives all that a test should try.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address, ip_network
from typing import NamedTuple

UNREACHABLE = "unreachable"
MAIN = "main"


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


@cache
def _address(text: str) -> int:
    return int(ip_address(text))


class _Selector:
    """A rule's selector; a word that is not known here is an error of the test."""

    def __init__(self, text: str) -> None:
        self.iif = ""
        self.mark = self.mask = 0
        self.blocks: list[tuple[bool, int, int]] = []
        words = text.split()
        for word, value in zip(words[::2], words[1::2], strict=True):
            if word == "iif":
                self.iif = value
            elif word in ("from", "to"):
                if value != "all":
                    block = ip_network(value)
                    self.blocks.append((word == "from", int(block[0]), int(block[-1])))
            elif word == "fwmark":
                mark, _slash, mask = value.partition("/")
                self.mark, self.mask = int(mark, 0), int(mask, 0)
            else:
                raise AssertionError(f"the interpreter of rules does not know {word!r} in {text!r}")

    def takes(self, packet: Packet) -> bool:
        if (self.iif and self.iif != packet.iif) or packet.mark & self.mask != self.mark:
            return False
        return all(
            low <= _address(packet.source if source else packet.destination) <= high
            for source, low, high in self.blocks
        )


class Rules:
    """Rules in the order in which the kernel reads them."""

    def __init__(self, rules: Sequence[Sequence[object]]) -> None:
        """Take rules as the plan writes them, sorted by priority already."""
        self._rules = [(_Selector(str(selector)), *str(action).split(" ")) for _priority, selector, action in rules]
        self._priorities = [int(str(rule[0])) for rule in rules]
        assert self._priorities == sorted(self._priorities)
        self._first = {priority: number for number, priority in reversed(list(enumerate(self._priorities)))}

    def walk(self, packet: Packet) -> Walk:
        """Look a packet up, where every table of ours has an answer; what finds nothing ends in main."""
        position, read = 0, 0
        while position < len(self._rules):
            selector, action, *value = self._rules[position]
            here = self._priorities[position]
            read += 1
            position += 1
            if not selector.takes(packet):
                continue
            if action == UNREACHABLE:
                return Walk(UNREACHABLE, read, ())
            if action == "lookup":
                return Walk(value[0], read, (value[0],))
            assert action == "goto", f"the interpreter of rules does not know {action!r}"
            assert int(value[0]) > here, f"a goto from {here} to {value[0]}: the kernel refuses to go back"
            assert int(value[0]) in self._first, (
                f"a goto from {here} to {value[0]}: the kernel skips what leads nowhere"
            )
            position = self._first[int(value[0])]
        return Walk(MAIN, read, ())


def orders(rules: Sequence[Sequence[object]], seed: int = 0, tries: int = 3) -> Iterator[Rules]:
    """Yield the rules sorted by priority: as given, reversed, and shuffled inside each priority."""
    given = list(rules)
    chance = random.Random(seed)  # noqa: S311
    for attempt in range(tries):
        if attempt == 1:
            given.reverse()
        elif attempt:
            chance.shuffle(given)
        yield Rules(sorted(given, key=lambda rule: int(str(rule[0]))))
