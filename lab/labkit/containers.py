# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts: made, started, waited for and removed."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from labkit.hosts import HOSTS, INTERNET, MACHINE_ADDRESSES, NETWORK, SUBNET, SUBNET_V6, Host
from labkit.machine import LabError, bridge_filter, lab_home, podman, run, say

LABEL = "tenantnet.lab"
# Where podman notes which addresses are taken; a reboot is meant to remove it.
ADDRESS_BOOK = Path("/run/containers/networks/ipam.db")
PATIENCE = 90  # seconds for a host to boot, on a busy machine


@dataclass(frozen=True)
class Container:
    """What podman knows about a host's container."""

    state: str
    spec: str

    @property
    def running(self) -> bool:
        """Whether it really runs."""
        return self.state == "running"


def containers() -> dict[str, Container]:
    """The containers of the lab that exist, by the name of their host."""
    listing = ("ps", "--all", "--filter", f"label={LABEL}", "--format=json")
    done = podman(*listing, check=False)
    if done.returncode != 0:
        # It refuses to list anything when the end of a single container escaped it.
        _bury_the_dead()
        done = podman(*listing)
    listed = json.loads(done.stdout or "[]")
    found = {}
    for entry in listed:
        labels = entry["Labels"]
        # podman learns of a container's end from its monitor; both may have been killed together.
        alive = entry["State"] != "running" or _alive(str(entry["Pid"]))
        found[labels[LABEL]] = Container(entry["State"] if alive else "dead", labels.get(f"{LABEL}.spec", ""))
    return found


def _alive(pid: str) -> bool:
    """Whether the process runs: one that has ended and that nobody has asked for doesn't."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _bury_the_dead() -> None:
    """Remove the containers that podman believes in though their processes are gone: after a power cut, say."""
    for host in HOSTS.values():
        pid = podman("inspect", "--format={{.State.Pid}}", host.container, check=False).stdout.strip()
        if not _alive(pid):
            # The first try may fail at the missing network, and still bring the next one further.
            for _attempt in range(3):
                podman("rm", "--force", "--time=0", "--volumes", host.container, check=False)
                if podman("container", "exists", host.container, check=False).returncode == 1:
                    break


# Making -------------------------------------------------------------------------------------------------------------


def keys() -> Path:
    """The folder with the lab's SSH keys: made once, and the same for all hosts whenever they were made.

    One host key for all means that a host that is made anew is no stranger, and that nobody has to be told.
    """
    home = lab_home()
    folder = home / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file, comment in ((home / "id_ed25519", "lab user"), (folder / "ssh_host_ed25519_key", "lab hosts")):
        if not file.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(file)])
    _write(folder / "authorized_keys", (home / "id_ed25519.pub").read_text())
    names = ",".join(f"{host.address},{host.address_v6},{host.name}" for host in HOSTS.values())
    key = " ".join((folder / "ssh_host_ed25519_key.pub").read_text().split()[:2])
    _write(home / "known_hosts", f"{names} {key}\n")
    return folder


def forget_keys() -> None:
    """Remove the keys: the next `lab up` makes new ones."""
    home = lab_home()
    for file in (*home.glob("id_ed25519*"), *(home / "keys").glob("*"), home / "known_hosts"):
        file.unlink(missing_ok=True)


def _write(file: Path, text: str) -> None:
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def network() -> None:
    """See to it that the lab's network is known. It is internal: podman gives it neither a gateway nor a way out."""
    if podman("network", "exists", NETWORK, check=False).returncode != 0:
        podman(
            "network", "create", "--internal", "--disable-dns", "--ipv6", "--subnet", SUBNET, "--subnet", SUBNET_V6,
            NETWORK,
        )  # fmt: skip


def join_network() -> None:
    """Give the machine its own addresses on the bridge, which podman makes with the first host that starts."""
    name = bridge()
    present = run(["ip", "-o", "address", "show", "dev", name]).stdout
    for address in MACHINE_ADDRESSES:
        if f" {address} " not in present:
            # Not to be in doubt about an address that nobody else can have.
            run(["ip", "address", "replace", address, "dev", name, *(["nodad"] if ":" in address else [])])
    bridge_filter(name, add=True)


def bridge() -> str:
    """The name of the bridge: podman's choice."""
    return str(json.loads(podman("network", "inspect", NETWORK).stdout)[0]["network_interface"])


def remove_network() -> None:
    """Remove the bridge, if it is there."""
    if podman("network", "exists", NETWORK, check=False).returncode == 0:
        bridge_filter(bridge(), add=False)
        podman("network", "rm", "--force", NETWORK)


