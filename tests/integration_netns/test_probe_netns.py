# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes through real namespaces: client, router, target, and every fate a packet can meet.

Needs root, ip, nft, nsenter and unshare; the tests of the tunnel also wg and wireguard-go.
All addresses are documentation ranges inside the namespaces, none of which has a default route.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

MISSING = [tool for tool in ("ip", "nft", "nsenter", "unshare") if not shutil.which(tool)]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}"),
]
needs_wireguard = pytest.mark.skipif(
    not (shutil.which("wg") and shutil.which("wireguard-go") and os.path.exists("/dev/net/tun")),
    reason="needs wg, wireguard-go and /dev/net/tun",
)
needs_ansible = pytest.mark.skipif(not importlib.util.find_spec("ansible"), reason="needs ansible-core")

# The interpreter of the pretended hosts, so that the oldest supported one can be tried.
PYTHON = os.environ.get("TENANTNET_TARGET_PYTHON", sys.executable)
COLLECTIONS = str(Path(__file__).resolve().parents[2] / ".collections")
UTILS = "ansible_collections.tenantnet.wireguard.plugins.module_utils"
LIFE = 300  # seconds; whatever these tests leave behind by accident ends by then

CLIENT = {4: "192.0.2.10", 6: "2001:db8:1::10"}
ROUTER = {4: "192.0.2.1", 6: "2001:db8:1::1"}
TARGET = {4: "198.51.100.10", 6: "2001:db8:2::10"}
SILENT = {4: "198.51.100.11", 6: "2001:db8:2::11"}
DEAF = {4: "198.51.100.12", 6: "2001:db8:2::12"}
PROHIBITED = {4: "198.51.100.13", 6: "2001:db8:2::13"}
TUNNEL = {4: "203.0.113.10", 6: "2001:db8:3::10"}
HUB = {4: "203.0.113.1", 6: "2001:db8:3::1"}

SERVER = """
import select, socket, sys, time
silent = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
silent.bind(("::", 9007))
options = {"family": socket.AF_INET6, "dualstack_ipv6": True, "backlog": 1024}
listening = [socket.create_server(("::", port), **options) for port in (8080, 8085)]
print("ready", flush=True)
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    for ready in select.select(listening, [], [], 1.0)[0]:
        ready.accept()[0].close()
"""

SLOW_SERVER = """
import socket, time
listening = socket.create_server(("198.51.100.10", 8088), backlog=64)
print("ready", flush=True)
time.sleep(60)
"""

CALL = """
import importlib, json, sys
module, name, arguments = json.load(sys.stdin)
module = importlib.import_module(module)
print("ready", file=sys.stderr, flush=True)
print(json.dumps(getattr(module, name)(**arguments)))
"""

RULES = """
table inet probes {
  chain forward {
    type filter hook forward priority 0; policy accept;
    tcp dport 8082 drop
    tcp dport 8083 reject with tcp reset
    tcp dport 8084 reject with icmpx type admin-prohibited
    tcp sport 8085 drop
    tcp dport 8086 reject with icmpx type port-unreachable
    udp dport 9002 drop
    udp dport 9004 reject with icmpx type admin-prohibited
    udp sport 9005 drop
    udp dport 9006 reject with icmpx type port-unreachable
    icmp type echo-request ip daddr 198.51.100.11 drop
    icmp type echo-reply ip saddr 198.51.100.12 drop
    icmp type echo-request ip daddr 198.51.100.13 reject with icmpx type admin-prohibited
    icmpv6 type echo-request ip6 daddr 2001:db8:2::11 drop
    icmpv6 type echo-reply ip6 saddr 2001:db8:2::12 drop
    icmpv6 type echo-request ip6 daddr 2001:db8:2::13 reject with icmpx type admin-prohibited
  }
}
"""

