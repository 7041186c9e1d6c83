# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret leaves its place: keys with known values, and every place that they could have got to.

A second WireGuard interface that is not ours stands on the hub, with a private key and a preshared one: what our
modules read of it, `wg show all dump`, holds both.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labnet import Lab

HUB, PEER = "hub2", "spare1"
# Where private keys are at home on a host, 0600.
HOMES = ("/etc/tenantnet/keys/", "/etc/wireguard/", "/etc/foreign/")
FOREIGN = """set -e; umask 077; mkdir -p /etc/foreign /etc/wireguard; cd /etc/foreign
wg genkey > key; wg genpsk > psk
printf '[Interface]\nPrivateKey = %s\nListenPort = 51999\nTable = off\n[Peer]\nPublicKey = %s\nPresharedKey = %s\n' \
    "$(cat key)" "$(wg genkey | wg pubkey)" "$(cat psk)" > /etc/wireguard/wg-foreign.conf
systemctl start wg-quick@wg-foreign
"""
# Commands that fail after they have said all that they were given: the worst that a message could quote.
LOUD = """#!/bin/sh
case "$*" in
{pattern}) echo "FAILS ON PURPOSE: $*" >&2; cat >&2; {secrets}; exit 1 ;;
esac
exec {real} "$@"
"""


@pytest.fixture(scope="module")
def secrets(lab: Lab, declared: Any) -> Iterator[dict[str, str]]:
    """Every private and preshared key of both hosts, by where it is from."""
    # Whatever there was: from the committed state on.
    lab.site(*declared.change(), inventory=declared.path)
    lab.site(*declared.first(), inventory=declared.path)
    lab.sh(HUB, FOREIGN)
    found = {}
    for host in (HUB, PEER):
        script = "for f in /etc/tenantnet/keys/*.key /etc/foreign/key /etc/foreign/psk; do"
        for line in lab.sh(host, f'{script} [ ! -e $f ] || echo "$f $(cat $f)"; done').splitlines():
            path, secret = line.split(" ")
            found[f"{host}:{path}"] = secret
    # The removed segment's key is still kept.
    assert len(found) >= 6, found.keys()
    yield found
    lab.sh(HUB, "systemctl stop wg-quick@wg-foreign; rm -r /etc/foreign /etc/wireguard/wg-foreign.conf")


