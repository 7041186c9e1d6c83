#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Probe the live network and compare it with the policies
version_added: 0.1.0
description:
  - One stage of C(tenantnet.wireguard.verify), which runs all of them on hubs and managed peers.
  - Probes go from every managed peer to every segment, service, the hub and the internet, in both families, with the
    client's own limits lifted. Observers on both sides say what came through.
author:
  - tenantnet contributors (@tenantnet)
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    description: Probes nothing.
  diff_mode:
    support: none
    description: There is nothing to show.
  platform:
    support: full
    platforms: linux
options:
  stage:
    description: Which stage to run.
    type: str
    choices: [observe, send, collect, judge]
    default: judge
"""

EXAMPLES = r"""
- name: Start the observers
  tenantnet.wireguard.verify:
    stage: observe
"""

RETURN = r"""
msg:
  description: How many probes there were and on how many the judges differ.
  type: str
  returned: always
  sample: 168 probes, 0 disagree
"""
