# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of value: what is taken, and beside it the nearest thing that is not."""

from __future__ import annotations

import base64
import datetime
from functools import cache
from typing import Any

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler import kinds
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import (
    ALL_PORTS,
    INVALID,
    Ports,
    parse_ports,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import Problems
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import key
from hypothesis import given
from hypothesis import strategies as st

WORDS_OF_OURS = ("hub", "internet", "management", "all")
# `wg pubkey` of a key; its bytes happen to have the form of a private key's, as every sixteenth public key's have.
PUBLIC_LOOKS_PRIVATE = "eMvR+sySNPjdSL5iP0MeeR0t8vHOVXXjnNkI9NUff3s="


class Text(str):
    """What a template gives: text of a class of its own."""

    __slots__ = ()


class Number(int):
    """The same for a number."""


def read(reader: kinds.Reader[Any], value: Any) -> Any:
    """Read a value; a wrong one gives INVALID and exactly one problem, which says what to do."""
    problems = Problems()
    result = reader(value, ("here",), problems)
    assert len(problems.found) == (result is INVALID)
    for problem in problems.found:
        assert problem.path == ("here",)
        assert problem.remedy
    return result


@pytest.mark.parametrize(
    "value", ["a", "7", "a1", "tenant-a", "t_1", "a--b", "0-0", "x" * 32, "hub1", "internets", "al"]
)
def test_name(value: str):
    assert read(kinds.name, value) == value


@pytest.mark.parametrize(
    "value",
    [
        "", "A", "a ", " a", "a b", "-a", "a-", "_a", "a_", "a.b", "a/b", "a:b", "x" * 33, "a\n", "\na",
        "\u00e4", "a\0", "*",
        "\u0661", True, 7, 1.0, None, ["a"], {"a": 1}, datetime.date(2026, 6, 1), *WORDS_OF_OURS,
    ],
)  # fmt: skip
def test_no_name(value: Any):
    assert read(kinds.name, value) is INVALID


@pytest.mark.parametrize("value", ["wg0", "tenant-a", "A", "7", "x" * 15, "a_b", "all0", "low", "defaults"])
def test_interface(value: str):
    assert read(kinds.interface, value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 16,
        "lo",
        "all",
        "default",
        "eth0.1",
        ".",
        "..",
        "a/b",
        "a b",
        "-a",
        "a:1",
        "wg0\n",
        'a"',
        "\u00e4",
        0,
        None,
    ],
)
def test_no_interface(value: Any):
    assert read(kinds.interface, value) is INVALID


@pytest.mark.parametrize(
    ("value", "taken"), [("eth0.100", True), ("br-lan", True), ("eth0 ", False), ("x" * 16, False)]
)
def test_uplinks_may_have_dots(value: str, taken: bool):
    assert (read(kinds.uplink, value) is not INVALID) == taken


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("web1", True), ("vpn.example.net", True), ("192.0.2.1", True), ("2001:db8::1", True), ("_srv", True),
        ("WEB1", True),
        ("::1", True), ("", False), ("web 1", False), ("web1\n", False), ("-oProxyCommand=x", False), ("a;b", False),
        ("$(x)", False), ("x" * 254, False), ("\u00e4", False), (5, False), (None, False),
    ],
)  # fmt: skip
def test_host(value: Any, taken: bool):
    assert (read(kinds.host, value) is not INVALID) == taken


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5), ("5", 5), (10, 10), ("10", 10), (Number(7), 7), (Text("7"), 7), (1, 1), ("1", 1)],
)
def test_integer_takes_its_canonical_text(value: Any, number: int):
    result = read(kinds.integer(1, 10), value)
    assert result == number
    assert {type(result)} == {int}


@pytest.mark.parametrize(
    "value",
    [
        0, 11, "0", "11", -1, "-1", "05", "+5", " 5", "5 ", "5\n", "5.0", "5e0", "0x5", "1_0", "", "\u0665",
        "five", 5.0, True, False,
        None, [5], {}, datetime.date(2026, 6, 1), 10**40, "9" * 21, float("nan"),
    ],
)  # fmt: skip
def test_integer_takes_nothing_else(value: Any):
    assert read(kinds.integer(1, 10), value) is INVALID


