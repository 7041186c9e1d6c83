# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sender: checks what is asked, opens the tunnel wider, sends, and restores."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Mapping, Sequence

from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_detour import (
    Commands,
    Detour,
)
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_engine import Probe, Sender
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import (
    DEFAULT_MARKING,
    PROTOCOLS,
    ProbeError,
    check_address,
    check_interface,
    check_marking,
    check_run,
)
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_state import (
    FOLDER,
    MAX_SECONDS,
    folder_lock,
    prepare_folder,
    raise_open_files,
)

MAX_PROBES = 20000

_LOCK_SECONDS = 60.0


def parse_probes(probes: Sequence[Mapping[str, Any]]) -> list[Probe]:
    """Check the wanted probes; raises ProbeError that names the first wrong one."""
    if len(probes) > MAX_PROBES:
        raise ProbeError(f"{len(probes)} probes are more than {MAX_PROBES}")
    result = []
    seen = set()
    for number, item in enumerate(probes):
        ident, protocol, port = str(item["id"]), item["protocol"], item.get("port") or 0
        try:
            if ident in seen:
                raise ProbeError("its id is used twice")
            if protocol not in PROTOCOLS:
                raise ProbeError(f"its protocol {protocol!r} is not tcp, udp or icmp")
            if (protocol == "icmp") != (port == 0) or not 0 <= port <= 65535:
                raise ProbeError(f"its port {port} does not fit {protocol}")
            result.append(Probe(number, ident, item["address"], protocol, port))
        except ProbeError as exc:
            raise ProbeError(f"probe {ident}: {exc}") from exc
        seen.add(ident)
    return result


@contextmanager
def noted_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether this process was asked to end meanwhile.

    Nothing is raised from within a signal handler: that could strike between a
    change and the place that would undo it.
    """
    caught: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, lambda got, _frame: caught.append(got)) for number in numbers}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def send(
    run: str,
    interface: str,
    probes: Sequence[Mapping[str, Any]],
    source: str | None = None,
    source_v6: str | None = None,
    hub_public_key: str | None = None,
    widen: Sequence[str] = (),
    timeout: float = 0.8,
    attempts: int = 3,
    concurrency: int = 256,
    marking: int = DEFAULT_MARKING,
    folder: str = FOLDER,
    commands: Commands | None = None,
) -> dict[str, Any]:
    """Send the probes and return C(answers), in the order of the probes, and C(notes).

    Each probe has C(id), C(address), C(protocol) and, but for ICMP, C(port).
    C(timeout) is in seconds and for each attempt. Raises ProbeError for wrong input,
    if the tunnel cannot be opened wider, or could not be restored.
    """
    check_run(run)
    check_interface(interface)
    check_marking(marking)
    asked = parse_probes(probes)
    if not 0.05 <= timeout <= 30 or not 1 <= attempts <= 10 or not 1 <= concurrency <= 16384:
        raise ProbeError("timeout, attempts or concurrency is out of its range")
    sources = {}
    for family, address in ((4, source), (6, source_v6)):
        if address:
            if check_address(address)[0] != family:
                raise ProbeError(f"source {address} is not an IPv{family} address")
            sources[family] = address
    concurrency = max(1, min(concurrency, raise_open_files(concurrency + 64) - 64))
    longest = -(-len(asked) // concurrency) * attempts * timeout
    if longest > MAX_SECONDS:
        raise ProbeError(
            f"{len(asked)} probes could take {longest:.0f} seconds, more than {MAX_SECONDS}: raise concurrency"
        )
    targets = {family: [probe.address for probe in asked if probe.family == family] for family in (4, 6)}
    prepare_folder(folder)
    with noted_signals() as stopped, folder_lock(folder, _LOCK_SECONDS):
        detour = Detour(commands or Commands(), folder, interface, hub_public_key, widen, sources, targets)
        with detour:
            for probe in asked:
                if probe.family in detour.broken:
                    probe.conclude("error", None, detour.broken[probe.family])
            sender = Sender(run, interface, sources, timeout, attempts, concurrency, marking)
            sender.run(asked, stopped)
    return {"answers": [probe.answer for probe in asked], "notes": detour.notes}
