# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody is interrupted while others come, change and go."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from labnet import HUB, Lab, Peer

# A transfer with an order and an end: whatever is lost, doubled or cut off changes the hash.
SERVER = """
import hashlib, socket
found, count = hashlib.sha256(), 0
with socket.create_server(('{address}', 7070)) as server:
    print('listening', flush=True)
    link, _ = server.accept()
    while data := link.recv(65536):
        found.update(data)
        count += len(data)
print(count, found.hexdigest())
"""
CLIENT = """
import hashlib, os, socket, time
found, count = hashlib.sha256(), 0
with socket.create_connection(('{address}', 7070)) as link:
    while not os.path.exists('/run/lab-enough') and count < 1 << 28:
        data = os.urandom(8192)
        link.sendall(data)
        found.update(data)
        count += len(data)
        time.sleep(0.02)
print(count, found.hexdigest())
"""
GUEST = '          - {{name: guest, public_key: "{key}", address: {address}}}\n'
KEY = "3KGLVHKEMzGm4rQv7xVbEmC7l0fvHpSWDJpJvGmkn3I="


def tunnels(lab: Lab, peers: dict[str, Peer]) -> dict[str, tuple[int, int, int]]:
    """When each managed peer's handshake was, and what it received and sent, as the hub counts."""
    found = {}
    for line in lab.sh(HUB, "wg show all dump").splitlines():
        words = line.split("\t")
        for peer in peers.values():
            if len(words) == 9 and f"{peer.v4}/32" in words[4].split(","):
                found[peer.id] = (int(words[5]), int(words[6]), int(words[7]))
    assert found.keys() == {peer.id for peer in peers.values()}
    return found


@pytest.mark.invariant(5)
def test_a_transfer_survives_a_neighbours_coming_changing_and_going(
    lab: Lab, peers: dict[str, Peer], tmp_path: Path
) -> None:
    """Seen red with every peer removed and written again at any difference."""
    inventory = tmp_path / "inventory"
    shutil.copytree(lab.inventory, inventory)
    tenants = inventory / "group_vars/all/tenants.yml"
    original = tenants.read_text()
    neighbour = "          - {name: web2, host: web2, tags: [web]}\n"
    assert neighbour in original
    here, there = peers["web1"], peers["web2"]
    units = " ".join(f"wg-quick@{segment.interface}" for segment in lab.segments.values())
    started = lab.sh(HUB, f"systemctl show --property ActiveEnterTimestampMonotonic {units}")
    listening = lab.start(there.host, f'python3 -c "{SERVER.format(address=there.v4)}"')
    assert listening.stdout is not None
    assert listening.stdout.readline() == "listening\n"
    sending = lab.start(here.host, f'rm -f /run/lab-enough; python3 -c "{CLIENT.format(address=there.v4)}"')
    before = tunnels(lab, peers)
    base = lab.sh(HUB, "wg show all allowed-ips | sort")
    seen = []
    options = ["--limit", "hub1", "-e", "wireguard_allocation_frozen=false"]
    try:
        for address in ("10.100.1.77", "10.100.1.78", None):
            guest = GUEST.format(key=KEY, address=address) if address else ""
            tenants.write_text(original.replace(neighbour, neighbour + guest))
            outcome = lab.site(
                *options, *(["-e", "wireguard_allow_renumber=tenant-a"] if address else []), inventory=inventory
            )
            assert outcome.changed()[HUB] > 0, outcome.output
            seen.append(lab.sh(HUB, f"wg show {here.interface} allowed-ips | grep {KEY} || true"))
            after = tunnels(lab, peers)
            for name, numbers in after.items():
                assert all(new >= old for new, old in zip(numbers, before[name], strict=True)), name
            before = after
    finally:
        lab.sh(here.host, "touch /run/lab-enough")
    sent, received = sending.communicate(timeout=30)[0], listening.communicate(timeout=30)[0]
    assert [("10.100.1.77/32" in text, "10.100.1.78/32" in text) for text in seen] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert sent == received, f"{sent} is not {received}"
    assert int(sent.split()[0]) > 1 << 20
    assert lab.sh(HUB, "wg show all allowed-ips | sort") == base
    assert lab.sh(HUB, f"systemctl show --property ActiveEnterTimestampMonotonic {units}") == started
