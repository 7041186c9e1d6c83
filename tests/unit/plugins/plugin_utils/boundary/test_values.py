# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's tagged and lazy values made plain, with nothing lost on the way: values, errors, places."""

from __future__ import annotations

import datetime
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing import vault
from ansible.parsing.dataloader import DataLoader
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.inputs import load_record
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.secrets import secret_finder
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import locator, plain
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import INVALID
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import Problems
from ansible_collections.tenantnet.wireguard.tests.unit.support import inventory
from ansible_collections.tenantnet.wireguard.tests.unit.support.casefile import read_case

EVERYTHING = """\
---
wireguard_tenants:
  - name: "a"
    segments: []
    number: 7
    hexadecimal: 0x10
    fraction: 1.5
    yes_or_no: yes
    nothing: ~
    day: 2027-03-01
    moment: 2027-03-01 12:30:00
    text: |
      two
      lines
    nested: {list: [1, [2, {deep: x}]], 5: five, true: no}
"""


def types(value: Any) -> set[type]:
    """Return the exact types of everything in nested data."""
    if isinstance(value, dict):
        return {type(value)}.union(*(types(key) | types(item) for key, item in value.items()))
    if isinstance(value, list):
        return {type(value)}.union(*map(types, value))
    return {type(value)}


def raw(tmp_path: Path, text: str, variable: str = "wireguard_tenants", *, password: bool = False) -> tuple[Any, Any]:
    """Let Ansible load variables; return the raw variable and the boundary's inputs."""
    inventory.write(tmp_path, {"group_vars/all/x.yml": text})
    inputs = inventory.read(tmp_path, password=password)
    return inputs.variables.get(variable), inputs


def test_what_comes_out_is_plain_to_the_last_leaf(tmp_path: Path):
    """What pickle, json and `type(x) is str` need; Ansible's own containers have none of it.

    Broken on purpose: strings returned as they came.
    """
    value, inputs = raw(tmp_path, EVERYTHING)
    assert not inputs.problems.found
    assert value == yaml.safe_load(EVERYTHING)["wireguard_tenants"]
    assert types(value) <= {dict, list, str, int, float, bool, type(None), datetime.date, datetime.datetime}
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301


def test_templates_are_evaluated_where_they_stand(tmp_path: Path):
    value, inputs = raw(
        tmp_path,
        """\
---
name: acme
tenants: [a, b]
wireguard_tenants:
  - name: "{{ name }}"
    segments: "{{ [{'name': name ~ '-s', 'mtu': 1300 + 80}] }}"
    comment: "{# nothing #}x"
    loop: "{% for t in tenants %}{{ t }},{% endfor %}"
    native: "{{ tenants }}"
  - "{{ {'name': tenants[1], 'segments': []} }}"
""",
    )
    assert not inputs.problems.found
    assert value == [
        {
            "name": "acme",
            "segments": [{"name": "acme-s", "mtu": 1380}],
            "comment": "x",
            "loop": "a,b,",
            "native": ["a", "b"],
        },
        {"name": "b", "segments": []},
    ]
    assert types(value) == {dict, list, str, int}


def test_what_comes_out_of_a_template_is_data_and_no_template(tmp_path: Path):
    """Whatever a lookup or a fact brings along cannot make the controller evaluate it.

    Broken on purpose: `plain` of a template's result called with the template again.
    """
    value, inputs = raw(
        tmp_path,
        "---\nwireguard_tenants: \"{{ ['{' ~ '{ 1 + 1 }' ~ '}'] }}\"\n",
    )
    assert not inputs.problems.found
    assert value == ["{{ 1 + 1 }}"]


def test_unsafe_text_is_never_evaluated(tmp_path: Path):
    value, inputs = raw(tmp_path, '---\nwireguard_tenants: [!unsafe "{{ 1 + 1 }}", "{{ 1 + 1 }}"]\n')
    assert not inputs.problems.found
    assert value == ["{{ 1 + 1 }}", 2]


def test_every_undefined_name_is_told_at_once(tmp_path: Path):
    value, inputs = raw(
        tmp_path,
        '---\nwireguard_tenants: [{name: "{{ one }}"}, {name: "{{ two }}", segments: ["{{ three.four }}", ok]}]\n',
    )
    assert value == [{"name": INVALID}, {"name": INVALID, "segments": [INVALID, "ok"]}]
    assert [problem.path for problem in inputs.problems.found] == [
        ("wireguard_tenants", 0, "name"),
        ("wireguard_tenants", 1, "name"),
        ("wireguard_tenants", 1, "segments", 0),
    ]
    for problem, name in zip(inputs.problems.found, ("one", "two", "three"), strict=True):
        assert name in problem.wrong
        assert problem.remedy


