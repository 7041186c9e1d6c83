# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of the compiler one after the other, for tests that look at what lies between them."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.allocate import allocate
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.check import check_fabric
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import Declaration
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.grants import (
    Grant,
    bar_peers,
    compile_grants,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.parse import (
    read_fabric,
    read_hub,
    with_default_management,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.placed import Network
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import DeclarationError, Problems
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.record import empty_record, read_record


class Placed(NamedTuple):
    """A network with every number in its place, and who may open connections to whom in it."""

    network: Network
    grants: list[Grant]


def place(declaration: Declaration) -> Placed:
    """Go through the stages; raises DeclarationError as the compiler does."""
    problems = Problems()
    hubs = tuple(read_hub(name, own, host, problems) for name, (own, host) in declaration.hubs.items())
    fabric = read_fabric(declaration.variables, hubs, problems)
    if fabric is None:
        raise DeclarationError(problems)
    fabric = with_default_management(fabric)
    check_fabric(fabric, declaration.peer_hosts, problems)
    record = declaration.record
    recorded = empty_record(fabric.fabric) if record is None else read_record(record, fabric.fabric, problems)
    if recorded is None or problems.found:
        raise DeclarationError(problems)
    network, _record = allocate(fabric, recorded, declaration.today, problems)
    if network is None:
        raise DeclarationError(problems)
    bar_peers(network, declaration.today)
    grants = compile_grants(network, declaration.today, problems)
    if problems.found:
        raise DeclarationError(problems)
    return Placed(network, grants)
