# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall as text: one nftables table of our own, replaced in one transaction.

The order of a packet's way, which is the order of the chains below:

    anti-spoofing     prerouting -350, before conntrack knows the packet
    zone              prerouting -300: each segment has a conntrack zone, on the original direction
    internet marks    prerouting -150: only marked packets are routed out or back (see rules.py)
    forward           established and of this generation; then who may be an end of the flow; then the maps.
                      Errors about a flow only from its own ends
    input             the same for the hub's own addresses
    leak              postrouting 300: nothing of the fabric leaves by another interface in plain text

A generation stands in the conntrack mark of every accepted flow. When the enforced policy changes, the
generation does, and each flow is looked up once more by its original direction: revoked ones end at once,
the others never notice.

What only the host knows is left to the driver, which puts it in front of this text: GEN, and after it the
elements of the sets `uplinks`, `connected4` and `connected6`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .addresses import Prefix, without_nested
from .firewall import FORWARD_SCOPES, HUB_SCOPES, INTERNET_SCOPES, Element, compile_maps
from .grants import BY_INTERNET, BY_SEGMENT, Grant
from .placed import Network, PlacedSegment
from .rules import MARK_FROM_INTERNET, MARK_TO_INTERNET

TABLE = "tenantnet"
# The upper 24 bits of the conntrack mark hold the generation; the lower eight stay other people's.
GENERATION_MASK = 0xFFFFFF00
KEPT_MASK = 0x000000FF
# Lines of denied packets per second and segment, with a burst: one noisy tenant can't hide another's.
LOG_RATE = "limit rate 5/second burst 20 packets"
# What is never the internet: this host, private and carrier-grade networks, link-local (metadata services),
# benchmarking, multicast and beyond (IANA special-purpose registries). Documentation networks are left in:
# nobody routes them, and tests need an internet that is nobody's.
NEVER_INTERNET4 = (
    "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, "
    "192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3"
)
GLOBAL_UNICAST6 = "2000::/3"
_FAMILY = {
    4: ("ip", "ipv4", "ipv4_addr", "icmp", "echo-request"),
    6: ("ip6", "ipv6", "ipv6_addr", "icmpv6", "echo-request"),
}


def render_ruleset(network: Network, grants: list[Grant], hub: str) -> str:
    """Return the text of a hub's firewall; the driver completes it (see above)."""
    segments = [segment for segment in network.segments.values() if segment.hub == hub]
    families = [supernet.family for supernet in network.supernets]
    # What a segment's own peers may do stands in its chain, by destination: their networks may be like
    # another segment's, and would overlap in a common map.
    mapped = [grant for grant in grants if grant.policy != BY_SEGMENT]
    maps = {family: compile_maps(network, mapped, hub, family) for family in families}
    elements = [element for scopes in maps.values() for found in scopes.values() for element in found]
    logged = {policy.name for policy in network.fabric.policies if policy.log}
    lines: list[str] = []
    lines += _sets(segments, families)
    lines += _maps(maps)
    lines += _policy_chains({BY_SEGMENT, *(element.policy for element in elements)}, logged)
    lines += _anti_spoofing(network, segments)
    lines += _zones_and_marks(network, segments, grants)
    open_segments = {grant.source for grant in grants if grant.policy == BY_SEGMENT}
    lines += _forward(network, segments, open_segments, maps)
    lines += _input(network, maps)
    lines += _leak(network)
    body = "\n".join(f"  {line}" for line in lines)
    return f"table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n{body}\n}}\n"


def _quoted(names: Iterable[str]) -> str:
    """Write interface names as the elements of a set."""
    return ", ".join(f'"{name}"' for name in names)


def _host(block: Prefix) -> str:
    """Write a block as nft does: a single address without its length."""
    return block.address if block.size == 1 else block.text


