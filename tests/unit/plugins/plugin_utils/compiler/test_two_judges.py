# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two judges of every connection: the verdicts, and a hub on paper that has only its plan.

The hub carries packets through its firewall's text, its rules, its routes and WireGuard's AllowedIPs; it shares no
code with the verdicts. What one allows must arrive at the other, both ways, and nothing else may.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, NamedTuple

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.addresses import Prefix
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import Declaration
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.grants import segment_of
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import ALL_PORTS, Ports
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.placed import Network, PlacedPeer
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import DeclarationError
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.verdict import Verdicts
from ansible_collections.tenantnet.wireguard.tests.unit.support import nft
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    HUBS,
    PEER_HOSTS,
    SUPERNET_V6,
    TODAY,
    compile_it,
    compiled,
    declare,
    peer,
    policy,
    segment,
    tenant,
)
from ansible_collections.tenantnet.wireguard.tests.unit.support.effort import examples
from ansible_collections.tenantnet.wireguard.tests.unit.support.hub import (
    TO_HUB,
    TO_INTERNET,
    UPLINK,
    Hub,
    Outcome,
    Probe,
)
from ansible_collections.tenantnet.wireguard.tests.unit.support.network import Placed, place
from ansible_collections.tenantnet.wireguard.tests.unit.support.strategies import declarations
from hypothesis import assume, given
from hypothesis import strategies as st

# Some of every kind, and a protocol without ports: for pairs that no policy speaks of.
PORTS = (
    ("tcp", 19), ("tcp", 20), ("tcp", 22), ("tcp", 24), ("tcp", 25), ("tcp", 30), ("tcp", 31), ("tcp", 443),
    ("tcp", 444),
    ("tcp", 65535), ("udp", 1), ("udp", 53), ("udp", 54), ("icmp", 0), ("gre", 0),
)  # fmt: skip
WORLD = {4: "198.51.100.7", 6: "2001:db8:1::7"}
MARTIANS = {4: ("127.0.0.1", "169.254.169.254", "224.0.0.5", "0.0.0.0", "192.0.2.1"), 6: ("::1", "fe80::1", "ff02::5")}  # noqa: S104


class World(NamedTuple):
    """A declaration seen by both judges."""

    placed: Placed
    verdicts: Verdicts
    plan: dict[str, Any]

    @property
    def network(self) -> Network:
        return self.placed.network

    def allows(self, source: str, target: str, protocol: str, port: int) -> bool:
        ports = Ports(protocol, port, port) if protocol in ("tcp", "udp", "icmp") else ALL_PORTS
        return self.verdicts.allows(source, target, ports) is not None

    def worth_asking(self, source: str, target: str, chance: Any) -> list[tuple[str, int]]:
        """Choose ports: on both sides of every edge of what is granted, and one at random."""
        edges = {chance.choice(PORTS)}
        for grant in self.verdicts.between(source, target) if target else ():
            first, last = grant.ports.first, grant.ports.last
            if grant.ports.protocol in ("tcp", "udp"):
                edges |= {
                    (grant.ports.protocol, port) for port in (first - 1, first, last, last + 1) if 0 < port < 65536
                }
            else:
                edges |= {("icmp", 0), ("gre", 0)}
        return chance.sample(sorted(edges), min(len(edges), 5))


def world(declaration: Declaration) -> World:
    plan = compile_it(declaration).plan
    placed = place(declaration)
    return World(placed, Verdicts(*placed), plan["hubs"]["hub1"])


def drawn(variables: dict[str, Any]) -> World:
    """Make a world of a drawn declaration, if it is right."""
    try:
        return world(Declaration(variables, HUBS, PEER_HOSTS, None, TODAY))
    except DeclarationError:
        assume(False)
        raise


def inside(block: Prefix) -> str:
    """Return one address of a block."""
    return block.host(5 if block.size > 5 else 0).address


class Place(NamedTuple):
    """Somewhere to send to: an address, and the party that it is, if anybody's."""

    address: str
    party: str