def arguments(host: Host, image_name: str) -> list[str]:
    """How podman makes the host's container."""
    given = [
        "--name", host.container, "--hostname", host.name, "--privileged", "--systemd=always",
        "--network", f"{NETWORK}:ip={host.address},ip6={host.address_v6},mac={host.mac}", "--dns=none", "--no-hosts",
        "--device", "/dev/net/tun",
        # A network namespace may start out with what the machine has set. A host that nobody told to doesn't forward.
        "--sysctl", "net.ipv4.ip_forward=0", "--sysctl", "net.ipv6.conf.all.forwarding=0",
        "--volume", f"{lab_home() / 'keys'}:/opt/lab/keys:ro",
    ]  # fmt: skip
    for name, value in host.environment:
        given += ["--env", f"{name}={value}"]
    return [*given, "--stop-timeout", "15", image_name, "/sbin/init"]


def spec(host: Host, image_name: str) -> str:
    """A name for all that the container is made from."""
    return hashlib.sha256(repr(arguments(host, image_name)).encode()).hexdigest()[:16]


def create(host: Host, image_name: str) -> None:
    """Make the host's container and start it."""
    labels = ["--label", f"{LABEL}={host.name}", "--label", f"{LABEL}.spec={spec(host, image_name)}"]
    podman("create", *labels, *arguments(host, image_name))
    done = _start(host)
    if done.returncode != 0:
        raise LabError(done.stderr.strip())


def _start(host: Host) -> subprocess.CompletedProcess[str]:
    done = podman("start", host.container, check=False)
    holder = re.search(r"already allocated to container ID (\w+)", done.stderr)
    if holder and podman("container", "exists", holder[1], check=False).returncode != 0:
        # Addresses of containers that ended without podman's knowing stay taken for good. It makes a new book.
        ADDRESS_BOOK.unlink(missing_ok=True)
        done = podman("start", host.container, check=False)
    return done


def start(host: Host, image_name: str) -> None:
    """Start a container that has stopped; make it anew if it can't be started any more."""
    podman("stop", "--time=0", host.container, check=False)
    if _start(host).returncode != 0:
        say(f"{host.name}: does not start as it is; making it anew")
        remove(host)
        create(host, image_name)


def remove(host: Host) -> None:
    """Remove the host's container with all that is in it."""
    podman("rm", "--force", "--time=0", "--volumes", host.container)


def together(work: Callable[[Host], None], hosts: Iterable[Host], doing: str) -> None:
    """Do the same for several hosts at once.

    :raises LabError: with every host's error, when all have ended.
    """
    errors = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(4, os.cpu_count() or 1)) as pool:
        jobs = {pool.submit(work, host): host for host in hosts}
        for job in concurrent.futures.as_completed(jobs):
            try:
                job.result()
            except LabError as error:
                errors.append(f"{jobs[job].name}: {doing}: {error}")
    if errors:
        raise LabError("\n".join(sorted(errors)))


# Waiting ------------------------------------------------------------------------------------------------------------


def ssh(host: Host) -> list[str]:
    """The start of a command that runs on the host by SSH."""
    home = lab_home()
    return [
        "ssh", "-F", "none", "-i", str(home / "id_ed25519"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
        "-o", f"UserKnownHostsFile={home / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes",
        "-o", "ConnectTimeout=5", f"root@{host.address}",
    ]  # fmt: skip


def answers(host: Host) -> bool:
    """Whether the host's SSH server greets."""
    try:
        with socket.create_connection((host.address, 22), timeout=1) as connection:
            connection.settimeout(1)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def wait(host: Host) -> None:
    """Wait until the host has booted and can be reached as Ansible reaches it."""
    end = time.monotonic() + PATIENCE
    while not answers(host):
        if time.monotonic() > end:
            raise LabError(f"no answer by SSH after {PATIENCE} s; look with: lab/lab exec {host.name} systemctl status")
        time.sleep(0.1)
    done = run([*ssh(host), "systemctl is-system-running --wait"], check=False, timeout=PATIENCE)
    if done.returncode == 255 or not done.stdout:
        raise LabError(f"logging in by SSH: {done.stderr.strip()}")
    if done.stdout.strip() != "running":
        units = run([*ssh(host), "systemctl list-units --failed --plain --no-legend"], check=False).stdout.split("\n")
        say(f"{host.name}: {done.stdout.strip()}: {', '.join(unit.split()[0] for unit in units if unit.strip())}")


def check_ways() -> None:
    """See to it that hosts reach each other: the machine's own firewall may stand between them."""
    done = podman("exec", HOSTS["hub1"].container, "ping", "-c1", "-W3", INTERNET.address, check=False)
    if done.returncode != 0:
        raise LabError(
            f"hub1 does not reach internet1 on the bridge {bridge()}: does a firewall of this machine filter bridges "
            "(sysctl net.bridge.bridge-nf-call-iptables)?"
        )
