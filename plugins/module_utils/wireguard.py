# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard itself: the live state in one read, and the least change that makes it what is wanted.

A peer that stays is never written again: adding, changing and removing others leaves its handshake, counters
and endpoint alone.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError

# Peers in one command line: well below the kernel's limit on a command's length (2 MiB, execve(2)).
_PEERS_PER_CALL = 500


class Peer(NamedTuple):
    """A peer of an interface. endpoint: host:port or empty; keepalive in seconds, 0 for none."""

    public_key: str
    allowed_ips: frozenset[str]
    endpoint: str
    keepalive: int


class Device(NamedTuple):
    """A live WireGuard interface. private_key is a secret: it is compared, never printed."""

    private_key: str
    listen_port: int
    peers: dict[str, Peer]


def read_devices(host: Host) -> dict[str, Device]:
    """Return every live WireGuard interface of the host, from one dump; none where wg is not installed."""
    if not host.has_command("wg"):
        return {}
    devices: dict[str, Device] = {}
    for line in host.run(["wg", "show", "all", "dump"]).splitlines():
        words = line.split("\t")
        try:
            if len(words) == 5:
                name, private_key, _public, port, _mark = words
                devices[name] = Device("" if private_key == "(none)" else private_key, int(port), {})
            else:
                name, key, _psk, endpoint, allowed, _handshake, _rx, _tx, keepalive = words
                devices[name].peers[key] = Peer(
                    key,
                    frozenset() if allowed == "(none)" else frozenset(allowed.split(",")),
                    "" if endpoint == "(none)" else endpoint,
                    0 if keepalive == "off" else int(keepalive),
                )
        except (KeyError, ValueError):
            # The line itself may hold a private key, and so may Python's words about it.
            raise HostError("wg show all dump: printed a line of no form that we know") from None
    return devices


def peer_section(peer: Peer) -> str:
    """Write a peer as a configuration file has it."""
    lines = ["[Peer]", f"PublicKey = {peer.public_key}"]
    if peer.allowed_ips:
        lines.append(f"AllowedIPs = {', '.join(sorted(peer.allowed_ips))}")
    if peer.endpoint:
        lines.append(f"Endpoint = {peer.endpoint}")
    if peer.keepalive:
        lines.append(f"PersistentKeepalive = {peer.keepalive}")
    return "\n".join(lines) + "\n"


class Delta(NamedTuple):
    """What must change on a live interface. moved: peers whose AllowedIPs pass between them."""

    remove: list[str]
    write: list[Peer]
    quiet: list[str]


def delta(live: dict[str, Peer], wanted: dict[str, Peer], resolved: dict[str, str]) -> Delta:
    """Compare live peers with wanted ones.

    An endpoint is only compared where one is wanted: a roaming peer's live endpoint is its own. resolved: the
    addresses that wanted endpoints stand for, so that a name that resolves to the live one is no change.
    """
    remove = sorted(set(live) - set(wanted))
    write = []
    quiet = []
    for key, peer in sorted(wanted.items()):
        have = live.get(key)
        same_endpoint = have is not None and (
            not peer.endpoint or have.endpoint in (peer.endpoint, resolved.get(peer.endpoint, peer.endpoint))
        )
        if have is None or have.allowed_ips != peer.allowed_ips or not same_endpoint:
            write.append(peer)
        elif have.keepalive != peer.keepalive:
            if peer.keepalive:
                write.append(peer)
            else:
                quiet.append(key)
    return Delta(remove, write, quiet)


def apply_delta(host: Host, interface: str, change: Delta) -> None:
    """Apply a difference to a live interface: removals first, so that an address can pass to another peer."""
    for start in range(0, len(change.remove), _PEERS_PER_CALL):
        words = [word for key in change.remove[start : start + _PEERS_PER_CALL] for word in ("peer", key, "remove")]
        host.run(["wg", "set", interface, *words])
    if change.quiet:
        words = [word for key in change.quiet for word in ("peer", key, "persistent-keepalive", "off")]
        host.run(["wg", "set", interface, *words])
    if change.write:
        # addconf adds and updates the peers it is given and leaves every other one alone.
        text = "".join(peer_section(peer) for peer in change.write)
        host.run(["wg", "addconf", interface, "/dev/stdin"], stdin=text)


def verify(interface: str, live: Device | None, private_key: str, wanted: dict[str, Peer]) -> None:
    """Check what was read back after a change.

    Raises HostError where a peer or one of its addresses is not there: WireGuard moves an address that two
    peers want to the last of them, without a word.
    """
    if live is None:
        raise HostError(f"{interface}: is not there after it was started: see journalctl -u wg-quick@{interface}")
    if live.private_key != private_key:
        raise HostError(f"{interface}: runs with another key than its own")
    missing = sorted(set(wanted) - set(live.peers))
    if missing:
        raise HostError(f"{interface}: peers are missing after the change: {', '.join(missing)}")
    for key, peer in sorted(wanted.items()):
        if live.peers[key].allowed_ips != peer.allowed_ips:
            raise HostError(
                f"{interface}: peer {key} has {sorted(live.peers[key].allowed_ips)} and not {sorted(peer.allowed_ips)}"
            )
