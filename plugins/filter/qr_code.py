# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw a QR code of a text."""

from __future__ import annotations

DOCUMENTATION = r"""
name: qr_code
short_description: Draw a QR code of a text
version_added: 0.1.0
author:
  - tenantnet contributors (@tenantnet)
description:
  - Draws a QR code, for instance of what P(tenantnet.wireguard.client_config#filter) returns, to be read by a phone.
  - A client configuration can hold a private key. No error of this filter shows the text.
requirements:
  - The Python library C(segno) on the controller.
positional: format
options:
  _input:
    description: The text, at most 2953 bytes of UTF-8.
    type: str
    required: true
  format:
    description:
      - V(text) draws with block characters for a terminal with a dark background.
      - V(png) makes an image and returns it as base64.
    type: str
    choices: [text, png]
    default: text
"""

EXAMPLES = r"""
- name: Show a configuration in the terminal
  ansible.builtin.debug:
    msg: "{{ (configuration | tenantnet.wireguard.qr_code).splitlines() }}"

- name: Keep it as an image that only its owner can read
  ansible.builtin.copy:
    content: "{{ configuration | tenantnet.wireguard.qr_code('png') }}"
    dest: phone.png.b64
    mode: "0600"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The drawing, lines of text or an image in base64.
  type: str
"""

import base64
import io
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import plain
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import choice
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import NO_VALUE, Path, Problems

_PLACE: Path = ("qr_code",)
# The bytes that the largest code (version 40, error correction L) holds: ISO/IEC 18004.
_LIMIT = 2953
# Pixels a module of the code: large enough for a phone to read from a screen.
_SCALE = 5


def qr_code(text: Any, format: Any = None) -> str:
    """Return the QR code of a text.

    Raises AnsibleFilterError, which never shows the text.
    """
    problems = Problems()
    content = plain(text, (*_PLACE, "text"), None, problems)
    wanted = "text" if format is None else plain(format, _PLACE, None, problems)
    chosen = choice("text", "png")(wanted, (*_PLACE, "format"), problems)
    if not isinstance(content, str) or not content:
        problems.add((*_PLACE, "text"), NO_VALUE, "is not a text, or an empty one", "give it a text")
    elif len(content.encode()) > _LIMIT:
        wrong = f"has {len(content.encode())} bytes, and a QR code holds {_LIMIT}"
        problems.add((*_PLACE, "text"), NO_VALUE, wrong, "shorten it")
    if problems.found:
        raise AnsibleFilterError("; ".join(problems.texts(lambda _path: None)))
    try:
        import segno
    except ImportError as error:
        raise AnsibleFilterError(f"qr_code: the Python library segno is missing ({error}), install it") from error
    code = segno.make(content, encoding="utf-8", micro=False)
    if chosen == "text":
        lines = io.StringIO()
        code.terminal(lines, compact=True)
        return lines.getvalue()
    image = io.BytesIO()
    code.save(image, kind="png", scale=_SCALE)
    return base64.b64encode(image.getvalue()).decode("ascii")


class FilterModule:
    """Names the filter for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"qr_code": qr_code}
