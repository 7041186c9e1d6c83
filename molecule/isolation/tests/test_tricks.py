# SPDX-License-Identifier: GPL-3.0-or-later
"""What the owner of one peer tries beyond odd packets: errors, tunnels in tunnels, floods, other people's rules."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from labnet import HOSTS, HUB, INTERNET4, INTERNET6, SUPERNETS, Lab, Peer

METADATA = "169.254.169.254"
# A connection that stays open, from a port that its enemy knows.
CONNECT = """
import socket, sys, time
with socket.create_connection(('{target}', 22), 5, ('{source}', {port})) as link:
    link.recv(64)
    print('open', flush=True)
    time.sleep(60)
"""


@pytest.fixture
def marker() -> str:
    """What the packets of one test carry."""
    return f"marker-{uuid4().hex[:16]}"


def ask(source: str, target: str, port: int) -> str:
    """Write a command that says something only if a TCP connection is made."""
    words = f"import socket; socket.create_connection(('{target}', {port}), 3, ('{source}', 0)); print('open')"
    return f'python3 -c "{words}" 2>/dev/null'


@contextlib.contextmanager
def connection(lab: Lab, me: Peer, target: str, port: int) -> Iterator[None]:
    """A TCP connection of a peer to a host's SSH, from a port of its own."""
    source = me.v6 if ":" in target else me.v4
    job = lab.start(me.host, f'exec python3 -c "{CONNECT.format(target=target, source=source, port=port)}"')
    try:
        assert job.stdout is not None
        assert job.stdout.readline() == "open\n"
        yield
    finally:
        lab.sh(me.host, f"pkill -f '^python3 -c .*{port}' || true")
        job.wait(timeout=10)


@contextlib.contextmanager
def on_hub(lab: Lab, make: str, remove: str) -> Iterator[None]:
    """Something of somebody else on the hub, for the time of a test."""
    try:
        lab.sh(HUB, make)
        yield
    finally:
        lab.sh(HUB, remove)


@pytest.mark.invariant(11, 10)
@pytest.mark.parametrize("number", [0, 1], ids=["v4", "v6"])
def test_forged_errors_reach_no_connection_of_others(
    lab: Lab, peers: dict[str, Peer], marker: str, number: int
) -> None:
    """web1's owner, whom management may reach, reports trouble with management's connection to web2; and to the hub
    with management's connection to the hub.

    Seen red with errors let in from any interface that is an end of the flow: web1's about web2's reached ops1.
    """
    me, victim, other = peers["web1"], peers["ops1"], peers["web2"]
    hub = lab.segments[victim.segment].hub_addresses[number]
    for port, target in ((40101, other.addresses[number]), (40102, hub)):
        about = {"about_sport": port, "about_dport": 22}
        with connection(lab, victim, target, port), lab.watching([victim.host], marker) as seen:
            # About its packets to the victim, and about the victim's own.
            for about_source, about_target in ((victim.addresses[number], target), (target, victim.addresses[number])):
                words = {"about_source": about_source, "about_target": about_target, **about}
                if about_source != victim.addresses[number]:
                    words |= {"about_sport": 22, "about_dport": port}
                for to in (victim.addresses[number], lab.segments[me.segment].hub_addresses[number]):
                    lab.send(me.host, me.interface, "error", me.addresses[number], to, marker, **words)
        assert seen == {victim.host: set()}


@pytest.mark.invariant(11)
def test_an_honest_error_arrives(lab: Lab, peers: dict[str, Peer], marker: str) -> None:
    """The same packet from an end of the connection: what the other test does not see can be seen.

    Seen red with the chain `errors` closed.
    """
    victim, other = peers["ops1"], peers["web2"]
    with connection(lab, victim, other.v4, 40103), lab.watching([victim.host], marker) as seen:
        words = {"about_source": victim.v4, "about_target": other.v4, "about_sport": 40103, "about_dport": 22}
        lab.send(other.host, other.interface, "error", other.v4, victim.v4, marker, **words)
    assert seen == {victim.host: {other.v4}}


@pytest.mark.invariant(11, 1)
def test_no_listen_port_of_the_hub_answers_inside_a_tunnel(lab: Lab, peers: dict[str, Peer], marker: str) -> None:
    """A tunnel in a tunnel would carry another tenant's handshakes past the outside's firewall.

    Seen red with `accept` put first in the chain `fabric_input`.
    """
    me = peers["web1"]
    ports = [int(line.split()[1]) for line in lab.sh(HUB, "wg show all listen-port").splitlines()]
    assert len(ports) > len(lab.segments)
    before = lab.counter("denied_input")
    sent = 0
    with lab.widened([me], SUPERNETS):
        for address in (*lab.segments[me.segment].hub_addresses, HOSTS[HUB].address, HOSTS[HUB].address_v6):
            source = me.v6 if ":" in address else me.v4
            for port in ports:
                lab.send(me.host, me.interface, "udp", source, address, marker, port=port, times=1)
                sent += 1
    assert lab.counter("denied_input") - before >= sent


