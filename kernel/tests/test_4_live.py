# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody's tunnel restarts, peers come, change and go: nobody else loses a packet."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from kernelkit.hosts import HUB, Guest
from kernelnet import APP, DB, INSIDE, PEERS, TUNNEL, WEB, Net
from storms import first_line, widened
from test_3_power import public_key


@pytest.mark.invariant(5, 2)
def test_restart_of_one_segment_is_no_one_elses(net: Net) -> None:
    """Seen red with a PostUp in tenant B's interface that took tenant A's down for a moment."""
    before = net.snapshot()
    net.wake()
    with net.undisturbed(WEB, DB):
        net.sh(HUB, f"systemctl restart wg-quick@{TUNNEL[APP]}")
    assert net.snapshot() == before
    net.wake([APP])


def declare(inventory: Path, peers: str) -> None:
    """Declare one segment more, with these peers; without any of them not even the segment."""
    text = f"""---
wireguard_tenants__more:
  - name: more
    segments:
      - {{name: only, interface: more, peers: [{peers}]}}
"""
    (inventory / "group_vars/all/more.yml").write_text(text if peers else "---\nwireguard_tenants__more: []\n")


def tunnel(net: Net, peer: Guest) -> list[str]:
    """What the hub knows of a peer's tunnel: endpoint, allowed addresses, latest handshake, bytes in and out."""
    return net.sh(HUB, f"wg show {TUNNEL[peer]} dump").splitlines()[1].split("\t")[2:7]


@pytest.mark.invariant(5)
def test_changes_of_others_disturb_nobody(net: Net) -> None:
    """Seen red with every peer removed and written again at any difference."""
    inventory = net.copied("live")
    catching = net.start(DB, net.program("catch", "3306", "300"))
    assert catching.stdout is not None
    assert catching.stdout.readline() == "listening\n"
    pouring = net.start(WEB, net.program("pour", INSIDE[DB][0], "3306", "300"))
    assert pouring.stdout is not None
    assert pouring.stdout.readline() == "pouring\n"
    before = {peer: tunnel(net, peer) for peer in PEERS}
    one, two = (f'{{name: {name}, public_key: "{public_key(100 + len(name))}"}}' for name in ("one", "second"))
    with net.undisturbed(WEB, DB):
        for peers, removed in (
            (one, ""),
            (f"{one[:-1]}, tags: [x]}}, {two}", ""),
            (two, "more/only/one"),
            ("", "more"),
        ):
            declare(inventory, peers)
            print(time.strftime("%H:%M:%S", time.gmtime()), peers)
            net.site(*(["-e", f"wireguard_allow_removal={removed}"] if removed else []), inventory=inventory)
    net.sh(WEB, "pkill -f '^python3 /root/traffic.py pour' || true")
    sent = json.loads(pouring.communicate(timeout=60)[0].splitlines()[-1])
    caught = json.loads(catching.communicate(timeout=60)[0].splitlines()[-1])
    assert sent["bytes"] > 1_000_000
    assert (caught["bytes"], caught["sha256"]) == (sent["bytes"], sent["sha256"])
    assert sent["longest"] < 1, sent
    for peer in PEERS:
        after = tunnel(net, peer)
        assert after[:2] == before[peer][:2]
        # A tunnel in use makes a handshake every two minutes by itself.
        assert after[2] == before[peer][2] or int(after[2]) >= int(before[peer][2]) + 110, (before[peer], after)
        assert int(after[3]) >= int(before[peer][3])
        assert int(after[4]) >= int(before[peer][4])


@pytest.mark.invariant(1)
def test_a_noisy_tenant_hides_no_one_elses_denials(net: Net) -> None:
    """Seen red with the limit on log lines removed."""
    net.wake([WEB, APP])
    begin = float(net.sh(HUB, "cut -d' ' -f1 /proc/uptime"))
    noise = [f"noise-{port},udp,{INSIDE[WEB][0]},{INSIDE[DB][0]},{port}" for port in range(1000, 1150)]
    with widened(net, WEB), widened(net, APP):
        loud = net.start(WEB, net.program("storm", TUNNEL[WEB], "6", *noise))
        first_line("loud", loud, "sending")
        words = f"quiet,udp,{INSIDE[APP][0]},{INSIDE[DB][0]},77"
        net.sh(APP, net.program("storm", TUNNEL[APP], "1", words))
        sent = sum(json.loads(loud.communicate(timeout=30)[0].splitlines()[-1]).values())
    lines = net.sh(HUB, "journalctl -k -b --no-pager -o short-monotonic | grep -F WIREGUARD-DENY").splitlines()
    new = [line for line in lines if float(line.strip(" [").split("]")[0]) >= begin]
    of_web = [line for line in new if "WIREGUARD-DENY tenant-a/production policy: " in line]
    of_app = [line for line in new if "WIREGUARD-DENY tenant-b/production policy: " in line]
    assert sent > 300
    # A burst of twenty, and five a second.
    assert 20 <= len(of_web) <= 20 + 5 * 9, len(of_web)
    assert any("DPT=77" in line for line in of_app), new