def test_a_vaulted_value_is_its_text(tmp_path: Path):
    text = f"---\nwireguard_fabric: {inventory.encrypted('hidden', 2)}"
    value, inputs = raw(tmp_path, text, "wireguard_fabric", password=True)
    assert not inputs.problems.found
    assert value == "hidden"


def test_a_vaulted_value_is_plain(tmp_path: Path):
    text = f"---\nwireguard_fabric: {inventory.encrypted('hidden', 2)}"
    value, _inputs = raw(tmp_path, text, "wireguard_fabric", password=True)
    assert {type(value)} == {str}


def test_a_vaulted_value_inside_a_template(tmp_path: Path):
    text = f'---\nwireguard_fabric: "{{{{ prefix }}}}-b"\nprefix: {inventory.encrypted("a", 2)}'
    value, inputs = raw(tmp_path, text, "wireguard_fabric", password=True)
    assert not inputs.problems.found
    assert value == "a-b"


def test_a_number_of_a_vault_is_not_quoted_in_the_reason(tmp_path: Path):
    """Broken on purpose: the reason that tells how YAML reads a value left as it is."""
    text = '---\nwireguard_tenants: [{name: "{{ secret | int }}"}]\nsecret: ' + inventory.encrypted("1234567", 2)
    inventory.write(tmp_path, {"group_vars/all/x.yml": text})
    found = inventory.messages(inventory.read(tmp_path, password=True), tmp_path)
    assert any("wireguard_tenants[0].name: (vaulted)" in message for message in found), found
    assert not any("1234567" in message for message in found)


def test_no_value_of_a_file_that_is_vaulted_as_a_whole_is_shown(tmp_path: Path):
    """Directly, and by way of a template elsewhere; its place is. Broken on purpose: only inline vaults known."""
    lines = "---\nwireguard_keepalive: hunter2\nsecret: hunter3\n"
    whole = vault.VaultLib([("default", inventory.PASSWORD)]).encrypt(lines).decode()
    other = '---\nwireguard_quarantine_days: "{{ secret | lower }}"\n'
    inventory.write(tmp_path, {"group_vars/all/vault.yml": whole, "group_vars/all/x.yml": other})
    found = inventory.messages(inventory.read(tmp_path, password=True), tmp_path)
    told = [message for message in found if "keepalive" in message or "quarantine" in message]
    assert len(told) == 2, found
    assert "group_vars/all/vault.yml:2:22 wireguard_keepalive: (vaulted)" in told[0] + told[1]
    assert "hunter" not in "".join(found)


def test_filters_that_only_ansible_knows_make_no_secret():
    """Broken on purpose: names found by compiling the template, which refuses filters that Jinja does not know."""
    tells = secret_finder([{"word": "x", "hidden": "{{ word }}"}])
    assert not tells("{{ word | combine(hidden) | ansible.utils.ipaddr | nobodys_filter }}")


def test_a_template_that_uses_nothing_vaulted_is_shown(tmp_path: Path):
    """Beside a vaulted variable that has nothing to do with it."""
    text = f'---\nwireguard_keepalive: "{{{{ word | lower }}}}"\nword: NEVER\nsecret: {inventory.encrypted("a", 2)}'
    inventory.write(tmp_path, {"group_vars/all/x.yml": text})
    found = inventory.messages(inventory.read(tmp_path, password=True), tmp_path)
    assert any("'never', is not a whole number" in message for message in found), found


def test_without_the_password_each_vaulted_value_is_an_error_with_its_place(tmp_path: Path):
    secret = inventory.encrypted("hidden", 8)
    text = f"---\nwireguard_tenants:\n  - name: {secret}    segments: {secret}"
    _value, inputs = raw(tmp_path, text)
    assert [problem.path for problem in inputs.problems.found] == [
        ("wireguard_tenants", 0, "name"),
        ("wireguard_tenants", 0, "segments"),
    ]
    for problem, place in zip(inputs.problems.found, ("3:11", "10:15"), strict=True):
        assert problem.wrong.startswith("cannot be decrypted")
        assert inputs.locate(problem.path) == f"{tmp_path}/group_vars/all/x.yml:{place}"
        assert "$ANSIBLE_VAULT" not in problem.text(inputs.locate)


