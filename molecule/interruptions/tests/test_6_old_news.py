# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that another one has overtaken stops: what it compiled is old."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from labnet import ROOT, Lab

HUB = "hub2"


@pytest.mark.invariant(13)
@pytest.mark.parametrize("number", [5, 6, 7], ids=["firewall", "interfaces", "deployed"])
def test_an_overtaken_run_stops_before_its_next_change(lab: Lab, declared: Any, tmp_path: Path, number: int) -> None:
    """An old branch is being deployed, and waits somewhere; meanwhile a newer one is. The old one gets no further.

    Seen red with the claim of a run not checked by its later tasks.
    """
    lab.site("--limit", HUB, *declared.change(), inventory=declared.path)
    # It has read what is deployed, and begun; from here on it is old.
    words = declared.first()
    environment = {
        **os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1",
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "molecule/interruptions/callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "stop_before", "STOP_BEFORE": str(number), "STOP_UNTIL": str(tmp_path / "go"),
    }  # fmt: skip
    command = ["ansible-playbook", "-i", str(declared.path), "playbooks/site.yml", "--limit", HUB, *words]
    old = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert old.stdout is not None
    said = ""
    while "STOPPED before" not in said:
        line = old.stdout.readline()
        assert line, said
        said += line
    lab.site("--limit", HUB, *declared.change(), inventory=declared.path)
    after = lab.sh(HUB, STATE)
    (tmp_path / "go").touch()
    said += old.communicate(timeout=60)[0]
    assert old.returncode != 0
    assert "another run has changed this hub since this one began: run site again" in " ".join(said.split()), said
    assert lab.sh(HUB, STATE) == after
    assert "north" in after
    lab.site("--limit", HUB, *declared.first(), inventory=declared.path)


STATE = """
    wg show all allowed-ips | sort; ip rule | sort; ip -6 rule | sort; nft -s list table inet tenantnet
    cat /var/lib/tenantnet/deployed.json
"""
