# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and prefixes as integers.

A plan handles tens of thousands of addresses, and `ipaddress` objects cost several microseconds each; a
named tuple of integers sorts, hashes and compares at C speed. What counts as an address is the C library's to
say (`inet_pton`, which takes four plain decimal numbers and nothing else for IPv4).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

WIDTH = {4: 32, 6: 128}


class Prefix(NamedTuple):
    """An address block: family 4 or 6, the first address as an integer, the prefix length in bits."""

    family: int
    value: int
    length: int

    @property
    def size(self) -> int:
        """The number of addresses in the block."""
        return 1 << (WIDTH[self.family] - self.length)

    @property
    def last(self) -> int:
        """The last address of the block as an integer."""
        return self.value + self.size - 1

    def contains(self, other: Prefix) -> bool:
        """Tell whether `other` lies wholly inside this block."""
        return (
            self.family == other.family
            and self.length <= other.length
            and self.value == other.value & ~((1 << (WIDTH[self.family] - self.length)) - 1)
        )

    def overlaps(self, other: Prefix) -> bool:
        """Tell whether the two blocks share an address."""
        return self.contains(other) or other.contains(self)

    def host(self, number: int) -> Prefix:
        """Return the `number`-th address of the block as a block of one address."""
        return Prefix(self.family, self.value + number, WIDTH[self.family])

    @property
    def text(self) -> str:
        """The block as text, ``10.100.1.0/24``."""
        return f"{address_text(self.family, self.value)}/{self.length}"

    @property
    def address(self) -> str:
        """The block's first address as text, without the length."""
        return address_text(self.family, self.value)


@lru_cache(maxsize=65536)
def address_text(family: int, value: int) -> str:
    """Write an address in its usual form (v6 compressed)."""
    if family == 4:
        return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"
    return str(ipaddress.IPv6Address(value))


def parse_address(text: str) -> Prefix:
    """Read an address as a block of one.

    Raises ValueError with a readable reason.
    """
    if ":" in text:
        if "%" in text:
            raise ValueError("has a zone index")
        try:
            return Prefix(6, int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big"), 128)
        except (OSError, ValueError) as error:
            raise ValueError("is not an IPv6 address") from error
    try:
        return Prefix(4, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big"), 32)
    except (OSError, ValueError) as error:
        raise ValueError("is not an IP address") from error


def parse_prefix(text: str) -> Prefix:
    """Read a block written as ``address/length``.

    Raises ValueError with a readable reason, also where bits beyond the length are set.
    """
    address, slash, length = text.partition("/")
    block = parse_address(address)
    if not slash:
        raise ValueError("has no prefix length")
    if not length.isascii() or not length.isdigit() or int(length) > WIDTH[block.family]:
        raise ValueError("has a prefix length that is not one")
    prefix = Prefix(block.family, block.value, int(length))
    if block.value & (prefix.size - 1):
        whole = Prefix(block.family, block.value & ~(prefix.size - 1), int(length))
        raise ValueError(f"has bits set beyond its length, the network is {whole.text}")
    return prefix


def overlapping(blocks: Iterable[tuple[Prefix, int]]) -> list[tuple[int, int]]:
    """Find overlapping blocks in one pass over the sorted list.

    blocks: pairs of a block and the caller's number for it. Returns pairs of numbers, each overlapping block
    named once with the widest one before it.
    """
    found = []
    holder: tuple[Prefix, int] | None = None
    for block, number in sorted(blocks, key=lambda item: (item[0], item[1])):
        if holder is not None and holder[0].contains(block):
            found.append((holder[1], number))
        elif holder is None or holder[0].family != block.family or block.last > holder[0].last:
            holder = (block, number)
    return found


def without_nested(blocks: Iterable[Prefix]) -> list[Prefix]:
    """Drop the blocks inside others; the default route swallows nothing, since routes differ from it."""
    kept: list[Prefix] = []
    for block in sorted(blocks):
        if block.length and kept and kept[-1].length and kept[-1].contains(block):
            continue
        kept.append(block)
    return kept


def prefixes_text(prefixes: Iterable[Prefix]) -> list[str]:
    """Write blocks as sorted text, each once."""
    return [prefix.text for prefix in sorted(set(prefixes))]
