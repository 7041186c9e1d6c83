# SPDX-License-Identifier: GPL-3.0-or-later
"""A segment restarts, the hub reboots, the firewall does not load."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from labnet import HOSTS, HUB, IDS, ROOT, SUPERNETS, Lab, Peer


@contextlib.contextmanager
def undisturbed(lab: Lab, pairs: list[tuple[Peer, Peer]]) -> Iterator[None]:
    """Ping twenty times a second, in both families, while something happens to somebody else: no packet is lost."""
    jobs = []
    for me, other in pairs:
        for source, target in zip(me.addresses, other.addresses, strict=True):
            jobs.append((me, target, lab.start(me.host, f"ping -n -q -i 0.05 -w 60 -I {source} {target}")))
    time.sleep(1)
    try:
        yield
        time.sleep(1)
    finally:
        for me, target, _job in jobs:
            # It ends with its statistics.
            lab.sh(me.host, f"pkill -INT -f '^ping -n -q .* {target}$' || true")
    for me, target, job in jobs:
        said = job.communicate(timeout=20)[0]
        found = re.search(r"(\d+) packets transmitted, (\d+) received", said)
        assert found, said
        assert int(found[1]) >= 30, said
        # The very last one may be under way when ping is stopped.
        assert int(found[1]) - int(found[2]) <= 1, f"{me.id} to {target}: {said}"


@pytest.mark.invariant(5, 2)
def test_one_tenants_restart_is_no_one_elses(lab: Lab, peers: dict[str, Peer]) -> None:
    """Seen red with a PostUp in tenant B's interface that restarted tenant A's."""
    before = lab.snapshot()
    with undisturbed(lab, [(peers["web1"], peers["web2"]), (peers["ops1"], peers["web1"])]):
        lab.sh(HUB, f"systemctl restart wg-quick@{peers['app1'].interface}")
    assert lab.snapshot() == before


@pytest.mark.invariant(2, 5)
def test_the_shared_segments_restart_brings_every_route_back(lab: Lab, peers: dict[str, Peer]) -> None:
    """Seen red with the last line of its file of IPv6 routes removed."""
    before = lab.snapshot()
    with undisturbed(lab, [(peers["web1"], peers["web2"]), (peers["ops1"], peers["web2"])]):
        lab.sh(HUB, f"systemctl restart wg-quick@{peers['db1'].interface}")
    assert lab.snapshot() == before
    # The tenant of the test before, too: WireGuard's own patience of 15 seconds is waited for once.
    lab.wake([peers["db1"], peers["app1"]])
    for host in ("web1", "app1"):
        for address in peers["db1"].addresses:
            assert lab.connects(peers[host], address, 3306), (host, address)


@pytest.mark.invariant(3)
def test_an_invalid_ruleset_changes_nothing(lab: Lab) -> None:
    """The driver on the hub itself, given what nft refuses at the first word, at a name, and at the end.

    Seen red with the driver's trial load (`nft -c`) left out.
    """
    before = lab.snapshot()
    state = lab.sh(HUB, "cat /var/lib/tenantnet/firewall.json")
    base = "/tmp/driver"
    folder = f"{base}/ansible_collections/tenantnet/wireguard/plugins/module_utils"
    for source in (ROOT / "plugins/module_utils").glob("*.py"):
        lab.sh(HUB, f"mkdir -p {folder} && cat > {folder}/{source.name}", stdin=source.read_text())
    call = (
        f"import sys; sys.path.insert(0, '{base}')\n"
        "from ansible_collections.tenantnet.wireguard.plugins.module_utils import firewall, host\n"
        "try: firewall.reconcile(host.Host(), sys.stdin.read(), [])\n"
        "except host.HostError as error: print('refused:', error)\n"
    )
    lab.sh(HUB, f"cat > {base}/call.py", stdin=call)
    table = "table inet tenantnet\ndelete table inet tenantnet\ntable inet tenantnet {{ {}\n"
    for wrong in (
        "tabel inet tenantnet { }\n",
        table.format("chain a { jump nowhere; }; }"),
        table.format("chain a {"),
    ):
        said = lab.sh(HUB, f"python3 {base}/call.py", stdin=wrong)
        assert said.startswith("refused:"), said
        assert lab.snapshot() == before
        assert lab.sh(HUB, "cat /var/lib/tenantnet/firewall.json") == state
    lab.sh(HUB, f"rm -r {base}")


@pytest.mark.invariant(2, 10, 11)
def test_a_reboot_brings_everything_back_behind_the_firewall(lab: Lab, peers: dict[str, Peer]) -> None:
    """Traffic waits outside all the time: what no policy allows, and plain packets on the hub's own wire.

    Seen red with a slow firewall unit that nothing waited for: PreUp kept every interface down.
    """
    before = lab.snapshot()
    marker = f"marker-{uuid4().hex[:16]}"
    me, outsider = peers["web1"], peers["dev1"]
    others = [host for host in IDS if host not in (me.host, outsider.host)]
    jobs = []
    with lab.widened([me], SUPERNETS), lab.watching([*others, "internet1"], marker, seconds=120) as seen:
        for number in (0, 1):
            for target in (peers["app1"], peers["db1"]):
                words = (me.interface, "syn", me.addresses[number], target.addresses[number], marker)
                jobs.append(lab.start(*lab.python(me.host, "packets.py", "send", *words, "port=22", "times=2000")))
                plain = ("eth0", "udp", peers["app1"].addresses[number], target.addresses[number], marker)
                options = (f"mac={HOSTS[HUB].mac}", "times=2000")
                jobs.append(lab.start(*lab.python(outsider.host, "packets.py", "send", *plain, *options)))
        lab.restart(HUB)
        # A handshake later the tunnel carries again, and still only what it may.
        lab.wake([me, *(peers[host] for host in others)])
        for peer in (me, outsider):
            lab.sh(peer.host, "pkill -f '^python3 -c' || true")
        for job in jobs:
            job.wait(timeout=60)
    assert not any(seen.values()), seen
    assert lab.snapshot() == before
    ours = [f"wg-quick@{segment.interface}.service" for segment in lab.segments.values()]
    guards = ["tenantnet-firewall.service", "tenantnet-routing.service"]
    wanted = "Id,ActiveState,InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic"
    said = lab.sh(HUB, f"systemctl show --property {wanted} {' '.join([*guards, *ours])}")
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.strip().split("\n\n")]
    units = {block["Id"]: block for block in blocks}
    assert {name: unit["ActiveState"] for name, unit in units.items()} == dict.fromkeys([*guards, *ours], "active")
    for guard in guards:
        stands = int(units[guard]["ActiveEnterTimestampMonotonic"])
        assert stands > 0
        for name in ours:
            assert int(units[name]["InactiveExitTimestampMonotonic"]) >= stands, f"{name} began before {guard} stood"
    lab.wake(list(peers.values()))
    lab.verify()


@pytest.mark.invariant(2)
def test_a_firewall_that_does_not_load_keeps_every_interface_down(lab: Lab, peers: dict[str, Peer]) -> None:
    """Seen red with PreUp removed from one interface's configuration."""
    before = lab.snapshot()
    lab.sh(HUB, "echo 'table inet tenantnet { chain broken { no such rule } }' > /etc/tenantnet/firewall.nft")
    lab.restart(HUB)
    running = lab.host(HUB).service("tenantnet-firewall").is_running
    interfaces = lab.sh(HUB, "wg show interfaces").split()
    lab.site()
    assert not running
    # The one that is not ours is none of our business.
    assert interfaces == ["wg-foreign"]
    assert lab.snapshot() == before
    lab.wake(list(peers.values()))
