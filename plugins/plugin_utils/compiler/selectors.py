# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Selectors: the words of policies and tests, resolved to parties of the network.

A party is named by its id: ``management`` or ``tenant/segment`` for a whole segment, one level more for a
peer, ``hub`` for the hub's own addresses, ``internet`` for the world outside.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from .kinds import Ports, parse_ports
from .model import Service
from .placed import MANAGEMENT, Network
from .problems import Path, Problems, did_you_mean

HUB = "hub"
INTERNET = "internet"


@dataclass(frozen=True, slots=True)
class Match:
    """What a selector matched: parties, the ports of a service, and whether a tag brought them."""

    parties: tuple[str, ...]
    ports: tuple[Ports, ...] | None = None
    by_tag: bool = False


class Selectors:
    """Resolves selectors against one network."""

    def __init__(self, network: Network) -> None:
        """Index the network by tenant, tag and service."""
        self.network = network
        self.services: dict[str, Service] = {service.name: service for service in network.fabric.services}
        self._tenants: dict[str, list[str]] = {tenant.name: [] for tenant in network.fabric.tenants}
        self._tags: dict[str, list[str]] = defaultdict(list)
        for segment in network.segments.values():
            if segment.id != MANAGEMENT:
                self._tenants[segment.tenant].append(segment.id)
            for peer in segment.peers:
                for tag in peer.declared.tags:
                    self._tags[tag].append(peer.id)

    def resolve(self, word: str, path: Path, problems: Problems) -> Match | None:
        """Resolve a selector; None (and a problem) when it is wrong or matches nothing."""
        kind, colon, name = word.partition(":")
        if colon:
            if kind == "tag":
                return self._found(
                    word, self._tags.get(name, ()), [f"tag:{tag}" for tag in self._tags], path, problems, by_tag=True
                )
            if kind == "service":
                return self._service(word, name, path, problems)
            problems.add(
                path,
                word,
                "is not a selector",
                "write tenant, tenant/segment, tenant/segment/peer, tag:NAME, service:NAME, management, hub or "
                "internet",
            )
            return None
        if word in (HUB, INTERNET):
            return Match((word,))
        if word in self.network.segments or word in self.network.peers:
            return Match((word,))
        known = [*self._tenants, *self.network.segments, HUB, INTERNET]
        if word.count("/") == 2:
            known = list(self.network.peers)
        return self._found(word, self._tenants.get(word, ()), known, path, problems)

    def _service(self, word: str, name: str, path: Path, problems: Problems) -> Match | None:
        """Resolve a service to its peer and ports."""
        service = self.services.get(name)
        if service is None:
            return self._found(word, (), [f"service:{known}" for known in self.services], path, problems)
        if service.at not in self.network.peers:
            # The service's own place is reported once, by `check_services`.
            return None
        return Match((service.at,), ports=service.ports)

    @staticmethod
    def _found(
        word: str,
        parties: tuple[str, ...] | list[str],
        known: list[str],
        path: Path,
        problems: Problems,
        *,
        by_tag: bool = False,
    ) -> Match | None:
        """Return the match, or report that there is none."""
        if parties:
            return Match(tuple(parties), by_tag=by_tag)
        problems.add(
            path,
            word,
            f"matches nothing{did_you_mean(word, [each for each in known if each != word])}",
            "correct it, or remove it",
        )
        return None

    def target(self, text: str, path: Path, problems: Problems) -> Match | None:
        """Resolve the target of a test: a selector, and after a space its ports if wanted."""
        word, _space, ports_text = text.partition(" ")
        match = self.resolve(word, path, problems)
        if match is None or not ports_text:
            return match
        if match.ports is not None:
            problems.add(
                path, text, "names ports of a service", "remove the ports, or name the peer and not the service"
            )
            return None
        try:
            return Match(match.parties, (parse_ports(ports_text.strip()),), match.by_tag)
        except ValueError as error:
            problems.add(path, text, f"ends in what {error}", "write a selector, a space, and ports such as tcp/22")
            return None

    def check_services(self, problems: Problems) -> None:
        """Report every service that is not at a peer."""
        for service in self.services.values():
            if service.at not in self.network.peers:
                hint = did_you_mean(service.at, self.network.peers)
                problems.add((*service.path, "at"), service.at, f"is not a peer{hint}", "write tenant/segment/peer")