@pytest.mark.invariant(12)
@pytest.mark.parametrize(
    "value",
    [
        "wireguard_keepalive: SECRET",
        'wireguard_keepalive: "{{ secret }}"\nsecret: SECRET',
        # Ansible's mark is lost in a filter, a larger text, a structure, by another variable, by a name made here.
        'wireguard_keepalive: "{{ secret | lower }}"\nsecret: SECRET',
        'wireguard_keepalive: "x{{ secret }}y"\nsecret: SECRET',
        'wireguard_keepalive: "{{ box[0] ~ 1 }}"\nbox:\n- SECRET',
        'wireguard_keepalive: "{{ other | trim }}"\nother: "{{ secret | lower }}"\nsecret: SECRET',
        "wireguard_keepalive: \"{{ lookup('ansible.builtin.vars', 'sec' ~ 'ret') ~ 1 }}\"\nsecret: SECRET",
        'wireguard_keepalive: "{{ loop | lower }}"\nloop: "{{ back ~ secret }}"\nback: "{{ 1 }}"\nsecret: SECRET',
        # What a filter refuses it quotes.
        'wireguard_keepalive: "{{ secret | ansible.builtin.to_datetime }}"\nsecret: SECRET',
    ],
)
def test_what_was_vaulted_is_never_shown(tmp_path: Path, value: str):
    """Broken on purpose: a result that only Ansible's own mark makes a secret."""
    text = "---\n" + value.replace("SECRET", inventory.encrypted("hunter2", 2))
    inventory.write(tmp_path, {"group_vars/all/x.yml": text})
    found = inventory.messages(inventory.read(tmp_path, password=True), tmp_path)
    assert any("wireguard_keepalive" in message for message in found)
    assert not any("hunter2" in message for message in found)


PLACES = """\
---
wireguard_tenants:
  - name: a
    segments:
      - {name: s, mtu: 1300, peers: [{name: p}, {name: "q"}]}
      - name: t
        peer_isolation: true
        nothing:
wireguard_keepalive: 25
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("wireguard_tenants",), "3:3"),
        (("wireguard_tenants", 0), "3:5"),
        (("wireguard_tenants", 0, "name"), "3:11"),
        (("wireguard_tenants", 0, "segments", 0, "mtu"), "5:24"),
        (("wireguard_tenants", 0, "segments", 0, "peers", 1), "5:49"),
        (("wireguard_tenants", 0, "segments", 0, "peers", 1, "name"), "5:56"),
        # true and null cannot carry a place: the key has one.
        (("wireguard_tenants", 0, "segments", 1, "peer_isolation"), "7:9"),
        (("wireguard_tenants", 0, "segments", 1, "nothing"), "8:9"),
        (("wireguard_keepalive",), "9:22"),
        # What is not there has the place of what should hold it.
        (("wireguard_tenants", 0, "segments", 1, "subnet"), "6:9"),
        (("wireguard_tenants", 7), "3:3"),
        (("wireguard_tenants", 0, "name", "deeper"), "3:11"),
    ],
)
def test_places_of_real_values(tmp_path: Path, path: tuple[str | int, ...], place: str):
    """Broken on purpose: the place of the holder taken where the value has one of its own."""
    file = tmp_path / "vars.yml"
    file.write_text(PLACES, encoding="utf-8")
    locate = locator(DataLoader().load_from_file(str(file)))
    assert locate(path) == f"{file}:{place}"


@pytest.mark.parametrize("path", [("nowhere",), (), ("nowhere", 0, "x")])
def test_what_has_no_place(path: tuple[str | int, ...]):
    assert locator({"wireguard_tenants": [{"name": "a"}]})(path) is None
    assert locator({})(path) is None
    assert locator({"wireguard_tenants": [{"name": "a"}]})(("wireguard_tenants", 0, "name")) is None


def test_plain_data_needs_no_ansible():
    problems = Problems()
    data = {"a": [1, "x", None, True, {"b": (1, 2)}]}
    assert plain(data, (), None, problems) == {"a": [1, "x", None, True, {"b": [1, 2]}]}
    assert not problems.found


# Records are read from real files; every way to lose a part of one must be noticed.
LOCK = Path(__file__).parents[5] / "inventories" / "lab" / "wireguard.lock.yml"


def faults_of_lock(content: bytes, tmp_path: Path) -> list[str]:
    """Return what is wrong with a record's file, for the fabric of the lab."""
    (tmp_path / "wireguard.lock.yml").write_bytes(content)
    inventory.write(
        tmp_path, {"group_vars/all/fabric.yml": "wireguard_fabric: hostmycode\nwireguard_supernet: 10.100.0.0/16\n"}
    )
    return inventory.messages(inventory.read(tmp_path), tmp_path)


def test_a_whole_record_is_taken(tmp_path: Path):
    assert faults_of_lock(LOCK.read_bytes(), tmp_path) == []