@pytest.mark.invariant(11)
@pytest.mark.parametrize("source", ["inside", "outside"])
def test_a_spoofed_outer_source_turns_the_hubs_replies_at_nobody(
    lab: Lab, peers: dict[str, Peer], marker: str, source: str
) -> None:
    """web1's own WireGuard packets leave with somebody else's outer address.

    With an address of the fabric they are dropped at the door: the hub's replies would go into that tenant's
    tunnel.
    With a neighbour's outside address its owner loses his own replies and nobody else notices.

    Seen red with the chain `spoofing` left with the segments' own addresses only.
    """
    me, victim = peers["web1"], peers["app1"]
    address = victim.v4 if source == "inside" else HOSTS[victim.host].address
    port = lab.record[me.segment]["listen_port"]
    table = (
        "table ip spoof {\nchain out {\ntype nat hook postrouting priority 100\n"
        f"ip daddr {HOSTS[HUB].address} udp dport {port} snat to {address}\n}}\n}}\n"
    )
    inside = f"timeout 9 tcpdump -n -l -i {victim.interface} udp 2>/dev/null || true"
    dropped = lab.counter("spoofing")
    endpoint = f"wg show {victim.interface} endpoints"
    before = lab.sh(HUB, endpoint)
    lab.sh(me.host, "apt-get -qq -y install nftables conntrack >/dev/null")
    lab.sh(me.host, f"nft -f -; conntrack -D -p udp --dport {port} >/dev/null 2>&1 || true", stdin=table)
    watch = lab.start(victim.host, inside)
    try:
        hub = lab.segments[me.segment].hub_addresses[0]
        lab.sh(me.host, f"ping -n -q -c 8 -i 0.3 -W 1 -I {me.v4} {hub} || true")
        assert lab.pings([victim], lambda _me: [peers["db1"].v4])[victim.id] == set()
        assert lab.connects(victim, peers["db1"].v4, 3306)
        assert lab.sh(HUB, endpoint) == before
        if source == "inside":
            assert lab.counter("spoofing") > dropped
    finally:
        lab.sh(me.host, f"nft delete table ip spoof; conntrack -D -p udp --dport {port} || true")
    assert watch.communicate(timeout=20)[0].strip() == ""
    lab.wake([me])


@pytest.mark.invariant(5)
def test_one_segment_cannot_fill_the_connection_table(lab: Lab, peers: dict[str, Peer]) -> None:
    """A limit of fifty, and a flood of four hundred: the others' connections are made all the same.

    Seen red with the limit left at its default: all four hundred had a place.
    """
    me, neighbour, database = peers["web1"], peers["app1"], peers["db1"]
    number = lab.record[me.segment]["number"]
    flood = (
        "import socket\n"
        "for n in range(400):\n"
        "    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"    s.bind(('{me.v4}', 20000 + n)); s.sendto(b'x', ('{peers['web2'].v4}', 4000)); s.close()\n"
    )
    count = f"conntrack -L --orig-zone {number} -p udp --dport 4000 2>/dev/null | wc -l"
    lab.site("-e", "wireguard_connections_limit=50", "--limit", HUB)
    try:
        lab.sh(me.host, f'python3 -c "{flood}"')
        full = int(lab.sh(HUB, count))
        assert lab.connects(neighbour, database.v4, 3306)
    finally:
        lab.site("--limit", HUB)
    assert 0 < full <= 50


