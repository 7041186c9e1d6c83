# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub on paper: carries packets by its plan alone, wall by wall, and says where they come out.

It is the second judge. It reads nothing but what a hub is given (interfaces with AllowedIPs and routes, rules, the
firewall's text) and shares no code with the verdicts that it is compared with. Either wall can be taken down.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from ansible_collections.tenantnet.wireguard.tests.unit.support import nft
from ansible_collections.tenantnet.wireguard.tests.unit.support.iprule import UNREACHABLE, Packet, Rules

UPLINK = "eth0"
# Where a packet can end. Everything but these is a reason why it was dropped.
TO_HUB = "hub"
TO_INTERNET = "internet"
_CONNECTED = ("192.0.2.0/24", "2001:db8:ffff::/64")


class Probe(NamedTuple):
    """The first packet of a connection. port is 0 for icmp and for other protocols."""

    iif: str
    source: str
    destination: str
    protocol: str
    port: int


class Outcome(NamedTuple):
    """Where a packet ended: a peer's id, hub, internet, or `dropped:` and why; and by which policy's chain."""

    end: str
    policy: str = ""


class Hub:
    """One hub's plan, ready to carry packets."""

    def __init__(self, plan: dict[str, Any], *, firewall: bool = True, routing: bool = True) -> None:
        self.plan = plan
        self.firewall = nft.Ruleset(plan["firewall"]) if firewall else None
        if self.firewall:
            self.firewall.add("uplinks", f'"{UPLINK}"')
            self.firewall.add("connected4", _CONNECTED[0])
            self.firewall.add("connected6", _CONNECTED[1])
        self.rules = {
            int(family): Rules(sorted(rules, key=lambda rule: int(rule[0])))
            for family, rules in plan["routing"]["rules"].items()
        }
        self.local = {address.split("/")[0] for item in plan["interfaces"] for address in item["addresses"]}
        self.owner: dict[str, list[tuple[Any, str]]] = {
            item["name"]: [(ip_network(block), peer["id"]) for peer in item["peers"] for block in peer["allowed_ips"]]
            for item in plan["interfaces"]
        }
        self.tables: dict[str, list[tuple[Any, str]]] = defaultdict(list)
        for item in plan["interfaces"] if routing else ():
            for route in item["routes"]:
                self.tables[str(route["table"])].append((ip_network(route["to"]), item["name"]))

    def peer_at(self, interface: str, address: str) -> str | None:
        """Return the peer whose AllowedIPs hold an address: WireGuard's own routing, longest prefix first."""
        return _longest(self.owner.get(interface, ()), address)

    def send(self, probe: Probe, flow: nft.Flow | None = None) -> Outcome:
        """Carry a packet that a peer sends; `flow`: the connection that it belongs to, a new one by default."""
        if probe.iif in self.owner and self.peer_at(probe.iif, probe.source) is None:
            return Outcome("dropped: not the address of any peer there")
        return self.carry(probe, flow)

    def carry(self, probe: Probe, flow: nft.Flow | None = None) -> Outcome:
        """Carry a packet that stands on an interface already, wherever it came from."""
        family = _parsed(probe.source).version
        flow = flow or nft.Flow(probe.source, probe.destination, probe.protocol, probe.port)
        packet = nft.Packet(
            family, probe.iif, "", probe.source, probe.destination, probe.protocol, flow,
            "echo-reply" if flow.direction == "reply" else "echo-request",
        )  # fmt: skip
        if self.firewall and self.firewall.run("prerouting", packet) == nft.DROP:
            return Outcome(f"dropped: prerouting {packet.trace[-1]}")
        if probe.destination in self.local:
            if self.firewall and self.firewall.run("input", packet) == nft.DROP:
                return Outcome(f"dropped: input {packet.trace[-1]}")
            return Outcome(TO_HUB, _policy(packet))
        packet.oif = self._route(packet)
        if packet.oif == UNREACHABLE:
            return Outcome("dropped: unreachable")
        if self.firewall:
            for hook in ("forward", "postrouting"):
                if self.firewall.run(hook, packet) == nft.DROP:
                    return Outcome(f"dropped: {hook} {packet.trace[-1]}")
        if packet.oif == UPLINK:
            return Outcome(TO_INTERNET, _policy(packet))
        peer = self.peer_at(packet.oif, probe.destination)
        return Outcome("dropped: no peer has that address" if peer is None else peer, _policy(packet))

    def answer(self, source: str, destination: str) -> str | None:
        """Send a packet of the hub's own, and return the peer that gets it."""
        family = _parsed(source).version
        flow = nft.Flow(destination, source, "tcp", 0, state="established", direction="reply", mark=nft.GENERATION)
        packet = nft.Packet(family, "lo", "", source, destination, "tcp", flow)
        packet.oif = self._route(packet)
        if self.firewall and self.firewall.run("postrouting", packet) == nft.DROP:
            return None
        return self.peer_at(packet.oif, destination)

    def carry_from_internet(self, probe: Probe, flow: nft.Flow) -> Outcome:
        """Carry the reply to a connection that was translated on its way out.

        It is addressed to the uplink until conntrack translates it back, between the chains of prerouting and the
        rules; the rules see the peer's address and the firewall's mark.
        """
        family = _parsed(probe.source).version
        packet = nft.Packet(
            family, UPLINK, "", probe.destination, nft.MASQUERADED[family], probe.protocol, flow, "echo-reply"
        )
        if self.firewall and self.firewall.run("prerouting", packet) == nft.DROP:
            return Outcome(f"dropped: prerouting {packet.trace[-1]}")
        packet.destination = probe.source
        packet.oif = self._route(packet)
        if packet.oif == UNREACHABLE:
            return Outcome("dropped: unreachable")
        for hook in ("forward", "postrouting"):
            if self.firewall and self.firewall.run(hook, packet) == nft.DROP:
                return Outcome(f"dropped: {hook} {packet.trace[-1]}")
        return Outcome(self.peer_at(packet.oif, probe.source) or "dropped: no peer has that address")

    def _route(self, packet: nft.Packet) -> str:
        """Return the interface that a packet leaves by, or unreachable. Every table of ours is closed."""
        rules = self.rules.get(packet.family) or Rules([])
        found = rules.walk(Packet(packet.iif, packet.source, packet.destination, packet.mark)).found
        if found in (UNREACHABLE, "main"):
            return UPLINK if found == "main" else found
        return _longest(self.tables[found], packet.destination) or UNREACHABLE


def _longest(blocks: Any, address: str) -> str | None:
    """Return what belongs to the longest block that holds an address."""
    here = _parsed(address)
    held = [(block.prefixlen, name) for block, name in blocks if block.version == here.version and here in block]
    return max(held)[1] if held else None


@cache
def _parsed(address: str) -> Any:
    return ip_address(address)


def _policy(packet: nft.Packet) -> str:
    """Return the policy whose chain accepted a packet."""
    named = [chain for chain in packet.trace if chain.startswith(("policy-", "own-"))]
    return named[-1] if named else ""