def places(network: Network, source: PlacedPeer, family: int) -> Iterator[Place]:
    """Yield all sorts of destinations: peers and their sites, hubs' addresses, nobody's, the internet."""
    for other in network.peers.values():
        if other is not source:
            yield from (Place(inside(block), other.id) for block in other.prefixes if block.family == family)
    for each in network.segments.values():
        for subnet in each.subnets:
            if subnet.family == family:
                yield Place(subnet.host(1).address, TO_HUB if each is source.segment else "")
                yield Place(subnet.host(250).address, "")
    yield Place(WORLD[family], TO_INTERNET)
    yield from (Place(address, "") for address in MARTIANS[family])


def holders(network: Network, address: str) -> set[str]:
    """Return every peer that has an address or a site with it: sites in different segments may be alike."""
    value, family = int(ip_address(address)), ip_address(address).version
    return {
        each.id
        for each in network.peers.values()
        for block in each.prefixes
        if block.family == family and block.value <= value <= block.last
    }


def judge_both(found: World, hub: Hub, source: PlacedPeer, probe: Probe, party: str) -> Outcome:
    """Ask both judges about one packet."""
    outcome = hub.send(probe)
    ends = holders(found.network, probe.destination)
    if outcome.end.startswith("dropped:"):
        # Where sites are alike, the own segment's is meant, and the packet may have been refused on its behalf.
        wanted = party and len(ends) < 2 and found.allows(source.id, party, probe.protocol, probe.port)
        assert not wanted, (probe, outcome, "the verdict allows it")
    else:
        assert outcome.end in {*ends, TO_HUB, TO_INTERNET}, (probe, outcome, "came out where nobody has that address")
        assert outcome.end != TO_HUB or party == TO_HUB, (probe, outcome, "another segment's address of the hub")
        assert found.allows(source.id, outcome.end, probe.protocol, probe.port), (
            probe,
            outcome,
            "the verdict denies it",
        )
    return outcome


@pytest.mark.invariant(1, 10)
@given(declarations(), st.randoms(use_true_random=False))
def test_the_verdicts_and_the_hub_agree(variables: dict[str, Any], chance: Any):
    """Every peer from each of its addresses to all sorts of places, on some ports each.

    What is allowed also finds its way back: the reply of a peer, of the hub, of the internet.
    Broken on purpose, each found: a map without its second scope; `segment.prefixes` without sites; routes without the
    way back; a port range cut one too early; the dispatch by zone pointing at the next segment's chain.
    """
    found = drawn(variables)
    hub = Hub(found.plan)
    for source in found.network.peers.values():
        for block in source.prefixes:
            for there in places(found.network, source, block.family):
                for protocol, port in found.worth_asking(source.id, there.party, chance):
                    probe = Probe(source.segment.interface, inside(block), there.address, protocol, port)
                    if source.barred:
                        assert hub.send(probe).end.startswith("dropped: not the address of any peer")
                        continue
                    outcome = judge_both(found, hub, source, probe, there.party)
                    if not outcome.end.startswith("dropped:"):
                        assert comes_back(found, hub, probe, outcome) == source.id


def comes_back(found: World, hub: Hub, probe: Probe, outcome: Outcome) -> str | None:
    """Send the reply of a connection that was accepted, and return who gets it."""
    zone = segment_of_interface(found, probe.iif).number
    flow = nft.Flow(
        probe.source, probe.destination, probe.protocol, probe.port, zone, "established", "reply", nft.GENERATION
    )
    if outcome.end == TO_HUB:
        return hub.answer(probe.destination, probe.source)
    if outcome.end == TO_INTERNET:
        return hub.carry_from_internet(probe, flow).end
    target = segment_of(outcome.end, found.network)
    assert target is not None
    return hub.send(probe._replace(iif=target.interface, source=probe.destination, destination=probe.source), flow).end


