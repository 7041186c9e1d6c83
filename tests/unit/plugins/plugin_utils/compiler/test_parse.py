# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From variables to objects: joined lists, defaults, hubs' own variables, and how a problem is worded."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import INVALID
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.model import (
    Fabric,
    Management,
    Peer,
    Policy,
    PolicyTest,
    Revoked,
    Segment,
    Service,
    Tenant,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.parse import RUN_VARIABLES, is_ours
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import (
    NO_VALUE,
    Problem,
    Problems,
    did_you_mean,
    path_text,
    value_text,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.schema import options_of, read_mapping
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    Compiled,
    compiled,
    declare,
    faults_of,
    key,
    messages,
    peer,
    policy,
    segment,
    tenant,
)

MODELS = (Fabric, Management, Tenant, Segment, Peer, Service, Policy, PolicyTest, Revoked)


def test_one_customer_one_file():
    """Every list may stand in pieces, in whichever variable a piece stands."""
    pieces = compiled(
        tenants=[tenant("a", segment("s", peer("p")))],
        tenants__b=[tenant("b", segment("s", peer("p")))],
        tenants__c_2=[],
        services__b=[{"name": "web", "at": "b/s/p", "ports": ["tcp/80"]}],
        policies__a=[policy("x", ["a"], ["service:web"])],
        policy_tests__a=[{"from": "a", "accept": ["service:web"]}],
        revoked__b=[{"public_key": key("mallory")}],
    )
    whole = compiled(
        tenants=[tenant("b", segment("s", peer("p"))), tenant("a", segment("s", peer("p")))],
        services=[{"name": "web", "at": "b/s/p", "ports": ["tcp/80"]}],
        policies=[policy("x", ["a"], ["service:web"])],
        policy_tests=[{"from": "a", "accept": ["service:web"]}],
        revoked=[{"public_key": key("mallory")}],
    )
    assert pieces.plan == whole.plan
    assert pieces.plan["overview"]["tests"][0]["result"] == "pass"


def test_an_error_in_a_piece_names_the_piece():
    (message,) = messages(tenants__b_2=[tenant("b", segment("s", peer("P")))])
    assert message.startswith("wireguard_tenants__b_2[0].segments[0].peers[0].name: 'P'")


def test_what_steers_a_run_is_no_part_of_the_declaration():
    plain = compiled(tenant("a", segment("s")))
    steered = compiled(
        tenant("a", segment("s")), **{name.removeprefix("wireguard_"): object() for name in RUN_VARIABLES}
    )
    assert steered.plan == plain.plan


@pytest.mark.parametrize(
    ("variable", "ours"),
    [
        ("wireguard_tenants", True),
        ("wireguard_tenants__acme", True),
        ("wireguard_tennants", True),
        ("wireguard_target", False),
        ("wireguard_hub_endpoint", False),
        ("wireguard", False),
        ("ansible_host", False),
    ],
)
def test_which_variables_are_the_fabrics(variable: str, ours: bool):
    assert is_ours(variable) == ours


def test_defaults_are_what_the_design_says():
    plan = compiled()
    management = plan.interfaces["management"]
    assert (management["name"], management["listen_port"], management["addresses"]) == ("wg0", 51820, ["10.100.0.1/32"])
    assert plan.hub["routing"]["priorities"] == [2000, 24000]
    assert plan.hub["uplinks"] in (None, [])


def hubs(**variables: Any) -> Compiled:
    return compiled(hubs={"hub1": ({f"wireguard_hub_{name}": value for name, value in variables.items()}, "192.0.2.1")})


def test_uplinks_are_the_hubs_own():
    assert hubs(uplinks=["eth1", "eth0.100"]).hub["uplinks"] == ["eth1", "eth0.100"]


@pytest.mark.parametrize("model", MODELS)
def test_every_key_is_documented(model: type):
    """The same statement reads a key and documents it: a sentence, a kind, and a default that is not required."""
    for name, option in options_of(model).items():
        assert option.doc.endswith("."), name
        assert option.kind, name
        assert not (option.required and option.default is not None), name


@pytest.mark.parametrize("model", MODELS)
def test_every_key_is_read_from_its_own_name(model: Any):
    """Broken on purpose: `from` read as `from_`, the name of its attribute."""
    assert not [name for name in options_of(model) if name.endswith("_")]
    for name in options_of(model):
        problems = Problems()
        read_mapping(model, {name: object()}, (), problems)
        assert (name,) in [problem.path[:1] for problem in problems.found]
        assert not [problem for problem in problems.found if "unknown" in problem.wrong]


def test_nothing_follows_from_what_the_boundary_found_wrong_already():
    """A template that failed is one error and not two; whatever depends on it is not guessed at."""
    problems = Problems()
    problems.add(("wireguard_tenants", 0, "segments", 0, "subnet"), "{{ x }}", "cannot be templated", "define it")
    declaration = declare(tenant("a", segment("s", subnet=INVALID)), keepalive=INVALID)
    assert [problem.wrong for problem in faults_of(declaration, problems)] == ["cannot be templated"]


PATHS = [
    (("wireguard_tenants",), "wireguard_tenants"),
    (("wireguard_tenants", 0, "segments", 12, "subnet"), "wireguard_tenants[0].segments[12].subnet"),
    (("hostvars[hub1]", "wireguard_hub_endpoint"), "hostvars[hub1].wireguard_hub_endpoint"),
]


@pytest.mark.parametrize(("path", "text"), PATHS)
def test_paths_are_written_as_people_write_them(path: tuple[str | int, ...], text: str):
    assert path_text(path) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        ("a\nb", r"'a\nb'"),
        ("it's", '"it\'s"'),
        (7, "7"),
        (True, "True"),
        ([1, 2], "a list"),
        ({"a": 1}, "a mapping"),
        ("x" * 200, "'" + "x" * 76 + "..."),
    ],
)
def test_values_are_quoted_in_one_short_line(value: Any, text: str):
    assert value_text(value) == text
    assert len(value_text(value)) <= 80


