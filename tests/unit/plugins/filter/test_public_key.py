# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter public_key: what `wg pubkey` says, and no word about the private key."""

from __future__ import annotations

import base64
import sys

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.filter.public_key import FilterModule, public_key

# RFC 7748, section 6.1, in base64; the private keys are not clamped there.
ALICE = (
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
)
BOB = (
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
)
# Made by `wg genkey` and `wg pubkey` for this test.
WG = ("aFAJ3c/s1dFXVAHYz0ZbEJ9YBRkTqVOiEgkLuo9//Wk=", "zkiM0GbnwgSCEfmxSGn61hwR/aLh3E6aguUugjh/FlI=")


def in_base64(text):
    return base64.b64encode(bytes.fromhex(text)).decode()


@pytest.mark.parametrize(
    ("private_key", "expected"),
    [
        (in_base64(ALICE[0]), in_base64(ALICE[1])),
        (in_base64(BOB[0]), in_base64(BOB[1])),
        WG,
        (f" {WG[0]}\n", WG[1]),
    ],
)
def test_derives(private_key, expected):
    assert public_key(private_key) == expected


class Vaulted:
    """What a vaulted value is to a filter before ansible-core 2.19: something that decrypts when it becomes text."""

    def __str__(self):
        return WG[0]


def test_takes_a_vaulted_value():
    assert public_key(Vaulted()) == WG[1]


@pytest.mark.parametrize(
    ("private_key", "wrong"),
    [
        (None, "is not a string"),
        (["secret"], "is not a string"),
        (4711, "is not a string"),
        ("", "is 0 bytes of base64 and not 32"),
        ("not a key, but a secret", "is not base64"),
        (WG[0][:-1], "is not base64"),
        (WG[0][4:], "is 29 bytes of base64 and not 32"),
        # The last character before the sign of equality has two bits that mean nothing and must be zero.
        (WG[0].replace("k=", "l="), "is not in canonical base64"),
        ("A" * 43 + "=", "is a key of all zeros"),
        (ALICE[0], "is 48 bytes of base64 and not 32"),
    ],
)
def test_refuses_without_showing(private_key, wrong):
    with pytest.raises(AnsibleFilterError) as caught:
        public_key(private_key)
    message = str(caught.value)
    assert message.startswith("public_key: the private key (not shown) " + wrong)
    assert "give the output of 'wg genkey'" in message
    shown = private_key[0] if isinstance(private_key, list) else str(private_key)
    assert not shown or shown not in message


def test_says_what_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.x25519", None)
    with pytest.raises(AnsibleFilterError, match="the Python library cryptography is missing"):
        public_key(WG[0])


def test_is_named_as_its_file():
    assert FilterModule().filters() == {"public_key": public_key}