@pytest.mark.invariant(1, 10)
def test_the_way_to_the_internet_leads_to_nothing_else(lab: Lab, peers: dict[str, Peer], marker: str) -> None:
    """Metadata services, the hub's own network, private ones: web1 may use the internet, and reaches none of them.

    Seen red with everything that comes out of tenant-a marked as meant for the internet.
    """
    me = peers["web1"]
    private = ["192.168.99.1", "10.99.0.1", "172.16.99.1", "100.64.0.1", METADATA]
    underlay = [
        HOSTS["db1"].address,
        HOSTS["internet1"].address,
        HOSTS["db1"].address_v6,
        HOSTS["internet1"].address_v6,
    ]
    private6 = ["fd00::99"]
    # Everything is there to be found, behind the hub's own default route.
    addresses = " ".join(private + private6)
    lab.sh("internet1", f"for a in {addresses}; do ip address replace $a dev lo; done")
    try:
        lab.sh(HUB, f"ping -c1 -W2 {METADATA} && ping -c1 -W2 {private6[0]}")
        with lab.widened([me], []), lab.watching([*peers, "internet1"], marker) as seen:
            for target in (*private, *private6, *underlay, INTERNET4, INTERNET6):
                source = me.v6 if ":" in target else me.v4
                for kind in ("echo", "syn", "udp"):
                    lab.send(me.host, me.interface, kind, source, target, marker, port=80, times=1)
    finally:
        lab.sh("internet1", f"for a in {addresses}; do ip address del $a dev lo; done")
    # Replies and errors that quote what it sent.
    seen.pop(me.host)
    arrived = seen.pop("internet1")
    assert arrived == {HOSTS[HUB].address, HOSTS[HUB].address_v6}, "only what was translated may arrive"
    assert not any(seen.values()), seen


PUBLISHED = """
ip netns add box && ip link add veth-box type veth peer name eth0 netns box
ip address add 172.17.0.1/24 dev veth-box && ip link set veth-box up
ip -n box address add 172.17.0.2/24 dev eth0 && ip -n box link set eth0 up && ip -n box link set lo up
ip -n box route add default via 172.17.0.1
nft -f - <<'NFT'
table ip engine {
  chain pre { type nat hook prerouting priority dstnat; fib daddr type local tcp dport 8080 dnat to 172.17.0.2:8080;
              tcp dport 9090 dnat to 10.100.254.10:3306; }
  chain post { type nat hook postrouting priority srcnat; ip saddr 172.17.0.0/24 oifname != "veth-box" masquerade; }
  chain forward { type filter hook forward priority filter; policy drop;
                  ct state established,related accept; oifname "veth-box" accept; iifname "veth-box" accept; }
}
NFT
systemd-run --quiet --unit=box-server ip netns exec box python3 -m http.server 8080
"""
UNPUBLISHED = """
systemctl stop box-server; nft delete table ip engine; ip link delete veth-box; ip netns delete box
"""


@pytest.mark.invariant(1)
def test_published_container_ports_lead_nowhere(lab: Lab, peers: dict[str, Peer]) -> None:
    """A container engine on the hub: its published port is the outside's, and none of its rules opens the fabric.

    Its tables are what Docker's are: a translation for every local address, a forward chain that accepts its
    bridge
    and drops the rest. It keeps a tenant from nothing that the engine's owner means to give to the outside.

    Seen red with every wall down: `accept` put first, nothing in `leak`, and rules that lead web1 to the bridge and
    back.
    """
    me, outsider = peers["web1"], "dev1"
    outside, hubs = HOSTS[HUB].address, [segment.hub_addresses[0] for segment in lab.segments.values()]
    with on_hub(lab, PUBLISHED, UNPUBLISHED):
        end = time.monotonic() + 10
        while not lab.sh(outsider, ask("", outside, 8080), check=False):
            assert time.monotonic() < end, "the published port is closed to the outside"
        with lab.widened([me], [*SUPERNETS, "172.17.0.0/24"]):
            for address in (*hubs, "172.17.0.2", "172.17.0.1"):
                assert not lab.sh(me.host, ask(me.v4, address, 8080), check=False), address
        # A port that would lead into the fabric.
        assert not lab.sh(outsider, ask("", outside, 9090), check=False)
        for address, port in ((peers["db1"].v4, 3306), (peers["web1"].v4, 22)):
            assert not lab.sh(HUB, f"ip netns exec box {ask('', address, port)}", check=False), address
    assert lab.connects(me, peers["db1"].v4, 3306)


@pytest.mark.invariant(2, 3)
@pytest.mark.parametrize("word", ["restart", "reload"])
def test_a_distribution_that_flushes_all_rules_gets_ours_back(lab: Lab, peers: dict[str, Peer], word: str) -> None:
    """Debian's nftables.service flushes everybody's rules, and no tunnel restarts for it.

    Seen red with the unit no longer a part of nftables.service.
    """
    before = lab.snapshot()
    units = " ".join(f"wg-quick@{segment.interface}" for segment in lab.segments.values())
    started = f"systemctl show --property ActiveEnterTimestampMonotonic {units}"
    since = lab.sh(HUB, started)
    foreign = lab.sh(HUB, "nft list table inet foreign; nft list table ip foreign4")
    enabled = lab.sh(HUB, "systemctl is-enabled nftables || true").strip()
    lab.sh(HUB, "systemctl start nftables; nft -f /etc/foreign/firewall.nft")
    try:
        lab.sh(HUB, f"systemctl {word} nftables")
        assert lab.snapshot() == before
        assert lab.sh(HUB, started) == since
        assert lab.connects(peers["web1"], peers["db1"].v4, 3306)
        assert not lab.connects(peers["web1"], peers["db1"].v4, 22)
    finally:
        # The flush took the strangers' rules too: that was the distribution, and this puts them back.
        lab.sh(HUB, "systemctl stop nftables; nft -f /etc/foreign/firewall.nft; systemctl restart tenantnet-firewall")
    assert lab.sh(HUB, "systemctl is-enabled nftables || true").strip() == enabled
    assert lab.sh(HUB, "nft list table inet foreign; nft list table ip foreign4") == foreign
    assert lab.snapshot() == before


