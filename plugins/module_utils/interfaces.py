# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All WireGuard interfaces of a host that are ours, reconciled at once.

Order is safety: every file is written before anything live changes, a key before it is used, and an
interface that stands is changed in place, never restarted. Only an interface that does not stand is started,
by its own wg-quick@ unit, which refuses without the firewall.
"""

from __future__ import annotations

import json
import socket
from typing import Any, Container, NamedTuple

from ansible_collections.tenantnet.wireguard.plugins.module_utils import iproute, keys, wireguard
from ansible_collections.tenantnet.wireguard.plugins.module_utils.foreign import udp_ports
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError
from ansible_collections.tenantnet.wireguard.plugins.module_utils.iproute import Route
from ansible_collections.tenantnet.wireguard.plugins.module_utils.units import (
    FIREWALL,
    FOLDER,
    ROUTING,
    ensure_enabled,
    ensure_started,
    read_units,
    reload_manager,
    stop_and_disable,
)
from ansible_collections.tenantnet.wireguard.plugins.module_utils.wireguard import Device, Peer

CONFIGURATION_FOLDER = "/etc/wireguard"
BATCH_FOLDER = "/etc/tenantnet/interfaces"
MARKER = "# Managed by tenantnet.wireguard: "
_DROP_IN = """\
# Managed by tenantnet.wireguard: changes are overwritten.
[Unit]
# Wants, not Requires: a restart of these must not restart the tunnel; PreUp checks what must stand.
Wants={units}
After={units}
"""


class Wanted(NamedTuple):
    """An interface as a plan wants it."""

    name: str
    about: str
    key: str
    listen_port: int
    mtu: int
    addresses: tuple[str, ...]
    routes: tuple[Route, ...]
    peers: dict[str, Peer]
    guarded: bool


class Live(NamedTuple):
    """What the host has: WireGuard's state, and every interface's MTU, addresses and our routes."""

    devices: dict[str, Device]
    mtus: dict[str, int]
    addresses: dict[str, set[str]]
    routes: set[Route]


def read_wanted(item: dict[str, Any]) -> Wanted:
    """Read one interface of a plan."""
    peers = {
        str(peer["public_key"]): Peer(
            str(peer["public_key"]),
            frozenset(str(block) for block in peer["allowed_ips"]),
            str(peer.get("endpoint") or ""),
            int(peer.get("keepalive") or 0),
        )
        for peer in item["peers"]
    }
    name = str(item["name"])
    routes = tuple(
        Route(int(route["table"]), str(route["to"]), name, str(route.get("from") or "")) for route in item["routes"]
    )
    return Wanted(
        name=name,
        about=str(item["about"]),
        key=str(item["key"]),
        listen_port=int(item.get("listen_port") or 0),
        mtu=int(item["mtu"]),
        addresses=tuple(str(address) for address in item["addresses"]),
        routes=routes,
        peers=peers,
        guarded=bool(item["guarded"]),
    )


def read_live(host: Host) -> Live:
    """Read everything that reconciling needs, each kind once."""
    mtus: dict[str, int] = {}
    addresses: dict[str, set[str]] = {}
    for item in json.loads(host.run(["ip", "-j", "address", "show"])):
        name = str(item["ifname"])
        mtus[name] = int(item["mtu"])
        addresses[name] = {
            f"{each['local']}/{each['prefixlen']}" for each in item["addr_info"] if each.get("scope") == "global"
        }
    return Live(wireguard.read_devices(host), mtus, addresses, iproute.read_routes(host))


def owned_interfaces(host: Host) -> dict[str, str]:
    """Return the interfaces whose configuration file is ours, each with the segment or peer that it is for."""
    owned = {}
    for name in host.list_folder(CONFIGURATION_FOLDER):
        if name.endswith(".conf"):
            first_line = (host.read(f"{CONFIGURATION_FOLDER}/{name}") or "").split("\n", 1)[0]
            if first_line.startswith(MARKER):
                owned[name[: -len(".conf")]] = first_line[len(MARKER) :]
    return owned


def running_keys(host: Host) -> dict[str, str]:
    """Return the private keys that our interfaces run with, or are configured with, by name: secrets."""
    devices = wireguard.read_devices(host)
    found = {}
    for name in owned_interfaces(host):
        key = devices[name].private_key if name in devices else _configured_key(host, name)
        if key:
            found[name] = key
    return found


def live_public_keys(host: Host) -> dict[str, str]:
    """Return the public keys of our live interfaces, by the segment or peer that each is for."""
    owned = owned_interfaces(host)
    found = {}
    if host.has_command("wg"):
        for line in host.run(["wg", "show", "all", "public-key"]).splitlines():
            name, _tab, key = line.partition("\t")
            if name in owned:
                found[owned[name]] = key
    return found


def _configuration_path(name: str) -> str:
    """Return an interface's configuration file."""
    return f"{CONFIGURATION_FOLDER}/{name}.conf"


