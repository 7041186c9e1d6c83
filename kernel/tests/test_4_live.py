# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody's tunnel restarts, peers come, change and go: nobody else loses a packet."""

from __future__ import annotations

import json
import time
from pathlib import Path

from kernelkit.hosts import HUB, Guest
from kernelnet import APP, DB, INSIDE, PEERS, TUNNEL, WEB, Net
from test_3_power import public_key


def test_restart_of_one_segment_is_no_one_elses(net: Net) -> None:
    """RED6"""
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


def test_changes_of_others_disturb_nobody(net: Net) -> None:
    """RED7"""
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
