# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests share: the guests, the network that is deployed on them, runs of the playbooks, traffic."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelkit import machines, network
from kernelkit.hosts import GUESTS, HUB, Guest

ROOT = Path(__file__).resolve().parents[2]
WEB, APP, DB = (GUESTS[name] for name in ("kweb1", "kapp1", "kdb1"))
PEERS = [WEB, APP, DB]
# The interface that each peer has, and its addresses, as inventories/kernel declares them.
TUNNEL = {WEB: "tenant-a", APP: "tenant-b", DB: "shared"}
INSIDE = {
    WEB: ("10.98.1.11", "fd64:e5a:98:1::11"),
    APP: ("10.98.2.11", "fd64:e5a:98:2::11"),
    DB: ("10.98.254.10", "fd64:e5a:98:fe::10"),
}
HUB_INSIDE = {guest: tuple(re.sub("[0-9]+$", "1", address) for address in INSIDE[guest]) for guest in PEERS}
# An own session dies 15 s after a packet that nobody answered (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT of WireGuard's paper).
NEW_HANDSHAKE = 45


@dataclass(frozen=True)
class Outcome:
    """How a playbook ended."""

    status: int
    output: str

    def changed(self) -> dict[str, int]:
        """The number of changed tasks by host, from the recap."""
        return {name: int(number) for name, number in re.findall(r"^(\S+)\s+: .*?changed=(\d+)", self.output, re.M)}