def retire(host: Host, wanted: Container[str], removable: list[str]) -> list[str]:
    """Remove the interfaces of ours whose names are wanted no more, and return their names.

    On a hub this comes before everything else: once the rules and the firewall no longer speak of an interface, it
    would be anybody's. removable: the tenants, segments or peers whose interfaces may be removed.
    Raises HostError, with nothing changed, where one of them is not named there.
    """
    gone = {name: about for name, about in owned_interfaces(host).items() if name not in wanted}
    held_back = sorted(about for about in gone.values() if not _may_remove(about, removable))
    if held_back:
        raise HostError(
            f"declared no more, and would be removed: {', '.join(held_back)}; name them in wireguard_allow_removal, "
            "or declare them again"
        )
    _remove(host, sorted(gone))
    return sorted(gone)


def reconcile(host: Host, items: list[dict[str, Any]]) -> dict[str, str]:
    """Make the host's interfaces what a plan says; those that it says nothing of are `retire`'s.

    Returns the public key of each interface; it lacks those that check mode would make.
    """
    wanted = {item.name: item for item in map(read_wanted, items)}
    live = read_live(host)
    owned = owned_interfaces(host)
    _refuse_foreign(host, wanted, live, set(owned))
    public_keys: dict[str, str] = {}
    private_keys: dict[str, str | None] = {}
    reload_needed = False
    for name, item in sorted(wanted.items()):
        device = live.devices.get(name)
        private = keys.ensure_key(host, item.key, device.private_key if device else _configured_key(host, name))
        private_keys[name] = private
        if private is not None and host.has_command("wg"):
            public_keys[name] = keys.public_key(host, private)
        reload_needed |= _ensure_files(host, item, private)
    if reload_needed and not host.check:
        reload_manager(host)
    units = {name: f"wg-quick@{name}.service" for name in wanted}
    states = read_units(host, units.values())
    ensure_enabled(host, states)
    for name in sorted(wanted):
        device = live.devices.get(name)
        if device is not None and states[units[name]].active:
            _change_live(host, wanted[name], device, live, private_keys[name])
    down = {unit: states[unit] for name, unit in units.items() if name not in live.devices or not states[unit].active}
    _start(host, down, live)
    if host.changes and not host.check:
        after = wireguard.read_devices(host)
        for name, item in sorted(wanted.items()):
            wireguard.verify(name, after.get(name), private_keys[name] or "", item.peers)
    return public_keys


def _configured_key(host: Host, name: str) -> str | None:
    """Return the private key that an interface's own configuration file holds, if there is one."""
    for line in (host.read(_configuration_path(name)) or "").splitlines():
        word, _equals, value = line.partition("=")
        if word.strip() == "PrivateKey":
            return value.strip()
    return None


def _may_remove(about: str, removable: list[str]) -> bool:
    """Tell whether an interface's segment, its tenant or anything above it is named."""
    parts = about.split("/")
    return any("/".join(parts[:length]) in removable for length in range(1, len(parts) + 1))