def segment_of_interface(found: World, interface: str) -> Any:
    return next(each for each in found.network.segments.values() if each.interface == interface)


def joined(found: World) -> set[frozenset[str]]:
    """Return the pairs of segments that any policy joins, in whichever direction; each is joined with itself."""
    pairs = {frozenset({each}) for each in found.network.segments}
    for grant in found.placed.grants:
        ends = segment_of(grant.source, found.network), segment_of(grant.target, found.network)
        pairs |= {frozenset({each.id for each in ends if each is not None})}
    return pairs


@pytest.mark.invariant(1, 10)
@given(declarations())
@examples(25)
def test_with_the_firewall_flushed_only_joined_segments_exchange_packets(variables: dict[str, Any]):
    """Invariant 1, first half; and nobody reaches the internet at all.

    Broken on purpose: every segment's own subnet routed in every table, for the firewall to sort out.
    """
    found = drawn(variables)
    hub = Hub(found.plan, firewall=False)
    pairs = joined(found)
    for source in found.network.peers.values():
        for block in source.prefixes:
            for there in places(found.network, source, block.family):
                outcome = hub.send(Probe(source.segment.interface, inside(block), there.address, "tcp", 9))
                assert outcome.end != TO_INTERNET
                if "/" in outcome.end and not outcome.end.startswith("dropped:"):
                    target = found.network.peers[outcome.end].segment
                    assert frozenset({source.segment.id, target.id}) in pairs


@pytest.mark.invariant(1, 10)
@given(declarations())
@examples(15)
def test_with_the_routing_flushed_nobody_exchanges_packets(variables: dict[str, Any]):
    """Invariant 1, second half: rules and closed tables stand, routes through interfaces are gone.

    Not even the way to the internet is open then, but for what the firewall marks.
    Broken on purpose: a segment's packets looked up in main.
    """
    found = drawn(variables)
    for firewall in (True, False):
        hub = Hub(found.plan, firewall=firewall, routing=False)
        for source in found.network.peers.values():
            for block in source.prefixes:
                for there in places(found.network, source, block.family):
                    outcome = hub.send(Probe(source.segment.interface, inside(block), there.address, "tcp", 22))
                    if outcome.end == TO_INTERNET:
                        assert firewall
                        assert found.allows(source.id, TO_INTERNET, "tcp", 22)
                    else:
                        assert outcome.end == TO_HUB or outcome.end.startswith("dropped:")


@pytest.mark.invariant(11, 10)
@given(declarations())
@examples(15)
def test_nobody_sends_what_is_not_his(variables: dict[str, Any]):
    """Invariant 11: another peer's address, another segment's, the hub's, plain packets on the uplink.

    A peer's own tunnel drops most of it already; here the packet is put on the interface behind that check.
    Broken on purpose: `members return` before the hub's own addresses are refused.
    """
    found = drawn(variables)
    hub = Hub(found.plan)
    supernets = {supernet.family: supernet for supernet in found.network.supernets}
    for here in found.network.segments.values():
        own = set(here.prefixes)
        for other in found.network.segments.values():
            for subnet in other.subnets:
                target = subnet.host(2).address
                hub_address = Probe(here.interface, here.hub_addresses[0].address, target, "tcp", 22)
                if subnet.family == 4:
                    assert hub.carry(hub_address).end.startswith("dropped: prerouting")
                if subnet not in own:
                    spoofed = Probe(here.interface, subnet.host(9).address, target, "tcp", 22)
                    assert hub.carry(spoofed).end.startswith("dropped: prerouting")
                for source in (subnet.host(9).address, WORLD[subnet.family]):
                    plain = Probe(UPLINK, source, target, "udp", 53)
                    assert hub.carry(plain).end.startswith("dropped: prerouting")
        for family in supernets:
            for martian in MARTIANS[family]:
                sent = Probe(here.interface, martian, here.subnets[0 if family == 4 else 1].host(1).address, "icmp", 0)
                assert hub.carry(sent).end.startswith("dropped: prerouting")


