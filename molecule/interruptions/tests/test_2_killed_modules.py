# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module that changes a hub, killed before every single change that it makes; see ../stops.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from labnet import ROOT, Lab

HUB = "hub2"
FOLDER = "/root/stops"
MODULES = ("retired", "routing", "firewall", "interfaces", "deployed")
Arguments = dict[str, dict[str, Any]]

WIPE = {
    "routing": """
        systemctl disable --quiet --now tenantnet-routing.service
        for f in 4 6; do
            ip -$f rule flush proto 94
            for t in $(seq 10000 10009); do ip -$f route flush table $t; done
        done
        rm -f /etc/tenantnet/tables.* /etc/tenantnet/rules.* /etc/iproute2/*.d/tenantnet.conf
        rm -f /etc/sysctl.d/60-tenantnet.conf /etc/systemd/system/tenantnet-routing.service
        echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding
        echo > /proc/sys/net/ipv4/ip_local_reserved_ports; systemctl daemon-reload""",
    "firewall": """
        systemctl disable --quiet --now tenantnet-firewall.service
        nft delete table inet tenantnet
        rm -f /etc/tenantnet/firewall.nft /etc/systemd/system/tenantnet-firewall.service
        rm -f /var/lib/tenantnet/firewall.json; systemctl daemon-reload""",
    "interfaces": """
        systemctl disable --quiet --now $(cd /etc/wireguard && ls | sed 's/^/wg-quick@/; s/.conf$//') 2>/dev/null
        for i in $(wg show interfaces); do ip link delete dev $i; done
        rm -rf /etc/systemd/system/wg-quick@*.service.d
        rm -rf /etc/tenantnet/keys /etc/tenantnet/interfaces /etc/wireguard/*.conf /var/lib/tenantnet/known_keys.json
        systemctl daemon-reload; systemctl reset-failed""",
    "deployed": "rm -f /var/lib/tenantnet/deployed.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def sent(lab: Lab, declared: Any) -> dict[str, Arguments]:
    """The arguments that the modules got on the hub: at a first deployment, at a change, and when it is taken back.

    Ansible is asked to leave what it sends on the hub; that is also where the modules are run from.
    """
    found: dict[str, Arguments] = {}
    for name, declare in (("first", declared.first), ("change", declared.change), ("back", declared.first)):
        lab.sh(HUB, "rm -rf ~/.ansible/tmp/*")
        words, keep = declare(), {"ANSIBLE_KEEP_REMOTE_FILES": "1"}
        outcome = lab.play(
            "site", *(words[:2] if name == "first" else words), inventory=declared.path, environment=keep
        )
        assert outcome.status == 0, outcome.output
        # One folder for what the modules import: each brought along only its own part of it.
        script = f"""
            mkdir -p {FOLDER}/path
            for m in {" ".join(MODULES)}; do
                f=$(ls -t ~/.ansible/tmp/*/AnsiballZ_$m.py | head -n 1) && python3 $f explode >/dev/null &&
                cp -r ${{f%/*}}/debug_dir/ansible* {FOLDER}/path/ && echo "$m $(cat ${{f%/*}}/debug_dir/args)"
            done"""
        told = dict(line.split(" ", 1) for line in lab.sh(HUB, script).splitlines())
        found[name] = {module: json.loads(text)["ANSIBLE_MODULE_ARGS"] for module, text in told.items()}
        assert found[name].keys() == set(MODULES)
    lab.sh(HUB, "rm -rf ~/.ansible/tmp/*")
    lab.sh(HUB, f"cat > {FOLDER}/stops.py", stdin=(ROOT / "molecule/interruptions/stops.py").read_text())
    change = found["change"]["interfaces"]
    kept = [item for item in change["interfaces"] if item["name"] != "north"]
    found["change, without its segment"] = {"interfaces": {**change, "interfaces": kept}}
    return found


@pytest.fixture(scope="module")
def attack(lab: Lab, sent: dict[str, Arguments]) -> Callable[..., None]:
    """A call that kills one module before each of its changes, and insists that nothing is wrong then."""

    def call(
        module: str, kind: str, *, before: list[tuple[str, str]], around: list[tuple[str, str]], reset: str = ""
    ) -> None:
        def with_arguments(calls: list[tuple[str, str]]) -> list[tuple[str, Any]]:
            return [(name, sent[when][name]) for name, when in calls]

        case = {
            "path": [f"{FOLDER}/path"], "module": module, "arguments": sent[kind][module], "reset": reset,
            "around": with_arguments(around), "before": with_arguments(before),
        }  # fmt: skip
        lab.sh(HUB, f"cat > {FOLDER}/case.json", stdin=json.dumps(case))
        said = lab.sh(HUB, f"python3 {FOLDER}/stops.py {FOLDER}/case.json", timeout=900)
        results = [json.loads(line) for line in said.splitlines()]
        assert results
        print(f"{module}, {kind}: killed before each of {len(results)} changes")
        wrong = [result for result in results if result["wrong"]]
        assert not wrong, json.dumps(wrong[:5], indent=1)

    return call


ORDER = ["retired", "routing", "firewall", "interfaces", "deployed"]


@pytest.mark.invariant(6, 2)
@pytest.mark.parametrize("module", ORDER[1:])
def test_first_deployment_killed_before_every_change(lab: Lab, attack: Callable[..., None], module: str) -> None:
    """Seen red with files written in place: one was empty when the module was killed."""
    if module == ORDER[1]:
        for each in reversed(ORDER[1:]):
            lab.sh(HUB, WIPE[each], check=False)
    attack(module, "first", around=[], before=[], reset=WIPE[module])


@pytest.mark.invariant(6, 13)
@pytest.mark.parametrize("module", ORDER[1:])
def test_change_killed_before_every_change(attack: Callable[..., None], module: str) -> None:
    """Seen red with a generation written down only after it was loaded."""
    around = [(name, "change") for name in ORDER[1 : ORDER.index(module)]]
    # The new segment's interface is what `retired` takes down again.
    back = [("retired", "back")] if module == "interfaces" else []
    attack(module, "change", around=around, before=[*back, (module, "first")])


@pytest.mark.invariant(6, 2)
@pytest.mark.parametrize("module", ORDER)
def test_removal_killed_before_every_change(attack: Callable[..., None], module: str) -> None:
    """Seen red with an interface's configuration removed first: nobody knew whose the rest was."""
    if module == "retired":
        around, before = [("routing", "change"), ("firewall", "change")], [("interfaces", "change")]
    elif module == "interfaces":
        around = [(name, "change") for name in ("routing", "firewall", "interfaces")]
        around += [(name, "back") for name in ("retired", "routing", "firewall")]
        before = [("interfaces", "change, without its segment")]
    else:
        around, before = [], [(module, "change")]
    attack(module, "back", around=around, before=before)
