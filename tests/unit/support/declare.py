# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small declarations, and what the compiler makes of them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import (
    Declaration,
    compile_declaration,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import (
    DeclarationError,
    Problem,
    Problems,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.record import VARIABLE

TODAY = datetime.date(2026, 6, 1)
# What stands wherever a test says nothing else.
BASE: dict[str, Any] = {"wireguard_fabric": "fab", "wireguard_supernet": "10.100.0.0/16"}
SUPERNET_V6 = "fd64:e5a:100::/48"
HUBS: dict[str, tuple[dict[str, Any], str | None]] = {"hub1": ({}, "192.0.2.1")}
PEER_HOSTS = ("web1", "web2", "db1")


@dataclass(frozen=True)
class Compiled:
    """A plan, and the record that stands after it."""

    plan: dict[str, Any]
    record: Any

    @property
    def record_changed(self) -> bool:
        return self.plan["record"] is not None

    @property
    def allocations(self) -> dict[str, dict[str, Any]]:
        return {item["id"]: item for item in self.plan["overview"]["allocations"]}

    @property
    def addresses(self) -> dict[str, tuple[str, str | None]]:
        """Each peer's addresses, by id."""
        return {peer["peer"]: (peer["address"], peer["address_v6"]) for peer in self.plan["overview"]["peers"]}

    @property
    def hub(self) -> dict[str, Any]:
        """The plan of the first hub."""
        first: dict[str, Any] = next(iter(self.plan["hubs"].values()))
        return first

    @property
    def interfaces(self) -> dict[str, dict[str, Any]]:
        """The first hub's interfaces, by segment."""
        return {item["segment"]: item for item in self.hub["interfaces"]}


def key(label: str) -> str:
    """Make a public key that can be told from others by eye.

    Its last byte is zero: a private key's never is, so nothing can take it for one.
    """
    return f"{label:0<41}AA="


def tenant(name: str, *segments: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    return {"name": name, "segments": list(segments), **options}


def segment(name: str, *peers: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    return {"name": name, "peers": list(peers), **options}


def peer(name: str, **options: Any) -> dict[str, Any]:
    """Make a generated peer, or of the kind that the options say."""
    kind = {} if {"host", "public_key", "key"} & options.keys() else {"key": "generated"}
    return {"name": name, **kind, **options}


def policy(name: str, sources: Sequence[str], targets: Sequence[str], *ports: str, **options: Any) -> dict[str, Any]:
    return {
        "name": name,
        "from": list(sources),
        "to": list(targets),
        **({"ports": list(ports)} if ports else {}),
        **options,
    }


def declare(
    *tenants: Mapping[str, Any],
    record: Any = None,
    today: datetime.date = TODAY,
    hubs: Mapping[str, tuple[Mapping[str, Any], str | None]] | None = None,
    hosts: Sequence[str] = PEER_HOSTS,
    **variables: Any,
) -> Declaration:
    """Make a declaration of tenants and ``wireguard_*`` variables, each named without the prefix."""
    ours: dict[str, Any] = dict(BASE)
    if tenants:
        ours["wireguard_tenants"] = list(tenants)
    ours.update((f"wireguard_{name}", value) for name, value in variables.items())
    return Declaration(ours, HUBS if hubs is None else hubs, hosts, record, today)


def load_record(text: str) -> Any:
    """Read the text of a record's file the way the boundary does."""
    return yaml.safe_load(yaml.safe_load(text)["all"]["vars"][VARIABLE])


def compile_it(declaration: Declaration) -> Compiled:
    plan = compile_declaration(declaration)
    return Compiled(plan, declaration.record if plan["record"] is None else load_record(plan["record"]))


def compiled(*tenants: Mapping[str, Any], **options: Any) -> Compiled:
    """Compile a declaration that must be right; for the arguments see `declare`."""
    return compile_it(declare(*tenants, **options))


def faults_of(declaration: Declaration, problems: Problems | None = None) -> list[Problem]:
    """Compile a declaration that must be wrong, and return what is."""
    try:
        compile_declaration(declaration, problems)
    except DeclarationError as error:
        return error.problems.found
    raise AssertionError("the declaration compiled, though it is wrong")


def messages_of(declaration: Declaration) -> list[str]:
    """Compile a declaration that must be wrong, and return its messages as a user reads them."""
    return Problems(faults_of(declaration)).texts(lambda path: None)


def messages(*tenants: Mapping[str, Any], **options: Any) -> list[str]:
    """Return the messages about a declaration that must be wrong; for the arguments see `declare`."""
    return messages_of(declare(*tenants, **options))