@pytest.mark.invariant(10)
def test_ipv6_is_no_hole_where_only_ipv4_is_declared():
    """Invariant 10: no rule and no route of IPv6, and the firewall drops what comes.

    Broken on purpose: IPv6 let through the segment's chain of sources.
    """
    found = world(declare(tenant("a", segment("s", peer("p"), internet="nat")), tenant("b", segment("s", peer("p")))))
    for firewall in (True, False):
        hub = Hub(found.plan, firewall=firewall)
        for source in ("fd64:e5a:100:1::2", "fe80::2", "2001:db8::1", "::ffff:10.100.1.2"):
            sent = Probe("a-s", source, "2001:db8:1::7", "tcp", 443)
            assert hub.send(sent).end == "dropped: not the address of any peer there"
    assert Hub(found.plan).carry(sent).end.startswith("dropped: prerouting")


def test_a_foreign_packet_passes_by():
    """What is nobody's of ours is not ours to judge: the hub may be a router of other things."""
    found = world(declare(tenant("a", segment("s", peer("p"))), supernet_v6=SUPERNET_V6))
    for source, destination in (("192.168.77.1", "198.51.100.7"), ("fd77::1", "2001:db8:1::7")):
        assert Hub(found.plan).carry(Probe(UPLINK, source, destination, "tcp", 443)).end == TO_INTERNET


def test_somebody_elses_port_publishing_does_not_lead_into_the_fabric():
    """A container engine's DNAT happens before our look-up by the original direction; such a flow is dropped."""
    found = world(
        declare(
            tenant("a", segment("s", peer("p"), peer("q"))), tenant("b", segment("s", peer("p"))),
            policies=[policy("x", ["a"], ["b"], "all")],
        )
    )  # fmt: skip
    flow = nft.Flow("10.100.1.2", "10.100.2.2", "tcp", 22, dnat=True)
    probe = Probe("a-s", "10.100.1.2", "10.100.2.2", "tcp", 22)
    assert Hub(found.plan).send(probe).end == "b/s/p"
    assert Hub(found.plan).send(probe, flow).end == "dropped: forward fabric_forward"


@pytest.mark.invariant(11)
def test_a_forged_error_in_others_flows_is_dropped():
    """`related` only where the arrival interface is an end of the flow: a tenant that management talks to is not an end
    of management's flows with others.

    Broken on purpose: `ct state related` accepted before the ends are looked at.
    """
    declaration = declare(
        tenant("a", segment("s", peer("p"))), tenant("b", segment("s", peer("p"))),
        management={"peers": [peer("admin")]}, policies=[policy("x", ["management"], ["a", "b"], "all")],
    )  # fmt: skip
    found = world(declaration)
    hub = Hub(found.plan)
    manages_b = nft.Flow("10.100.0.2", "10.100.2.2", "tcp", 22, 1, "related", "reply", nft.GENERATION)
    honest = Probe("b-s", "10.100.2.2", "10.100.0.2", "icmp", 0)
    forged = Probe("a-s", "10.100.1.2", "10.100.0.2", "icmp", 0)
    assert hub.send(honest, manages_b).end == "management/admin"
    assert hub.send(forged, manages_b).end == "dropped: forward fabric_forward"


