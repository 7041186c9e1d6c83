# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of answers and sightings, kind by kind, with the near misses of each."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.judge import (
    Sightings,
    disagreements,
    judge,
    matrix,
    observe,
)

SOURCE, TARGET, HUB_ADDRESS = "10.100.1.2", "10.100.2.2", "10.100.1.1"


def probe(to: str = "b/s/p", **changes: Any) -> dict[str, Any]:
    return {
        "id": 0, "peer": "a/s/p", "source": SOURCE, "to": to, "address": TARGET, "protocol": "tcp", "port": 22,
        "family": 4,
        "expected": "accepted", "policy": "x", **changes,
    }  # fmt: skip


def seen(way: str, **changes: Any) -> tuple[Any, ...]:
    """Make a sighting of the probe; `changes` make it another packet's."""
    packet = {"protocol": "tcp", "source": SOURCE, "destination": TARGET, "port": 22, **changes}
    return ("wg0", way, 4, *packet.values())


def answer(kind: str, by: str | None = TARGET) -> dict[str, Any]:
    return {"answer": kind, "by": by}


SILENCE = answer("none", None)
ENTERED, LEFT, ARRIVED = "entered", "left", "arrived"


def look(where: set[str], to: str, told: dict[str, Any] | None, *, owner: str | None, silent: bool = False) -> str:
    sightings = Sightings(
        {"hub1": [seen("in")] * (ENTERED in where) + [seen("out")] * (LEFT in where)},
        {"target": [seen("in")] * (ARRIVED in where)},
    )
    return observe(probe(to), told, sightings, owner, silent)


ALL_THE_WAY = {ENTERED, LEFT, ARRIVED}


@pytest.mark.parametrize("kind", ["syn-ack", "rst", "reply", "port-unreachable", "echo-reply"])
def test_whatever_the_target_itself_answers_is_an_answer(kind: str):
    """A refusal too: a reset has crossed the hub twice."""
    assert look(ALL_THE_WAY, "b/s/p", answer(kind), owner="target") == "accepted"


@pytest.mark.parametrize(
    ("where", "told", "observed"),
    [
        (ALL_THE_WAY, answer("syn-ack"), "accepted"),
        # It crossed, and only the way back is closed: that is a leak, whatever was expected.
        (ALL_THE_WAY, SILENCE, "one-way"),
        (ALL_THE_WAY, answer("rst", HUB_ADDRESS), "one-way"),
        ({ENTERED, LEFT}, SILENCE, "one-way"),
        ({ENTERED}, SILENCE, "denied"),
        # A router refuses in its own name; that is no answer of the target's.
        ({ENTERED}, answer("net-unreachable", HUB_ADDRESS), "denied"),
        ({ENTERED}, answer("admin-prohibited", TARGET), "denied"),
        ({ENTERED}, answer("rst", HUB_ADDRESS), "denied"),
        # The target answers and never saw the question: somebody speaks for it.
        ({ENTERED}, answer("rst"), "forged"),
        ({ENTERED, LEFT}, answer("syn-ack"), "forged"),
        (set(), answer("syn-ack"), "forged"),
        # Nothing reached the hub: a silent tunnel proves no denial.
        (set(), SILENCE, "no-tunnel"),
        (ALL_THE_WAY, None, "not-sent"),
        (ALL_THE_WAY, answer("error", None), "not-sent"),
        (set(), None, "not-sent"),
    ],
)
def test_a_managed_target(where: set[str], told: dict[str, Any] | None, observed: str):
    """Broken on purpose: an answer believed without a look at who saw the probe; silence taken for a denial."""
    assert look(where, "b/s/p", told, owner="target") == observed


@pytest.mark.parametrize(
    ("where", "told", "silent", "observed"),
    [
        (ALL_THE_WAY, SILENCE, True, "accepted"),
        (ALL_THE_WAY, SILENCE, False, "one-way"),
        ({ENTERED}, SILENCE, True, "denied"),
        ({ENTERED, LEFT}, SILENCE, True, "one-way"),
    ],
)
def test_where_a_port_is_taken_arriving_is_all_there_is(
    where: set[str], told: dict[str, Any], silent: bool, observed: str
):
    assert look(where, "b/s/p", told, owner="target", silent=silent) == observed


@pytest.mark.parametrize(
    ("where", "told", "observed"),
    [
        ({ENTERED, LEFT}, SILENCE, "accepted"),
        ({ENTERED, LEFT}, answer("syn-ack"), "accepted"),
        ({ENTERED}, SILENCE, "denied"),
        # Nobody is there to see it: an answer is no proof, the hub's own side decides.
        ({ENTERED}, answer("syn-ack"), "denied"),
        (set(), SILENCE, "no-tunnel"),
    ],
)
def test_a_target_that_nobody_manages(where: set[str], told: dict[str, Any], observed: str):
    assert look(where, "b/s/external", told, owner=None) == observed


@pytest.mark.parametrize("to", ["hub", "hub:other-segment"])
@pytest.mark.parametrize(
    ("where", "told", "observed"),
    [
        ({ENTERED}, answer("rst"), "accepted"),
        ({ENTERED}, SILENCE, "denied"),
        ({ENTERED}, answer("rst", HUB_ADDRESS), "denied"),
        # Addressed to the hub and sent on by it.
        ({ENTERED, LEFT}, SILENCE, "one-way"),
        (set(), SILENCE, "no-tunnel"),
    ],
)
def test_the_hub_itself(to: str, where: set[str], told: dict[str, Any], observed: str):
    assert look(where, to, told, owner=None) == observed


