# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys: made on the host that uses them, 0600 from the first byte, never on a command line."""

from __future__ import annotations

import base64
import os

from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError

FOLDER = "/etc/tenantnet/keys"


def key_path(name: str) -> str:
    """Return the file of a key; a slash of a party's id becomes a dot, which no name contains."""
    return f"{FOLDER}/{name.replace('/', '.')}.key"


def new_private_key() -> str:
    """Make a private key: 32 random bytes, clamped as Curve25519 wants them."""
    raw = bytearray(os.urandom(32))
    raw[0] &= 248
    raw[31] = (raw[31] & 127) | 64
    return base64.b64encode(bytes(raw)).decode("ascii")


def is_private_key(text: str) -> bool:
    """Tell whether a text is 32 bytes of base64 and not all zeros."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return len(raw) == 32 and any(raw)


def ensure_key(host: Host, name: str, existing: str | None) -> str | None:
    """Return the private key of a name, making it when there is none.

    existing: the key that the interface runs with now, which is adopted when its file is missing: a key is
    never remade while somebody uses it. Returns None in check mode where the key would be made.
    Raises HostError where the file holds no key.
    """
    path = key_path(name)
    host.sweep(path)
    text = host.read(path)
    if text is not None:
        key = text.strip()
        if not is_private_key(key):
            raise HostError(
                f"{path}: holds no private key: restore it from a backup, or remove it to have a new one made"
            )
        return key
    adopted = existing is not None and is_private_key(existing)
    host.diffs.append({"before_header": path, "after_header": path, "before": "", "after": "(new key)\n"})
    if not host.applies(f"{'adopt' if adopted else 'make'} the key of {name}"):
        return existing if adopted else None
    key = existing if adopted and existing is not None else new_private_key()
    host.make_folder(FOLDER, 0o700)
    host.write(path, key + "\n", 0o600)
    return key


def public_key(host: Host, private_key: str) -> str:
    """Return the public key of a private one; it travels to wg by standard input."""
    return host.run(["wg", "pubkey"], stdin=private_key + "\n").strip()
