# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub with a hundred segments boots. The last test: it leaves the hub full."""

from __future__ import annotations

import statistics
import time

import pytest
from kernelkit.hosts import HUB
from kernelnet import PEERS, Net, assert_order
from test_3_power import public_key

MANY = 100


@pytest.mark.invariant(2)
def test_a_hub_with_a_hundred_segments_boots(net: Net) -> None:
    """Seen red with one of the new units not enabled."""
    inventory = net.copied("many")
    lines = ["---", "wireguard_tenants__many:"]
    for number in range(MANY):
        key = public_key(1000 + number)
        lines += [
            f"  - name: many-{number}",
            f'    segments: [{{name: only, peers: [{{name: someone, public_key: "{key}"}}]}}]',
        ]
    (inventory / "group_vars/all/many.yml").write_text("\n".join(lines) + "\n")
    keys = net.public_keys()
    begin = time.monotonic()
    net.site(inventory=inventory)
    deployed = time.monotonic() - begin
    before = net.snapshot()
    net.cut(HUB)
    ssh = net.boot(HUB)
    begin = time.monotonic()
    assert net.settled(HUB) == "running"
    whole = ssh + time.monotonic() - begin
    units = net.units()
    assert sum(name.startswith("wg-quick@") for name in units) == MANY + 4
    assert_order(units)
    assert net.snapshot() == before
    after = net.public_keys()
    assert {name: after[name] for name in keys} == keys
    took = [
        (int(unit["ActiveEnterTimestampMonotonic"]) - int(unit["InactiveExitTimestampMonotonic"])) / 1e6
        for name, unit in units.items() if name.startswith("wg-quick@")
    ]  # fmt: skip
    guard = int(units["tenantnet-firewall.service"]["ActiveEnterTimestampMonotonic"]) / 1e6
    last = max(int(unit["ActiveEnterTimestampMonotonic"]) for unit in units.values()) / 1e6
    print(
        f"{MANY} segments more: deployed in {deployed:.0f} s; SSH {ssh:.0f} s after the start, "
        f"all units {whole:.0f} s; "
        f"firewall {guard:.1f} s, last interface {last:.1f} s after the kernel's start; "
        f"an interface {statistics.median(took):.1f} s in the median, {max(took):.1f} s at most"
    )
    net.wake(PEERS)
