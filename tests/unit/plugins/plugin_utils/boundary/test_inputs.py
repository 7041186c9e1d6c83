# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose variables a run compiles: the first hub's of the inventory, whatever the play is limited to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.inputs import Inputs
from ansible_collections.tenantnet.wireguard.tests.unit.plugins.plugin_utils.compiler import test_goldens
from ansible_collections.tenantnet.wireguard.tests.unit.support import inventory

TWO_HUBS = """\
all:
  children:
    wireguard_hubs:
      hosts:
        hub2: {ansible_host: 192.0.2.2, wireguard_hub_endpoint: vpn.example.net, wireguard_hub_uplinks: [eth0, eth1]}
        hub1: {}
    wireguard_peers:
      hosts: {web2: {}, web1: {}}
    others:
      hosts: {hub1: {}, web9: {}}
"""


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CI", raising=False)


def read(folder: Path, files: dict[str, str] | None = None, **extra: Any) -> Inputs:
    inventory.write(folder, files or {})
    return inventory.read(folder, extra=extra)


def test_hubs_and_peers_are_the_inventorys_groups_in_its_order(tmp_path: Path):
    inputs = read(tmp_path, {"hosts.yml": TWO_HUBS})
    assert list(inputs.hubs) == ["hub2", "hub1"]
    assert inputs.hubs["hub2"] == (
        {"wireguard_hub_endpoint": "vpn.example.net", "wireguard_hub_uplinks": ["eth0", "eth1"]},
        "192.0.2.2",
    )
    assert inputs.hubs["hub1"] == ({}, None)
    assert inputs.peer_hosts == ["web2", "web1"]
    assert not inputs.problems.found


def test_groups_may_have_other_names(tmp_path: Path):
    inputs = read(
        tmp_path, {"hosts.yml": TWO_HUBS}, wireguard_hubs_group="others", wireguard_peers_group="wireguard_hubs"
    )
    assert list(inputs.hubs) == ["hub1", "web9"]
    assert inputs.peer_hosts == ["hub2", "hub1"]


def test_only_the_fabrics_variables_are_read(tmp_path: Path):
    files = {
        "group_vars/all/fabric.yml": inventory.FABRIC
        + 'other: "{{ undefined }}"\nwireguard_target: "{{ undefined }}"\n',
        "host_vars/hub1.yml": "wireguard_hub_endpoint: vpn.example.net\n",
        "host_vars/web1.yml": "wireguard_tenants: nonsense of a peer\n",
    }
    inputs = read(tmp_path, files)
    assert inputs.variables == {"wireguard_fabric": "fab", "wireguard_supernet": "10.100.0.0/16"}
    assert not inputs.problems.found


def test_a_hubs_own_variables_are_templated_with_its_own(tmp_path: Path):
    files = {
        "hosts.yml": TWO_HUBS.replace("hub1: {}\n    wireguard_peers", "hub1: {site: b}\n    wireguard_peers"),
        "group_vars/all/hubs.yml": 'wireguard_hub_endpoint: "vpn-{{ site }}.example.net"\nsite: a\n',
    }
    inputs = read(tmp_path, files)
    # The inventory's own value for hub2 stands above the group's.
    assert [own["wireguard_hub_endpoint"] for own, _host in inputs.hubs.values()] == [
        "vpn.example.net",
        "vpn-b.example.net",
    ]


def test_hubs_may_differ_in_what_is_theirs(tmp_path: Path):
    files = {"hosts.yml": TWO_HUBS, "host_vars/hub1.yml": "wireguard_hub_uplinks: []\nwireguard_target: x\n"}
    assert not read(tmp_path, files).problems.found


def test_the_record_lies_beside_the_first_hubs_inventory(tmp_path: Path):
    assert read(tmp_path).record_path == str(tmp_path / "wireguard.lock.yml")


@pytest.mark.parametrize("value", ["{folder}/deep/record.yml", "{{{{ inventory_dir }}}}/deep/record.yml"])
def test_the_record_may_lie_elsewhere(tmp_path: Path, value: str):
    text = inventory.FABRIC + f'wireguard_allocation_file: "{value.format(folder=tmp_path)}"\n'
    assert read(tmp_path, {"group_vars/all/fabric.yml": text}).record_path == f"{tmp_path}/deep/record.yml"


@pytest.mark.parametrize(
    ("variable", "environment", "frozen"),
    [
        ("", "", False),
        ("", "true", True),
        ("wireguard_allocation_frozen: true", "", True),
        ("wireguard_allocation_frozen: 'true'", "", True),
        ("wireguard_allocation_frozen: 'True'", "", True),
        ("wireguard_allocation_frozen: yes", "", True),
        ("wireguard_allocation_frozen: '{{ 1 == 1 }}'", "", True),
        ("wireguard_allocation_frozen: false", "true", False),
        ("wireguard_allocation_frozen: 'false'", "true", False),
        ("awx_job_id: 7", "", True),
        ("tower_job_id: 7", "", True),
    ],
)
def test_when_the_record_is_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, environment: str, frozen: bool
):
    """Surveys send text; what is said beats where it runs."""
    if environment:
        monkeypatch.setenv("CI", environment)
    assert read(tmp_path, {"group_vars/all/run.yml": f"---\n{variable}\n"}).frozen == frozen


@pytest.mark.parametrize("value", ["maybe", "'on'", "[]", "~", "5"])
def test_a_wrong_switch_is_no_permission(tmp_path: Path, value: str):
    """Written badly, a guard must stay closed or be an error: it is read as strictly as everything else."""
    inputs = read(tmp_path, {"group_vars/all/run.yml": f"---\nwireguard_allocation_frozen: {value}\n"})
    assert inputs.frozen or inputs.problems.found


def test_the_labs_inventory_is_what_the_goldens_compile():
    """Read by Ansible and by a plain YAML reader, it is the same declaration."""
    folder = test_goldens.ROOT / "inventories" / "lab"
    inputs = inventory.read(folder)
    expected = test_goldens.lab()
    found = inventory.declaration(inputs, expected.today)
    assert found.variables == expected.variables
    assert dict(found.hubs) == dict(expected.hubs)
    assert sorted(found.peer_hosts) == sorted(expected.peer_hosts)
    assert found.record == expected.record
    assert not inputs.problems.found


def test_the_loader_is_only_asked_for_its_basedir_and_secrets(tmp_path: Path):
    """A declaration is compiled from what Ansible has loaded: no file is opened for it a second time."""
    inputs = read(tmp_path)
    assert isinstance(DataLoader().get_basedir(), str)
    assert inputs.locate(("wireguard_supernet",)) == f"{tmp_path}/group_vars/all/fabric.yml:2:21"
