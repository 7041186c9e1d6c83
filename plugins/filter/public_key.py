# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Derive the public key of a WireGuard private key."""

from __future__ import annotations

DOCUMENTATION = r"""
name: public_key
short_description: Derive the public key of a WireGuard private key
version_added: 0.1.0
author:
  - tenantnet contributors (@tenantnet)
description:
  - Does what C(wg pubkey) does, on the controller and without the command.
  - The private key may be vaulted. No error of this filter shows it. The task that uses the key must not print it
    either.
  - The roles make their keys on the hosts that use them. This filter is for keys that you keep yourself.
requirements:
  - The Python library C(cryptography), which ansible-core brings.
options:
  _input:
    description: A private key as C(wg genkey) makes it, 44 characters of base64. White space around it is ignored.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Declare an external peer whose key is in the vault
  ansible.builtin.debug:
    msg: "{{ vaulted_private_key | tenantnet.wireguard.public_key }}"
"""

RETURN = r"""
_value:
  description: The public key, 44 characters of base64.
  type: str
"""

import base64
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import plain
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import key_fault
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import Problems


def public_key(private_key: Any) -> str:
    """Return the public key of a private key.

    Raises AnsibleFilterError, which never shows the private key.
    """
    problems = Problems()
    word = plain(private_key, ("public_key",), None, problems)
    if problems.found:
        raise AnsibleFilterError("; ".join(problems.texts(lambda _path: None)))
    # Public and private keys have one form: 32 bytes, canonical base64, not all zeros.
    fault = key_fault(word.strip()) if isinstance(word, str) else "is not a string"
    if fault:
        raise AnsibleFilterError(
            f"public_key: the private key (not shown) {fault}, give the output of 'wg genkey' (44 characters of base64)"
        )
    try:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    except ImportError as error:
        raise AnsibleFilterError(
            f"public_key: the Python library cryptography is missing ({error}), install it beside Ansible"
        ) from error
    raw = X25519PrivateKey.from_private_bytes(base64.b64decode(word.strip())).public_key()
    return base64.b64encode(raw.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode("ascii")


class FilterModule:
    """Names the filter for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"public_key": public_key}
