# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of policies and tests stand for."""

from __future__ import annotations

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import Ports
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import Problems
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.selectors import Match, Selectors
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import declare, peer, segment, tenant
from ansible_collections.tenantnet.wireguard.tests.unit.support.network import place

MYSQL = (Ports("tcp", 3306, 3306),)


@pytest.fixture(scope="module")
def selectors() -> Selectors:
    declaration = declare(
        tenant(
            "a",
            segment("prod", peer("web1", tags=["web"]), peer("web2", tags=["web", "old"])),
            segment("dev", peer("web1")),
            segment("empty"),
        ),
        # The name of a tenant is also that of a segment, and a tag's that of a tenant: words never mix.
        tenant("prod", segment("a", peer("web1", tags=["web", "a"]))),
        tenant("nobody"),
        management={"peers": [peer("admin", tags=["ops"])]},
        services=[{"name": "mysql", "at": "a/prod/web1", "ports": ["tcp/3306"]}],
    )
    return Selectors(place(declaration).network)


@pytest.mark.parametrize(
    ("word", "match"),
    [
        ("a", Match(("a/dev", "a/empty", "a/prod"))),
        ("prod", Match(("prod/a",))),
        ("a/prod", Match(("a/prod",))),
        ("a/empty", Match(("a/empty",))),
        ("a/prod/web1", Match(("a/prod/web1",))),
        ("management", Match(("management",))),
        ("management/admin", Match(("management/admin",))),
        ("hub", Match(("hub",))),
        ("internet", Match(("internet",))),
        ("tag:web", Match(("a/prod/web1", "a/prod/web2", "prod/a/web1"), by_tag=True)),
        ("tag:old", Match(("a/prod/web2",), by_tag=True)),
        ("tag:a", Match(("prod/a/web1",), by_tag=True)),
        ("tag:ops", Match(("management/admin",), by_tag=True)),
        ("service:mysql", Match(("a/prod/web1",), ports=MYSQL)),
    ],
)
def test_a_selector_matches(selectors: Selectors, word: str, match: Match):
    problems = Problems()
    assert selectors.resolve(word, ("here",), problems) == match
    assert not problems.found


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("b", ""),
        ("nobody", ""),
        ("prod/prod", "prod/a"),
        ("a/prod/web3", "a/prod/web2"),
        ("a/dev/web2", "a/dev/web1"),
        ("a/prod/web1/x", ""),
        ("a/", "a"),
        ("/a", "a"),
        ("/", ""),
        ("", ""),
        (" a", "a"),
        ("A", ""),
        ("all", ""),
        ("*", ""),
        ("any", ""),
        ("managment", "management"),
        ("hubs", "hub"),
        ("internet/x", "internet"),
        ("hub/x", ""),
        ("tag:", ""),
        ("tag:wbe", "tag:web"),
        ("tag:Web", "tag:web"),
        ("tag:mysql", ""),
        ("service:web", ""),
        ("service:mysq", "service:mysql"),
        ("service:a/prod/web1", ""),
        ("group:web", None),
        ("TAG:web", None),
        (":", None),
        ("a:b", None),
        ("a/prod:tcp", None),
        ("fd64::1", None),
    ],
)
def test_a_selector_matches_nothing(selectors: Selectors, word: str, hint: str | None):
    """None stands for a word that has not even the form of a selector."""
    problems = Problems()
    assert selectors.resolve(word, ("here",), problems) is None
    (problem,) = problems.found
    assert problem.path == ("here",)
    assert problem.value == word
    if hint is None:
        assert problem.wrong == "is not a selector"
    elif hint:
        assert problem.wrong == f"matches nothing (did you mean {hint!r}?)"
    else:
        assert problem.wrong.startswith("matches nothing")


def test_nobody_is_told_to_write_what_stands_there(selectors: Selectors):
    problems = Problems()
    selectors.resolve("nobody", ("here",), problems)
    assert "did you mean 'nobody'" not in problems.found[0].wrong


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a/prod", Match(("a/prod",))),
        ("a/prod tcp/22", Match(("a/prod",), ports=(Ports("tcp", 22, 22),))),
        ("a/prod  tcp/22", Match(("a/prod",), ports=(Ports("tcp", 22, 22),))),
        ("tag:web icmp", Match(("a/prod/web1", "a/prod/web2", "prod/a/web1"), (Ports("icmp", 0, 0),), by_tag=True)),
        ("hub udp/53-54", Match(("hub",), ports=(Ports("udp", 53, 54),))),
        ("service:mysql", Match(("a/prod/web1",), ports=MYSQL)),
    ],
)
def test_a_test_has_targets_with_and_without_ports(selectors: Selectors, text: str, match: Match):
    problems = Problems()
    assert selectors.target(text, ("here",), problems) == match
    assert not problems.found


@pytest.mark.parametrize(
    "text",
    [
        "service:mysql tcp/3306",
        "a/prod tcp",
        "a/prod tcp/22 tcp/23",
        "a/prod:22",
        "b tcp/22",
        " a/prod",
        "a/prod all/1",
    ],
)
def test_a_target_that_is_none(selectors: Selectors, text: str):
    problems = Problems()
    assert selectors.target(text, ("here",), problems) is None
    assert len(problems.found) == 1