def _refuse_foreign(host: Host, wanted: dict[str, Wanted], live: Live, ours: set[str]) -> None:
    """Stop where a wanted name or port belongs to somebody else on this host."""
    for name in sorted(set(wanted) - ours):
        if name in live.mtus:
            raise HostError(f"interface {name} stands already and is not ours: choose another name in `interface`")
        if host.read(_configuration_path(name)) is not None:
            raise HostError(f"{_configuration_path(name)} exists and is not ours: choose another `interface`")
    ports = {item.listen_port: item.name for item in wanted.values() if item.listen_port}
    for name, device in sorted(live.devices.items()):
        if name not in ours and device.listen_port in ports:
            raise HostError(
                f"UDP port {device.listen_port} of {ports[device.listen_port]} is in use by interface {name}, "
                "which is not ours: choose another `listen_port`"
            )
    own = {device.listen_port for name, device in live.devices.items() if name in ours}
    # An interface of ours that is down asks for nothing new: what holds its port may be its own last process.
    asked = {port for port, name in ports.items() if name not in ours or name in live.devices}
    for port in sorted((asked - own) & udp_ports(host)):
        raise HostError(
            f"UDP port {port} of {ports[port]} is in use on this host by something that is not ours (see ss -lunp): "
            "choose another `listen_port`"
        )


def _ensure_files(host: Host, item: Wanted, private_key: str | None) -> bool:
    """Write an interface's files; return whether systemd must read its units again."""
    for family in (4, 6):
        path = f"{BATCH_FOLDER}/{item.name}.v{family}"
        lines = _batch(item, family)
        if lines:
            host.ensure_file(path, "\n".join(lines) + "\n", 0o644)
        else:
            host.ensure_absent(path)
    text = _configuration(item, private_key or "(new key)")
    host.ensure_file(_configuration_path(item.name), text, 0o600, secret=True, folder_mode=0o700)
    drop_in = f"{FOLDER}/wg-quick@{item.name}.service.d/tenantnet.conf"
    units = f"{FIREWALL} {ROUTING}" if item.guarded else ROUTING
    return host.ensure_file(drop_in, _DROP_IN.format(units=units), 0o644)


def _batch(item: Wanted, family: int) -> list[str]:
    """Return what PostUp gives to ``ip -batch``: IPv6 addresses and every route through the interface.

    A device that went took its routes in every table with it, also those in other segments' tables. IPv6
    addresses are here because wg-quick would put a route for them into the main table.
    """
    lines = []
    if family == 6:
        lines = [_address_line(address, item.name) for address in item.addresses if ":" in address]
    routes = [route for route in item.routes if iproute.family_of(route.to) == family]
    return lines + [iproute.route_line("replace", route) for route in sorted(routes)]


def _settings(interface: str) -> list[tuple[str, str]]:
    """Return the kernel settings of a hub's interface: nobody behind it may steer the hub's routes."""
    return [
        (f"net.ipv4.conf.{interface}.accept_redirects", "0"),
        (f"net.ipv4.conf.{interface}.send_redirects", "0"),
        (f"net.ipv6.conf.{interface}.accept_redirects", "0"),
        (f"net.ipv6.conf.{interface}.accept_ra", "0"),
    ]


def _address_line(address: str, interface: str) -> str:
    """Write an address for ``ip -batch``.

    nodad: a tentative address is refused as the source of the routes that follow, and a tunnel has no neighbours
    that could have it.
    """
    flags = " noprefixroute nodad" if ":" in address else ""
    return f"address replace {address} dev {interface}{flags}"


def _configuration(item: Wanted, private_key: str) -> str:
    """Write an interface's configuration for wg-quick."""
    lines = [MARKER + item.about, "# Changes are overwritten; the declaration is in the inventory.", "[Interface]"]
    lines.append(f"PrivateKey = {private_key}")
    if item.listen_port:
        lines.append(f"ListenPort = {item.listen_port}")
    lines += [f"Address = {address}" for address in item.addresses if ":" not in address]
    lines += [f"MTU = {item.mtu}", "Table = off"]
    if item.guarded:
        # Without the firewall the interface must not come up; wg-quick stops at the first command that fails.
        lines.append("PreUp = nft list chain inet tenantnet spoofing > /dev/null")
        for key, value in _settings(item.name):
            path = "/proc/sys/" + key.replace(".", "/")
            lines.append(f"PostUp = [ ! -e {path} ] || echo {value} > {path}")
    for family in (4, 6):
        if _batch(item, family):
            lines.append(f"PostUp = ip -{family} -batch {BATCH_FOLDER}/{item.name}.v{family}")
    text = "\n".join(lines) + "\n"
    return text + "".join("\n" + wireguard.peer_section(peer) for _key, peer in sorted(item.peers.items()))


