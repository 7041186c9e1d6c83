# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nftables does with our ruleset: a small reference, written from nft(8) and not from the compiler.

It reads the text that a hub is given and decides packets with it. It knows the few statements that the text uses
and refuses every other one, so a new statement has to be taught here before it can be relied on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_network
from typing import Any

ACCEPT, DROP = "accept", "drop"
GENERATION = 0x700
# The uplink's own addresses, which `masquerade` puts in place of the source.
MASQUERADED = {4: "192.0.2.1", 6: "2001:db8:ffff::1"}
_WORDS = re.compile(r'"[^"]*"|\{[^}]*\}|[^\s;]+|;')
_FAMILIES = {"ip": 4, "ip6": 6, "ipv4": 4, "ipv6": 6}


@dataclass
class Flow:
    """What conntrack knows of a packet's connection."""

    source: str
    destination: str
    protocol: str
    port: int
    zone: int = 0
    state: str = "new"
    direction: str = "original"
    mark: int = 0
    dnat: bool = False


@dataclass
class Packet:
    """A packet at a hook; family 4 or 6."""

    family: int
    iif: str
    oif: str
    source: str
    destination: str
    protocol: str
    flow: Flow
    icmp: str = "echo-request"
    mark: int = 0
    trace: list[str] = field(default_factory=list)


Interval = tuple[Any, Any]


@dataclass(frozen=True)
class Element:
    """An element of a set or map: an interval for each part of its key, and in a map what it leads to."""

    text: str
    parts: tuple[Interval, ...]
    leads: str

    def holds(self, values: tuple[Any, ...]) -> bool:
        return all(low <= value <= high for (low, high), value in zip(self.parts, values, strict=True))

    def overlaps(self, other: Element) -> bool:
        return all(one[0] <= two[1] and two[0] <= one[1] for one, two in zip(self.parts, other.parts, strict=True))


@cache
def _address(text: str) -> int:
    return int(ip_network(text).network_address)


def _part(text: str) -> Interval:
    """Read one part of a key as an interval: a quoted name, a block, a protocol, a port or a range of ports."""
    if text.startswith('"'):
        return text.strip('"'), text.strip('"')
    if "." in text or ":" in text:
        block = ip_network(text)
        return int(block.network_address), int(block.broadcast_address)
    low, dash, high = text.partition("-")
    if low.isdigit():
        return int(low), int(high if dash else low)
    return text, text


@cache
def read_elements(content: str) -> list[Element]:
    """Read the inside of braces."""
    elements = []
    for item in filter(None, (part.strip() for part in content.split(","))):
        key, _colon, leads = item.partition(" : ")
        elements.append(Element(item, tuple(_part(part) for part in key.split(" . ")), leads))
    return elements