@pytest.mark.parametrize(
    ("where", "told", "observed"),
    [
        # Beyond the hub the source is another: what left cannot be recognised, only what answers.
        ({ENTERED}, answer("syn-ack"), "accepted"),
        ({ENTERED}, SILENCE, "denied"),
        # It left with its own source: not translated, so in plain text.
        ({ENTERED, LEFT}, SILENCE, "one-way"),
        (set(), SILENCE, "no-tunnel"),
    ],
)
def test_the_internet(where: set[str], told: dict[str, Any], observed: str):
    assert look(where, "internet", told, owner=None) == observed


@pytest.mark.parametrize(
    "other",
    [{"protocol": "udp"}, {"source": "10.100.1.3"}, {"destination": "10.100.2.3"}, {"port": 23}],
    ids=["protocol", "source", "destination", "port"],
)
def test_another_packet_is_not_the_probe(other: dict[str, Any]):
    sightings = Sightings({"hub1": [seen("in", **other), seen("out", **other)]}, {"target": [seen("in", **other)]})
    assert observe(probe(), SILENCE, sightings, "target", False) == "no-tunnel"


def test_only_the_target_itself_sees_for_the_target():
    """A neighbour that saw it, or the target seeing its own packet leave, is no arrival."""
    sightings = Sightings({"hub1": [seen("in")]}, {"neighbour": [seen("in")], "target": [seen("out")]})
    assert observe(probe(), SILENCE, sightings, "target", False) == "denied"


def results(*told: tuple[str, str, int, str, str]) -> list[dict[str, Any]]:
    """Make results to one target: port, expected, family, observed and source."""
    return [
        {
            "from": source, "to": "b/s/p", "address": TARGET, "family": family, "port": port, "expected": expected,
            "observed": observed, "policy": "x" if expected == "accepted" else None, "agrees": expected == observed,
        }
        for port, expected, family, observed, source in told
    ]  # fmt: skip


def test_judging_knows_who_owns_an_address_and_who_cannot_echo():
    probes = {
        "web1": [
            probe(id=0),
            probe(id=1, protocol="udp", port=53),
            probe(id=2, protocol="icmp", port=0, expected="denied", policy=None),
        ],
        "db1": [probe(id=0, peer="b/s/p", source=TARGET, to="a/s/p", address=SOURCE)],
    }
    udp = {"protocol": "udp", "port": 53}
    icmp = {"protocol": "icmp", "port": 0}
    sightings = Sightings(
        {"hub1": [seen("in"), seen("out"), seen("in", **udp), seen("out", **udp), seen("in", **icmp)]},
        {"db1": [seen("in"), seen("in", **udp)]},
    )
    answers = {"web1": {0: answer("syn-ack"), 1: SILENCE, 2: SILENCE}}
    found = judge(probes, answers, sightings, [(TARGET, 53)])
    assert [(each["from"], each["port"], each["observed"], each["agrees"]) for each in found] == [
        ("b/s/p", "tcp/22", "not-sent", False),
        ("a/s/p", "tcp/22", "accepted", True),
        ("a/s/p", "udp/53", "accepted", True),
        ("a/s/p", "icmp", "denied", True),
    ]


@pytest.mark.parametrize(
    ("told", "cell"),
    [
        ([("tcp/22", "accepted", 4, "accepted", "a"), ("icmp", "accepted", 4, "accepted", "a")], "all = all"),
        ([("tcp/22", "denied", 4, "denied", "a"), ("icmp", "denied", 4, "denied", "a")], "none = none"),
        ([("tcp/22", "accepted", 4, "accepted", "a"), ("icmp", "denied", 4, "denied", "a")], "tcp/22 = tcp/22"),
        ([("tcp/22", "accepted", 4, "denied", "a"), ("icmp", "denied", 4, "denied", "a")], "tcp/22 ! none"),
        ([("tcp/22", "denied", 4, "accepted", "a"), ("icmp", "denied", 4, "denied", "a")], "none ! tcp/22"),
        # Of two families one: it says so, on both sides.
        (
            [("tcp/22", "accepted", 4, "accepted", "a"), ("tcp/22", "accepted", 6, "denied", "a")],
            "all ! tcp/22 (IPv4 only)",
        ),
        (
            [("tcp/22", "denied", 4, "denied", "a"), ("tcp/22", "denied", 6, "accepted", "a")],
            "none ! tcp/22 (IPv6 only)",
        ),
        # What is neither open nor closed is named.
        ([("tcp/22", "denied", 4, "one-way", "a"), ("icmp", "denied", 4, "forged", "a")], "none ! forged, one-way"),
        ([("tcp/22", "accepted", 4, "no-tunnel", "a")], "all ! no-tunnel"),
    ],
)
def test_a_cell_says_what_is_expected_and_what_is(told: list[tuple[str, str, int, str, str]], cell: str):
    """Broken on purpose: observations that are neither accepted nor denied left out."""
    header, _line, row = matrix(results(*told))
    assert header.split() == ["to", "\\", "from", "a"]
    assert row.split(maxsplit=1) == ["b/s/p", cell]


def test_the_matrix_has_a_row_a_target_and_a_column_a_peer():
    lines = matrix(results(("tcp/22", "accepted", 4, "accepted", "b"), ("tcp/22", "denied", 4, "denied", "a")))
    assert [line.rstrip() for line in lines] == [
        "to \\ from  a            b",
        "---------  -----------  ---------",
        "b/s/p      none = none  all = all",
    ]


def test_disagreements_name_the_probe_and_the_policy():
    told = [
        ("tcp/22", "accepted", 4, "denied", "a"),
        ("icmp", "denied", 6, "one-way", "a"),
        ("icmp", "denied", 4, "denied", "a"),
    ]
    assert disagreements(results(*told)) == [
        f"a -> b/s/p tcp/22 (IPv4 {TARGET}): expected accepted by x, observed denied",
        f"a -> b/s/p icmp (IPv6 {TARGET}): expected denied, observed one-way",
    ]
