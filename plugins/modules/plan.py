#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Compile the plan, test the policies and show what would change
version_added: 0.1.0
description:
  - Compiles the declaration of the inventory, runs C(wireguard_policy_tests), shows allocations and what would change,
    and refuses a plan that would remove or renumber what nobody named.
  - Records allocations beside the inventory, never in check mode. No host is changed, and none has to be reachable.
author:
  - tenantnet contributors (@tenantnet)
extends_documentation_fragment:
  - tenantnet.wireguard.attributes.controller
  - ansible.builtin.action_common_attributes
options:
  show:
    description: Whether to print the plan as tables.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Compile the plan
  tenantnet.wireguard.plan:
"""

RETURN = r"""
msg:
  description: The plan in one sentence.
  type: str
  returned: success
  sample: "5 segments, 9 peers, 4 policy tests pass, changes: 0"
"""