def compiles(content: bytes, tmp_path: Path) -> bool:
    """Tell whether a record's file would be taken; only reads and compiles, a thousand times if need be."""
    from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import declare, messages_of

    problems = Problems()
    file = tmp_path / "wireguard.lock.yml"
    file.write_bytes(content)
    record = load_record(str(file), problems)
    if problems.found:
        return False
    try:
        messages_of(declare(record=record, fabric="hostmycode"))
    except AssertionError:
        return True
    return False


def test_a_record_cut_off_anywhere_is_refused(tmp_path: Path):
    """At every line's end, and at every byte of the last lines.

    Broken on purpose: an end mark that may be missing.
    """
    content = LOCK.read_bytes()
    ends = [number + 1 for number, byte in enumerate(content) if byte == ord("\n")][:-1]
    cut = [end for end in [*ends, *range(len(content) - 60, len(content) - 1)] if compiles(content[:end], tmp_path)]
    # Behind its header the file holds an empty text: see the next test.
    header = content.index(b"|\n") + 2
    assert [end for end in cut if end != header] == []


def test_a_record_cut_off_behind_its_header_is_refused(tmp_path: Path):
    assert not compiles(b"all:\n  vars:\n    wireguard_allocation_record: |\n", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"---\n", b"[]", b"all", b"all: []", b"all: {vars: []}", b"\x00\x01", b"\xff\xfe\xff",
        b"all: {vars: {x: 1}}",
        b"all: {vars: {wireguard_allocation_record: }}", b"{", b"a: b: c", b"!!python/object/apply:os.system [id]",
    ],
)  # fmt: skip
def test_a_file_of_another_form_is_refused(content: bytes, tmp_path: Path):
    assert not compiles(content, tmp_path)


def test_unresolved_conflict_markers_are_refused(tmp_path: Path):
    content = LOCK.read_bytes().replace(b"      end: wireguard.lock\n", b"<<<<<<< HEAD\n      end: wireguard.lock\n")
    (message,) = faults_of_lock(content, tmp_path)
    assert message.startswith("wireguard.lock.yml:")
    assert "restore it from git" in message


def test_the_place_in_a_broken_record_is_told(tmp_path: Path):
    folder = tmp_path / ("a-folder-with-a-rather-long-name-as-they-happen" * 2)
    folder.mkdir()
    file = folder / "wireguard.lock.yml"
    file.write_text("all:\n  vars: [\n", encoding="utf-8")
    problems = Problems()
    load_record(str(file), problems)
    (message,) = problems.texts(lambda path: None)
    assert str(file) in message
    assert "line 3" in message or ":3" in message


def test_a_name_that_git_merged_twice_is_refused(tmp_path: Path):
    """Two branches that add the same peer give it different addresses; a merge keeps both lines."""
    line = b'            "ops1": "10.100.0.3 fd64:e5a:100::3"\n'
    content = LOCK.read_bytes()
    assert line in content
    assert not compiles(content.replace(line, line + line.replace(b"0.3 ", b"0.9 ").replace(b"::3", b"::9")), tmp_path)


def test_no_record_is_no_error(tmp_path: Path):
    problems = Problems()
    assert load_record(str(tmp_path / "none.yml"), problems) is None
    assert load_record(None, problems) is None
    assert not problems.found


def test_a_record_that_cannot_be_read_is_one(tmp_path: Path):
    problems = Problems()
    load_record(str(tmp_path), problems)
    (problem,) = problems.found
    assert "cannot be read" in problem.wrong


def test_case_files_say_what_they_are_about():
    case = read_case(Path(__file__).parent / "cases" / "undefined-names.txt")
    assert case.about.startswith("Every undefined name")
    assert list(case.sections)[-1] == "expected"


def test_a_file_of_fifty_megabytes_gets_a_message_of_one_line(tmp_path: Path):
    """One value of it all, and beside it a mistake that must not be buried. Broken on purpose: values quoted whole."""
    blob = "x" * (50 << 20)
    text = f'---\nwireguard_keepalive: "{blob}"\nwireguard_tenants: [{{nam: a}}]\n'
    inventory.write(tmp_path, {"group_vars/all/x.yml": text})
    found = inventory.messages(inventory.read(tmp_path), tmp_path)
    # The blob, the key that is none, and the two that are missing.
    assert len(found) == 4, [message[:200] for message in found]
    assert max(map(len, found)) < 400
    assert any("wireguard_keepalive: 'xxx" in message and "is not a whole number" in message for message in found)
    assert any("did you mean 'name'?" in message for message in found)
