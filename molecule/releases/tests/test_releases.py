# SPDX-License-Identifier: GPL-3.0-or-later
"""The same network on Debian 11 and 13, with peers of 11, 12 and 13; what differs from the lab's own is the release."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from labnet import ROOT, Lab

RELEASES = {"hub-11": "11", "peer-11": "11", "peer-12": "12", "hub-13": "13", "peer-13": "13"}
# Versions beside the one of this run (2.19), each in an environment of its own that tools/setup made.
CORES = ["2.18", "2.20", "2.21"]
# Versions beside those of the releases (3.9, 3.11, 3.13), where a version manager has them.
PYTHONS = {"3.8": "peer-12", "3.10": "peer-12", "3.12": "peer-12"}


def test_hosts_are_of_the_releases(lab: Lab) -> None:
    """Red where a host's image is of another release."""
    found = {name: lab.sh(name, ". /etc/os-release; echo $VERSION_ID").strip() for name in RELEASES}
    assert found == RELEASES


@pytest.mark.invariant(1, 10)
def test_packets_and_policies_agree_on_every_release(lab: Lab) -> None:
    """Seen red with the chain of one policy emptied on the hub with Debian 11."""
    probes = lab.verify()
    verdicts = Counter(probe["observed"] for probe in probes)
    assert verdicts["accepted"] >= 40, verdicts
    assert verdicts["denied"] >= 200, verdicts
    assert {probe["family"] for probe in probes} == {4, 6}
    spoken = {probe["policy"] for probe in probes if probe["observed"] == "accepted"}
    assert spoken >= {"old-use-files", "new-use-files", "desks-ping", "store-updates"}


def core(version: str) -> Path:
    """The environment of another ansible-core."""
    program = ROOT / f".cache/core-{version}/bin/ansible-playbook"
    if not program.exists():
        # tools/setup has said that this machine has no Python for it.
        pytest.skip(f"no ansible-core {version} here")
    return program


@pytest.mark.invariant(9)
@pytest.mark.parametrize("version", CORES)
def test_every_ansible_core_plans_the_same(lab: Lab, tmp_path: Path, version: str) -> None:
    """Seen red with one policy lost where ansible-core has no tag for a value's origin."""
    said = subprocess.run([core(version), "--version"], capture_output=True, text=True, check=True).stdout
    assert f"core {version}." in said
    plans = []
    for program in ("ansible-playbook", core(version)):
        outcome = lab.play("plan", "-e", f"wireguard_artifacts_dir={tmp_path}", program=program)
        assert outcome.status == 0, outcome.output
        plans.append((tmp_path / "plan.json").read_text())
    assert plans[0] == plans[1]
    assert '"changes": []' in plans[1]


@pytest.mark.invariant(9)
@pytest.mark.parametrize("version", CORES)
def test_every_ansible_core_repairs_and_changes_nothing_more(lab: Lab, version: str) -> None:
    """Seen red with the firewall compared with its file, and not with the kernel."""
    program = core(version)
    for hub, interface in (("hub-11", "old-office"), ("hub-13", "new-office")):
        lab.sh(hub, f"nft delete table inet tenantnet; ip rule flush proto 94; ip link delete dev {interface}")
    outcome = lab.play("site", program=program)
    assert outcome.status == 0, outcome.output
    assert "Traceback" not in outcome.output
    changed = outcome.changed()
    assert changed["hub-11"] >= 3, outcome.output
    assert changed["hub-13"] >= 3, outcome.output
    outcome = lab.play("site", program=program)
    assert outcome.status == 0, outcome.output
    assert not any(outcome.changed().values()), outcome.output


@pytest.mark.parametrize("version", CORES)
def test_every_ansible_core_tells_mistakes_with_their_place(lab: Lab, tmp_path: Path, version: str) -> None:
    """Seen red with positions taken from tags only, which 2.18 has not."""
    inventory = tmp_path / "inventory"
    shutil.copytree(lab.inventory, inventory)
    wrong = "---\nwireguard_tenants__wrong:\n  - name: wrong\n    hub: hub-11\n    segmnets: []\n"
    (inventory / "group_vars/all/wrong.yml").write_text(wrong)
    outcome = lab.play("site", inventory=inventory, program=core(version))
    assert outcome.status != 0
    lines = outcome.output.replace("\\n", "\n")
    assert "group_vars/all/wrong.yml:5" in lines, outcome.output
    assert "did you mean 'segments'?" in lines, outcome.output
    assert "Traceback" not in outcome.output


def python(version: str) -> Path:
    """The folder of a Python that a version manager made on this machine."""
    found = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*"))
    if not found:
        pytest.skip(f"no Python {version} here")
    return found[-1]


def _needed(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what no module imports, and what is large."""
    return None if "/test" in item.name or "/site-packages" in item.name or item.name.endswith(".a") else item


@pytest.mark.invariant(9)
@pytest.mark.parametrize("version", PYTHONS)
def test_every_python_runs_the_modules(lab: Lab, tmp_path: Path, version: str) -> None:
    """On a host of the release that these Pythons were made on: its tunnel is taken away, and comes back by them.

    Seen red with two mappings joined by `|`, which Python 3.8 does not know.
    """
    host, folder = PYTHONS[version], python(version)
    archive = tmp_path / "python.tar"
    with tarfile.open(archive, "w") as tar:
        for part in ("bin", "lib"):
            tar.add(folder / part, part, filter=_needed)
    # At the same place: it finds its libraries by their whole path.
    with archive.open("rb") as stream:
        command = ["ssh", "-F", str(lab.ssh_config), host, f"mkdir -p {folder} && tar -xC {folder}"]
        subprocess.run(command, stdin=stream, check=True, timeout=120)
    interpreter = f"{folder}/bin/python{version}"
    assert lab.sh(host, f"{interpreter} --version").startswith(f"Python {version}.")
    lab.sh(
        host,
        "systemctl stop 'wg-quick@*'; rm -f /etc/wireguard/*.conf; ip route flush table main proto 94 type unreachable",
    )
    inventory = tmp_path / "inventory"
    shutil.copytree(lab.inventory, inventory)
    hosts = inventory / "hosts.yml"
    own = f"{host}: {{"
    hosts.write_text(hosts.read_text().replace(own, f"{own}ansible_python_interpreter: {interpreter}, "))
    assert interpreter in hosts.read_text()
    # 2.18 is the newest ansible-core that runs on a target of 3.8 and of all others.
    program = core("2.18")
    outcome = lab.play("site", "--limit", host, inventory=inventory, program=program)
    assert outcome.status == 0, outcome.output
    assert outcome.changed()[host] > 0, outcome.output
    outcome = lab.play("site", "--limit", host, inventory=inventory, program=program)
    assert outcome.status == 0, outcome.output
    assert not any(outcome.changed().values()), outcome.output
