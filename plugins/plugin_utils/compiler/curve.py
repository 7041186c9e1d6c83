# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which 32 bytes can be a WireGuard public key: for telling a private key that stands where a public one belongs.

A private key is a clamped number (RFC 7748, section 5), and one public key in sixteen happens to look like that. But
every public key is a point of Curve25519 times eight, and of all numbers only one in sixteen is: a key that looks
private and is no such point was never anybody's public key.
"""

from __future__ import annotations

# RFC 7748, section 4.1: y² = x³ + Ax² + x over the integers modulo P.
P = 2**255 - 19
A = 486662
_ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def has_private_form(raw: bytes) -> bool:
    """Tell whether 32 bytes are clamped as a private key is."""
    return raw[0] & 7 == 0 and raw[31] >> 6 == 1


def is_public(raw: bytes, thorough: bool = True) -> bool:
    """Tell whether 32 bytes can be the public key of a private one.

    thorough: 15 of 16 others are told apart, for 0.7 ms; without it 3 of 4, for 0.2 ms.
    """
    x = int.from_bytes(raw, "little")
    if not _is_square(x * (x * x + A * x + 1)):
        return False
    return _is_multiple_of_eight(x) if thorough else _is_square(x)


def _is_multiple_of_eight(x: int) -> bool:
    """Tell whether a point of the curve, by its x, is eight times another one: whether it can be halved thrice."""
    half = _half(x)
    quarter = None if half is None else _half(half)
    return quarter is not None and _is_square(quarter)


def _half(x: int) -> int | None:
    """Return the x of a point that doubled has this x, or None.

    The curve has one point of order two, (0, 0): a point can be halved exactly where its x is a square, and of the two
    halves, which differ by (0, 0), either will do. The way leads through the isogeny of degree two and its dual; of the
    two points between them one is the image of a half.
    """
    root = _root(x * x + A * x + 1)
    if root is None:
        return None
    for part in (2 * (x + root), 2 * (x - root)):
        other = _root(part * part - 4)
        if other is not None:
            return (part + other) * ((P + 1) // 2) % P
    return None


def _is_square(number: int) -> bool:
    """Tell whether a number is a square modulo P (Euler's criterion)."""
    return pow(number, (P - 1) // 2, P) in (0, 1)


def _root(number: int) -> int | None:
    """Return a square root modulo P, or None; P is 5 modulo 8."""
    root = pow(number, (P + 3) // 8, P)
    for candidate in (root, root * _ROOT_OF_MINUS_ONE % P):
        if (candidate * candidate - number) % P == 0:
            return candidate
    return None
