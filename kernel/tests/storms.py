# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic that waits outside while something happens to the hub, and observers of what comes through."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kernelkit.hosts import HUB, MACHINE, PREFIX, PREFIX_V6, Guest
from kernelnet import APP, DB, HUB_INSIDE, INSIDE, PEERS, TUNNEL, WEB, Net

KINDS = (("syn", 3306), ("udp", 53), ("echo", 0))
LIFE = "400"  # seconds; programs end when they are told to


class Observed:
    """What was sent and where it was seen."""

    def __init__(self) -> None:
        self.sent: dict[str, int] = {}
        self.seen: list[tuple[str, str, str, str, str, str, int, float, float]] = []

    def of(self, *prefixes: str) -> list[Any]:
        """The sightings of markers that begin so."""
        return [entry for entry in self.seen if entry[3].startswith(prefixes)]


def _from_tunnel() -> list[str]:
    """What the owner of kweb1 keeps sending into its tunnel."""
    packets = []
    for mine, app, database, hub in zip(INSIDE[WEB], INSIDE[APP], INSIDE[DB], HUB_INSIDE[WEB], strict=True):
        family = "6" if ":" in mine else "4"
        for kind, port in KINDS:
            # Another tenant, by its own address and by a stolen one.
            packets.append(f"forbid-app-{kind}{family},{kind},{mine},{app},{port}")
            packets.append(f"forbid-stolen-{kind}{family},{kind},{app},{database},{port}")
            packets.append(f"forbid-hub-{kind}{family},{kind},{mine},{hub},{port}")
        # The host is reached by a policy, these ports are not.
        packets.append(f"forbid-db-syn{family},syn,{mine},{database},22")
        packets.append(f"forbid-db-udp{family},udp,{mine},{database},53")
        packets.append(f"allow-db-syn{family},syn,{mine},{database},3306")
        packets.append(f"allow-db-echo{family},echo,{mine},{database},0")
    return packets


def _from_outside() -> list[str]:
    """What somebody on the hub's uplink keeps sending to it without any tunnel."""
    packets = []
    for number in (0, 1):
        own = (f"{PREFIX}{MACHINE}", f"{PREFIX_V6}{MACHINE}")[number]
        for kind, port in KINDS:
            for source, target in ((INSIDE[WEB], INSIDE[DB]), (INSIDE[APP], INSIDE[WEB]), (INSIDE[DB], INSIDE[APP])):
                packets.append(f"plain-{kind},{kind},{source[number]},{target[number]},{port},{HUB.mac}")
            packets.append(f"plain-own-{kind},{kind},{own},{INSIDE[DB][number]},{port},{HUB.mac}")
            packets.append(f"plain-hub-{kind},{kind},{own},{HUB_INSIDE[WEB][number]},{port},{HUB.mac}")
    return packets


@contextmanager
def widened(net: Net, guest: Guest) -> Iterator[None]:
    """Let a client send anything: its owner owns it, so its own AllowedIPs must not count as a wall."""
    interface = TUNNEL[guest]
    peer = net.sh(guest, f"wg show {interface} allowed-ips").split()
    net.sh(guest, f"wg set {interface} peer {peer[0]} allowed-ips 0.0.0.0/0,::/0")
    try:
        yield
    finally:
        # Unless a run has given it back already, or the hub another key.
        restore = f"wg set {interface} peer {peer[0]} allowed-ips {','.join(peer[1:])}"
        net.sh(guest, f"! wg show {interface} peers | grep -qxF {peer[0]} || {restore}")


@contextmanager
def storm(net: Net) -> Iterator[Observed]:
    """Send all of that, and watch for it on the targets, on the sender, and on the hub's own wire."""
    observed = Observed()
    watchers = {guest.name: net.start(guest, net.program("watch", "any", LIFE)) for guest in PEERS}
    watchers["wire"] = net.outside("watch", HUB.tap, LIFE)
    for name, job in watchers.items():
        first_line(name, job, "watching")
    with widened(net, WEB):
        senders = {
            "tunnel": net.start(WEB, net.program("storm", TUNNEL[WEB], LIFE, *_from_tunnel())),
            "outside": net.outside("storm", "tnk0", LIFE, *_from_outside()),
        }
        try:
            for name, job in senders.items():
                first_line(name, job, "sending")
            yield observed
        finally:
            senders["outside"].send_signal(signal.SIGTERM)
            net.sh(WEB, "pkill -f '^python3 /root/traffic.py storm' || true")
            # What is under way arrives.
            time.sleep(1)
            watchers["wire"].send_signal(signal.SIGTERM)
            for guest in PEERS:
                net.sh(guest, "pkill -f '^python3 /root/traffic.py watch' || true")
    for job in senders.values():
        observed.sent.update(json.loads(job.communicate(timeout=30)[0].splitlines()[-1]))
    for name, job in watchers.items():
        for entry in json.loads(job.communicate(timeout=30)[0].splitlines()[-1]):
            observed.seen.append((name, *entry))


def first_line(name: str, job: subprocess.Popen[str], wanted: str) -> None:
    """See to it that a program has begun its work."""
    assert job.stdout is not None
    line = job.stdout.readline()
    assert line == f"{wanted}\n", f"{name}: {line}{job.stdout.read()}"


def assert_nothing_crossed(observed: Observed) -> None:
    """See to it that no forbidden packet came out of the hub, anywhere, at any time."""
    for marker in ("forbid-app-syn4", "forbid-db-udp6", "forbid-stolen-echo4", "plain-udp", "plain-own-syn"):
        assert observed.sent.get(marker, 0) > 10, observed.sent
    # Errors that the hub itself sends back to the sender quote what they are about; they carry it nowhere.
    errors = {*HUB_INSIDE[WEB], HUB.address, HUB.address_v6}
    crossed = [
        entry for entry in observed.of("forbid", "plain")
        if entry[2] == "in" and entry[1] != "lo" and not (entry[4] in errors and entry[0] in (WEB.name, "wire"))
    ]  # fmt: skip
    assert not crossed, crossed


@contextmanager
def knocking(net: Net) -> Iterator[None]:
    """Let every peer try handshakes until the hub answers: what the hub lets through then has somewhere to go."""
    jobs = {guest: net.start(guest, net.program("knock", TUNNEL[guest], "200")) for guest in PEERS}
    for guest, job in jobs.items():
        first_line(guest.name, job, "knocking")
    yield
    for job in jobs.values():
        assert json.loads(job.communicate(timeout=220)[0].splitlines()[-1])["tries"] < 300