@pytest.mark.parametrize(
    ("value", "result"),
    [(True, True), (False, False), ("true", True), ("false", False), ("True", True), ("False", False)],
)
def test_boolean_takes_its_canonical_text(value: Any, result: bool):
    assert read(kinds.boolean, value) is result


@pytest.mark.parametrize("value", ["yes", "no", "on", "TRUE", "", "1", " true", 0, 1, 1.0, None, [True]])
def test_boolean_takes_nothing_else(value: Any):
    assert read(kinds.boolean, value) is INVALID


@pytest.mark.parametrize(
    ("value", "result"), [(False, ""), ("false", ""), ("False", ""), ("nat", "nat"), (Text("nat"), "nat")]
)
def test_internet(value: Any, result: str):
    assert read(kinds.internet, value) == result


@pytest.mark.parametrize("value", [True, "true", "yes", "NAT", "", None, 0, "snat", ["nat"]])
def test_no_way_to_the_internet(value: Any):
    """0 and null are no false: whoever wrote them may have meant anything."""
    assert read(kinds.internet, value) is INVALID


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2027-03-01", datetime.date(2027, 3, 1)),
        (datetime.date(2027, 3, 1), datetime.date(2027, 3, 1)),
        ("2028-02-29", datetime.date(2028, 2, 29)),
    ],
)
def test_date(value: Any, day: datetime.date):
    result = read(kinds.date, value)
    assert result == day
    assert {type(result)} == {datetime.date}


@pytest.mark.parametrize(
    "value",
    [
        "2027-02-29", "2027-13-01", "2027-3-1", "27-03-01", "20270301", 20270301, "2027-03-01 ",
        "2027-03-01T00:00:00", "",
        "\u0662\u0660\u0662\u0667-03-01", datetime.datetime(2027, 3, 1), "tomorrow", None, True, 2027.0,
    ],
)  # fmt: skip
def test_no_date(value: Any):
    assert read(kinds.date, value) is INVALID


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("tcp/22", Ports("tcp", 22, 22)),
        ("tcp/1", Ports("tcp", 1, 1)),
        ("udp/65535", Ports("udp", 65535, 65535)),
        ("tcp/8000-8100", Ports("tcp", 8000, 8100)),
        ("tcp/5-5", Ports("tcp", 5, 5)),
        ("tcp/1-65535", Ports("tcp", 1, 65535)),
        ("icmp", Ports("icmp", 0, 0)),
        ("all", ALL_PORTS),
    ],
)
def test_ports(value: str, result: Ports):
    assert read(kinds.ports, value) == result
    assert parse_ports(result.text) == result


@pytest.mark.parametrize(
    "value",
    [
        "", "22", "tcp", "tcp/", "/22", "tcp/0", "tcp/65536", "tcp/100000", "tcp/9-1", "tcp/22-", "tcp/-22",
        "tcp/1-2-3", "tcp/ 22",
        "TCP/22", "Tcp/22", "sctp/22", "icmp/8", "all/22", "any", "tcp/22,23", "tcp/22\n", "tcp/\u0662",
        "ICMP", "all ", "tcp:22",
        22, True, None, ["tcp/22"],
    ],
)  # fmt: skip
def test_no_ports(value: Any):
    assert read(kinds.ports, value) is INVALID


PORTS = [parse_ports(word) for word in ("all", "icmp", "tcp/22", "tcp/20-30", "tcp/30-40", "udp/22", "udp/1-65535")]


@cache
def members(ports: Ports) -> frozenset[tuple[str, int]]:
    """List what a word for ports stands for."""
    if ports.protocol == "all":
        every = [("tcp", number) for number in range(65536)] + [("udp", number) for number in range(65536)]
        return frozenset([*every, ("icmp", 0), ("gre", 0)])
    return frozenset((ports.protocol, number) for number in range(ports.first, ports.last + 1))


@pytest.mark.parametrize("one", PORTS, ids=lambda ports: ports.text)
@pytest.mark.parametrize("two", PORTS, ids=lambda ports: ports.text)
def test_ports_cover_and_meet_as_sets_do(one: Ports, two: Ports):
    """`all` holds more than tcp, udp and icmp do together, so only `all` covers it."""
    assert one.covers(two) == (members(one) >= members(two))
    assert one.meets(two) == bool(members(one) & members(two))


