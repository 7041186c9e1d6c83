# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be wrong with a declaration or its record: a file each in cases/, with the messages it gets.

The messages are compared whole, because they are what a user has to work with: the path, the value, the second party
of a clash, and what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import Declaration
from ansible_collections.tenantnet.wireguard.tests.unit.support.casefile import Case, read_cases
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    BASE,
    HUBS,
    PEER_HOSTS,
    TODAY,
    faults_of,
    messages_of,
)

CASES = read_cases(Path(__file__).parent / "cases")


def declaration_of(case: Case) -> Declaration:
    """Make a case's declaration: its variables over the base's, its hubs and its record where it has them."""
    loaded: dict[str, Any] = {name: yaml.safe_load(text) for name, text in case.sections.items() if name != "expected"}
    variables = {**BASE, **loaded.get("declaration", {})}
    for name in str(loaded.get("without", "")).split():
        del variables[name]
    hubs = HUBS
    if "hubs" in loaded:
        hubs = {name: (own.get("variables", {}), own.get("ansible_host")) for name, own in loaded["hubs"].items()}
    return Declaration(variables, hubs, PEER_HOSTS, loaded.get("record"), TODAY)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)
def test_messages(case: Case):
    """Broken on purpose: `overlapping` that keeps no holder; `unique` that forgets the first; a reader that coerces."""
    case.check(messages_of(declaration_of(case)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)
def test_every_fault_has_a_path_and_a_remedy(case: Case):
    """A clash also names its second party, and that it is another place than the first."""
    for fault in faults_of(declaration_of(case)):
        assert str(fault.path[0]).startswith(("wireguard", "hostvars["))
        assert fault.wrong
        assert fault.remedy
        if case.path.stem.startswith("clash-"):
            assert fault.other
            assert fault.other != fault.path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)
def test_every_case_says_what_it_is_about(case: Case):
    assert case.about
    assert "declaration" in case.sections or "record" in case.sections
    assert case.expected
