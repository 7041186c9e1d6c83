# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys are refused as private ones: none that anybody's public key could be, and only among real ones."""

from __future__ import annotations

import base64
import hashlib

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.curve import (
    has_private_form,
    is_public,
)
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import compiled, messages, segment, tenant
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

COUNT = 400


def private(number: int) -> bytes:
    raw = bytearray(hashlib.sha256(f"private {number}".encode()).digest())
    raw[0] &= 248
    raw[31] = raw[31] & 127 | 64
    return bytes(raw)


def public(number: int) -> bytes:
    return X25519PrivateKey.from_private_bytes(private(number)).public_key().public_bytes_raw()


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_no_public_key_is_ever_taken_for_a_private_one():
    """Judged by a library that knows nothing of ours. Broken on purpose: the curve's equation alone asked for less."""
    assert all(is_public(public(number)) for number in range(COUNT))
    assert not any(looks_private(public(number)) for number in range(COUNT))


def test_most_private_keys_are_known_for_what_they_are():
    """One in sixteen is a public key too, by chance. Broken on purpose: halved once less, and one in eight passed."""
    share = sum(looks_private(private(number)) for number in range(COUNT)) / COUNT
    assert 0.9 < share < 0.97


def looks_private(raw: bytes) -> bool:
    return has_private_form(raw) and not is_public(raw)


def test_a_quick_look_finds_three_of_four_and_is_never_wrong():
    """For declarations of thousands of keys. Broken on purpose: the curve's equation not asked for."""
    assert all(is_public(public(number), thorough=False) for number in range(COUNT))
    share = sum(not is_public(private(number), thorough=False) for number in range(COUNT)) / COUNT
    assert 0.68 < share < 0.82


def declared(*keys: bytes) -> list[str]:
    peers = [{"name": f"p{number}", "public_key": text(key)} for number, key in enumerate(keys)]
    return messages(tenant("a", segment("s", *peers)))


REFUSED = next(private(number) for number in range(9) if looks_private(private(number)))


@pytest.mark.parametrize("others", [0, 1, 3, 20])
def test_a_private_key_among_real_ones_is_refused_and_not_shown(others: int):
    found = declared(*(public(number) for number in range(others)), REFUSED)
    assert len(found) == 1
    assert f"peers[{others}].public_key: is a private key, write the public key of a new pair" in found[0]
    assert text(REFUSED) not in found[0]


def test_where_keys_are_made_up_their_form_proves_nothing():
    """Broken on purpose: the others not looked at; a benchmark with ten thousand made-up keys had 300 errors."""
    made_up = [hashlib.sha256(f"made up {number}".encode()).digest() for number in range(20)]
    keys = [*(raw for raw in made_up if not looks_private(raw)), REFUSED]
    peers = [{"name": f"p{number}", "public_key": text(raw)} for number, raw in enumerate(keys)]
    assert len(compiled(tenant("a", segment("s", *peers))).addresses) == len(keys)
