# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the configuration of a WireGuard client."""

from __future__ import annotations

DOCUMENTATION = r"""
name: client_config
short_description: Write the configuration of a WireGuard client
version_added: 0.1.0
author:
  - tenantnet contributors (@tenantnet)
description:
  - Writes the file that C(wg-quick) and the WireGuard applications read, for a peer that is configured by hand.
  - The private key belongs to the client, so the file holds a text in its place until the client's owner puts it there.
  - C(DNS) stands in the file where the segment declares it. C(wg-quick) then needs the command C(resolvconf).
positional: hub_public_key
options:
  _input:
    description:
      - The peer's side of the plan, as P(tenantnet.wireguard.compile_rules#filter) returns it in C(memberships).
      - Its keys C(endpoint), C(port) and C(addresses) are required. C(allowed_ips), C(dns), C(mtu), C(keepalive),
        C(peer), C(segment), C(hub), C(interface) and C(barred) are optional. Others are errors.
      - A peer that is C(barred) gets no configuration.
    type: dict
    required: true
  hub_public_key:
    description: The public key of the hub's end of the segment, 44 characters of base64.
    type: str
    required: true
  private_key:
    description: What to write as C(PrivateKey). By default a text that names the peer, which C(wg-quick) refuses.
    type: str
"""

EXAMPLES = r"""
- name: Write the configuration of an administrator's laptop
  ansible.builtin.copy:
    content: "{{ laptop | tenantnet.wireguard.client_config('jTmTN+/sp4Ad676mSTq3kAbt/BvdoV67YcxiRpn7CZI=') }}"
    dest: laptop.conf
    mode: "0600"
  delegate_to: localhost
  vars:
    laptop:
      peer: management/admin-laptop
      endpoint: vpn.example.net
      port: 51820
      addresses: [10.100.0.2/32]
      allowed_ips: [10.100.0.0/24]
"""

RETURN = r"""
_value:
  description: The text of the file.
  type: str
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.module_utils.wireguard import Peer, peer_section
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import plain
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler import kinds
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.addresses import Prefix
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import INVALID, Reader, list_of
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.model import DEFAULT_MTU, KEEPALIVE
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import NO_VALUE, Path, Problems
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.schema import mapping_of, option

_PLACE: Path = ("client_config",)


def _reason(value: Any, path: Path, problems: Problems) -> Any:
    """Read why a peer is kept out; nothing or an empty text where it is not."""
    return kinds.text(value, path, problems) if value else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Membership:
    """A peer's side of the plan; what is not written into the file is accepted all the same."""

    path: Path
    endpoint: str = option(kinds.host, "host or address", "Where the hub is dialled.")
    port: int = option(kinds.integer(1, 65535), "port", "The segment's UDP port.")
    addresses: tuple[Prefix, ...] = option(list_of(kinds.prefix(None)), "list of addresses", "The peer's own.")
    allowed_ips: tuple[Prefix, ...] = option(list_of(kinds.prefix(None)), "list of networks", "What it may reach.", ())
    dns: tuple[Prefix, ...] = option(list_of(kinds.resolver), "list of addresses", "Its name servers.", ())
    mtu: int = option(kinds.mtu, "bytes", "The MTU of its interface.", DEFAULT_MTU)
    keepalive: int = option(kinds.integer(0, 65535), "seconds", "How often it keeps its tunnel open.", KEEPALIVE)
    peer: str = option(kinds.text, "text", "Which peer it is.", "")
    segment: str = option(kinds.text, "text", "The peer's segment.", "")
    hub: str = option(kinds.text, "text", "The segment's hub.", "")
    interface: str = option(kinds.text, "text", "The interface's name on a managed peer.", "")
    barred: str = option(_reason, "text", "Why the peer is kept out.", "")


def client_config(membership: Any, hub_public_key: Any = None, private_key: Any = None) -> str:
    """Return the text of a client's configuration.

    Raises AnsibleFilterError with everything that is wrong, which never shows the private key.
    """
    problems = Problems()
    found = _read("membership", membership, mapping_of(_Membership), problems)
    hub_key = _read("hub_public_key", hub_public_key, kinds.public_key, problems)
    secret = None if private_key is None else _read("private_key", private_key, _secret, problems)
    if isinstance(found, _Membership):
        _check(found, problems)
    if problems.found:
        raise AnsibleFilterError("; ".join(problems.texts(lambda _path: None)))
    return _write(found, hub_key, secret or f"(the private key of {found.peer or 'this peer'})")


def _read(key: str, value: Any, reader: Reader[Any], problems: Problems) -> Any:
    """Read one argument."""
    place = (*_PLACE, key)
    item = plain(value, place, None, problems)
    return item if item is INVALID else reader(item, place, problems)


def _secret(value: Any, path: Path, problems: Problems) -> Any:
    """Read one line of text that no message may show."""
    line = value.strip() if isinstance(value, str) else ""
    if line and line.isprintable():
        return line
    problems.add(path, NO_VALUE, "is not one line of text (not shown)", "give a key, or leave it out")
    return INVALID


def _check(membership: _Membership, problems: Problems) -> None:
    """Refuse a peer without addresses, and one that its hub does not let in."""
    place = membership.path
    if not membership.addresses:
        problems.add((*place, "addresses"), NO_VALUE, "is a list of nothing", "give the peer's own address")
    if membership.barred:
        problems.add(
            (*place, "barred"), membership.barred, "is why its hub keeps this peer out", "give it no configuration"
        )


def _write(membership: _Membership, hub_public_key: str, private_key: str) -> str:
    """Write the file: the peer's own interface, and the hub as its only peer."""
    lines = [f"# {membership.peer}"] if membership.peer else []
    lines += ["[Interface]", f"PrivateKey = {private_key}"]
    lines.append(f"Address = {', '.join(block.text for block in membership.addresses)}")
    if membership.dns:
        lines.append(f"DNS = {', '.join(block.address for block in membership.dns)}")
    lines.append(f"MTU = {membership.mtu}")
    endpoint = f"[{membership.endpoint}]" if ":" in membership.endpoint else membership.endpoint
    hub = Peer(
        public_key=hub_public_key,
        allowed_ips=frozenset(block.text for block in membership.allowed_ips),
        endpoint=f"{endpoint}:{membership.port}",
        keepalive=membership.keepalive,
    )
    return "\n".join(lines) + "\n\n" + peer_section(hub)


class FilterModule:
    """Names the filter for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"client_config": client_config}