# protocol, port, address: what the client hears, from whom, and whether the target saw it
FATES = {
    "tcp open": ("tcp", 8080, TARGET, "syn-ack", TARGET, True),
    "tcp closed": ("tcp", 8081, TARGET, "rst", TARGET, True),
    "tcp dropped": ("tcp", 8082, TARGET, "none", None, False),
    "tcp reset by the router": ("tcp", 8083, TARGET, "rst", TARGET, False),
    "tcp prohibited by the router": ("tcp", 8084, TARGET, "icmp", ROUTER, False),
    "tcp one-way": ("tcp", 8085, TARGET, "none", None, True),
    "tcp refused by the router with icmp": ("tcp", 8086, TARGET, "icmp", ROUTER, False),
    "udp echo": ("udp", 9000, TARGET, "reply", TARGET, True),
    "udp closed": ("udp", 9001, TARGET, "port-unreachable", TARGET, True),
    "udp dropped": ("udp", 9002, TARGET, "none", None, False),
    "udp prohibited by the router": ("udp", 9004, TARGET, "icmp", ROUTER, False),
    "udp one-way": ("udp", 9005, TARGET, "none", None, True),
    "udp refused by the router": ("udp", 9006, TARGET, "port-unreachable", ROUTER, False),
    "udp service without an answer": ("udp", 9007, TARGET, "none", None, True),
    "icmp": ("icmp", None, TARGET, "echo-reply", TARGET, True),
    "icmp dropped": ("icmp", None, SILENT, "none", None, False),
    "icmp one-way": ("icmp", None, DEAF, "none", None, True),
    "icmp prohibited by the router": ("icmp", None, PROHIBITED, "icmp", ROUTER, False),
}


def new_run():
    return uuid.uuid4().hex[:16]


