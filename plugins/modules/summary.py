#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: summary
short_description: End a run with what is pending
version_added: 0.1.0
description:
  - Says what could not be done yet and what to do next, and fails where something is pending.
author:
  - tenantnet contributors (@tenantnet)
extends_documentation_fragment:
  - tenantnet.wireguard.attributes.controller
  - ansible.builtin.action_common_attributes
"""

EXAMPLES = r"""
- name: Say what is pending
  tenantnet.wireguard.summary:
"""

RETURN = r"""
msg:
  description: What is pending, or that nothing is.
  type: str
  returned: success
  sample: everything declared is deployed
"""
