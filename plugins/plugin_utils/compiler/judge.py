# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packets say: answers and sightings made into one observation per probe, and the matrix of all.

An answer alone proves little: a router can refuse in the name of a target, and a request that arrives
without its reply has crossed all the same. So a probe counts as

    accepted   the target (or, where it is not managed, the hub on its side) saw it, and it was answered from there
    denied     it entered the hub and came out nowhere, unanswered
    one-way    it came out though it was never answered: a leak
    forged     somebody answered for a target that never saw it
    no-tunnel  it never reached the hub: nothing is proven
    not-sent   its peer could not be asked, or could not send
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .selectors import HUB, INTERNET
from .text import table

SCHEMA_VERSION = 1
_ANSWERED = frozenset({"syn-ack", "rst", "reply", "port-unreachable", "echo-reply"})


class Flow(NamedTuple):
    """What identifies a probe on the wire."""

    protocol: str
    source: str
    destination: str
    port: int


class Sightings:
    """Where each probe was seen."""

    def __init__(
        self, hubs: Mapping[str, Iterable[Sequence[Any]]], peers: Mapping[str, Iterable[Sequence[Any]]]
    ) -> None:
        """Index what the observers of hubs and peers saw.

        Each sighting: interface, in or out, family, protocol, source, destination, destination port.
        """
        self._entered: set[Flow] = set()
        self._left: set[Flow] = set()
        self._arrived: dict[str, set[Flow]] = defaultdict(set)
        for seen in hubs.values():
            for each in seen:
                (self._entered if each[1] == "in" else self._left).add(_flow(each))
        for host, seen in peers.items():
            self._arrived[host] |= {_flow(each) for each in seen if each[1] == "in"}

    def entered(self, flow: Flow) -> bool:
        """Tell whether a hub received the probe."""
        return flow in self._entered

    def left(self, flow: Flow) -> bool:
        """Tell whether a hub sent the probe on."""
        return flow in self._left

    def arrived(self, host: str, flow: Flow) -> bool:
        """Tell whether a managed peer received the probe."""
        return flow in self._arrived[host]


def _flow(seen: Sequence[Any]) -> Flow:
    """Return the flow of a sighting."""
    return Flow(str(seen[3]), str(seen[4]), str(seen[5]), int(seen[6]))


def observe(
    probe: Mapping[str, Any], answer: Mapping[str, Any] | None, sightings: Sightings, owner: str | None, silent: bool
) -> str:
    """Return what was observed of one probe.

    owner: the managed host that has the target's address, if any; silent: whether nobody there could answer
    (a taken UDP port is not echoed), so that arriving is all there is to see.
    """
    if answer is None or answer["answer"] == "error":
        return "not-sent"
    flow = Flow(probe["protocol"], probe["source"], probe["address"], probe["port"])
    answered = answer["answer"] in _ANSWERED and answer["by"] == probe["address"]
    if probe["to"] == INTERNET:
        # Beyond the hub the source is translated, so only the answer can be seen.
        seen = answered
    elif probe["to"].startswith(HUB):
        seen = answered
    elif owner is not None:
        seen = sightings.arrived(owner, flow)
    else:
        # Nobody there can be asked and nobody may answer: the hub's own side of the tunnel decides.
        seen = sightings.left(flow)
        answered = seen
    if not sightings.entered(flow) and not answered:
        return "no-tunnel"
    if answered and not seen:
        return "forged"
    if seen and not answered:
        return "accepted" if silent else "one-way"
    if not seen and sightings.left(flow):
        return "one-way"
    return "accepted" if answered else "denied"


def judge(
    probes: Mapping[str, list[dict[str, Any]]],
    answers: Mapping[str, Mapping[int, Any]],
    sightings: Sightings,
    taken: Iterable[tuple[str, int]],
) -> list[dict[str, Any]]:
    """Return every probe with what was expected and observed.

    answers: by host and probe id; taken: UDP addresses and ports that observers could not echo on.
    """
    owners = {probe["source"]: host for host, own in probes.items() for probe in own}
    silent = set(taken)
    results = []
    for host, own in sorted(probes.items()):
        told = answers.get(host, {})
        for probe in own:
            no_echo = probe["protocol"] == "udp" and (probe["address"], probe["port"]) in silent
            observed = observe(probe, told.get(probe["id"]), sightings, owners.get(probe["address"]), no_echo)
            results.append(
                {
                    "from": probe["peer"],
                    "to": probe["to"],
                    "address": probe["address"],
                    "family": probe["family"],
                    "port": "icmp" if probe["protocol"] == "icmp" else f"{probe['protocol']}/{probe['port']}",
                    "expected": probe["expected"],
                    "observed": observed,
                    "policy": probe["policy"],
                    "agrees": observed == probe["expected"],
                }
            )
    return results


def matrix(results: list[dict[str, Any]]) -> list[str]:
    """Write who reaches what: a row a target, a column a peer, each cell expected and observed.

    A cell lists the ports that are open: what the policies say, and after ``=`` that packets agree, or after
    ``!`` what they do instead.
    """
    sources = sorted({str(result["from"]) for result in results})
    targets = sorted({str(result["to"]) for result in results})
    cells: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        cells[result["to"], result["from"]].append(result)
    rows = [[target, *(_cell(cells.get((target, source), [])) for source in sources)] for target in targets]
    return table(("to \\ from", *sources), rows)


def _cell(results: list[dict[str, Any]]) -> str:
    """Write one cell; a peer does not probe itself."""
    if not results:
        return ""
    expected = _open(results, "expected")
    observed = _open(results, "observed")
    agrees = all(result["agrees"] for result in results)
    return f"{expected} = {observed}" if agrees else f"{expected} ! {observed}"


def _open(results: list[dict[str, Any]], key: str) -> str:
    """Write what is open by one judge: all, none, or the ports; what differs by family says so."""
    ports: dict[str, set[int]] = defaultdict(set)
    families: dict[str, set[int]] = defaultdict(set)
    odd: set[str] = set()
    for result in results:
        families[result["port"]].add(result["family"])
        if result[key] == "accepted":
            ports[result["port"]].add(result["family"])
        elif result[key] != "denied":
            odd.add(result[key])
    named = [
        port if ports[port] == families[port] else f"{port} (IPv{min(ports[port])} only)" for port in sorted(ports)
    ]
    if len(ports) == len(families) and not any("only" in port for port in named):
        named = ["all"]
    return ", ".join([*named, *sorted(odd)]) or "none"


def disagreements(results: list[dict[str, Any]]) -> list[str]:
    """Write every probe on which the two judges differ."""
    return [
        f"{result['from']} -> {result['to']} {result['port']} (IPv{result['family']} {result['address']}): "
        f"expected {result['expected']}"
        + (f" by {result['policy']}" if result["policy"] else "")
        + f", observed {result['observed']}"
        for result in results
        if not result["agrees"]
    ]