class Host:
    """A network and a mount namespace with a /run of its own."""

    def __init__(self, name):
        self.name = name
        script = "mount -t tmpfs none /run && mount -t sysfs none /sys && ip link set lo up && echo ready && exec sleep"
        self.keeper = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", f"{script} {LIFE * 2}"],
            stdout=subprocess.PIPE,
        )
        self.helpers: list[subprocess.Popen] = []
        assert self.keeper.stdout.readline() == b"ready\n", name
        # Addresses must work at once.
        self.sysctl(ipv6__conf__default__accept_dad=0, ipv6__conf__default__dad_transmits=0)

    def argv(self, *argv):
        return ["nsenter", "-t", str(self.keeper.pid), "-n", "-m", *argv]

    def start(self, *argv, **options):
        return subprocess.Popen(self.argv(*argv), **options)

    def run(self, *argv, stdin="", check=True):
        # A time limit, because a daemon that kept the pipe open would hold this up for ever.
        done = subprocess.run(
            self.argv(*argv), input=stdin, capture_output=True, text=True, timeout=120, check=False, env=environment()
        )
        assert not check or done.returncode == 0, (argv, done.stdout, done.stderr)
        return done.stdout

    def ip(self, text):
        for line in filter(None, (line.strip() for line in text.splitlines())):
            self.run("ip", *line.split())

    def sysctl(self, **settings):
        for name, value in settings.items():
            self.run("sh", "-c", f"echo {value} > /proc/sys/net/{name.replace('__', '/')}")

    def call(self, module, name, **arguments):
        """Run a function of the module utilities in this host, as a module on it would."""
        text = json.dumps([f"{UTILS}.{module}", name, arguments])
        return json.loads(self.run(PYTHON, "-c", CALL, stdin=text))

    def observe(self, run, interfaces, **options):
        return self.call(
            "probe_daemon",
            "start",
            **dict({"run": run, "seconds": 60, "interfaces": interfaces, "udp_echo": []}, **options),
        )

    def collect(self, run):
        return self.call("probe_daemon", "collect", run=run)

    def send(self, run, probes, **options):
        return self.call("probe_send", "send", **send_options(run, probes, **options))

    def start_send(self, run, probes, **options):
        """Start a send that the caller will interrupt; return once it is about to begin."""
        process = self.start(
            PYTHON,
            "-c",
            CALL,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        process.stdin.write(json.dumps([f"{UTILS}.probe_send", "send", send_options(run, probes, **options)]))
        process.stdin.close()
        process.stdin = None
        return process

    def state(self):
        """Everything that a probe might leave behind."""
        return {
            "rules": [self.run("ip", family, "rule") for family in ("-4", "-6")],
            "routes": [
                sorted(self.run("ip", family, "route", "show", "table", "all").splitlines()) for family in ("-4", "-6")
            ],
            "files": self.run("find", "/run/tenantnet", check=False),
            "processes": self.processes(),
        }

    def processes(self):
        mine = os.readlink(f"/proc/{self.keeper.pid}/ns/net")
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{name}/ns/net") == mine:
                    found.append(Path(f"/proc/{name}/comm").read_text().strip())
            except OSError:
                continue
        return sorted(found)

    def close(self):
        for process in [*self.helpers, self.keeper]:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()


def environment():
    return dict(os.environ, PYTHONPATH=COLLECTIONS, PYTHONDONTWRITEBYTECODE="1")


def send_options(run, probes, **options):
    base = {
        "run": run,
        "interface": "c0",
        "probes": probes,
        "source": CLIENT[4],
        "source_v6": CLIENT[6],
        "timeout": 0.5,
        "attempts": 3,
    }
    base.update(options)
    return base


def probe(ident, protocol, address, port=None):
    return {"id": ident, "protocol": protocol, "address": address, "port": port}


class Lab:
    def __init__(self):
        self.client, self.router, self.target = self.hosts = [Host(name) for name in ("client", "router", "target")]
        pids = {host.name: host.keeper.pid for host in self.hosts}
        for left, right, one, other in (("client", "router", "c0", "r0"), ("router", "target", "r1", "t0")):
            argv = ["ip", "link", "add", one, "netns", str(pids[left]), "type", "veth"]
            subprocess.run([*argv, "peer", "name", other, "netns", str(pids[right])], check=True)
        for host, device, addresses in (
            (self.client, "c0", [f"{CLIENT[4]}/24", f"{CLIENT[6]}/64"]),
            (self.router, "r0", [f"{ROUTER[4]}/24", f"{ROUTER[6]}/64"]),
            (self.router, "r1", ["198.51.100.1/24", "2001:db8:2::1/64"]),
            (
                self.target,
                "t0",
                [f"{address[4]}/24" for address in (TARGET, SILENT, DEAF, PROHIBITED)]
                + [f"{address[6]}/64" for address in (TARGET, SILENT, DEAF, PROHIBITED)],
            ),
        ):
            for address in addresses:
                host.ip(f"address add {address} dev {device}" + (" nodad" if ":" in address else ""))
            host.ip(f"link set {device} up")
            # Errors are rationed by default; a test of many needs them all.
            host.sysctl(ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0)
        self.router.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        # Answers from where the client has no route to must survive the strictest check.
        self.client.sysctl(ipv4__conf__all__rp_filter=1, ipv4__conf__c0__rp_filter=1)
        for network, family in (
            ("192.0.2.0/24", 4),
            ("203.0.113.0/24", 4),
            ("2001:db8:1::/64", 6),
            ("2001:db8:3::/64", 6),
        ):
            self.target.ip(f"route add {network} via {'198.51.100.1' if family == 4 else '2001:db8:2::1'}")
        # A tunnel asks for no link address; this makes a veth behave like one.
        mac = json.loads(self.router.run("ip", "-j", "link", "show", "r0"))[0]["address"]
        for addresses in (TARGET, SILENT, DEAF, PROHIBITED):
            for address in addresses.values():
                self.client.ip(f"neigh add {address} lladdr {mac} dev c0 nud permanent")
        self.router.run("nft", "-f", "-", stdin=RULES)
        server = self.target.start(PYTHON, "-c", SERVER, str(LIFE), stdout=subprocess.PIPE)
        self.target.helpers.append(server)
        assert server.stdout.readline() == b"ready\n"

    def close(self):
        for host in self.hosts:
            host.close()


@pytest.fixture(scope="module")
def lab():
    found = Lab()
    yield found
    found.close()


@pytest.fixture
def quiet(lab):
    """Fail a test that leaves anything behind on any host."""
    before = [host.state() for host in lab.hosts]
    for state in before:
        state["files"] = state["files"] or "/run/tenantnet\n"
    yield lab
    until = time.monotonic() + 5
    while [host.state() for host in lab.hosts] != before and time.monotonic() < until:
        time.sleep(0.1)
    for host, state in zip(lab.hosts, before, strict=True):
        now = host.state()
        now["files"] = now["files"] or "/run/tenantnet\n"
        assert now == state, host.name


@pytest.fixture(scope="module")
def outcome(lab):
    """One run with every fate in both families, observed everywhere."""
    run = new_run()
    before = [host.state() for host in lab.hosts]
    probes, expected = [], {}
    for name, (protocol, port, address, *fate) in FATES.items():
        for family in (4, 6):
            probes.append(probe(f"{name} {family}", protocol, address[family], port))
            expected[f"{name} {family}"] = fate
    echo = [{"address": TARGET[family], "port": port} for family in (4, 6) for port in (9000, 9005, 9007)]
    started = {
        "client": lab.client.observe(run, ["c0"]),
        "router": lab.router.observe(run, ["r0", "r1", "nothing"]),
        "target": lab.target.observe(run, ["t0"], udp_echo=echo),
    }
    began = time.monotonic()
    answers = {answer["id"]: answer for answer in lab.client.send(run, probes)["answers"]}
    took = time.monotonic() - began
    seen = {host.name: host.collect(run) for host in lab.hosts}
    after = [host.state() for host in lab.hosts]
    return {
        "probes": {one["id"]: one for one in probes},
        "started": started,
        "answers": answers,
        "seen": seen,
        "states": (before, after),
        "took": took,
    }


def sighting(interface, direction, family, one, source=None):
    source = source or CLIENT[family]
    return [interface, direction, family, one["protocol"], source, one["address"], one["port"] or 0]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", FATES)
def test_fate(outcome, name, family):
    _protocol, _port, _address, answer, by, seen = FATES[name]
    got = outcome["answers"][f"{name} {family}"]
    assert (got["answer"], got["by"]) == (answer, by[family] if by else None), got
    one = outcome["probes"][f"{name} {family}"]
    watched = outcome["seen"]
    assert sighting("c0", "out", family, one) in watched["client"]["sightings"]
    assert sighting("r0", "in", family, one) in watched["router"]["sightings"]
    assert (sighting("r1", "out", family, one) in watched["router"]["sightings"]) is seen
    assert (sighting("t0", "in", family, one) in watched["target"]["sightings"]) is seen


def test_nothing_but_first_packets_is_seen(outcome):
    sent = {
        json.dumps(sighting("t0", "in", 6 if ":" in one["address"] else 4, one)) for one in outcome["probes"].values()
    }
    seen = [json.dumps(item) for item in outcome["seen"]["target"]["sightings"]]
    assert set(seen) <= sent
    # Attempts are repeated, sightings are not.
    assert len(seen) == len(set(seen))
    assert outcome["seen"]["router"]["lost"] == 0
    assert outcome["seen"]["router"]["overflow"] is False


def test_what_could_not_be_served_was_said(outcome):
    started = outcome["started"]
    assert started["router"]["watching"] == ["r0", "r1"]
    assert [item["interface"] for item in started["router"]["unwatched"]] == ["nothing"]
    skipped = started["target"]["skipped_echo"]
    assert [(item["address"], item["port"]) for item in skipped] == [(TARGET[4], 9007), (TARGET[6], 9007)]
    assert {item["reason"] for item in skipped} == {"Address already in use"}


def test_silence_of_many_takes_no_longer_than_of_one(outcome):
    assert outcome["took"] < 0.5 * 3 + 3


def test_nothing_is_left(outcome):
    before, after = outcome["states"]
    for old, new in zip(before, after, strict=True):
        assert new.pop("files") == "/run/tenantnet\n"
        old.pop("files")
        assert new == old


def test_without_the_detour_there_is_no_way(quiet):
    """Guards the tests above: the client really has no route."""
    for family, address in TARGET.items():
        argv = [f"-{family}", "route", "get", address]
        assert (
            "unreachable"
            in subprocess.run(quiet.client.argv("ip", *argv), capture_output=True, text=True, check=False).stderr
        )


def test_another_marking_is_not_observed(quiet):
    run = new_run()
    quiet.target.observe(run, ["t0"])
    probes = [probe("tcp", "tcp", TARGET[4], 8080), probe("icmp", "icmp", TARGET[6])]
    answers = quiet.client.send(run, probes, marking=10)["answers"]
    assert [answer["answer"] for answer in answers] == ["syn-ack", "echo-reply"]
    assert quiet.target.collect(run)["sightings"] == []


def test_another_run_is_neither_observed_nor_echoed(quiet):
    run = new_run()
    quiet.target.observe(run, ["t0"], udp_echo=[{"address": TARGET[4], "port": 9000}])
    answers = quiet.client.send(new_run(), [probe("a", "udp", TARGET[4], 9000), probe("b", "icmp", TARGET[4])])[
        "answers"
    ]
    assert [answer["answer"] for answer in answers] == ["none", "echo-reply"]
    assert quiet.target.collect(run)["sightings"] == []


def test_two_runs_at_once_do_not_disturb_each_other(quiet):
    runs = [new_run(), new_run()]
    for run in runs:
        quiet.target.observe(run, ["t0"])
    for run in runs:
        assert quiet.client.send(run, [probe("b", "icmp", TARGET[4])])["answers"][0]["answer"] == "echo-reply"
    assert [len(quiet.target.collect(run)["sightings"]) for run in runs] == [1, 1]


def test_what_this_host_refuses_is_an_error_and_no_verdict(quiet):
    quiet.client.run(
        "nft",
        "-f",
        "-",
        stdin="table inet own { chain out { type filter hook output priority 0; meta l4proto { udp, icmp } drop; }\n}",
    )
    try:
        probes = [probe("udp", "udp", TARGET[4], 9001), probe("icmp", "icmp", TARGET[4])]
        answers = quiet.client.send(new_run(), probes)["answers"]
    finally:
        quiet.client.run("nft", "delete table inet own")
    assert [(answer["answer"], answer["by"]) for answer in answers] == [("error", None)] * 2
    assert all("EPERM" in answer["detail"] for answer in answers)


def test_a_neighbour_that_does_not_exist_is_an_error(quiet):
    """The client itself sends the ICMP error then; that is no answer of the network."""
    answers = quiet.client.send(
        new_run(), [probe("tcp", "tcp", "192.0.2.99", 80), probe("icmp", "icmp", "192.0.2.99")], timeout=1.5, attempts=3
    )["answers"]
    assert answers[0]["answer"] == "error", answers
    assert "unreachable" in answers[0]["detail"].lower() or "route" in answers[0]["detail"].lower()
    assert answers[1]["answer"] == "error", answers


def test_a_family_that_is_off_is_an_error_and_the_other_works(quiet):
    quiet.client.ip("link add nov6 type veth peer name nov6b")
    quiet.client.sysctl(ipv6__conf__nov6__disable_ipv6=1)
    quiet.client.ip("link set nov6b up\nlink set nov6 up\naddress add 192.0.2.200/32 dev nov6")
    try:
        probes = [probe("four", "udp", TARGET[4], 9001), probe("six", "icmp", TARGET[6])]
        answers = quiet.client.send(new_run(), probes, interface="nov6", source="192.0.2.200", source_v6=None)[
            "answers"
        ]
    finally:
        quiet.client.ip("link del nov6")
    assert answers[1]["answer"] == "error"
    assert answers[1]["detail"]
    assert answers[0]["answer"] in ("none", "error")


def test_thousands_of_probes(quiet):
    """Half of them silent; more than may be open at a time, and than this shell allows."""
    run = new_run()
    quiet.target.observe(run, ["t0"])
    probes = [probe(f"o{number}", "tcp", TARGET[4], 8080) for number in range(1000)]
    probes += [probe(f"d{number}", "tcp", TARGET[6], 8082) for number in range(1000)]
    probes += [probe(f"i{number}", "icmp", TARGET[6]) for number in range(1000)]
    began = time.monotonic()
    answers = quiet.client.send(run, probes, concurrency=1200, attempts=2)["answers"]
    took = time.monotonic() - began
    assert [answer["id"] for answer in answers] == [one["id"] for one in probes]
    counts = {}
    for answer in answers:
        counts[answer["id"][0] + answer["answer"]] = counts.get(answer["id"][0] + answer["answer"], 0) + 1
    assert counts == {"osyn-ack": 1000, "dnone": 1000, "iecho-reply": 1000}
    assert took < 15, took
    assert len(quiet.target.collect(run)["sightings"]) == 2


def test_connections_end_at_once_on_both_sides(quiet):
    """A reset leaves no waiting state behind, neither here nor at a service that is full of them."""
    probes = [probe(f"{number}", "tcp", TARGET[4], 8088) for number in range(20)]
    # A service that takes its time to accept.
    slow = quiet.target.start(PYTHON, "-c", SLOW_SERVER, stdout=subprocess.PIPE)
    try:
        assert slow.stdout.readline() == b"ready\n"
        answers = quiet.client.send(new_run(), probes)["answers"]
        assert {answer["answer"] for answer in answers} == {"syn-ack"}
        for host in (quiet.client, quiet.target):
            states = [line.split()[3] for line in host.run("cat", "/proc/net/tcp").splitlines() if ":1F98" in line]
            assert set(states) <= {"0A"}, states  # LISTEN
    finally:
        slow.kill()
        slow.communicate()


def test_few_open_files_make_it_slower_and_not_wrong(quiet):
    text = json.dumps(
        [
            f"{UTILS}.probe_send",
            "send",
            send_options(new_run(), [probe(f"{n}", "tcp", TARGET[4], 8080) for n in range(300)]),
        ]
    )
    output = quiet.client.run("sh", "-c", 'ulimit -n 100; exec "$0" "$@"', PYTHON, "-c", CALL, stdin=text)
    assert {answer["answer"] for answer in json.loads(output)["answers"]} == {"syn-ack"}


def wait_for(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def detoured(host):
    return "lookup 19999" in host.run("ip", "rule")


SLOW = {"timeout": 5.0, "attempts": 2}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_early_and_restores(quiet, number):
    process = quiet.client.start_send(new_run(), [probe("a", "tcp", TARGET[4], 8082)], **SLOW)
    assert wait_for(lambda: detoured(quiet.client))
    process.send_signal(number)
    _out, errors = process.communicate(timeout=5)
    assert "stopped by a signal" in errors
    assert not detoured(quiet.client)


def test_after_a_kill_the_next_send_restores(quiet):
    process = quiet.client.start_send(new_run(), [probe("a", "tcp", TARGET[4], 8082)], **SLOW)
    assert wait_for(lambda: detoured(quiet.client))
    process.kill()
    process.communicate(timeout=5)
    assert detoured(quiet.client)
    result = quiet.client.send(new_run(), [probe("a", "icmp", TARGET[4])])
    assert result["answers"][0]["answer"] == "echo-reply"
    assert "restored" in result["notes"][0]


def test_a_second_send_waits_for_the_first(quiet):
    first = quiet.client.start_send(new_run(), [probe("a", "tcp", TARGET[4], 8082)], timeout=1.0, attempts=2)
    assert wait_for(lambda: detoured(quiet.client))
    second = quiet.client.send(new_run(), [probe("a", "icmp", TARGET[4])])
    assert second["answers"][0]["answer"] == "echo-reply"
    assert second["notes"] == []
    assert json.loads(first.communicate(timeout=10)[0])["answers"][0]["answer"] == "none"


def test_other_traffic_of_the_client_keeps_its_way(quiet):
    """Neither unbound sockets nor other destinations from the same address are diverted."""
    client = quiet.client
    process = client.start_send(new_run(), [probe("a", "tcp", TARGET[4], 8082)], **SLOW)
    try:
        assert wait_for(lambda: detoured(client))

        def way(*argv):
            done = subprocess.run(client.argv("ip", "route", "get", *argv), capture_output=True, text=True, check=False)
            return done.stdout or done.stderr

        assert "dev c0" in way(TARGET[4], "from", CLIENT[4])
        assert "unreachable" in way(TARGET[4])
        assert "unreachable" in way("198.51.100.77", "from", CLIENT[4])
    finally:
        process.terminate()
        process.communicate(timeout=5)


def test_an_interface_that_goes_while_it_is_watched_does_no_harm(quiet):
    run = new_run()
    quiet.router.ip("link add gone type veth peer name goneb")
    quiet.router.observe(run, ["gone", "r0"])
    quiet.router.ip("link del gone")
    quiet.client.send(run, [probe("a", "icmp", TARGET[4])])
    result = quiet.router.collect(run)
    assert result["observed"] is True
    assert [item[0] for item in result["sightings"]] == ["r0"]


# The tunnel


class Tunnel:
    """client and router joined by a tunnel; the client's own AllowedIPs name only the hub."""

    def __init__(self, lab):
        self.lab = lab
        self.keys = {}
        for host in (lab.client, lab.router):
            host.run("mkdir", "-p", "/run/wireguard")
            process = host.start(
                "wireguard-go",
                "-f",
                "wg0",
                env=dict(os.environ, LOG_LEVEL="silent"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            host.helpers.append(process)
            assert wait_for(lambda host=host: host.run("wg", "show", "interfaces") == "wg0\n")
            private = host.run("wg", "genkey")
            self.keys[host.name] = host.run("wg", "pubkey", stdin=private).strip()
            host.run(
                "sh",
                "-c",
                "cat >/run/key; wg set wg0 listen-port 51820 private-key /run/key; rm /run/key",
                stdin=private,
            )
        self.other = lab.client.run("wg", "pubkey", stdin=lab.client.run("wg", "genkey")).strip()
        lab.client.run(
            *["wg", "set", "wg0", "peer", self.keys["router"], "endpoint", f"{ROUTER[4]}:51820"],
            *["allowed-ips", f"{HUB[4]}/32,{HUB[6]}/128"],
            *["peer", self.other, "allowed-ips", "198.51.100.128/25"],
        )
        lab.router.run(
            "wg", "set", "wg0", "peer", self.keys["client"], "allowed-ips", f"{TUNNEL[4]}/32,{TUNNEL[6]}/128"
        )
        for host, own in ((lab.client, TUNNEL), (lab.router, HUB)):
            host.ip(f"address add {own[4]}/32 dev wg0\naddress add {own[6]}/128 dev wg0 nodad\nlink set wg0 up")
        lab.router.ip(f"route add {TUNNEL[4]}/32 dev wg0\nroute add {TUNNEL[6]}/128 dev wg0")

    def allowed(self):
        # wireguard-go lists its peers in any order.
        return sorted(self.lab.client.run("wg", "show", "wg0", "allowed-ips").splitlines())

    def options(self, **changed):
        options = {
            "interface": "wg0",
            "source": TUNNEL[4],
            "source_v6": TUNNEL[6],
            "hub_public_key": self.keys["router"],
            "widen": ["198.51.100.0/24", "2001:db8:2::/64"],
            "timeout": 0.8,
        }
        options.update(changed)
        return options


@pytest.fixture(scope="module")
def tunnel(lab):
    return Tunnel(lab)


EVERYTHING = [
    probe(f"{protocol} {family}", protocol, TARGET[family], port)
    for family in (4, 6)
    for protocol, port in (("tcp", 8080), ("udp", 9001), ("icmp", None))
]


@needs_wireguard
def test_through_the_tunnel_and_back_to_the_old_state(tunnel, quiet):
    before = tunnel.allowed()
    run = new_run()
    quiet.client.observe(run, ["wg0"])
    quiet.router.observe(run, ["wg0", "r1"])
    result = quiet.client.send(run, EVERYTHING, **tunnel.options())
    assert [answer["answer"] for answer in result["answers"]] == ["syn-ack", "port-unreachable", "echo-reply"] * 2, (
        result
    )
    left = quiet.client.collect(run)["sightings"]
    seen = quiet.router.collect(run)["sightings"]
    assert len(left) == len(EVERYTHING)
    for one in EVERYTHING:
        family = 6 if ":" in one["address"] else 4
        assert sighting("wg0", "out", family, one, TUNNEL[family]) in left
        assert sighting("wg0", "in", family, one, TUNNEL[family]) in seen
        assert sighting("r1", "out", family, one, TUNNEL[family]) in seen
    assert tunnel.allowed() == before


@needs_wireguard
def test_without_widening_the_client_would_hold_itself_back(tunnel, quiet):
    """Guards the test above: it is the widening that lets the probes pass."""
    result = quiet.client.send(new_run(), EVERYTHING, **tunnel.options(hub_public_key=None))
    # The kernel's WireGuard says so, wireguard-go is silent.
    assert {answer["answer"] for answer in result["answers"]} <= {"none", "error"}


@needs_wireguard
def test_the_whole_internet_is_widened_and_restored(tunnel, quiet):
    before = tunnel.allowed()
    result = quiet.client.send(new_run(), EVERYTHING, **tunnel.options(widen=["0.0.0.0/0", "::/0"]))
    assert [answer["answer"] for answer in result["answers"]] == ["syn-ack", "port-unreachable", "echo-reply"] * 2, (
        result
    )
    assert tunnel.allowed() == before


@needs_wireguard
def test_prefixes_of_another_peer_stay_with_it(tunnel, quiet):
    before = tunnel.allowed()
    result = quiet.client.send(
        new_run(), EVERYTHING[:1], **tunnel.options(widen=["198.51.100.0/25", "198.51.100.128/25"])
    )
    assert result["answers"][0]["answer"] == "syn-ack"
    assert "198.51.100.128/25 belongs to another peer" in result["notes"][0]
    assert tunnel.allowed() == before


@needs_wireguard
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_widening_is_restored(tunnel, quiet, number):
    before = tunnel.allowed()
    process = quiet.client.start_send(
        new_run(), [probe("a", "tcp", TARGET[4], 8082)], **tunnel.options(timeout=5.0, attempts=2)
    )
    assert wait_for(lambda: detoured(quiet.client))
    assert tunnel.allowed() != before
    process.send_signal(number)
    process.communicate(timeout=5)
    if number == signal.SIGKILL:
        assert tunnel.allowed() != before
        quiet.client.send(new_run(), EVERYTHING[:1], **tunnel.options(hub_public_key=None))
    assert tunnel.allowed() == before


@needs_wireguard
def test_an_unknown_hub_is_an_error_and_makes_no_peer(tunnel, quiet):
    before = tunnel.allowed()
    stranger = quiet.client.run("wg", "pubkey", stdin=quiet.client.run("wg", "genkey")).strip()
    text = json.dumps(
        [f"{UTILS}.probe_send", "send", send_options(new_run(), EVERYTHING, **tunnel.options(hub_public_key=stranger))]
    )
    done = subprocess.run(
        quiet.client.argv(PYTHON, "-c", CALL),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert "has no peer with hub_public_key" in done.stderr
    assert tunnel.allowed() == before


# The module


def ansible(host, check=False, **arguments):
    argv = [sys.executable, "-m", "ansible", "adhoc", "localhost", "-i", "localhost,", "-c", "local"]
    argv += ["-e", f"ansible_python_interpreter={PYTHON}", "-m", "tenantnet.wireguard.probe"]
    argv += ["-a", json.dumps(arguments)] + (["--check"] if check else [])
    done = subprocess.run(
        host.argv(*argv),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(
            environment(),
            ANSIBLE_COLLECTIONS_PATH=COLLECTIONS,
            ANSIBLE_STDOUT_CALLBACK="ansible.builtin.minimal",
            ANSIBLE_NOCOLOR="1",
        ),
    )
    head, _arrow, body = done.stdout.partition("=>")
    assert body, (done.stdout, done.stderr)
    return json.loads(body), head


@needs_ansible
def test_the_module_observes_sends_and_collects(quiet):
    run = new_run()
    started, _head = ansible(quiet.target, state="observe", run=run, interfaces=["t0"], seconds=60)
    assert started["watching"] == ["t0"]
    sent, _head = ansible(
        quiet.client,
        state="send",
        run=run,
        interface="c0",
        source=CLIENT[4],
        probes=[probe("a", "icmp", TARGET[4]), probe("b", "tcp", TARGET[4], 8080)],
    )
    assert [answer["answer"] for answer in sent["answers"]] == ["echo-reply", "syn-ack"]
    seen, _head = ansible(quiet.target, state="collect", run=run)
    assert len(seen["sightings"]) == 2
    assert [result["changed"] for result in (started, sent, seen)] == [False] * 3
    nothing, head = ansible(quiet.target, state="collect", run=run)
    assert "FAILED" not in head
    assert nothing["observed"] is False


@needs_ansible
@pytest.mark.parametrize("state", ["observe", "send", "collect"])
def test_the_module_does_nothing_in_check_mode(quiet, state):
    result, _head = ansible(quiet.client, check=True, state=state, run=new_run(), interface="c0", probes=[])
    assert result["changed"] is False
    assert "check mode" in result["msg"]


@needs_ansible
def test_the_module_fails_with_a_message(quiet):
    result, head = ansible(quiet.client, state="collect", run="../../etc/passwd")
    assert "FAILED" in head
    assert "hexadecimal" in result["msg"]
    assert "Traceback" not in json.dumps(result)
