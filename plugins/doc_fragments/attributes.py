# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules' documentation says alike of check mode, diff mode and platform."""

from __future__ import annotations


class ModuleDocFragment:
    """The fragments: tenantnet.wireguard.attributes, and .attributes.reads and .attributes.controller."""

    # Of a module that changes its host.
    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: Predicts what would change and changes nothing.
  diff_mode:
    support: full
    description: Shows the files that change, without secrets.
  platform:
    support: full
    platforms: linux
"""

    # Of a module that only reads its host.
    READS = r"""
attributes:
  check_mode:
    support: full
    description: Reads in either mode.
  diff_mode:
    support: none
    description: There is nothing to show.
  platform:
    support: full
    platforms: linux
"""

    # Of an action that works on the controller.
    CONTROLLER = r"""
attributes:
  check_mode:
    support: full
    description: Changes no host in either mode.
  diff_mode:
    support: none
    description: There is nothing to show.
  platform:
    support: full
    platforms: all
"""