class Ruleset:
    """A ruleset that packets can be shown to."""

    def __init__(self, text: str) -> None:
        """Read the text: sets and maps stand in one line each, chains over several."""
        self.sets: dict[str, list[Element]] = {}
        self.types: dict[str, str] = {}
        self.maps: set[str] = set()
        self.chains: dict[str, list[list[str]]] = {}
        self.hooks: list[tuple[str, int, str]] = []
        name = ""
        for line in (each.strip() for each in text.splitlines()):
            stored = re.match(r"(set|map) (\S+) \{ type(?:of)? ([^;]+);.*?(?:elements = \{ (.*) \} )?\}\Z", line)
            if stored:
                self.sets[stored[2]] = list(read_elements(stored[4] or ""))
                self.types[stored[2]] = stored[3]
                if stored[1] == "map":
                    self.maps.add(stored[2])
            elif line.startswith("chain "):
                name = line.split()[1]
                assert name not in self.chains, f"chain {name} stands twice"
                self.chains[name] = []
            elif line.startswith("type "):
                hook = re.fullmatch(r"type (\S+) hook (\S+) priority (\S+); policy accept;", line)
                assert hook, f"the interpreter of nft does not know the hook {line!r}"
                priority = {"raw": -300, "mangle": -150, "srcnat": 100}.get(hook[3])
                self.hooks.append((hook[2], int(hook[3]) if priority is None else priority, name))
            elif line and line != "}" and not line.startswith(("table ", "delete ")):
                self.chains[name].append(_WORDS.findall(line))

    def add(self, name: str, content: str) -> None:
        """Add what only the host knows, such as the uplinks."""
        self.sets[name] += read_elements(content)

    def run(self, hook: str, packet: Packet, first: int = -(2**31), last: int = 2**31) -> str:
        """Show a packet to every chain of a hook in the order of priorities; return accept or drop."""
        for _name, _priority, chain in sorted(self.hooks, key=lambda item: item[1]):
            if _name == hook and first <= _priority <= last and self._chain(chain, packet) == DROP:
                return DROP
        return ACCEPT

    def _chain(self, name: str, packet: Packet) -> str | None:
        """Show a packet to a chain; None where the chain ends without a verdict."""
        packet.trace.append(name)
        for words in self.chains[name]:
            verdict = self._rule(_Words(words), packet)
            if verdict == "return":
                return None
            if verdict is not None:
                action, _space, target = verdict.partition(" ")
                if action == "goto":
                    return self._chain(target, packet)
                if action != "jump":
                    return verdict
                result = self._chain(target, packet)
                if result is not None:
                    return result
        return None

    def _rule(self, words: _Words, packet: Packet) -> str | None:
        """Follow one rule; None where it does not match or has no verdict."""
        while words.first:
            if words.take("counter"):
                continue
            if words.take("masquerade"):
                # Only a connection's first packet is shown to nat; conntrack translates the others by itself.
                packet.source = MASQUERADED[packet.family]
            elif words.take("limit"):
                # Under the limit, as far as a test is concerned: rate N/second burst N packets.
                words.skip(5)
            elif words.take("log"):
                words.skip(2)
            elif words.take("add", "@connections"):
                # Over the limit of a segment's connections, which a single packet never is.
                return None
            elif words.take("tcp", "flags"):
                return None
            elif words.first in (ACCEPT, DROP, "return"):
                return words.first
            elif words.first in ("goto", "jump"):
                return " ".join(words.left[:2])
            elif words.take("meta", "mark", "set", "meta", "mark", "or"):
                packet.mark |= int(words.next(), 0)
            elif words.take("ct", "mark", "set", "ct", "mark", "and"):
                kept = int(words.next(), 0)
                assert words.take("or", "$GEN"), words.left
                packet.flow.mark = packet.flow.mark & kept | GENERATION
            elif words.take("ct", "original", "zone", "set", "iifname", "map"):
                leads = self._lookup(words.next(), (packet.iif,))
                # The zone of a connection is that of its first packet; replies are found in the common zone.
                if leads and packet.flow.state == "new":
                    packet.flow.zone = int(leads)
            else:
                values = self._values(words, packet)
                if words.take("vmap"):
                    leads = None if None in values else self._lookup(words.next(), values)
                    if leads:
                        return leads
                    return None
                if not self._compare(words, values):
                    return None
        return None

    def _lookup(self, where: str, values: tuple[Any, ...]) -> str | None:
        """Find what a map says, which must be one thing."""
        elements = read_elements(where.strip("{} ")) if where.startswith("{") else self.sets[where.removeprefix("@")]
        found = [element.leads for element in elements if element.holds(values)]
        assert len(found) < 2, f"{where} says several things of {values}: {found}"
        return found[0] if found else None

    def _compare(self, words: _Words, values: tuple[Any, ...]) -> bool:
        """Compare what was read with what follows."""
        if words.take("and"):
            values = tuple(value & int(words.next(), 0) for value in values[:1])
        unequal = words.take("!=")
        words.take("==")
        wanted = words.next()
        if None in values:
            # A field that the packet does not have matches nothing, not even an inequality.
            return False
        if wanted.startswith("@"):
            hit = any(element.holds(values) for element in self.sets[wanted[1:]])
        elif wanted.startswith("{"):
            hit = any(element.holds(values) for element in read_elements(wanted.strip("{} ")))
        elif wanted == "$GEN":
            hit = values[0] == GENERATION
        elif wanted.startswith("0x"):
            hit = values[0] == int(wanted, 0)
        else:
            hit = Element("", (_part(wanted),), "").holds(values)
        return hit != unequal

    def _values(self, words: _Words, packet: Packet) -> tuple[Any, ...]:
        """Read the fields of an expression, one or several joined by dots."""
        values = [self._field(words, packet)]
        while words.take("."):
            values.append(self._field(words, packet))
        return tuple(values)

    @staticmethod
    def _field(words: _Words, packet: Packet) -> Any:
        """Read one field; None where the packet does not have it."""
        flow = packet.flow
        for name, value in (("iifname", packet.iif), ("oifname", packet.oif)):
            if words.take(name):
                return value
        if words.take("meta", "nfproto"):
            return f"ipv{packet.family}"
        if words.take("meta", "l4proto"):
            return packet.protocol
        if words.take("meta", "mark"):
            return packet.mark
        if words.take("ct", "mark"):
            return flow.mark
        if words.take("ct", "state"):
            return flow.state
        if words.take("ct", "direction"):
            return flow.direction
        if words.take("ct", "status"):
            return "dnat" if flow.dnat else "none"
        if words.take("ct", "original", "zone"):
            return flow.zone
        if words.take("ct", "original", "protocol"):
            return flow.protocol
        if words.take("ct", "original", "proto-dst"):
            return flow.port
        for word in ("ip", "ip6"):
            here = _FAMILIES[word] == packet.family
            for name, own, original in (
                ("saddr", packet.source, flow.source), ("daddr", packet.destination, flow.destination)
            ):  # fmt: skip
                if words.take(word, name):
                    return _address(own) if here else None
                if words.take("ct", "original", word, name):
                    return _address(original) if here else None
        for word, family in (("icmp", 4), ("icmpv6", 6)):
            if words.take(word, "type"):
                return packet.icmp if packet.protocol == "icmp" and packet.family == family else None
        raise AssertionError(f"the interpreter of nft does not know {' '.join(words.left)!r}")


class _Words:
    """The words of a rule that are left to follow."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._place = 0

    @property
    def left(self) -> list[str]:
        return self._words[self._place :]

    @property
    def first(self) -> str:
        """The next word, or an empty string at the end."""
        return self._words[self._place] if self._place < len(self._words) else ""

    def take(self, *words: str) -> bool:
        """Take these words if they come next."""
        # Most of what is asked for is not there, and shows it by its first word.
        if self.first != words[0] or self._words[self._place : self._place + len(words)] != list(words):
            return False
        self._place += len(words)
        return True

    def next(self) -> str:
        self._place += 1
        return self._words[self._place - 1]

    def skip(self, count: int) -> None:
        self._place += count


def overlaps(ruleset: Ruleset) -> Iterator[tuple[str, str, str]]:
    """Yield each two elements of one map that overlap: nft would refuse them, or serve one at random."""
    for name in sorted(ruleset.maps):
        elements = sorted(ruleset.sets[name], key=lambda element: element.parts[0])
        for number, element in enumerate(elements):
            for other in elements[number + 1 :]:
                if other.parts[0][0] > element.parts[0][1]:
                    break
                if element.overlaps(other):
                    yield name, element.text, other.text
