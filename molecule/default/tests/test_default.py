# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own network, as `site` left it."""

from __future__ import annotations

from collections import Counter

import pytest
from labnet import HUB, Lab

CLIENT = "mariadb -h {} -u demo -pdemo --connect-timeout=3 -Ne 'SELECT COUNT(*) FROM demo.greetings'"


@pytest.mark.invariant(9)
def test_check_mode_on_a_deployed_network_predicts_no_change(lab: Lab) -> None:
    """Seen red with the hub's firewall flushed by hand: check mode predicts that it is loaded, changed=1."""
    outcome = lab.play("site", "--check", "--diff")
    assert outcome.status == 0, outcome.output
    assert set(outcome.changed()) == {HUB, "web1", "web2", "dev1", "app1", "db1", "ops1"}
    assert not any(outcome.changed().values()), outcome.output


@pytest.mark.invariant(1, 10)
def test_packets_and_policies_agree(lab: Lab) -> None:
    """Seen red with one element deleted from the hub's map of ports: mysql was expected and did not pass."""
    probes = lab.verify()
    verdicts = Counter((probe["family"], probe["expected"]) for probe in probes)
    # A green matrix that nobody probed, or in which nothing may pass, would prove nothing.
    for family in (4, 6):
        assert verdicts[family, "accepted"] >= 10, verdicts
        assert verdicts[family, "denied"] >= 50, verdicts


def test_every_interface_of_the_hub_runs_by_its_unit(lab: Lab) -> None:
    """Seen red with `systemctl disable wg-quick@tenant-a`."""
    hub = lab.host(HUB)
    for segment in lab.segments.values():
        unit = hub.service(f"wg-quick@{segment.interface}")
        assert unit.is_running, segment
        assert unit.is_enabled, segment
        assert hub.interface(segment.interface).exists
    for name in ("tenantnet-firewall", "tenantnet-routing"):
        assert hub.service(name).is_enabled, name


@pytest.mark.invariant(12)
def test_secrets_are_readable_by_root_alone(lab: Lab) -> None:
    """Seen red with `chmod 644` of one key on the hub."""
    for name in (HUB, "web1", "db1"):
        listed = lab.sh(name, "find /etc/wireguard /etc/tenantnet/keys -type f -printf '%m %p\n'").splitlines()
        assert listed
        assert [line for line in listed if not line.startswith("600 ")] == []


def test_a_query_from_tenant_a_reaches_the_database(lab: Lab) -> None:
    """Seen red with the policy's element deleted from the hub's map."""
    database = lab.peer("shared/services/db1", "db1").v4
    assert lab.sh("web1", CLIENT.format(database)).strip() == "2"


def test_development_does_not_reach_the_database(lab: Lab) -> None:
    """Seen red with the firewall flushed, a route each way, and both clients widened."""
    database = lab.peer("shared/services/db1", "db1").v4
    assert lab.host("dev1").run(CLIENT.format(database)).failed
