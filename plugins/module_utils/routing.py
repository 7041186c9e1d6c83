# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routing of a host: forwarding, table names, rules, and the last route of every table.

On a hub this is everything about routing that does not depend on an interface; routes through interfaces
belong to them (see interfaces.py), because a device that goes takes its routes with it. On a peer it is the
guard that keeps fabric addresses from leaving in plain text while the tunnel is down.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.module_utils import foreign, iproute
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host
from ansible_collections.tenantnet.wireguard.plugins.module_utils.iproute import Route, Rule
from ansible_collections.tenantnet.wireguard.plugins.module_utils.units import (
    FOLDER,
    ROUTING,
    ensure_enabled,
    ensure_started,
    read_units,
    reload_manager,
)

BATCH_FOLDER = "/etc/tenantnet"
TABLE_NAMES = "/etc/iproute2/rt_tables.d/tenantnet.conf"
PROTOCOL_NAME = "/etc/iproute2/rt_protos.d/tenantnet.conf"
SYSCTL_FILE = "/etc/sysctl.d/60-tenantnet.conf"
NOTICE = "# Managed by tenantnet.wireguard: changes are overwritten.\n"
# On a peer: behind every other route to the same network that its administrator may have.
_GUARD_METRIC = 4294967295
FORWARDING_V6 = "net.ipv6.conf.all.forwarding"
# With slashes, as sysctl(8) has it: an interface's name may have dots.
_SETTINGS_V6 = "net/ipv6/conf/"
# RTPROT_RA of the kernel's rtnetlink.h.
_FROM_ADVERTISEMENT = "9"
# When it starts, networkd removes rules and routes that it did not make, unless it is told not to.
_NETWORKD = "systemd-networkd.service"
_NETWORKD_FILE = "/etc/systemd/networkd.conf.d/60-tenantnet.conf"
_NETWORKD_TEXT = "[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n"
_UNIT = """\
{notice}[Unit]
Description=Routing rules and closed routing tables of the tenantnet fabric
Documentation=https://github.com/tenantnet/wireguard
DefaultDependencies=no
# Before any setting lets this host forward: its interfaces may be up from the start, and until the firewall stands
# these rules alone keep plain packets of the fabric off.
After=local-fs.target
Before=systemd-sysctl.service network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
# Rules that stand already are not an error; the tables' last routes, which close them, must succeed.
{commands}
[Install]
WantedBy=multi-user.target
"""


def reconcile(host: Host, plan: dict[str, Any]) -> None:
    """Make a host's routing what a plan says.

    plan: families, tables (number: name), rules (by family), priorities (first, last), sysctl (key: value),
    reserved_ports, unreachable (networks to keep off the main table). Raises HostError where a rule or
    table of somebody else stands in the way.
    """
    families = [int(family) for family in plan["families"]]
    wanted_rules = {
        family: {Rule(int(rule[0]), str(rule[1]), str(rule[2])) for rule in plan["rules"].get(str(family), ())}
        for family in families
    }
    closing = _closing_routes(plan, families)
    live_rules = {family: iproute.read_rules(host, family) for family in (4, 6)}
    live_routes = iproute.read_routes(host)
    tables = {int(number): name for number, name in plan["tables"].items()}
    if any(wanted_rules.values()):
        foreign.refuse_rules(live_rules, plan["priorities"])
        new = set(tables) - {route.table for route in live_routes}
        foreign.refuse_tables(host, tables, new, live_rules, TABLE_NAMES)
    names = "".join(f"{number} {name}\n" for number, name in sorted(tables.items()))
    host.ensure_file(TABLE_NAMES, NOTICE + names, 0o644)
    host.ensure_file(PROTOCOL_NAME, NOTICE + f"{iproute.PROTOCOL} tenantnet\n", 0o644)
    _ensure_unit(host, families, wanted_rules, closing)
    # The tables are closed before any rule leads into them.
    missing = closing - live_routes
    if missing and host.applies(f"close {len(missing)} routing tables"):
        _run(host, [(route.to, _closing_line(route)) for route in sorted(missing)])
    for family in (4, 6):
        add, delete = iproute.rule_changes(live_rules[family], wanted_rules.get(family, set()))
        what = f"IPv{family} rules: add {len(add)}, delete {len(delete)}"
        if (add or delete) and host.applies(what):
            iproute.run_batch(host, family, add)
            iproute.run_batch(host, family, delete)
    stale = {route for route in live_routes - closing if not route.device}
    if stale and host.applies(f"remove the last route of {len(stale)} tables"):
        _run(host, [(route.to, iproute.route_line("del", route)) for route in sorted(stale)])
    states = read_units(host, [ROUTING, _NETWORKD])
    if states.pop(_NETWORKD).enabled:
        host.ensure_file(_NETWORKD_FILE, NOTICE + _NETWORKD_TEXT, 0o644)
    ensure_enabled(host, states)
    ensure_started(host, states)
    # Last, and at boot too only where the rules stand: a host that forwards before them hands on plain packets that
    # claim to be the fabric's.
    _ensure_sysctl(host, plan)


