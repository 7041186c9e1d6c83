# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of value a declaration may hold, each a strict reader.

A reader takes the value, its path and the problems; it returns the typed value, or `INVALID` after it has
recorded what is wrong. Only integers and booleans accept their canonical text, because surveys send
strings; nothing else is coerced.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from .addresses import Prefix, parse_address, parse_prefix
from .problems import NO_VALUE, Path, Problems, did_you_mean


class _Invalid(enum.Enum):
    """The result of a reader whose value was wrong and has been reported.

    The boundary puts it in place of a value that could not even be templated; readers pass it on in silence.
    An enum of one, so that `is INVALID` tells a type checker what is left.
    """

    INVALID = enum.auto()


INVALID: Final = _Invalid.INVALID
T = TypeVar("T")
Reader: TypeAlias = Callable[[Any, Path, Problems], T | _Invalid]

# 32 characters keep tenant/segment/peer readable in a log prefix and a column of a matrix.
NAME_LIMIT = 32
# IFNAMSIZ is 16 with the closing zero.
INTERFACE_LIMIT = 15
# Words with a meaning of their own in selectors and ports.
RESERVED_NAMES = frozenset({"hub", "internet", "management", "all"})
# MTUs below 1280 cannot carry IPv6 (RFC 8200, section 5); 65535 is the largest IP packet.
MTU_RANGE = (1280, 65535)

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?\Z")
_INTERFACE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]*)\Z")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:-]*)\Z")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
# 32 bytes in base64. The last character carries two bits of padding, which must be zero: one key has one spelling,
# or duplicates would hide.
_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\Z")
_ZERO_KEY = "A" * 43 + "="
_PORT = re.compile(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?\Z")


@dataclass(frozen=True, slots=True, order=True)
class Ports:
    """A range of ports of one protocol; protocol ``icmp`` has the range 0 to 0, ``all`` is every protocol."""

    protocol: str
    first: int
    last: int

    @property
    def text(self) -> str:
        """The range as people write it."""
        if self.protocol in ("icmp", "all"):
            return self.protocol
        return f"{self.protocol}/{self.first}" + (f"-{self.last}" if self.last != self.first else "")

    def covers(self, other: Ports) -> bool:
        """Tell whether every port of `other` is one of these."""
        if self.protocol == "all":
            return True
        return self.protocol == other.protocol and self.first <= other.first and other.last <= self.last

    def meets(self, other: Ports) -> bool:
        """Tell whether the two share a port."""
        if "all" in (self.protocol, other.protocol):
            return True
        return self.protocol == other.protocol and self.first <= other.last and other.first <= self.last


ALL_PORTS = Ports("all", 0, 0)


def _string(value: Any, path: Path, problems: Problems, remedy: str) -> str | _Invalid:
    """Accept a string and nothing else; a boolean or number gets the hint to quote it."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, int, float, datetime.date)):
        problems.add(path, value, f"is {type(value).__name__} {_as_text(value)} to YAML and not a string", "quote it")
    elif value is None:
        problems.add(path, NO_VALUE, "is empty", remedy)
    else:
        problems.add(path, value, "is not a string", remedy)
    return INVALID


def _as_text(value: Any) -> str:
    """Quote what a value is as text, as far as Python writes it: it refuses an integer of more than 4,300 digits."""
    try:
        return repr(str(value))
    except ValueError:
        return "of many digits"


def text(value: Any, path: Path, problems: Problems) -> str | _Invalid:
    """Read one line of free text."""
    line = _string(value, path, problems, "write one line of text")
    if isinstance(line, str) and (not line.isprintable() or not line.strip()):
        problems.add(path, value, "is empty or has characters that cannot be printed", "write one line of text")
        return INVALID
    return line


def is_name(word: str) -> bool:
    """Tell whether a word has the form of a name of ours."""
    return len(word) <= NAME_LIMIT and word not in RESERVED_NAMES and _NAME.match(word) is not None


def name(value: Any, path: Path, problems: Problems) -> str | _Invalid:
    """Read a name of ours: 1 to 32 lower-case letters, digits, hyphens and underscores."""
    remedy = (
        f"use 1 to {NAME_LIMIT} lower-case letters, digits, '-' and '_', beginning and ending with a letter or digit"
    )
    word = _string(value, path, problems, remedy)
    if not isinstance(word, str):
        return INVALID
    if word in RESERVED_NAMES:
        problems.add(path, value, "is a word with a meaning of its own", "choose another name")
    elif len(word) > NAME_LIMIT:
        problems.add(path, value, f"has {len(word)} characters", remedy)
    elif not _NAME.match(word):
        problems.add(path, value, "is not a name", remedy)
    else:
        return word
    return INVALID


def interface(value: Any, path: Path, problems: Problems) -> str | _Invalid:
    """Read the name of a network interface: what the kernel, sysctl paths and nft all take."""
    remedy = f"use 1 to {INTERFACE_LIMIT} letters, digits, '-' and '_'"
    word = _string(value, path, problems, remedy)
    if not isinstance(word, str):
        return INVALID
    if len(word) > INTERFACE_LIMIT:
        problems.add(path, value, f"has {len(word)} characters", remedy)
    elif "." in word or not _INTERFACE.match(word) or word in ("lo", "all", "default"):
        # A dot is a separator in sysctl paths, and all and default are sysctl's own.
        problems.add(path, value, "is not a name for an interface of ours", remedy)
    else:
        return word
    return INVALID


def uplink(value: Any, path: Path, problems: Problems) -> str | _Invalid:
    """Read the name of an interface that the hub already has: VLANs' dots included."""
    word = _string(value, path, problems, "name an interface of the hub")
    if isinstance(word, str) and (len(word) > INTERFACE_LIMIT or not _INTERFACE.match(word)):
        problems.add(path, value, "is not the name of an interface", "name an interface of the hub, such as eth0")
        return INVALID
    return word


def host(value: Any, path: Path, problems: Problems) -> str | _Invalid:
    """Read an inventory host's name, a DNS name or an address."""
    word = _string(value, path, problems, "write a host's name or an address")
    if isinstance(word, str) and (len(word) > 253 or not _HOST.match(word)) and not _is_address(word):
        problems.add(path, value, "is not a host's name or an address", "write a host's name or an address")
        return INVALID
    return word


def _is_address(word: str) -> bool:
    """Tell whether a word is an address; ``::1`` begins with what no host's name begins with."""
    try:
        parse_address(word)
    except ValueError:
        return False
    return True


def boolean(value: Any, path: Path, problems: Problems) -> bool | _Invalid:
    """Read true or false, or their canonical text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "True", "false", "False"):
        return value in ("true", "True")
    problems.add(path, value, "is not a boolean", "write true or false")
    return INVALID


def integer(minimum: int, maximum: int) -> Reader[int]:
    """Return a reader of an integer within bounds, or of its canonical text."""

    def read(value: Any, path: Path, problems: Problems) -> int | _Invalid:
        remedy = f"write a whole number from {minimum} to {maximum}"
        if isinstance(value, str) and len(value) <= 20 and _INTEGER.match(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            problems.add(path, value, "is not a whole number", remedy)
        elif not minimum <= value <= maximum:
            problems.add(path, value, "is out of range", remedy)
        else:
            return int(value)
        return INVALID

    return read


def address(family: int) -> Reader[Prefix]:
    """Return a reader of one address of a family, as a block of one."""
    return _block(parse_address, family, "address", f"write one IPv{family} address without a length")


def prefix(family: int | None) -> Reader[Prefix]:
    """Return a reader of a network of a family (None: either family)."""
    kind = f"an IPv{family} network" if family else "a network"
    return _block(parse_prefix, family, "network", f"write {kind} as address/length")


def _block(parse: Callable[[str], Prefix], family: int | None, noun: str, remedy: str) -> Reader[Prefix]:
    """Return a reader of what `parse` makes a block of, in a family (None: either family)."""

    def read(value: Any, path: Path, problems: Problems) -> Prefix | _Invalid:
        word = _string(value, path, problems, remedy)
        if not isinstance(word, str):
            return INVALID
        try:
            block = parse(word)
        except ValueError as error:
            problems.add(path, value, str(error), remedy)
            return INVALID
        if family and block.family != family:
            problems.add(path, value, f"is an IPv{block.family} {noun}", remedy)
            return INVALID
        return block

    return read


def resolver(value: Any, path: Path, problems: Problems) -> Prefix | _Invalid:
    """Read the address of a name server, either family."""
    family = 6 if isinstance(value, str) and ":" in value else 4
    return address(family)(value, path, problems)


def public_key(value: Any, path: Path, problems: Problems) -> str | _Invalid:
    """Read a WireGuard public key: 32 bytes in base64, 44 characters."""
    remedy = "write the output of 'wg pubkey' (44 characters of base64)"
    word = _string(value, path, problems, remedy)
    if not isinstance(word, str):
        return INVALID
    reason = key_fault(word)
    if reason:
        problems.add(path, value, reason, remedy)
        return INVALID
    return word


def key_fault(word: str) -> str | None:
    """Say why a word has not the form of a key, private or public, or return None."""
    if _KEY.match(word) and word != _ZERO_KEY:
        return None
    if word == _ZERO_KEY:
        return "is a key of all zeros"
    try:
        raw = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        return "is not base64"
    if len(raw) != 32:
        return f"is {len(raw)} bytes of base64 and not 32"
    return "is not in canonical base64"


def date(value: Any, path: Path, problems: Problems) -> datetime.date | _Invalid:
    """Read a day, quoted or not; it ends at 00:00 UTC."""
    if isinstance(value, datetime.datetime):
        problems.add(path, value, "has a time of day", "write a date such as 2027-03-01; it ends at 00:00 UTC")
        return INVALID
    if isinstance(value, datetime.date):
        return datetime.date(value.year, value.month, value.day)
    if isinstance(value, str) and _DATE.match(value):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            pass
    problems.add(path, value, "is not a date", "write a date such as 2027-03-01")
    return INVALID


def parse_ports(word: str) -> Ports:
    """Read one word for ports.

    Raises ValueError with a readable reason.
    """
    if word in ("icmp", "all"):
        return Ports(word, 0, 0)
    match = _PORT.match(word)
    if not match:
        raise ValueError("is not a port")
    first = int(match[2])
    last = int(match[3] or match[2])
    if not 1 <= first <= last <= 65535:
        raise ValueError("is out of range or runs backwards")
    return Ports(match[1], first, last)


def ports(value: Any, path: Path, problems: Problems) -> Ports | _Invalid:
    """Read one word for ports: ``tcp/22``, ``tcp/8000-8100``, ``udp/53``, ``icmp``, ``all``."""
    remedy = "write tcp/22, tcp/8000-8100, udp/53, icmp or all"
    word = _string(value, path, problems, remedy)
    if not isinstance(word, str):
        return INVALID
    try:
        return parse_ports(word)
    except ValueError as error:
        problems.add(path, value, str(error), remedy)
        return INVALID


def choice(*allowed: str) -> Reader[str]:
    """Return a reader of one of some words."""

    def read(value: Any, path: Path, problems: Problems) -> str | _Invalid:
        if isinstance(value, str) and value in allowed:
            return str(value)
        hint = did_you_mean(value, allowed) if isinstance(value, str) else ""
        problems.add(path, value, f"is not one of {', '.join(allowed)}{hint}", "use one of these")
        return INVALID

    return read


def internet(value: Any, path: Path, problems: Problems) -> str | _Invalid:
    """Read a segment's way out: ``false`` (an empty string here) or ``nat``."""
    if value is False or (isinstance(value, str) and value in ("false", "False")):
        return ""
    if isinstance(value, str) and value == "nat":
        return "nat"
    problems.add(path, value, "is not a way to the internet", "write false or nat")
    return INVALID


def mtu(value: Any, path: Path, problems: Problems) -> int | _Invalid:
    """Read an MTU in bytes, 1280 to 65535."""
    return integer(*MTU_RANGE)(value, path, problems)


def list_of(reader: Reader[T]) -> Reader[tuple[T, ...]]:
    """Return a reader of a list; an item that is wrong is reported and left out."""

    def read(value: Any, path: Path, problems: Problems) -> tuple[T, ...] | _Invalid:
        if not isinstance(value, (list, tuple)):
            if value is None:
                problems.add(path, NO_VALUE, "is empty", "write a list; [] is a list of nothing")
            else:
                problems.add(path, value, "is not a list", "write a list, - one item a line")
            return INVALID
        items = (
            item if item is INVALID else reader(item, (*path, index), problems) for index, item in enumerate(value)
        )
        return tuple(item for item in items if item is not INVALID)

    return read
