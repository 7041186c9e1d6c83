# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter qr_code: a code that holds the text, as lines or as an image."""

from __future__ import annotations

import base64
import sys

import pytest
import segno
from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.filter.qr_code import FilterModule, qr_code

# Light and dark of the two modules that a character stands for, upper and lower.
BLOCKS = {" ": (1, 1), "\N{UPPER HALF BLOCK}": (0, 1), "\N{LOWER HALF BLOCK}": (1, 0), "\N{FULL BLOCK}": (0, 0)}


def drawn(text):
    """Read a drawing back, without its border of four light modules."""
    rows = []
    for line in text.splitlines():
        upper, lower = zip(*(BLOCKS[character] for character in line), strict=True)
        rows += [upper, lower]
    # The number of rows is odd; the lower half of the last line is no part of the code.
    rows = rows[: len(rows[0])]
    border = [*rows[:4], *rows[-4:], *(row[:4] + row[-4:] for row in rows)]
    assert not any(any(modules) for modules in border)
    return [list(row[4:-4]) for row in rows[4:-4]]


@pytest.mark.parametrize("content", ["a", "[Interface]\nPrivateKey = x\n", "Grüße", "1234567", "x" * 2953])
def test_draws_the_code(content):
    expected = segno.make(content, encoding="utf-8", micro=False)
    assert drawn(qr_code(content)) == [list(row) for row in expected.matrix]
    assert qr_code(content) == qr_code(content, format="text")


def test_makes_an_image():
    image = base64.b64decode(qr_code("a", "png"), validate=True)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = int.from_bytes(image[16:20], "big"), int.from_bytes(image[20:24], "big")
    # 21 modules of the smallest code and the border of 4, at 5 pixels each.
    assert width == height == (21 + 8) * 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None,), "qr_code.text: is not a text, or an empty one, give it a text"),
        (("",), "qr_code.text: is not a text, or an empty one"),
        ((["secret"],), "qr_code.text: is not a text"),
        (("secret", "jpeg"), "qr_code.format: 'jpeg', is not one of text, png, use one of these"),
        (("secret" * 493,), "qr_code.text: has 2958 bytes, and a QR code holds 2953, shorten it"),
        (("\N{FULL BLOCK}" * 985,), "qr_code.text: has 2955 bytes"),
    ],
)
def test_refuses_without_showing(arguments, message):
    with pytest.raises(AnsibleFilterError) as caught:
        qr_code(*arguments)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_says_what_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "segno", None)
    with pytest.raises(AnsibleFilterError, match="the Python library segno is missing"):
        qr_code("secret")


def test_is_named_as_its_file():
    assert FilterModule().filters() == {"qr_code": qr_code}