@pytest.mark.parametrize(
    ("value", "text"),
    [(datetime.date(2027, 3, 1), "2027-03-01"), (datetime.datetime(2027, 3, 1), "2027-03-01 00:00:00")],
)
def test_dates_are_shown_as_yaml_writes_them(value: Any, text: str):
    assert value_text(value) == text


def test_a_message_has_place_path_value_wrong_other_and_remedy():
    problem = Problem(("a", 0), "x", "overlaps y", "choose another", ("b", 1))
    places = {("a", 0): "f.yml:1:2", ("b", 1): "g.yml:3:4"}
    assert problem.text(places.get) == "f.yml:1:2 a[0]: 'x', overlaps y, with b[1] (g.yml:3:4), choose another"
    assert problem.text(lambda path: None) == "a[0]: 'x', overlaps y, with b[1], choose another"
    assert Problem(("a",), NO_VALUE, "is missing", "add it").text(lambda path: None) == "a: is missing, add it"


def test_messages_are_sorted_by_number_and_each_said_once():
    problems = Problems()
    for number in (10, 9, 2, 9):
        problems.add(("a", number), NO_VALUE, "is wrong", "correct it")
    assert [text.split(":")[0] for text in problems.texts(lambda path: None)] == ["a[2]", "a[9]", "a[10]"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [("segmants", " (did you mean 'segments'?)"), ("segments", " (did you mean 'segments'?)"), ("zzz", ""), ("", "")],
)
def test_did_you_mean(word: str, hint: str):
    assert did_you_mean(word, ["segments", "peers"]) == hint


@pytest.mark.parametrize("word", ["a\nwireguard_fabric: is wrong too", "x" * 5000, "\x1b[31mred"])
def test_a_message_is_one_readable_line_whatever_the_key_is(word: str):
    (message,) = messages(tenants=[{"name": "a", "segments": [], word: 1}])
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(
    "variables",
    [
        {"keepalive": 16**5000},
        {"fabric": 16**5000},
        {"tenants": [{"name": "a", "segments": [], 16**5000: 1}]},
    ],
    ids=["as a number", "as a name", "as a key"],
)
def test_a_huge_number_is_an_error_like_any_other(variables: dict[str, Any]):
    """YAML reads hexadecimal numbers of any length."""
    assert messages(**variables)


def test_a_remedy_is_a_whole_sentence():
    (message,) = messages(management=None)
    assert message == message.strip()


def test_a_wrong_key_is_one_error():
    """Not also a peer of no kind."""
    found = messages(tenant("a", segment("s", {"name": "p", "public_key": "no key"})))
    assert len(found) == 1


@pytest.mark.parametrize("of", ["a peer and itself", "tenants of two hubs"])
def test_a_policy_that_joins_nothing_is_told_why(of: str):
    if of == "a peer and itself":
        found = messages(tenant("a", segment("s", peer("p"))), policies=[policy("x", ["a/s/p"], ["a/s/p"], "all")])
    else:
        found = messages(
            tenant("a", segment("s"), hub="hub1"),
            tenant("b", segment("s"), hub="hub2"),
            policies=[policy("x", ["a"], ["b"], "all")],
            hubs={"hub1": ({}, None), "hub2": ({}, None)},
        )
    assert found
    assert not any("tag" in message for message in found)


def test_errors_of_the_record_are_told_with_those_of_the_declaration():
    found = messages(tenants=[{"name": "A", "segments": []}], record={"fabric": "other"})
    assert any(message.startswith("wireguard_tenants") for message in found)
    assert any(message.startswith("wireguard.lock.yml") for message in found)


def test_clashing_numbers_are_told_with_all_other_errors():
    found = messages(
        tenant("a", segment("s", listen_port=4000), segment("t", listen_port=4000), colour="blue"),
    )
    assert any("colour" in message for message in found)
    assert any("listen_port" in message for message in found)


def test_every_wrong_source_of_a_policy_is_told():
    found = messages(
        tenant("a", segment("s", peer("p"))),
        services=[{"name": "web", "at": "a/s/p", "ports": ["tcp/80"]}],
        policies=[policy("x", ["internet", "service:web"], ["a"], "all")],
    )
    assert {message.split(":")[0] for message in found} == {
        "wireguard_policies[0].from[0]",
        "wireguard_policies[0].from[1]",
    }


# A private key that is no point of the curve's group, as fifteen of sixteen are not.
PRIVATE_KEY = "WLrTxI4s+f+wHHqSvCTfKWUEagjMSv1hxdlfBlqZ3EQ="


def test_a_private_key_where_a_public_one_belongs():
    """It has a private key's form (clamped, RFC 7748), and its bytes are no public key of any private one.

    A sixteenth of all public keys has that form too, so the form alone proves nothing; see test_kinds.py for one.
    """
    found = messages(tenant("a", segment("s", {"name": "p", "public_key": PRIVATE_KEY})))
    assert any("private" in message for message in found)
    # It must not be copied into logs on top of that.
    assert not any(PRIVATE_KEY in message for message in found)
