# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lowest free numbers: of subnets in a supernet, of hosts in a subnet, of ports and tables."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from .addresses import WIDTH, Prefix
from .kinds import INTERFACE_LIMIT


class FreeNumbers:
    """Gives out the lowest number of a range that nobody has.

    Taken numbers may be given as wide ranges; they are never listed one by one, so that a supernet_v6 with
    sixteen bits of subnets costs what its few segments cost.
    """

    def __init__(self, first: int, last: int, taken: Iterable[tuple[int, int]]) -> None:
        """Take the inclusive bounds and the inclusive ranges that are taken."""
        self._next = first
        self._last = last
        ranges = list(taken)
        # Single numbers in a set, ranges in a list: a segment of ten thousand peers has only single ones.
        self._given = {low for low, high in ranges if low == high}
        self._ranges = [(low, high) for low, high in ranges if low < high]

    def claim(self, number: int) -> bool:
        """Give out this very number, and tell whether it was free."""
        if not self._next <= number <= self._last or number in self._given or self._range_end(number) is not None:
            return False
        self._given.add(number)
        return True

    def take(self) -> int | None:
        """Give out the lowest free number, or None when there is none left."""
        while self._next <= self._last:
            number = self._next
            end = self._range_end(number)
            self._next = number + 1 if end is None else end + 1
            if end is None and number not in self._given:
                return number
        return None

    def _range_end(self, number: int) -> int | None:
        """Return the end of the taken range that a number lies in."""
        return next((high for low, high in self._ranges if low <= number <= high), None)


def free_subnets(supernet: Prefix, length: int, taken: Iterable[Prefix]) -> FreeNumbers:
    """Return the free subnet numbers of a supernet, counted in subnets of `length`."""
    shift = WIDTH[supernet.family] - length
    ranges = (
        ((block.value - supernet.value) >> shift, (block.last - supernet.value) >> shift)
        for block in taken
        if supernet.contains(block)
    )
    return FreeNumbers(0, (1 << max(length - supernet.length, 0)) - 1, ranges)


def subnet_number(supernet: Prefix, length: int, subnet: Prefix) -> int:
    """Return a subnet's number in its supernet, counted in subnets of `length`."""
    return (subnet.value - supernet.value) >> (WIDTH[supernet.family] - length)


def subnet_at(supernet: Prefix, length: int, number: int) -> Prefix:
    """Return the subnet of a number."""
    return Prefix(supernet.family, supernet.value + (number << (WIDTH[supernet.family] - length)), length)


def host_bounds(subnet: Prefix) -> tuple[int, int]:
    """Return the lowest and highest host number for a peer: after the hub's, before a v4 broadcast."""
    return 2, subnet.size - (2 if subnet.family == 4 else 1)


def mirrored_host(number: int) -> int:
    """Return the IPv6 host number that *reads* like a v4 one: 10 becomes ::10, which is sixteen."""
    return int(str(number), 16)


def interface_name(tenant: str, segment: str, salt: int = 0) -> str:
    """Make an interface's name from its tenant and segment.

    A full name of more than 15 characters keeps its first 8 and gets 6 characters of its hash; 30 bits keep
    a thousand segments that begin alike apart, and `salt` gives another try where they don't.
    """
    full = f"{tenant}-{segment}"
    if len(full) <= INTERFACE_LIMIT and not salt:
        return full
    digest = hashlib.sha256(f"{full}/{salt}".encode()).digest()
    return f"{full[:8]}-{base64.b32encode(digest)[:6].decode().lower()}"


def address_fault(address: Prefix, subnet: Prefix) -> str | None:
    """Say why an address cannot be a peer's, or return None."""
    lowest, highest = host_bounds(subnet)
    number = address.value - subnet.value
    if not subnet.contains(address):
        return f"lies outside the segment's {subnet.text}"
    if number == 1:
        return "is the hub's own address"
    return None if lowest <= number <= highest else "is the address of the network or of everybody in it"
