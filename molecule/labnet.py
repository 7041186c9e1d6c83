# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios' tests share: the lab's hosts over SSH, the network as it is recorded, runs of the playbooks."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import testinfra
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "lab"))

from labkit.hosts import HOSTS  # noqa: E402
from labkit.machine import lab_home  # noqa: E402

HUB = "hub1"
# What the lab's own network is made of.
SUPERNETS = ["10.100.0.0/16", "fd64:e5a:100::/48"]
# Which host is which peer there.
IDS = {
    "web1": "tenant-a/production/web1",
    "web2": "tenant-a/production/web2",
    "dev1": "tenant-a/development/dev1",
    "app1": "tenant-b/production/app1",
    "db1": "shared/services/db1",
    "ops1": "management/ops1",
}
INTERNET4, INTERNET6 = "203.0.113.10", "2001:db8:99::10"
# Routing protocol of everything of ours on a host.
PROTOCOL = "94"
# A peer learns of a hub's restart when a packet of its own has stayed unanswered for 15 seconds (KEEPALIVE_TIMEOUT and
# REKEY_TIMEOUT of WireGuard's paper). Three times that, on a busy machine.
NEW_HANDSHAKE = 45


@dataclass(frozen=True)
class Peer:
    """A managed peer: the host that it is, and what was recorded for it."""

    id: str
    host: str
    interface: str
    v4: str
    v6: str | None

    @property
    def segment(self) -> str:
        """The segment that it belongs to."""
        return self.id.rsplit("/", 1)[0]

    @property
    def addresses(self) -> list[str]:
        """Its addresses, of each family that the network has."""
        return [self.v4] if self.v6 is None else [self.v4, self.v6]


@dataclass(frozen=True)
class Segment:
    """A segment as recorded."""

    id: str
    interface: str
    table: int
    subnets: tuple[str, ...]

    @property
    def hub_addresses(self) -> list[str]:
        """The hub's own addresses in it: the first of each subnet."""
        return [
            re.sub(r"(\.0|::)/\d+$", lambda found: ".1" if found[1] == ".0" else "::1", net) for net in self.subnets
        ]


@dataclass(frozen=True)
class Outcome:
    """How a playbook ended."""

    status: int
    output: str

    def changed(self) -> dict[str, int]:
        """The number of changed tasks by host, from the recap."""
        return {name: int(number) for name, number in re.findall(r"^(\S+)\s+: .*?changed=(\d+)", self.output, re.M)}


