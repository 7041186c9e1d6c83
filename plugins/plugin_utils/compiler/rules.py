# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing rules: which table a packet is looked up in, found in a few steps however many segments there are.

The kernel reads rules one after another, so one rule per segment in a row would cost every packet (measured:
500 of them leave 0.60 of the forwarding of small packets). Priorities, from `wireguard_rule_priority_base`:

    +0      iif lo to SUPERNET lookup HUB TABLE     the hub's own packets, by destination
    +0      from SUPERNET iif lo to NETWORK         the hub's replies to a network behind a peer; never the hub's
            lookup HUB TABLE                        other traffic, which may know another network of that name
    +10     fwmark TO_INTERNET lookup main          what the firewall has marked as meant for the internet
    +20     fwmark FROM_INTERNET lookup HUB TABLE   replies that come back through NAT
    +30     from SUPERNET goto +100                 packets with a fabric source: into the tree
    +35     iif lo goto +21990                      the rest of the hub's own packets
    +40     iif INTERFACE lookup TABLE              whatever else arrives on a segment's interface (networks
                                                    behind peers, and what nobody should be able to send)
    +100..  the tree, by source prefix; its leaves hold `iif INTERFACE lookup TABLE`
    +21990  to SUPERNET unreachable, from SUPERNET unreachable: nothing of the fabric reaches main

Each node of the tree has two priorities: its children and segments share the first, where order does not
matter because they exclude each other, and the second leaves the tree. A node's number follows from its
prefix alone, so adding a segment never moves another's rules. Every lookup ends in the table's own
`unreachable default`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from .addresses import Prefix
from .placed import PlacedSegment

# Bits of the packet mark that are ours; all lie above wg-quick's 51820 and Kubernetes' 0x4000 and 0x8000.
MARK_TO_INTERNET = 0x10000
MARK_ROTATION = 0x20000
MARK_FROM_INTERNET = 0x40000

OWN, TO_INTERNET, FROM_INTERNET, ENTER, LOCAL, ANY_SOURCE, TREE, LEAVE = 0, 10, 20, 30, 35, 40, 100, 21990
# Eight children a node: /16, /19, /22; a leaf then holds four segments of /24.
_STEP = 3
_LEAF_BITS = 2
# 4 levels below the root are 4,681 nodes: their 9,362 priorities fit, a fifth level would not.
_DEPTH = 4


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One routing rule: its priority, its selector and its action in the words of ``ip rule``."""

    priority: int
    selector: str
    action: str


def compile_rules(
    segments: Iterable[PlacedSegment],
    networks: Iterable[Prefix],
    supernet: Prefix,
    base: int,
    hub_table: int,
    segment_prefix: int,
) -> list[Rule]:
    """Return the rules of one family, sorted.

    networks: those behind peers that the hub's table knows; supernet: the family's; base: the first priority;
    segment_prefix: the usual length of a subnet, in bits.
    """
    family = supernet.family
    rules = {
        Rule(base + OWN, f"from {supernet.text} iif lo to {network.text}", f"lookup {hub_table}")
        for network in networks
        if network.family == family
    }
    rules |= {
        Rule(base + OWN, f"iif lo to {supernet.text}", f"lookup {hub_table}"),
        Rule(base + TO_INTERNET, f"fwmark {MARK_TO_INTERNET:#x}/{MARK_TO_INTERNET:#x}", "lookup main"),
        Rule(base + FROM_INTERNET, f"fwmark {MARK_FROM_INTERNET:#x}/{MARK_FROM_INTERNET:#x}", f"lookup {hub_table}"),
        Rule(base + LEAVE, f"to {supernet.text}", "unreachable"),
        Rule(base + LEAVE, f"from {supernet.text}", "unreachable"),
    }
    placed = [(subnet, segment) for segment in segments for subnet in segment.subnets if subnet.family == family]
    if not placed:
        return sorted(rules)
    rules.add(Rule(base + ENTER, f"from {supernet.text}", f"goto {base + TREE}"))
    rules.add(Rule(base + LOCAL, "iif lo", f"goto {base + LEAVE}"))
    # After the last guard comes the tree, which only packets with a fabric source may enter.
    rules.add(Rule(base + ANY_SOURCE + 1, "from all", f"goto {base + LEAVE}"))
    content: dict[int, set[Rule]] = defaultdict(set)
    for subnet, segment in placed:
        rules.add(Rule(base + ANY_SOURCE, f"iif {segment.interface}", f"lookup {segment.table}"))
        number = 0
        for child, child_number in _descent(supernet, subnet, segment_prefix):
            here = base + TREE + 2 * number
            content[number].add(Rule(here, f"from {child.text}", f"goto {base + TREE + 2 * child_number}"))
            number = child_number
        here = base + TREE + 2 * number
        content[number].add(Rule(here, f"iif {segment.interface}", f"lookup {segment.table}"))
    for number, members in content.items():
        rules |= members
        rules.add(Rule(base + TREE + 2 * number + 1, "from all", f"goto {base + LEAVE}"))
    return sorted(rules)


def _descent(supernet: Prefix, subnet: Prefix, segment_prefix: int) -> Iterable[tuple[Prefix, int]]:
    """Yield the nodes below the root that lead to a subnet, each with its number in the whole tree.

    Numbers count level by level, as in a heap with eight children: a child is numbered after its parent,
    which `goto` requires, since it only jumps forward.
    """
    length, number = supernet.length, 0
    for _level in range(_DEPTH):
        length += _STEP
        if length > min(subnet.length, segment_prefix - _LEAF_BITS):
            return
        width = 32 if supernet.family == 4 else 128
        child = Prefix(supernet.family, subnet.value >> (width - length) << (width - length), length)
        position = child.value >> (width - length) & ((1 << _STEP) - 1)
        number = number * (1 << _STEP) + position + 1
        yield child, number