def _chain(name: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a chain."""
    yield f"chain {name} {{"
    yield from (f"  {line}" for line in lines)
    yield "}"


def _set(name: str, kind: str, elements: Iterable[str], flags: str = "") -> Iterator[str]:
    """Yield a set, without elements where there are none (nft refuses empty braces)."""
    content = ", ".join(elements)
    yield (
        f"set {name} {{ type {kind};"
        + (f" flags {flags};" if flags else "")
        + (f" elements = {{ {content} }}" if content else "")
        + " }"
    )


def _sets(segments: list[PlacedSegment], families: list[int]) -> Iterator[str]:
    """Yield who is where: our interfaces, the members and the hub's address of each."""
    yield from _set("fabric", "ifname", (f'"{segment.interface}"' for segment in segments))
    yield from _set("uplinks", "ifname", ())
    # Filled by the kernel: how many connections each segment has (see _crowd).
    yield "set connections { typeof ct original zone; flags dynamic; size 65535; }"
    for family in (4, 6):
        kind = _FAMILY[family][2]
        yield from _set(f"connected{family}", kind, (), "interval; auto-merge")
        if family not in families:
            continue
        members = [
            f'"{segment.interface}" . {block.text}'
            for segment in segments
            for block in segment.prefixes
            if block.family == family
        ]
        yield from _set(f"members{family}", f"ifname . {kind}", members, "interval")
        own = [
            f'"{segment.interface}" . {block.address}'
            for segment in segments
            for block in segment.hub_addresses
            if block.family == family
        ]
        yield from _set(f"hub{family}", f"ifname . {kind}", own)
        peers, sites = _own_pairs(segments, family)
        yield from _set(f"peers{family}", f"ifname . {kind} . {kind}", peers)
        yield from _set(f"sites{family}", f"ifname . {kind} . {kind}", sites, "interval")


def _own_pairs(segments: list[PlacedSegment], family: int) -> tuple[list[str], list[str]]:
    """Return who may send an error about whose flow: each peer about its own, and a site about all behind its peer."""
    peers, sites = [], []
    for segment in segments:
        for peer in segment.admitted:
            own = peer.v4 if family == 4 else peer.v6
            if not peer.declared.networks and own is not None:
                # Ten thousand peers are mostly these.
                address = own.address
                peers.append(f'"{segment.interface}" . {address} . {address}')
                continue
            blocks = [block.text for block in without_nested(each for each in peer.prefixes if each.family == family)]
            if len(blocks) == 1:
                address = blocks[0].partition("/")[0]
                peers.append(f'"{segment.interface}" . {address} . {address}')
            else:
                sites += [f'"{segment.interface}" . {one} . {other}' for one in blocks for other in blocks]
    return peers, sites


def _kind(element: Element) -> str:
    """Tell which of a scope's maps an element belongs to."""
    return element.ports.protocol if element.ports.protocol in ("all", "icmp") else "ports"


def _maps(maps: dict[int, dict[str, list[Element]]]) -> Iterator[str]:
    """Yield the verdict maps: for each scope one without ports, one with, and one for ICMP."""
    for family, scopes in maps.items():
        address = _FAMILY[family][2]
        for scope, elements in scopes.items():
            for kind in ("all", "ports", "icmp"):
                chosen = [element for element in elements if _kind(element) == kind]
                if not chosen:
                    continue
                key = address if chosen[0].target is None else f"{address} . {address}"
                key += " . inet_proto . inet_service" if kind == "ports" else ""
                content = ", ".join(
                    f"{_key(element, kind)} : goto {_policy_chain(element.policy)}" for element in chosen
                )
                yield (
                    f"map {scope}_{kind}{family} {{ type {key} : verdict; flags interval; elements = {{ {content} }} }}"
                )


def _key(element: Element, kind: str) -> str:
    """Write an element's key."""
    parts = [_host(element.source)] + ([] if element.target is None else [_host(element.target)])
    if kind == "ports":
        ports = element.ports
        parts += [ports.protocol, str(ports.first) + (f"-{ports.last}" if ports.last != ports.first else "")]
    return " . ".join(parts)


def _policy_chain(policy: str) -> str:
    """Name the chain of a policy, or of what a segment's own option allows."""
    return {BY_SEGMENT: "own-segment", BY_INTERNET: "own-internet"}.get(policy, f"policy-{policy}")


def _policy_chains(policies: set[str], logged: set[str]) -> Iterator[str]:
    """Yield a chain for each policy: it counts, logs where wanted, and stamps the flow."""
    stamp = f"ct mark set ct mark and {KEPT_MASK:#010x} or $GEN accept"
    yield from _chain("stamp", [stamp])
    for policy in sorted(policies):
        log = [f'ct state new {LOG_RATE} log prefix "WIREGUARD-ALLOW {policy}: "'] if policy in logged else []
        yield from _chain(_policy_chain(policy), ["counter", *log, "goto stamp"])


def _deny(segment: PlacedSegment, reason: str) -> list[str]:
    """Return the lines that log, count and drop what a segment may not do."""
    return [f'{LOG_RATE} log prefix "WIREGUARD-DENY {segment.id} {reason}: "', "counter drop"]


def _anti_spoofing(network: Network, segments: list[PlacedSegment]) -> Iterator[str]:
    """Yield the chains that let a segment send only from its own addresses, and others from none of ours."""
    for segment in segments:
        own = [
            f"{_FAMILY[hub.family][0]} saddr {hub.address} goto spoofed-{segment.id}" for hub in segment.hub_addresses
        ]
        members = [f"{_FAMILY[block.family][0]} saddr {block.text} return" for block in segment.prefixes]
        yield from _chain(f"spoofed-{segment.id}", _deny(segment, "spoofed"))
        yield from _chain(f"source-{segment.id}", [*own, *members, f"goto spoofed-{segment.id}"])
    entries = ", ".join(f'"{segment.interface}" : goto source-{segment.id}' for segment in segments)
    yield from _chain("source", [f"iifname vmap {{ {entries} }}", "counter drop"] if entries else ["counter drop"])
    plain = [
        f'iifname != "lo" {_FAMILY[supernet.family][0]} {side} {supernet.text} counter drop'
        for supernet in network.supernets
        for side in ("saddr", "daddr")
    ]
    hook = "type filter hook prerouting priority -350; policy accept;"
    yield from _chain("spoofing", [hook, "iifname @fabric goto source", *plain])


def _zones_and_marks(network: Network, segments: list[PlacedSegment], grants: list[Grant]) -> Iterator[str]:
    """Yield the conntrack zones, and the marks without which nothing goes to the internet or comes back."""
    zones = ", ".join(f'"{segment.interface}" : {segment.number}' for segment in segments)
    hook = "type filter hook prerouting priority raw; policy accept;"
    yield from _chain("zones", [hook, *([f"ct original zone set iifname map {{ {zones} }}"] if zones else [])])
    ids = {grant.source for grant in grants if grant.target == "internet"}
    outward = [segment for segment in segments if segment.id in ids or any(peer.id in ids for peer in segment.peers)]
    lines = ["type filter hook prerouting priority mangle; policy accept;"]
    nat = ["type nat hook postrouting priority srcnat; policy accept;"]
    if outward:
        # A mark is the hub's own, per packet: a packet that comes out of a tunnel has none.
        never = {4: f"ip daddr != {{ {NEVER_INTERNET4} }}", 6: f"ip6 daddr {GLOBAL_UNICAST6}"}
        for supernet in network.supernets:
            word = _FAMILY[supernet.family][0]
            # A site behind a peer may have public addresses: they are that site's and not the internet's.
            sites = without_nested(
                block
                for segment in segments
                for block in segment.prefixes[len(segment.subnets) :]
                if block.family == supernet.family
            )
            ours = ", ".join(block.text for block in (supernet, *sites))
            lines.append(
                f"iifname {{ {_quoted(segment.interface for segment in outward)} }} {never[supernet.family]} "
                f"{word} daddr != {{ {ours} }} {word} daddr != @connected{supernet.family} "
                f"meta mark set meta mark or {MARK_TO_INTERNET:#x}"
            )
        numbers = ", ".join(str(segment.number) for segment in outward)
        lines.append(
            f"iifname @uplinks ct direction reply ct original zone {{ {numbers} }} "
            f"meta mark set meta mark or {MARK_FROM_INTERNET:#x}"
        )
        nat.append(f"oifname @uplinks meta mark and {MARK_TO_INTERNET:#x} == {MARK_TO_INTERNET:#x} masquerade")
    yield from _chain("marks", lines)
    # This chain stands even without a rule: it makes conntrack keep reply tuples unique between zones.
    yield from _chain("nat", nat)


def _lookups(scopes: Iterable[str], maps: dict[int, dict[str, list[Element]]]) -> Iterator[str]:
    """Yield the look-ups of a first packet by its flow's original direction."""
    for family, found in maps.items():
        word, nfproto, _type, icmp, echo = _FAMILY[family]
        guard = f"meta nfproto {nfproto}"
        for scope in scopes:
            kinds = {_kind(element) for element in found.get(scope, ())}
            pair = f"ct original {word} saddr"
            if not scope.endswith(("_internet", "_hub")):
                pair += f" . ct original {word} daddr"
            if "all" in kinds:
                yield f"{guard} {pair} vmap @{scope}_all{family}"
            if "ports" in kinds:
                # Debian 12's nft needs the l4proto match first, or it refuses proto-dst in a concatenation. The key has
                # conntrack's protocol: for meta l4proto that nft asks for a conversion that Linux 6.12.117 refuses.
                yield (
                    f"{guard} meta l4proto {{ tcp, udp }} {pair} . ct original protocol . ct original proto-dst "
                    f"vmap @{scope}_ports{family}"
                )
            if "icmp" in kinds:
                yield f"{guard} {icmp} type {{ {echo}, echo-reply }} {pair} vmap @{scope}_icmp{family}"


def _crowd(network: Network) -> str:
    """Return the line that keeps one segment from filling the connection table for all.

    It stands before a flow is accepted: a connection that is dropped here takes no place.
    """
    limit = network.fabric.connections_limit
    return f"ct state new add @connections {{ ct original zone ct count over {limit} }} counter drop"


def _ends(families: Iterable[int]) -> Iterator[str]:
    """Yield the checks that a packet's arrival interface is an end of its flow: forged ICMP errors are not."""
    for family in families:
        word, nfproto = _FAMILY[family][:2]
        for direction, side in (("original", "saddr"), ("reply", "daddr")):
            yield (
                f"iifname @fabric ct direction {direction} meta nfproto {nfproto} "
                f"iifname . ct original {word} {side} != @members{family} counter drop"
            )


def _errors(families: Iterable[int]) -> Iterator[str]:
    """Yield the chain for errors about a flow that is allowed: from an end of it, or from outside of all tunnels.

    A peer could otherwise report trouble with its neighbour's flows, and slow them down or end them.
    """
    lines = ["iifname != @fabric accept"]
    for family in families:
        word, nfproto = _FAMILY[family][:2]
        for direction, side in (("original", "saddr"), ("reply", "daddr")):
            lines += [
                f"ct direction {direction} meta nfproto {nfproto} "
                f"iifname . {word} saddr . ct original {word} {side} @{who}{family} accept"
                for who in ("peers", "sites")
            ]
    yield from _chain("errors", [*lines, "counter drop"])


def _forward(
    network: Network, segments: list[PlacedSegment], open_segments: set[str], maps: dict[int, dict[str, list[Element]]]
) -> Iterator[str]:
    """Yield the forward hook and the chain of each segment."""
    current = f"ct mark and {GENERATION_MASK:#010x} == $GEN"
    yield from _errors(maps)
    marked = f"{MARK_TO_INTERNET | MARK_FROM_INTERNET:#x}"
    outside = ["ct direction original oifname != @uplinks counter drop", *_lookups(INTERNET_SCOPES, maps)]
    yield from _chain("internet", outside)
    yield from _chain("allowed", _lookups(FORWARD_SCOPES, maps))
    for segment in segments:
        lines = [f"meta mark and {marked} != 0 jump internet"]
        for block in segment.prefixes if segment.id in open_segments else ():
            word, nfproto = _FAMILY[block.family][:2]
            lines.append(
                f"meta nfproto {nfproto} ct original {word} daddr {block.text} goto {_policy_chain(BY_SEGMENT)}"
            )
        lines += ["oifname @fabric jump allowed", *_deny(segment, "policy")]
        yield from _chain(f"from-{segment.id}", lines)
    dispatch = ", ".join(f"{segment.number} : goto from-{segment.id}" for segment in segments)
    yield from _chain(
        "fabric_forward",
        [
            "tcp flags & (syn|rst) == syn tcp option maxseg size set rt mtu",
            "ct state invalid counter drop",
            f"ct state established {current} accept",
            # Somebody else's port publishing must not lead into the fabric.
            "ct status dnat counter drop",
            *_ends(maps),
            f"ct state related {current} goto errors",
            _crowd(network),
            *([f"ct original zone vmap {{ {dispatch} }}"] if dispatch else []),
            "counter drop",
        ],
    )
    plain = [
        f"{_FAMILY[supernet.family][0]} {side} {supernet.text} counter drop"
        for supernet in network.supernets
        for side in ("saddr", "daddr")
    ]
    hook = "type filter hook forward priority -5; policy accept;"
    yield from _chain(
        "forward", [hook, "iifname @fabric goto fabric_forward", "oifname @fabric goto fabric_forward", *plain]
    )


def _input(network: Network, maps: dict[int, dict[str, list[Element]]]) -> Iterator[str]:
    """Yield the input hook: from a segment only the hub's address there, and only what is allowed."""
    current = f"ct mark and {GENERATION_MASK:#010x} == $GEN"
    lines = ["ct state invalid counter drop", "ct direction reply ct state established accept"]
    lines.append(f"ct direction original ct state established {current} accept")
    lines += _ends(maps)
    lines.append("ct direction reply ct state related goto errors")
    lines.append(f"ct direction original ct state related {current} goto errors")
    for family in maps:
        word, nfproto = _FAMILY[family][:2]
        lines.append(f"meta nfproto {nfproto} iifname . {word} daddr != @hub{family} goto denied_input")
    lines.append(_crowd(network))
    lines += _lookups(HUB_SCOPES, maps)
    lines.append("goto denied_input")
    yield from _chain("denied_input", [f'{LOG_RATE} log prefix "WIREGUARD-DENY hub input: "', "counter drop"])
    yield from _chain("fabric_input", lines)
    hook = "type filter hook input priority -5; policy accept;"
    yield from _chain("input", [hook, "iifname @fabric goto fabric_input"])


def _leak(network: Network) -> Iterator[str]:
    """Yield the last guard: plain packets of the fabric leave by no other interface."""
    lines = [
        "type filter hook postrouting priority 300; policy accept;",
        "oifname @fabric accept",
        'oifname "lo" accept',
    ]
    lines += [
        f"{_FAMILY[supernet.family][0]} {side} {supernet.text} counter drop"
        for supernet in network.supernets
        for side in ("daddr", "saddr")
    ]
    yield from _chain("leak", lines)