@pytest.mark.invariant(11)
def test_a_neighbour_reports_no_trouble_with_a_peers_flows():
    """In one segment, and behind one gateway: an error about a flow comes from its end, or from its end's own site.

    Broken on purpose: the sender of an error not looked at.
    """
    declaration = declare(
        tenant("a", segment("s", peer("n2"), peer("n3"), peer("n4", networks=["192.0.2.0/24"]))),
        management={"peers": [peer("admin")]}, policies=[policy("x", ["management"], ["a"], "all")],
    )  # fmt: skip
    hub = Hub(world(declaration).plan)
    flow = nft.Flow("10.100.0.2", "10.100.1.2", "tcp", 22, 1, "related", "reply", nft.GENERATION)
    assert hub.send(Probe("a-s", "10.100.1.2", "10.100.0.2", "icmp", 0), flow).end == "management/admin"
    assert hub.send(Probe("a-s", "10.100.1.3", "10.100.0.2", "icmp", 0), flow).end == "dropped: forward errors"
    assert hub.send(Probe("a-s", "192.0.2.7", "10.100.0.2", "icmp", 0), flow).end == "dropped: forward errors"
    site = nft.Flow("10.100.0.2", "192.0.2.9", "tcp", 22, 1, "related", "reply", nft.GENERATION)
    assert hub.send(Probe("a-s", "192.0.2.1", "10.100.0.2", "icmp", 0), site).end == "management/admin"
    assert hub.send(Probe("a-s", "10.100.1.4", "10.100.0.2", "icmp", 0), site).end == "management/admin"
    assert hub.send(Probe("a-s", "10.100.1.3", "10.100.0.2", "icmp", 0), site).end == "dropped: forward errors"


@pytest.mark.invariant(4)
@given(declarations(dual=False, networks=False), st.integers(0, 3))
@examples(20)
def test_a_revoked_policy_ends_what_runs(variables: dict[str, Any], number: int):
    """Invariant 4 on paper: flows of an old generation are judged anew, by who opened them; the others go on.

    Broken on purpose: `ct state established accept` without the generation; look-ups by the packet's own addresses,
    which judged replies the wrong way round.
    """
    assume(len(variables["wireguard_policies"]) > number)
    before = drawn(variables)
    policies = [each for place, each in enumerate(variables["wireguard_policies"]) if place != number]
    after = drawn({**variables, "wireguard_policies": policies})
    old, new = Hub(before.plan), Hub(after.plan)
    for source in before.network.peers.values():
        for there in places(before.network, source, 4):
            probe = Probe(source.segment.interface, source.v4.address, there.address, "tcp", 22)
            outcome = old.send(probe)
            if outcome.end not in before.network.peers:
                continue
            keeps = after.allows(source.id, outcome.end, "tcp", 22)
            zone = source.segment.number
            target = before.network.peers[outcome.end].segment
            stale = nft.Flow(probe.source, probe.destination, "tcp", 22, zone, "established", "original", 0x300)
            assert (new.send(probe, stale).end == outcome.end) == keeps
            back = nft.Flow(probe.source, probe.destination, "tcp", 22, zone, "established", "reply", 0x300)
            reply = probe._replace(iif=target.interface, source=probe.destination, destination=probe.source)
            assert (new.send(reply, back).end == source.id) == keeps
            # The same generation: an unrelated change is nobody's business.
            fresh = nft.Flow(
                probe.source, probe.destination, "tcp", 22, zone, "established", "original", nft.GENERATION
            )
            assert (new.send(probe, fresh).end == outcome.end) == (keeps or new_route(new, probe) == outcome.end)


def new_route(hub: Hub, probe: Probe) -> str:
    """Return where the routes alone lead: a current flow is stopped by them, if by anything."""
    return Hub(hub.plan, firewall=False).send(probe).end


@pytest.mark.parametrize(("site", "address"), [("203.0.113.0/24", "203.0.113.5"), ("2001:db8:7::/48", "2001:db8:7::5")])
def test_a_sites_public_network_is_not_the_internet(site: str, address: str):
    """With `internet: nat`, packets for a site with public addresses leave in plain text by the uplink."""
    plan = compiled(
        tenant("a", segment("s", peer("p"), peer("site", networks=[site]), internet="nat")),
        tenant("b", segment("s", peer("far", networks=["2001:db8:8::/48"]))),
        supernet_v6=SUPERNET_V6,
    )
    source = plan.addresses["a/s/p"][0 if "." in site else 1]
    assert source
    assert Hub(plan.hub).send(Probe("a-s", source, address, "tcp", 443)).end == "a/s/site"