@pytest.mark.invariant(5)
def test_the_firewalls_restart_is_no_tunnels_restart(lab: Lab) -> None:
    """Seen red with `Requires=` in one tunnel's drop-in."""
    before = lab.snapshot()
    units = " ".join(f"wg-quick@{segment.interface}" for segment in lab.segments.values())
    since = lab.sh(HUB, f"systemctl show --property ActiveEnterTimestampMonotonic {units}")
    lab.sh(HUB, "systemctl restart tenantnet-firewall tenantnet-routing")
    assert lab.sh(HUB, f"systemctl show --property ActiveEnterTimestampMonotonic {units}") == since
    assert lab.snapshot() == before


@pytest.mark.invariant(1, 6)
def test_networkd_deletes_nothing_of_ours(lab: Lab) -> None:
    """A hub whose network is systemd-networkd's, which removes the rules and routes of others when it starts.

    Seen red with networkd not told to leave foreign rules alone.
    """
    before = lab.snapshot()
    lab.sh(HUB, "systemctl unmask -q systemd-networkd && systemctl enable -q --now systemd-networkd")
    try:
        lab.site("--limit", HUB)
        config = lab.sh(HUB, "cat /etc/systemd/networkd.conf.d/60-tenantnet.conf")
        lab.sh(HUB, "systemctl restart systemd-networkd && networkctl reload && sleep 1")
        after = lab.snapshot()
    finally:
        lab.sh(
            HUB,
            "systemctl disable -q --now systemd-networkd.socket systemd-networkd; systemctl mask -q systemd-networkd",
        )
        lab.sh(HUB, "rm -f /etc/systemd/networkd.conf.d/60-tenantnet.conf")
    assert re.search("ManageForeignRoutingPolicyRules=no", config)
    assert after == before


ADVERTISE = """
import socket, struct, time
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
s.setsockopt(41, socket.IPV6_MULTICAST_HOPS, 255)
s.setsockopt(41, socket.IPV6_MULTICAST_IF, socket.if_nametoindex('eth0'))
for _ in range({times}):
    packet = struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, {lifetime}, 0, 0)
    s.sendto(packet, ('ff02::1', 0, 0, socket.if_nametoindex('eth0')))
    time.sleep(0.2)
"""


@pytest.mark.invariant(5, 10)
def test_a_hub_keeps_the_way_out_that_a_router_advertises(lab: Lab) -> None:
    """A hub that forwards no longer listens to routers by itself, and would lose its default route when it ends.

    Seen red with forwarding turned on and accept_ra left as it was.
    """
    route = "ip -6 route show default proto ra"
    static = lab.sh(HUB, "ip -6 route show default").strip()
    start = "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding; echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra"
    lab.sh(HUB, f"{start}; ip -6 route del {static}")
    advertise = f'python3 -c "{ADVERTISE}"'
    try:
        lab.sh("internet1", advertise.format(times=3, lifetime=600))
        assert "via fe80::" in lab.sh(HUB, route)
        lab.site("--limit", HUB)
        assert lab.sh(HUB, "cat /proc/sys/net/ipv6/conf/all/forwarding").strip() == "1"
        # The router takes its route back, and offers it again: the hub has listened to both.
        lab.sh("internet1", advertise.format(times=3, lifetime=0))
        assert lab.sh(HUB, route) == ""
        lab.sh("internet1", advertise.format(times=3, lifetime=600))
        assert "via fe80::" in lab.sh(HUB, route)
        assert not any(lab.site("--limit", HUB).changed().values())
    finally:
        lab.sh("internet1", advertise.format(times=2, lifetime=0))
        lab.sh(HUB, f"ip -6 route replace {static}; rm /etc/sysctl.d/60-tenantnet.conf")
        lab.sh(HUB, "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra")
        lab.site("--limit", HUB)