def _change_live(host: Host, item: Wanted, device: Device, live: Live, private_key: str | None) -> None:
    """Change a standing interface in place, by differences only."""
    for key, value in _settings(item.name) if item.guarded else ():
        if host.exists("/proc/sys/" + key.replace(".", "/")):
            host.ensure_setting(key, value)
    key_differs = private_key is not None and device.private_key != private_key
    if key_differs and host.applies(f"{item.name}: give back its own key"):
        host.run(["wg", "set", item.name, "private-key", host.path(keys.key_path(item.key))])
    port_differs = item.listen_port and device.listen_port != item.listen_port
    if port_differs and host.applies(f"{item.name}: listen on {item.listen_port}"):
        host.run(["wg", "set", item.name, "listen-port", str(item.listen_port)])
    change = wireguard.delta(device.peers, item.peers, _resolve(item))
    written = len(change.write) + len(change.quiet)
    if any(change) and host.applies(f"{item.name}: remove {len(change.remove)} peers, add or change {written}"):
        wireguard.apply_delta(host, item.name, change)
    lines: list[tuple[str, str]] = []
    if live.mtus[item.name] != item.mtu:
        lines.append(("", f"link set dev {item.name} mtu {item.mtu}"))
    have = live.addresses.get(item.name, set())
    for address in item.addresses:
        if address not in have:
            lines.append((address, _address_line(address, item.name)))
    routes = {route for route in live.routes if route.device == item.name}
    lines += [(route.to, iproute.route_line("replace", route)) for route in sorted(set(item.routes) - routes)]
    kept = {(route.table, route.to) for route in item.routes}
    stale = sorted(route for route in routes if (route.table, route.to) not in kept)
    lines += [(route.to, iproute.route_line("del", route)) for route in stale]
    lines += [(old, f"address del {old} dev {item.name}") for old in sorted(have - set(item.addresses))]
    if lines and host.applies(f"{item.name}: change {len(lines)} addresses and routes"):
        for family, batch in iproute.by_family(lines).items():
            iproute.run_batch(host, family, batch)


def _resolve(item: Wanted) -> dict[str, str]:
    """Return what wanted endpoints resolve to now; one that does not resolve is left as it is."""
    resolved = {}
    for peer in item.peers.values():
        if peer.endpoint:
            name, _colon, port = peer.endpoint.rpartition(":")
            try:
                found = socket.getaddrinfo(name.strip("[]"), int(port), type=socket.SOCK_DGRAM)
            except OSError:
                continue
            address = str(found[0][4][0])
            resolved[peer.endpoint] = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return resolved


def _start(host: Host, states: dict[str, Any], live: Live) -> None:
    """Start the interfaces that do not stand."""
    if not states:
        return
    # A unit that counts as active though its interface is gone must be stopped before it can start.
    dead = sorted(unit for unit, state in states.items() if state.active)
    if dead and host.applies(f"restart {', '.join(dead)}, whose interfaces are gone"):
        host.run(["systemctl", "restart", *dead])
    # An interface that stands although its unit does not run was made by hand from our file.
    for unit in sorted(set(states) - set(dead)):
        name = unit[len("wg-quick@") : -len(".service")]
        if name in live.devices and host.applies(f"take down {name}, which stands without its unit"):
            host.run(["ip", "link", "delete", "dev", name])
    ensure_started(host, {unit: state for unit, state in states.items() if not state.active})


def _remove(host: Host, names: list[str]) -> None:
    """Remove interfaces of ours and their files; their keys stay until a removal is complete.

    The configuration goes last: it says that the rest is ours, also to the run after one that was killed in here.
    """
    stop_and_disable(host, [f"wg-quick@{name}.service" for name in names])
    for name in names:
        # It may stand without its unit: made by hand from our file, or left by a start that was cut off.
        if not host.check and host.exists(f"/sys/class/net/{name}"):
            host.run(["ip", "link", "delete", "dev", name])
    for name in names:
        for family in (4, 6):
            host.ensure_absent(f"{BATCH_FOLDER}/{name}.v{family}")
        drop_in = f"{FOLDER}/wg-quick@{name}.service.d"
        if host.ensure_absent(f"{drop_in}/tenantnet.conf"):
            host.drop_folder(drop_in)
    if names and not host.check:
        reload_manager(host)
    for name in names:
        host.ensure_absent(_configuration_path(name))
