#!/usr/bin/python

# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the interfaces of the fabric that are wanted no more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: retired
short_description: Remove the interfaces of the fabric that are wanted no more
version_added: 0.1.0
description:
  - Stops and removes each WireGuard interface of the fabric on this hub whose segment is declared no more, with its
    files. Interfaces of others are left alone.
  - It comes before the routing and the firewall change. An interface that these no longer speak of would be anybody's.
  - In a playbook its arguments come from the plan, through the action plugin of the same name.
author:
  - tenantnet contributors (@tenantnet)
extends_documentation_fragment:
  - tenantnet.wireguard.attributes
  - ansible.builtin.action_common_attributes
options:
  wanted:
    description: Names of the interfaces that stay. Filled in by the action plugin.
    type: list
    elements: str
    default: []
  removable:
    description: Tenants or segments whose interfaces may be removed. Filled in by the action plugin.
    type: list
    elements: str
    default: []
  claim:
    description: Which run this is, so that no run overtakes another. Filled in by the action plugin.
    type: dict
"""

EXAMPLES = r"""
- name: Take down what is declared no more
  tenantnet.wireguard.retired:
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in the order of doing.
  type: list
  elements: str
  returned: always
  sample: ["stop and disable wg-quick@tenant-x.service", remove /etc/wireguard/tenant-x.conf]
removed:
  description: Names of the interfaces that were removed.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tenantnet.wireguard.plugins.module_utils import interfaces
from ansible_collections.tenantnet.wireguard.plugins.module_utils.edge import run_driver


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "list", "elements": "str", "default": []},
            "removable": {"type": "list", "elements": "str", "default": []},
            "claim": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    params = module.params
    run_driver(module, lambda host: {"removed": interfaces.retire(host, set(params["wanted"]), params["removable"])})


if __name__ == "__main__":
    main()
