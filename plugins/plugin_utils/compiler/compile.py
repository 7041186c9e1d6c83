# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from variables to plans: read, check, allocate, compile. Pure: no file, no network, no clock."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .allocate import allocate, check_numbers
from .check import check_fabric
from .grants import bar_peers, compile_grants
from .model import Fabric
from .overview import overview
from .parse import read_fabric, read_hub, with_default_management
from .placed import draft
from .plan import hub_plan, peer_plans
from .probes import compile_probes
from .problems import NO_VALUE, DeclarationError, Path, Problems
from .record import Record, empty_record, read_record, render_record
from .verdict import run_tests


@dataclass(frozen=True, slots=True)
class Declaration:
    """Everything that a plan depends on, as plain data.

    variables: the ``wireguard_*`` variables of the first hub. hubs: for each hub in the order of the
    inventory its own variables and its ansible_host. peer_hosts: the hosts of the managed peers' group.
    record: the loaded content of the allocation file, or None where there is no file. today: the date by
    which things expire, in UTC.
    """

    variables: Mapping[str, Any]
    hubs: Mapping[str, tuple[Mapping[str, Any], str | None]]
    peer_hosts: Sequence[str]
    record: Any
    today: datetime.date


def compile_declaration(declaration: Declaration, problems: Problems | None = None) -> dict[str, Any]:
    """Compile everything.

    problems: what was found wrong already, for instance by templating. Returns plain data: ``overview``;
    ``hubs``, ``peers`` and ``probes`` with a slice by inventory host; ``record``, the text of the record where it
    must change, else None.
    Raises DeclarationError with every problem at once.
    """
    problems = problems if problems is not None else Problems()
    fabric = _read(declaration, problems)
    if fabric is None:
        raise DeclarationError(problems)
    recorded = (
        empty_record(fabric.fabric)
        if declaration.record is None
        else read_record(declaration.record, fabric.fabric, problems)
    )
    if problems.found or recorded is None:
        raise _with_selectors(fabric, recorded or empty_record(fabric.fabric), declaration, problems)
    network, record = allocate(fabric, recorded, declaration.today, problems)
    if network is None:
        raise _with_selectors(fabric, recorded, declaration, problems)
    bar_peers(network, declaration.today)
    grants = compile_grants(network, declaration.today, problems)
    tests = run_tests(network, grants, problems)
    if problems.found:
        raise DeclarationError(problems)
    changed = declaration.record is None or record != recorded
    return {
        "overview": overview(network, grants, tests, (entry.was for entry in record.released.values())),
        "hubs": {hub.name: hub_plan(network, grants, hub.name) for hub in fabric.hubs},
        "peers": peer_plans(network, grants),
        "probes": compile_probes(network, grants),
        "record": render_record(record) if changed else None,
    }


def _with_selectors(fabric: Fabric, recorded: Record, declaration: Declaration, problems: Problems) -> DeclarationError:
    """Return the error of a declaration that cannot be placed, with what else is wrong: numbers and selectors."""
    check_numbers(fabric, recorded, problems)
    network = draft(fabric)
    grants = compile_grants(network, declaration.today, problems)
    run_tests(network, grants, problems)
    return DeclarationError(problems)


def _read(declaration: Declaration, problems: Problems) -> Fabric | None:
    """Read and check the declaration; everything wrong with it is in `problems`."""
    if not declaration.hubs:
        path: Path = ("wireguard_hubs",)
        problems.add(path, NO_VALUE, "is a group without hosts", "put at least one hub into it")
        return None
    hubs = tuple(
        read_hub(name, variables, ansible_host, problems)
        for name, (variables, ansible_host) in declaration.hubs.items()
    )
    fabric = read_fabric(declaration.variables, hubs, problems)
    if fabric is None:
        return None
    fabric = with_default_management(fabric)
    check_fabric(fabric, declaration.peer_hosts, problems)
    return fabric