class Net:
    """The guests with the network of an inventory on them."""

    def __init__(self, inventory: Path, folder: Path) -> None:
        self.inventory = inventory
        self.folder = folder
        self.environment = {
            **os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
            "TENANTNET_KERNEL_CONNECT": str(ROOT / "kernel/connect.py"), "PYTHONUNBUFFERED": "1",
            # A folder of our own: a guest that lost its power must not be asked through an old connection.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        }  # fmt: skip
        # The committed record is the truth of these tests, not something that they renew.
        self.environment.pop("CI", None)
        self.environment.pop("ANSIBLE_FORCE_COLOR", None)

    # Guests ----------------------------------------------------------------------------------------------------------

    def _ssh(self, guest: Guest) -> list[str]:
        shared = [
            "-o", "ControlMaster=auto", "-o", "ControlPersist=120", "-o", f"ControlPath={self.folder}/{guest.name}",
        ]  # fmt: skip
        return ["ssh", "-F", "none", *shared, *machines.ssh_options(), guest.address]

    def forget(self, guest: Guest) -> None:
        """Close the connections to a guest that goes away."""
        for path in (self.folder / guest.name, *(self.folder / "cp").glob("*")):
            if path.exists():
                command = ["ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", "x"]
                subprocess.run(command, capture_output=True, check=False)
                path.unlink(missing_ok=True)

    def sh(self, guest: Guest, script: str, *, check: bool = True, stdin: str = "", timeout: float = 120) -> str:
        """Run a script on a guest and return what it printed."""
        done = subprocess.run(
            [*self._ssh(guest), script], input=stdin, text=True, capture_output=True, timeout=timeout, check=False
        )
        assert not check or done.returncode == 0, (
            f"{guest.name}: {script}: {done.returncode}: {done.stderr}{done.stdout}"
        )
        return done.stdout

    def start(self, guest: Guest, script: str) -> subprocess.Popen[str]:
        """Start a script on a guest that goes on while the test does something else."""
        return subprocess.Popen(
            [*self._ssh(guest), script], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def cut(self, guest: Guest) -> None:
        """Cut a guest off from power."""
        machines.cut(guest)
        self.forget(guest)

    def boot(self, guest: Guest, *, fresh: bool = False) -> float:
        """Switch a guest on and wait until SSH answers; returns the seconds that it took."""
        begin = time.monotonic()
        machines.start(guest, fresh=fresh)
        machines.wait([guest])
        return time.monotonic() - begin

    def switch_off(self, guest: Guest) -> None:
        """Shut a guest down in good order."""
        machines.stop(guest)
        self.forget(guest)

    def settled(self, guest: Guest) -> str:
        """Wait until a guest has started all its units; returns systemd's word for how it is."""
        return self.sh(guest, "systemctl is-system-running --wait", check=False, timeout=300).strip()

    # Playbooks -------------------------------------------------------------------------------------------------------

    def begin(self, playbook: str, *words: str, inventory: Path | None = None) -> subprocess.Popen[str]:
        """Start a playbook of the collection."""
        return subprocess.Popen(
            ["ansible-playbook", "-i", str(inventory or self.inventory), f"playbooks/{playbook}.yml", *words],
            cwd=ROOT, env=self.environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def play(self, playbook: str, *words: str, inventory: Path | None = None) -> Outcome:
        """Run a playbook of the collection."""
        process = self.begin(playbook, *words, inventory=inventory)
        try:
            output = process.communicate(timeout=600)[0]
        except BaseException:
            self.end(process)
            raise
        return Outcome(process.returncode, output)

    def end(self, process: subprocess.Popen[str]) -> str:
        """End a playbook with all its workers, as a controller that dies; returns what it had said."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]

    def site(self, *words: str, inventory: Path | None = None) -> Outcome:
        """Deploy, and insist that it succeeds."""
        outcome = self.play("site", *words, inventory=inventory)
        assert outcome.status == 0, outcome.output
        return outcome

    def verify(self) -> int:
        """Let both judges speak: no probe may disagree. Returns the number of probes."""
        outcome = self.play("verify", "-e", f"wireguard_artifacts_dir={self.folder}")
        assert outcome.status == 0, outcome.output
        probes: list[dict[str, Any]] = json.loads((self.folder / "verify.json").read_text())["probes"]
        differing = [probe for probe in probes if probe["expected"] != probe["observed"]]
        assert not differing, differing
        return len(probes)

    def copied(self, name: str) -> Path:
        """A copy of the inventory, to change the declaration in."""
        folder = self.folder / name
        if not folder.exists():
            shutil.copytree(self.inventory, folder)
        return folder

    # The network -----------------------------------------------------------------------------------------------------

    def public_keys(self) -> dict[str, str]:
        """The public key of every live tunnel of hub and peers."""
        found = {}
        for guest in [HUB, *PEERS]:
            for line in self.sh(guest, "wg show all public-key").splitlines():
                name, _tab, key = line.partition("\t")
                found[f"{guest.name}/{name}"] = key
        return found

    def kept_keys(self, guest: Guest) -> dict[str, str]:
        """The public keys of the private ones that a guest keeps as files, whether in use or not."""
        script = 'cd /etc/tenantnet/keys 2>/dev/null || exit 0; for k in *.key; do echo "$k $(wg pubkey <"$k")"; done'
        return dict(line.split(" ", 1) for line in self.sh(guest, script).splitlines())

    def snapshot(self) -> dict[str, str]:
        """Everything of ours on the hub that must come back after an accident, in a comparable form."""
        parts = {
            # Those of one priority are of different networks: their order says nothing.
            "rules": "ip -4 rule | sort; ip -6 rule | sort",
            "routes": "for f in 4 6; do ip -$f route show table all proto 94 | sort; done",
            "addresses": "ip -o address show scope global | awk '{print $2, $4}' | sort",
            "settings": "sysctl -a 2>/dev/null | grep -E 'forward|accept_redirects|send_redirects|accept_ra |rp_filter|"
            "ip_local_reserved' | sort",
            "peers": "wg show all allowed-ips | sort",
            "keys": "wg show all public-key | sort",
            "ports": "wg show all listen-port | sort",
            # Without the set that the kernel itself fills with connections.
            "firewall": "nft -s list table inet tenantnet | sed '/^\tset connections {/,/^\t}/d'",
            "files": "cd /etc && find tenantnet wireguard -type f | sort | xargs sha256sum",
        }
        marker = "@@@ "
        script = "\n".join(f"echo '{marker}{name}'; {command}" for name, command in parts.items())
        found: dict[str, str] = {}
        for block in self.sh(HUB, script).split(marker)[1:]:
            name, _newline, text = block.partition("\n")
            found[name] = text
        return found

    def segments(self) -> set[str]:
        """The segments that the hub has, by their names in the declaration."""
        said = self.sh(HUB, "sed -n '1s/^# Managed by tenantnet.wireguard: //p' -s /etc/wireguard/*.conf")
        return set(said.split())

    def clean(self) -> None:
        """Deploy the committed network again, without what a test declared beside it."""
        names = {"management", "shared/services", "tenant-a/production", "tenant-b/production"}
        more = ",".join(sorted(self.segments() - names))
        self.site(*(["-e", f"wireguard_allow_removal={more}"] if more else []))

    def wake(self, peers: list[Guest] | None = None) -> None:
        """Let peers talk until the hub knows each of them again: after a restart it has nobody's endpoint."""
        silent = set(peers or PEERS)
        end = time.monotonic() + NEW_HANDSHAKE
        while silent:
            for peer in sorted(silent, key=lambda guest: guest.name):
                hub = HUB_INSIDE[peer][0]
                self.sh(peer, f"ping -n -q -c1 -W1 -I {INSIDE[peer][0]} {hub} >/dev/null || true")
                keys = self.sh(HUB, f"wg show {TUNNEL[peer]} latest-handshakes").split()
                if keys and keys[1] != "0":
                    silent.discard(peer)
            assert time.monotonic() < end, f"no handshake with {[peer.name for peer in silent]} in {NEW_HANDSHAKE} s"

    def units(self) -> dict[str, dict[str, str]]:
        """The times and states of our units on the hub, by name."""
        wanted = "Id,ActiveState,InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic"
        ours = "$(ls /etc/wireguard | sed 's/.conf$//; s/^/wg-quick@/')"
        names = f"tenantnet-firewall.service tenantnet-routing.service {ours}"
        said = self.sh(HUB, f"systemctl show --property {wanted} {names}", timeout=300)
        blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.strip().split("\n\n")]
        return {block["Id"]: block for block in blocks}

    # Traffic: see traffic.py -----------------------------------------------------------------------------------------

    def program(self, *words: str) -> str:
        """The command that runs traffic.py on a guest, where `lay_programs` left it."""
        return f"exec python3 /root/traffic.py {shlex.join(words)}"

    def lay_programs(self, guest: Guest) -> None:
        """Put the traffic's programs onto a guest."""
        for source in (ROOT / "molecule/packets.py", ROOT / "kernel/tests/traffic.py"):
            self.sh(guest, f"cat > /root/{source.name}", stdin=source.read_text())

    def outside(self, *words: str) -> subprocess.Popen[str]:
        """Start traffic.py on this machine, on the guests' bridge."""
        program = ROOT / "kernel/tests/traffic.py"
        command = ["env", f"PYTHONPATH={ROOT / 'molecule'}", "python3", "-B", str(program), *words]
        return subprocess.Popen(
            network.inside(command),
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @contextlib.contextmanager
    def undisturbed(self, source: Guest, target: Guest) -> Iterator[None]:
        """Ping fifty times a second, in both families, while something happens to somebody else: none may be lost."""
        jobs = []
        for mine, other in zip(INSIDE[source], INSIDE[target], strict=True):
            log = f"/run/ping.{'6' if ':' in other else '4'}"
            jobs.append((other, log, self.start(source, f"ping -n -D -i 0.02 -w 300 -I {mine} {other} > {log}")))
        time.sleep(2)
        try:
            yield
            time.sleep(2)
        finally:
            for other, _log, _job in jobs:
                self.sh(source, f"pkill -INT -f '^ping -n -D .* {other}$' || true")
        for other, log, job in jobs:
            job.wait(timeout=20)
            said = self.sh(source, f"cat {log}")
            answered = {
                int(number): float(when) for when, number in re.findall(r"^\[([\d.]+)\].*seq=(\d+)", said, re.M)
            }
            assert len(answered) >= 100, said
            # What comes after the last answer was under way when ping was stopped.
            last = max(answered)
            lost = {
                number: time.strftime("%H:%M:%S", time.gmtime(answered[max(n for n in answered if n < number)]))
                for number in range(2, last) if number not in answered
            }  # fmt: skip
            assert not lost, f"{source.name} to {other}: of {last} packets these were lost, and when: {lost}"
            assert int(re.findall(r"(\d+) packets transmitted", said)[0]) - last <= 50, said[-300:]


def assert_order(units: dict[str, dict[str, str]]) -> None:
    """See to it that firewall and routing stood before any interface began."""
    assert {unit["ActiveState"] for unit in units.values()} == {"active"}, units
    tunnels = [name for name in units if name.startswith("wg-quick@")]
    assert tunnels
    for guard in ("tenantnet-firewall.service", "tenantnet-routing.service"):
        stands = int(units[guard]["ActiveEnterTimestampMonotonic"])
        assert stands > 0
        for name in tunnels:
            began = int(units[name]["InactiveExitTimestampMonotonic"])
            assert began >= stands, f"{name} began {stands - began} µs before {guard} stood"