class Sampler(threading.Thread):
    """Looks at the command line and the environment of every process of this machine, the hosts' ones included."""

    def __init__(self, secrets: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.wanted = [secret.encode() for secret in secrets.values()]
        self.found: set[bytes] = set()
        self.seen: set[bytes] = set()
        self.done = False

    def run(self) -> None:
        """Look again and again, until it is enough."""
        while not self.done:
            for name in os.listdir("/proc"):
                if name.isdigit():
                    for part in ("cmdline", "environ"):
                        try:
                            text = Path("/proc", name, part).read_bytes()
                        except OSError:
                            continue
                        self.seen.add(text.split(b"\0")[0][:200])
                        if any(secret in text for secret in self.wanted):
                            self.found.add(text[:300])
            time.sleep(0.005)


@pytest.fixture
def sampler(secrets: dict[str, str]) -> Iterator[Sampler]:
    """A sampler that runs as long as the test."""
    sampler = Sampler(secrets)
    sampler.start()
    yield sampler
    sampler.done = True
    sampler.join()


def everywhere(folder: Path, secrets: dict[str, str]) -> list[str]:
    """Find the secrets in the files below a folder of this machine."""
    patterns = folder.parent / "patterns"
    patterns.write_text("\n".join(secrets.values()) + "\n")
    found = subprocess.run(
        ["grep", "-rlaF", "-f", str(patterns), str(folder)], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    patterns.unlink()
    return found


def on_host(lab: Lab, host: str, secrets: dict[str, str]) -> list[str]:
    """Find the secrets in any file of a host but where they are at home, in its journal, and readable by others."""
    script = """cat > /run/patterns; chmod 600 /run/patterns
        for f in $(grep -rlaF -f /run/patterns --exclude-dir=proc --exclude-dir=sys --exclude=patterns / 2>/dev/null)
        do echo "$f $(stat -c '%a %U' $f)"; done
        journalctl -o verbose --all --no-pager 2>/dev/null | grep -aF -f /run/patterns | sed 's/^/journal: /; s/=.*//'
        rm /run/patterns"""
    said = lab.sh(host, script, stdin="\n".join(secrets.values()) + "\n")
    return [line for line in said.splitlines() if not (line.startswith(HOMES) and line.endswith(" 600 root"))]


@pytest.fixture
def loud(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A command of the hub's that fails and tells everything it knows."""
    real, pattern = request.param
    name = Path(real).name
    text = LOUD.format(real=real, pattern=pattern, secrets="cat /etc/tenantnet/keys/* >&2" if name == "wg" else ":")
    lab.sh(HUB, f"cat > /usr/local/sbin/{name} && chmod 755 /usr/local/sbin/{name}", stdin=text)
    yield f"{name} {pattern}"
    lab.sh(HUB, f"rm -f /usr/local/sbin/{name}")


def run(lab: Lab, declared: Any, folder: Path, *words: str) -> Any:
    """Run `site` with everything that Ansible can say and keep, below one folder."""
    environment = {
        "ANSIBLE_LOG_PATH": str(folder / "ansible.log"), "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(folder / "facts"), "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_KEEP_REMOTE_FILES": "1", "TMPDIR": str(folder), "ANSIBLE_DEBUG": "0",
    }  # fmt: skip
    words = ("-vvvv", "--diff", "-e", f"wireguard_artifacts_dir={folder}/artifacts", *words)
    outcome = lab.play("site", *words, inventory=declared.path, environment=environment)
    (folder / "output").write_text(outcome.output)
    return outcome


@pytest.mark.invariant(12)
@pytest.mark.parametrize("kind", ["predict", "change", "back"])
def test_no_output_file_or_process_has_a_key(
    lab: Lab, declared: Any, secrets: dict[str, str], sampler: Sampler, tmp_path: Path, kind: str
) -> None:
    """Seen red with the difference of an interface's configuration shown whole."""
    folder = tmp_path / "run"
    folder.mkdir()
    words = declared.first() if kind == "back" else declared.change()
    outcome = run(lab, declared, folder, *words, *(["--check"] if kind == "predict" else []))
    assert outcome.status == 0, outcome.output[-3000:]
    assert (folder / "ansible.log").stat().st_size > 10_000
    assert any((folder / "artifacts").iterdir())
    assert any(b"wg-quick" in name or b"/usr/bin/bash" in name or b"python3" in name for name in sampler.seen)
    assert sampler.found == set()
    assert everywhere(folder, secrets) == []
    for host in (HUB, PEER):
        assert on_host(lab, host, secrets) == []
    lab.sh(HUB, "rm -rf ~/.ansible/tmp/*")
    lab.sh(PEER, "rm -rf ~/.ansible/tmp/*")


@pytest.mark.invariant(12)
@pytest.mark.parametrize(
    "loud",
    [
        ("/usr/bin/wg", "pubkey"), ("/usr/bin/wg", "addconf*"), ("/usr/bin/wg", "'show all dump'"),
        ("/usr/sbin/nft", "'-f /etc/tenantnet/firewall.nft'"), ("/bin/ip", "*-batch*"), ("/bin/systemctl", "start*"),
    ],
    ids=lambda value: f"{value[0]} {value[1]}".replace("/", "."),
    indirect=True,
)  # fmt: skip
def test_no_failure_tells_a_key(
    lab: Lab, declared: Any, secrets: dict[str, str], sampler: Sampler, tmp_path: Path, loud: str
) -> None:
    """Seen red with the words of a failed command quoted whole."""
    folder = tmp_path / "run"
    folder.mkdir()
    outcome = run(lab, declared, folder, "--limit", HUB, *declared.change())
    assert outcome.status != 0, loud
    assert "Traceback" not in outcome.output
    assert sampler.found == set()
    assert everywhere(folder, secrets) == []
    assert on_host(lab, HUB, secrets) == []
    lab.sh(HUB, "rm -rf ~/.ansible/tmp/* /usr/local/sbin/*")
    # Something to do for each command, whatever this run could still do.
    lab.site("--limit", HUB, *declared.first(), inventory=declared.path)


def test_the_search_finds_what_is_there(lab: Lab, secrets: dict[str, str], sampler: Sampler, tmp_path: Path) -> None:
    """What the other tests do not find can be found: in a file, in a journal, on a command line."""
    folder = tmp_path / "run"
    folder.mkdir()
    secret = next(iter(secrets.values()))
    (folder / "log").write_text(json.dumps({"x": secret}))
    assert everywhere(folder, secrets) == [str(folder / "log")]
    lab.sh(HUB, f"echo {secret} > /tmp/leak; logger -t leak {secret}; exec -a {secret} sleep 0.5")
    found = on_host(lab, HUB, secrets)
    lab.sh(HUB, "rm /tmp/leak; journalctl --rotate -q; journalctl -q --vacuum-time=1s")
    assert any(line.startswith("/tmp/leak") for line in found)
    assert any(line.startswith("journal:") for line in found)
    assert sampler.found