@pytest.mark.parametrize("value", [key("alice"), Text(key("bob")), "A" * 42 + "E=", PUBLIC_LOOKS_PRIVATE])
def test_public_key(value: str):
    result = read(kinds.public_key, value)
    assert result == value
    assert {type(result)} == {str}


@pytest.mark.parametrize(
    "value",
    [
        "A" * 43 + "=", "A" * 44, "A" * 43, "A" * 42 + "B=", "A" * 42 + "E==", key("alice") + "\n", " " + key("alice"),
        key("alice").replace("A", "-"), key("alice")[:-1], base64.b64encode(bytes(range(31))).decode(),
        base64.b64encode(bytes(range(33))).decode(), bytes(range(32)).hex(), "", 0, None, True, [key("alice")],
    ],
)  # fmt: skip
def test_no_public_key(value: Any):
    assert read(kinds.public_key, value) is INVALID


@given(st.binary(min_size=30, max_size=34))
def test_a_public_key_is_any_32_bytes_in_one_spelling(raw: bytes):
    word = base64.b64encode(raw).decode()
    assert (kinds.key_fault(word) is None) == (len(raw) == 32 and any(raw))


@given(st.text(alphabet="AEz0+/=-_ \n", max_size=48))
def test_a_public_key_is_nothing_that_base64_would_write_otherwise(word: str):
    """One key has one spelling, or a duplicate would hide behind the other."""
    if kinds.key_fault(word) is None:
        assert base64.b64encode(base64.b64decode(word)).decode() == word


@pytest.mark.parametrize(
    ("reader", "value", "taken"),
    [
        (kinds.address(4), "10.100.1.1", True),
        (kinds.address(4), "fd64::1", False),
        (kinds.address(6), "fd64::1", True),
        (kinds.address(6), "10.100.1.1", False),
        (kinds.address(4), "10.100.1.1/32", False),
        (kinds.address(4), 1, False),
        (kinds.prefix(4), "10.100.1.0/24", True),
        (kinds.prefix(4), "10.100.1.1/24", False),
        (kinds.prefix(4), "fd64::/64", False),
        (kinds.prefix(6), "fd64::/64", True),
        (kinds.prefix(None), "fd64::/64", True),
        (kinds.prefix(None), "10.100.1.0/24", True),
        (kinds.prefix(None), "10.100.1.0", False),
        (kinds.resolver, "10.100.1.1", True),
        (kinds.resolver, "fd64::1", True),
        (kinds.resolver, "dns.example.net", False),
        (kinds.resolver, "::1/128", False),
        (kinds.mtu, 1280, True),
        (kinds.mtu, 1279, False),
        (kinds.mtu, 65535, True),
        (kinds.mtu, 65536, False),
        (kinds.text, "one line", True),
        (kinds.text, "two\nlines", False),
        (kinds.text, "a\x1b[31m", False),
        (kinds.text, "  ", False),
        (kinds.text, "", False),
        (kinds.choice("generated"), "generated", True),
        (kinds.choice("generated"), "Generated", False),
        (kinds.choice("generated"), None, False),
    ],
)
def test_taken_or_not(reader: kinds.Reader[Any], value: Any, taken: bool):
    assert (read(reader, value) is not INVALID) == taken


def test_a_list_reports_each_wrong_item_and_keeps_the_rest():
    problems = Problems()
    result = kinds.list_of(kinds.name)(["a", "B", "c", None], ("here",), problems)
    assert result == ("a", "c")
    assert [problem.path for problem in problems.found] == [("here", 1), ("here", 3)]


@pytest.mark.parametrize("value", [None, "a", {"a": 1}, 1, True])
def test_only_a_list_is_a_list(value: Any):
    """A word is no list of its letters, and nothing is no empty list."""
    assert read(kinds.list_of(kinds.name), value) is INVALID


def test_what_the_boundary_found_wrong_is_not_reported_twice():
    problems = Problems()
    assert kinds.list_of(kinds.name)(["a", INVALID], ("here",), problems) == ("a",)
    assert not problems.found