class Lab:
    """The lab with one network deployed on it."""

    def __init__(self, inventory: Path, folder: Path) -> None:
        self.inventory = inventory
        self.folder = folder
        self.ssh_config = folder / "ssh_config"
        home = lab_home()
        lines = [
            f"IdentityFile {home / 'id_ed25519'}", "IdentitiesOnly yes", f"UserKnownHostsFile {home / 'known_hosts'}",
            "User root", "BatchMode yes", "ConnectTimeout 5", "LogLevel ERROR",
            # A path of our own: a host that was restarted must not be asked through an old connection.
            "ControlMaster auto", "ControlPersist 120", f"ControlPath {folder}/%n",
        ]  # fmt: skip
        blocks = [f"Host {host.name}\n  HostName {host.address}\n" for host in HOSTS.values()]
        self.ssh_config.write_text("\n".join(["Host *", *(f"  {line}" for line in lines), "", *blocks]))

    # Hosts -----------------------------------------------------------------------------------------------------------

    def host(self, name: str) -> Any:
        """A host for testinfra, by SSH over the lab's bridge, which no test breaks."""
        return testinfra.get_host(f"ssh://{name}", ssh_config=str(self.ssh_config))

    def sh(self, name: str, script: str, *, check: bool = True, stdin: str | None = None, timeout: float = 120) -> str:
        """Run a script on a host and return what it printed."""
        done = subprocess.run(
            ["ssh", "-F", str(self.ssh_config), name, script], input=stdin or "", text=True, capture_output=True,
            timeout=timeout, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{name}: {script}: {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def start(self, name: str, script: str) -> subprocess.Popen[str]:
        """Start a script on a host that goes on while the test does something else."""
        return subprocess.Popen(
            ["ssh", "-F", str(self.ssh_config), name, script], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def python(self, name: str, module: str, *words: str) -> list[str]:
        """Write the command that runs a program of this folder on a host, without leaving a file there."""
        program = (ROOT / "molecule" / module).read_text()
        return [name, f"python3 -c {shlex.quote(program)} {shlex.join(words)}"]

    def lab(self, *words: str) -> None:
        """Call lab/lab."""
        done = subprocess.run([ROOT / "lab/lab", *words], capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def restart(self, name: str) -> None:
        """Restart a host, as a reboot would."""
        subprocess.run(["ssh", "-F", str(self.ssh_config), "-O", "exit", name], capture_output=True, check=False)
        self.lab("restart", name)

    # The network -----------------------------------------------------------------------------------------------------

    @cached_property
    def record(self) -> dict[str, Any]:
        """The committed record of allocations."""
        text = (self.inventory / "wireguard.lock.yml").read_text()
        return dict(yaml.safe_load(yaml.safe_load(text)["all"]["vars"]["wireguard_allocation_record"])["segments"])

    @cached_property
    def segments(self) -> dict[str, Segment]:
        """The segments by name."""
        return {
            name: Segment(
                name, item["interface"], item["table"],
                tuple(item[key] for key in ("subnet", "subnet_v6") if item.get(key)),
            )
            for name, item in self.record.items()
        }  # fmt: skip

    def peer(self, id_: str, host: str) -> Peer:
        """A peer by its name, with the host that it is."""
        segment, name = id_.rsplit("/", 1)
        addresses = self.record[segment]["peers"][name].split()
        return Peer(id_, host, self.record[segment]["interface"], addresses[0], (addresses[1:] or [None])[0])

    def snapshot(self) -> dict[str, str]:
        """Everything of ours on the hub that must come back after an accident, in a comparable form."""
        parts = {
            # Those of one priority are of different networks: their order says nothing.
            "rules": "for f in 4 6; do ip -$f rule | grep 'proto tenantnet' | sort; done",
            "routes": f"for f in 4 6; do ip -$f route show table all proto {PROTOCOL} | sort; done",
            "addresses": "ip -o address show scope global | awk '{print $2, $4}' | sort",
            "peers": "wg show all allowed-ips | sort",
            "keys": "wg show all public-key | sort",
            "ports": "wg show all listen-port | sort",
            "firewall": "nft -s list table inet tenantnet",
            "files": "cd /etc && find tenantnet wireguard -type f | sort | xargs sha256sum",
        }
        marker = "@@@ "
        script = "\n".join(f"echo '{marker}{name}'; {command}" for name, command in parts.items())
        found: dict[str, str] = {}
        for block in self.sh(HUB, script).split(marker)[1:]:
            name, _newline, text = block.partition("\n")
            found[name] = text
        # The kernel itself fills this one, with connections.
        found["firewall"] = re.sub(r"\tset connections \{\n.*?\n\t\}\n", "", found["firewall"], flags=re.S)
        return found

    # Playbooks -------------------------------------------------------------------------------------------------------

    def play(
        self,
        playbook: str,
        *words: str,
        inventory: Path | None = None,
        environment: dict[str, str] | None = None,
        program: Path | str = "ansible-playbook",
    ) -> Outcome:
        """Run a playbook of the collection. program: an ansible-playbook of another version."""
        command = [program, "-i", str(inventory or self.inventory), f"playbooks/{playbook}.yml", *words]
        whole = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        whole.pop("ANSIBLE_FORCE_COLOR", None)
        done = subprocess.run(
            # A session of its own: some tests kill it whole.
            command, cwd=ROOT, env={**whole, **(environment or {})}, start_new_session=True,
            text=True, timeout=300, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout)

    def site(self, *words: str, inventory: Path | None = None) -> Outcome:
        """Deploy, and insist that it succeeds."""
        outcome = self.play("site", *words, inventory=inventory)
        assert outcome.status == 0, outcome.output
        return outcome

    def verify(self) -> list[dict[str, Any]]:
        """Let both judges speak: no probe may disagree. Returns the probes."""
        outcome = self.play("verify", "-e", f"wireguard_artifacts_dir={self.folder}")
        assert outcome.status == 0, outcome.output
        probes: list[dict[str, Any]] = json.loads((self.folder / "verify.json").read_text())["probes"]
        differing = [probe for probe in probes if probe["expected"] != probe["observed"]]
        assert not differing, differing
        return probes

    # Packets ---------------------------------------------------------------------------------------------------------

    def wake(self, peers: list[Peer], hub: str = HUB) -> None:
        """Let peers talk until the hub knows each of them again: after a restart it has nobody's endpoint."""
        talk = "timeout {} ping -q -i 0.5 -I {} {} >/dev/null 2>&1"
        hubs = {peer.id: self.segments[peer.segment].hub_addresses[0] for peer in peers}
        talking = [self.start(peer.host, talk.format(NEW_HANDSHAKE, peer.v4, hubs[peer.id])) for peer in peers]
        missing = {peer.v4 for peer in peers}
        end = time.monotonic() + NEW_HANDSHAKE
        while missing and time.monotonic() < end:
            # Interface, key, preshared key, endpoint, allowed addresses, latest handshake, ...
            for line in self.sh(hub, "wg show all dump").splitlines():
                words = line.split("\t")
                if len(words) == 9 and words[5] != "0":
                    missing -= {block.split("/")[0] for block in words[4].split(",")}
            time.sleep(0.5)
        for peer, job in zip(peers, talking, strict=True):
            # More than once: it may not have begun when everybody is known from the start.
            while job.poll() is None:
                self.sh(peer.host, f"pkill -f '^ping -q -i 0.5 -I {peer.v4} ' || true")
                time.sleep(0.1)
        assert not missing, f"no handshake with {missing} within {NEW_HANDSHAKE} s"

    def connects(self, peer: Peer, address: str, port: int) -> bool:
        """Tell whether a peer can open a TCP connection."""
        return bool(self.sh(peer.host, f"timeout 5 bash -c '</dev/tcp/{address}/{port}' && echo open", check=False))

    def pings(self, peers: list[Peer], targets: Callable[[Peer], list[str]]) -> dict[str, set[str]]:
        """Ping from many peers at once; returns by peer which addresses answered."""
        jobs = []
        for peer in peers:
            lines = []
            for address in targets(peer):
                source = peer.v6 if ":" in address else peer.v4
                lines.append(f"(ping -n -c2 -i0.3 -W1 -I {source} {address} >/dev/null 2>&1 && echo {address}) &")
            jobs.append((peer, self.start(peer.host, "\n".join([*lines, "wait"]))))
        return {peer.id: set(job.communicate(timeout=60)[0].split()) for peer, job in jobs}

    @contextlib.contextmanager
    def widened(self, peers: list[Peer], supernets: list[str]) -> Iterator[None]:
        """Let clients send and receive anything: an attacker owns his client, so it can't count as a wall."""
        undo = []
        for peer in peers:
            before = self.sh(peer.host, f"wg show {peer.interface} allowed-ips").replace("(none)", "").split()
            self.sh(peer.host, f"wg set {peer.interface} peer {before[0]} allowed-ips 0.0.0.0/0,::/0")
            routes = [f"{net} dev {peer.interface} metric 9" for net in supernets]
            for route in routes:
                source = f"src {peer.v6 if ':' in route else peer.v4}"
                self.sh(peer.host, f"ip route replace {route} {source}")
            undo.append(
                (
                    peer.host,
                    f"wg set {peer.interface} peer {before[0]} allowed-ips '{','.join(before[1:])}'; "
                    + "; ".join(f"ip route del {route}" for route in routes),
                )
            )
        try:
            yield
        finally:
            for name, script in undo:
                self.sh(name, script)

    @contextlib.contextmanager
    def watching(self, names: Iterable[str], marker: str, seconds: float = 60) -> Iterator[dict[str, set[str]]]:
        """Watch hosts for packets with a marker; the sources seen stand in the result, by host, after the block."""
        jobs = {
            name: self.start(*self.python(name, "packets.py", "watch", "any", marker, str(seconds))) for name in names
        }
        seen: dict[str, set[str]] = {name: set() for name in jobs}
        for name, job in jobs.items():
            assert job.stdout is not None
            first = job.stdout.readline()
            assert first == "watching\n", f"{name}: {first}"
        yield seen
        # What was sent needs a moment to arrive.
        time.sleep(0.7)
        for name, job in jobs.items():
            self.sh(name, f"pkill -f 'watch any [{marker[0]}]{marker[1:]}' || true")
            output = job.communicate(timeout=10)[0]
            seen[name] |= {line.split()[1] for line in output.splitlines() if len(line.split()) == 3}

    def send(self, name: str, interface: str, kind: str, source: str, target: str, marker: str, **options: Any) -> None:
        """Send packets that no honest host would; see packets.py."""
        words = [f"{key}={value}" for key, value in options.items()]
        self.sh(*self.python(name, "packets.py", "send", interface, kind, source, target, marker, *words))

    def send_many(self, me: Peer, sources: list[str], target: Peer, marker: str) -> None:
        """Send a connection request to a target's service from many sources, each in its own family."""
        for source in sources:
            address = target.v6 if ":" in source else target.v4
            self.send(me.host, me.interface, "syn", source, str(address), marker, port=3306)

    def counter(self, chain: str) -> int:
        """Packets that a chain of our firewall has counted."""
        listed = self.sh(HUB, f"nft list chain inet tenantnet '{chain}'")
        return sum(int(number) for number in re.findall(r"counter packets (\d+)", listed))