def _closing_routes(plan: dict[str, Any], families: list[int]) -> set[Route]:
    """Return the `unreachable` routes: the last of every table, and a peer's guard in main."""
    everything = {4: "0.0.0.0/0", 6: "::/0"}
    closing = {Route(int(number), everything[family], "", "") for number in plan["tables"] for family in families}
    return closing | {Route(254, network, "", "") for network in plan["unreachable"]}


def _closing_line(route: Route) -> str:
    """Write a closing route for ``ip -batch``; in main it has the last metric of all."""
    line = iproute.route_line("replace", route)
    return f"{line} metric {_GUARD_METRIC}" if route.table == 254 else line


def _run(host: Host, lines: list[Any]) -> None:
    """Run (prefix, line) pairs, one batch a family."""
    for family, batch in iproute.by_family(lines).items():
        iproute.run_batch(host, family, batch)


def _ensure_sysctl(host: Host, plan: dict[str, Any]) -> None:
    """Make kernel settings what the plan says, in the running kernel and at boot."""
    wanted = {str(key): str(value) for key, value in plan["sysctl"].items()}
    if FORWARDING_V6 in wanted:
        wanted.update(_router_advertisements(host))
    ports = str(plan.get("reserved_ports") or "")
    if ports:
        key = "net.ipv4.ip_local_reserved_ports"
        live = (host.read("/proc/sys/net/ipv4/ip_local_reserved_ports") or "").strip()
        wanted[key] = _join_ports(live, ports)
    if not wanted:
        return
    # An interface's own settings come before those of all: a router would already have stopped to listen.
    ordered = sorted(wanted.items(), key=lambda item: (item[0] == FORWARDING_V6, item[0]))
    host.ensure_file(SYSCTL_FILE, NOTICE + "".join(f"{key} = {value}\n" for key, value in ordered), 0o644)
    for key, value in ordered:
        host.ensure_setting(key, value)


def _router_advertisements(host: Host) -> dict[str, str]:
    """Return the settings that let the host keep its IPv6 default route where a router advertises it.

    A kernel that forwards ignores advertisements, unless accept_ra is 2 (ip-sysctl.rst); then the route, and with it
    the hub's way out, would be gone when its lifetime ends. What is set once stays while the interface is there.
    """
    names = {device for device, protocol in iproute.default_devices(host, 6) if protocol == _FROM_ADVERTISEMENT}
    found = {}
    for line in (host.read(SYSCTL_FILE) or "").splitlines():
        if line.startswith(_SETTINGS_V6) and line.endswith("/accept_ra = 2"):
            names.add(line[len(_SETTINGS_V6) : -len("/accept_ra = 2")])
    for name in names:
        live = (host.read(f"/proc/sys/{_SETTINGS_V6}{name}/accept_ra") or "0").strip()
        # 0: somebody else on the host looks after advertisements, networkd for example.
        if live != "0":
            found[f"{_SETTINGS_V6}{name}/accept_ra"] = "2"
    return found


def _join_ports(live: str, ours: str) -> str:
    """Join two lists of port ranges as the kernel prints them: sorted, merged."""
    numbers: set[int] = set()
    for word in (live + "," + ours).split(","):
        if word:
            first, _dash, last = word.partition("-")
            numbers.update(range(int(first), int(last or first) + 1))
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def _ensure_unit(host: Host, families: list[int], rules: dict[int, set[Rule]], closing: set[Route]) -> None:
    """Write the unit and its batches: what the kernel is given at boot, before any interface of ours."""
    commands = ""
    lines = iproute.by_family([(route.to, _closing_line(route)) for route in sorted(closing)])
    for family in (4, 6):
        tables_file = f"{BATCH_FOLDER}/tables.v{family}"
        rules_file = f"{BATCH_FOLDER}/rules.v{family}"
        if family in families and lines[family]:
            host.ensure_file(tables_file, "\n".join(lines[family]) + "\n", 0o644)
            commands += f"ExecStart=/sbin/ip -{family} -batch {tables_file}\n"
        else:
            host.ensure_absent(tables_file)
        if rules.get(family):
            host.ensure_file(rules_file, iproute.boot_rules(sorted(rules[family])), 0o644)
            commands += f"ExecStart=-/sbin/ip -{family} -force -batch {rules_file}\n"
        else:
            host.ensure_absent(rules_file)
    text = _UNIT.format(notice=NOTICE, commands=commands)
    if host.ensure_file(f"{FOLDER}/{ROUTING}", text, 0o644) and not host.check:
        reload_manager(host)
